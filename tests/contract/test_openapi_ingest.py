"""The committed OpenAPI document is what the code says, and what it shows as examples is accepted."""

import json
from pathlib import Path
from typing import Any

import pytest

from neutrality.events.cloudevent import EVENT_TYPES, event_from_document
from services.ingest.entrypoints.http import openapi_document
from services.ingest.entrypoints.openapi import EXAMPLES

COMMITTED = Path(__file__).parents[2] / "contracts" / "openapi" / "ingest.json"


def test_the_committed_document_has_not_drifted() -> None:
    hint = "run `python -m services.ingest --openapi > contracts/openapi/ingest.json`"
    assert COMMITTED.read_text(encoding="utf-8") == openapi_document(), hint


def test_there_is_an_example_of_every_event_type() -> None:
    assert {example["type"] for example in EXAMPLES.values()} == set(EVENT_TYPES)


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_an_example_is_a_valid_event(name: str) -> None:
    assert event_from_document(EXAMPLES[name]).type == EXAMPLES[name]["type"]


def test_every_reference_resolves() -> None:
    document = json.loads(openapi_document())
    names = set(document["components"]["schemas"])
    assert {reference.rsplit("/", 1)[1] for reference in _references(document)} <= names


def _references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [reference for value in node.values() for reference in _references(value)]
    if isinstance(node, list):
        return [reference for value in node for reference in _references(value)]
    return []
