"""The AsyncAPI 3 document of the topics: what is sent to and received from Kafka by those who use the product. Generated; see `schemas`.

Payloads and headers are of Kafka's binary content mode (CloudEvents Kafka binding 1.0, section 3.2): the value is the event's `data`, its
attributes are `ce_` headers. The schemas are those beside this document.
"""

from typing import Any, Final

from neutrality.events.alert import ALERT_TYPE
from neutrality.events.assessment import ASSESSMENT_TYPE
from neutrality.events.cloudevent import EVENT_TYPES, TYPE_PREFIX, short_type, topic_kind_of_type
from neutrality.events.rejected import Rejection
from neutrality.topics import CONTRACTS, OWNERSHIP, REJECTED, SCORES, Topic, alerts_topic

_JSON_SCHEMA: Final = "application/schema+json;version=draft-2020-12"
_OPTIONAL: Final = ("subject", "dataschema", "traceparent", "tracestate", "signature", "revision")
_CORRECTION: Final = "watch.neutrality.correction.v1"


def asyncapi_document() -> dict[str, Any]:
    """The document, from the view of the product: it receives what users send."""
    accepted = {"ownership": OWNERSHIP, "contracts": CONTRACTS}
    by_topic: dict[Topic, list[str]] = {topic: [] for topic in accepted.values()}
    for event_type in EVENT_TYPES:
        by_topic[accepted[topic_kind_of_type(event_type)]].append(event_type)
    by_topic[CONTRACTS].append(_CORRECTION)  # scoring reads them from either
    by_topic |= {SCORES: [ASSESSMENT_TYPE], alerts_topic("LAB"): [ALERT_TYPE]}
    channels = {_name(topic): _channel(topic, types) for topic, types in by_topic.items()}
    channels[_name(REJECTED)] = _rejected()
    received = {_name(topic) for topic in accepted.values()}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Neutrality Watch: topics",
            "version": "1",
            "description": "Events in, scores and alerts out, on Apache Kafka. CloudEvents 1.0 in binary content mode; keys are the raw bytes "
            "of entity ids.",
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": {
            f"{'receive' if name in received else 'send'}-{name}": {
                "action": "receive" if name in received else "send",
                "channel": {"$ref": f"#/channels/{name}"},
            }
            for name in channels
        },
        "components": {"messages": {_message_name(it): _message(it) for it in (*EVENT_TYPES, ASSESSMENT_TYPE, ALERT_TYPE)}},
    }


def _name(topic: Topic) -> str:
    return topic.name.removeprefix("neutrality.").removesuffix(".LAB")


def _channel(topic: Topic, types: list[str]) -> dict[str, Any]:
    channel = _bare_channel(topic)
    channel["messages"] = {_message_name(it): {"$ref": f"#/components/messages/{_message_name(it)}"} for it in types}
    return channel


def _bare_channel(topic: Topic) -> dict[str, Any]:
    address = topic.name.replace("LAB", "{lab}")
    channel: dict[str, Any] = {
        "address": address,
        "description": f"{topic.description} Key: {topic.key}.",
        "bindings": {"kafka": {"topic": address, "topicConfiguration": _configuration(topic), "bindingVersion": "0.5.0"}},
    }
    if "{lab}" in address:
        channel["parameters"] = {"lab": {"description": "The lab's entity id; it alone may read the topic."}}
    return channel


def _configuration(topic: Topic) -> dict[str, Any]:
    found: dict[str, Any] = {"cleanup.policy": [topic.cleanup_policy]}
    if topic.cleanup_policy == "delete":
        found["retention.ms"] = int(topic.retention_ms)
    return found


def _rejected() -> dict[str, Any]:
    payload = {"schemaFormat": _JSON_SCHEMA, "schema": Rejection.model_json_schema()}
    return _bare_channel(REJECTED) | {"messages": {"rejection": {"name": "rejection", "payload": payload}}}


def _message(event_type: str) -> dict[str, Any]:
    is_event = event_type in EVENT_TYPES
    file = f"./schemas/{event_type.removeprefix(TYPE_PREFIX)}.schema.json"
    required = ("specversion", "id", "source", "type", "time")
    attributes = {f"ce_{name}": {"type": "string"} for name in (*required, *_OPTIONAL)}
    attributes["ce_specversion"] = {"const": "1.0"}
    attributes["ce_type"] = {"const": event_type}
    return {
        "name": event_type,
        "title": short_type(event_type),
        "contentType": "application/json",
        "headers": {
            "type": "object",
            "required": [f"ce_{name}" for name in required],
            "properties": {"content-type": {"const": "application/json"}, **attributes},
        },
        "payload": {"schemaFormat": _JSON_SCHEMA, "schema": {"$ref": f"{file}#/properties/data" if is_event else file}},
        "bindings": {
            "kafka": {"key": {"type": "string", "description": "An entity id, as raw bytes."}, "bindingVersion": "0.5.0"}
        },
    }


def _message_name(event_type: str) -> str:
    return short_type(event_type)
