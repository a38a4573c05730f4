"""The AsyncAPI document is valid by the specification's own schema, its references lead somewhere, and what services write is what it says.

`data/asyncapi-3.0.0.schema.json` is that of asyncapi/spec-json-schemas (Apache 2.0), without descriptions and examples.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator
from referencing import Registry, Resource

from neutrality.events.asyncapi import asyncapi_document
from neutrality.events.cloudevent import event_to_kafka
from tests.support.events import ONE_OF_EACH

CONTRACTS = Path(__file__).parents[2] / "contracts"
SPECIFICATION = json.loads((Path(__file__).parent / "data" / "asyncapi-3.0.0.schema.json").read_text())


def registry() -> Registry[Any]:
    schemas = (CONTRACTS / "schemas").glob("*.schema.json")
    return Registry().with_resources(
        (f"./schemas/{file.name}", Resource.from_contents(json.loads(file.read_text()))) for file in schemas
    )


def test_it_is_valid_by_the_specification_and_a_broken_one_is_not() -> None:
    document = asyncapi_document()
    Draft7Validator(SPECIFICATION).validate(document)
    assert not Draft7Validator(SPECIFICATION).is_valid(document | {"operations": {"send-scores": {"action": "tell"}}})


def test_its_references_lead_somewhere() -> None:
    document = asyncapi_document()
    for operation in document["operations"].values():
        assert operation["channel"]["$ref"].removeprefix("#/channels/") in document["channels"]
    for channel in document["channels"].values():
        for message in channel["messages"].values():
            if "$ref" in message:
                assert message["$ref"].removeprefix("#/components/messages/") in document["components"]["messages"]


@pytest.mark.parametrize("example", ONE_OF_EACH)
def test_a_record_that_ingest_writes_is_one_that_it_describes(example: Any) -> None:
    message = asyncapi_document()["components"]["messages"][example.type.split(".")[2]]
    headers, value = event_to_kafka(example)
    Draft202012Validator(message["headers"]).validate({name: content.decode() for name, content in headers})
    payload = Draft202012Validator(message["payload"]["schema"], registry=registry())
    payload.validate(json.loads(value))
    assert not payload.is_valid({})
