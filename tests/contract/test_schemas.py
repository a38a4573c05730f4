"""The committed schemas are those of the code, are valid JSON Schema, and take what the code takes."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from neutrality.events.cloudevent import event_to_document
from neutrality.events.schemas import drifted, generated_files
from tests.support.events import ONE_OF_EACH

FOLDER = Path(__file__).parents[2] / "contracts" / "schemas"


def test_the_committed_schemas_have_not_drifted() -> None:
    assert drifted(FOLDER) == []


def test_a_changed_a_missing_and_a_left_over_schema_are_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "schemas"
    folder.mkdir()
    for name, text in generated_files():
        (folder / name).write_text(text + (" " if name.startswith("role") else ""))
    (folder / "topics.json").unlink()
    (folder / "old.json").write_text("{}")
    assert drifted(folder) == ["acls.json", "asyncapi.json", "old.json", "role.v1.schema.json", "topics.json"]


@pytest.mark.parametrize("example", ONE_OF_EACH)
def test_a_schema_takes_the_event_and_refuses_it_without_its_data(example: object) -> None:
    document = event_to_document(example)  # type: ignore[arg-type]  # the parametrised union
    kind = document["type"].split(".")[2]
    schema = json.loads((FOLDER / f"{kind}.v1.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    validator.validate(document)
    assert not validator.is_valid({**document, "data": {}})
