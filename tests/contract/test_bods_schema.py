"""BODS by the standard's own schema, as a package that is pinned brings it: what is read is held to it, and what is written holds to it."""

import io
import json
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import bods_fixtures
import pytest
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from neutrality.cli.main import app
from neutrality.registers.bods import BodsConnector, statements_about
from neutrality.registers.bods.validation import SchemaUnusable, standard_schema
from tests.support.bods import ACME_AND_HOLDERS, company, converted, events_of

SCHEMA = Path(str(distribution("libcovebods").locate_file("libcovebods/data/schema-0-4-0")))


@pytest.fixture(scope="module")
def standard() -> Draft202012Validator:
    return standard_schema(SCHEMA)


def refused(*statements: dict[str, Any], schema: Path | None = SCHEMA) -> list[str]:
    found = BodsConnector(schema).convert(io.BytesIO(json.dumps(statements).encode()))
    return [refusal.detail for conversion in found for refusal in conversion.refusals if refusal.reason == "not-valid"]


def test_what_is_exported_is_valid(standard: Draft202012Validator) -> None:
    events = events_of(converted(*ACME_AND_HOLDERS))
    statements = statements_about(events[0].data.subject, events)
    assert len(statements) == 6
    assert [error.message for statement in statements for error in standard.iter_errors(statement)] == []
    assert list(standard.iter_errors({**statements[0], "statementId": "short"})) != []


@pytest.mark.parametrize("name", bods_fixtures.list_cases())
def test_what_is_valid_is_read_as_without_the_schema(name: str, standard: Draft202012Validator) -> None:
    statements = bods_fixtures.load(name).statements
    body = json.dumps(statements).encode()
    assert [error.message for statement in statements for error in standard.iter_errors(statement)] == []
    assert list(BodsConnector(SCHEMA).convert(io.BytesIO(body))) == list(BodsConnector().convert(io.BytesIO(body)))


def test_what_the_standard_refuses_in_a_field_that_is_never_read_is_refused_too() -> None:
    odd = company("acme")
    odd["recordDetails"]["addresses"] = [{"type": "castle", "address": "1 Road"}]
    assert refused(odd, schema=None) == []
    assert refused(odd) == ["/recordDetails/addresses/0/type: breaks `enum` " + detail_of_types()]


def detail_of_types() -> str:
    components = json.loads((SCHEMA / "components.json").read_text())
    kinds = components["$defs"]["Address"]["properties"]["type"]["enum"]
    return f"({json.dumps(kinds, separators=(',', ':'))[:120]})"


def test_a_folder_without_the_schema_is_told(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(SchemaUnusable, match="does not hold the schema"):
            standard_schema(folder)
    (tmp_path / "statement.json").write_text("{")
    with pytest.raises(SchemaUnusable, match=tmp_path.name):
        standard_schema(tmp_path)


def test_import_takes_the_schema_as_an_option(tmp_path: Path) -> None:
    odd = company("acme")
    odd["recordDetails"]["addresses"] = [{"type": "castle", "address": "1 Road"}]
    file = tmp_path / "statements.json"
    file.write_text(json.dumps([odd]))
    found = CliRunner().invoke(app, ["import", "bods", str(file), "--dry-run", "--json", "--schema", str(SCHEMA)])
    assert (found.exit_code, json.loads(found.stdout)["refusals"]) == (0, {"not-valid": 1})
    wrong = CliRunner().invoke(app, ["import", "psc", str(file), "--dry-run", "--schema", str(SCHEMA)])
    assert wrong.exit_code == 2
    assert "psc is no standard with a schema" in wrong.stderr
