"""What a BODS 0.4 statement must be before it is read: by our own schema of the fields that are read, and by the standard's if it is at hand."""

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import orjson
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from referencing import Registry, Resource

from neutrality.registers.connector import Refusal


class SchemaUnusable(ValueError):  # noqa: N818 - named for what it is
    """The folder does not hold the schema of BODS 0.4. Fate: the operator's."""


def standard_schema(folder: Path) -> Draft202012Validator:
    """One statement by the standard's own schema: the `schema` folder of its repository at tag 0.4.0.

    Raises:
        SchemaUnusable: there is no such folder, or it holds something else.
    """
    try:
        schemas: list[dict[str, Any]] = [orjson.loads(path.read_bytes()) for path in sorted(folder.glob("*.json"))]
    except (OSError, orjson.JSONDecodeError) as error:
        raise SchemaUnusable(f"{folder}: {error}") from error
    known = {schema["$id"]: schema for schema in schemas if "$id" in schema}
    statement = known.get("urn:statement", {})
    if str(statement.get("version", ""))[:3] != "0.4" or "Statement" not in statement.get("$defs", {}):
        raise SchemaUnusable(
            f"{folder} does not hold the schema of BODS 0.4; name the folder `schema` of the standard's repository"
        )
    registry = Registry[Any]().with_resources((name, Resource.from_contents(schema)) for name, schema in known.items())
    return Draft202012Validator(
        {"$ref": "urn:statement#/$defs/Statement"}, registry=registry, format_checker=Draft202012Validator.FORMAT_CHECKER
    )


def refusal_of(statement: object, standard: Draft202012Validator | None = None) -> Refusal | None:
    """Why a statement cannot be read at all; None if it can. `standard`: the standard's own schema, if it is at hand."""
    if not isinstance(statement, dict):
        return Refusal("not-a-statement", "a statement is a JSON object")
    details = statement.get("publicationDetails")
    version = details.get("bodsVersion") if isinstance(details, dict) else None
    if "statementType" in statement or "statementID" in statement:
        told = version or "0.1 to 0.3 (it has `statementType`)"
        return Refusal("other-version", f"BODS {told}; only 0.4 is read")
    if isinstance(version, str) and version != "0.4":
        return Refusal("other-version", f"BODS {version[:20]}; only 0.4 is read")
    problem = _first_problem(_validator(), statement)
    if problem is None:
        problem = None if standard is None else _first_problem(standard, statement)
        return None if problem is None else _broken(problem)
    # the value itself may be somebody's personal data: the path and the rule are told
    if problem.validator == "required" and list(problem.absolute_path) == [] and "publicationDetails" not in statement:
        return Refusal("no-publisher", "/publicationDetails: without a publisher nobody can tell whose `recordId` this is")
    return _broken(problem)


def _first_problem(validator: Draft202012Validator, statement: object) -> ValidationError | None:
    return min(validator.iter_errors(statement), key=lambda error: (len(error.absolute_path), error.json_path), default=None)


def _broken(problem: ValidationError) -> Refusal:
    where = "".join(f"/{step}" for step in problem.absolute_path)
    return Refusal(
        "not-valid",
        f"{where or '(statement)'}: breaks `{problem.validator}` ({orjson.dumps(problem.validator_value).decode()[:120]})",
    )


@cache
def _validator() -> Draft202012Validator:
    schema: dict[str, Any] = orjson.loads(files(__package__).joinpath("statement.schema.json").read_bytes())
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
