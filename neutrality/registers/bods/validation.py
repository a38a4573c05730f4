"""What a BODS 0.4 statement must be before it is read: the version, and our own schema of the fields that are read."""

from functools import cache
from importlib.resources import files
from typing import Any

import orjson
from jsonschema import Draft202012Validator

from neutrality.registers.connector import Refusal


def refusal_of(statement: object) -> Refusal | None:
    """Why a statement cannot be read at all; None if it can."""
    if not isinstance(statement, dict):
        return Refusal("not-a-statement", "a statement is a JSON object")
    details = statement.get("publicationDetails")
    version = details.get("bodsVersion") if isinstance(details, dict) else None
    if "statementType" in statement or "statementID" in statement:
        told = version or "0.1 to 0.3 (it has `statementType`)"
        return Refusal("other-version", f"BODS {told}; only 0.4 is read")
    if isinstance(version, str) and version != "0.4":
        return Refusal("other-version", f"BODS {version[:20]}; only 0.4 is read")
    problem = min(
        _validator().iter_errors(statement), key=lambda error: (len(error.absolute_path), error.json_path), default=None
    )
    if problem is None:
        return None
    # the value itself may be somebody's personal data: the path and the rule are told
    if problem.validator == "required" and list(problem.absolute_path) == [] and "publicationDetails" not in statement:
        return Refusal("no-publisher", "/publicationDetails: without a publisher nobody can tell whose `recordId` this is")
    where = "".join(f"/{step}" for step in problem.absolute_path)
    return Refusal(
        "not-valid",
        f"{where or '(statement)'}: breaks `{problem.validator}` ({orjson.dumps(problem.validator_value).decode()[:120]})",
    )


@cache
def _validator() -> Draft202012Validator:
    schema: dict[str, Any] = orjson.loads(files(__package__).joinpath("statement.schema.json").read_bytes())
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
