"""The OpenAPI document: what FastAPI cannot infer, since bodies are read by hand. `python -m services.ingest --openapi` prints it."""

from collections.abc import Mapping
from typing import Any, Final

import orjson
from fastapi import FastAPI

from neutrality.events.cloudevent import EVENT_MODELS, short_type
from neutrality.events.vocabulary import ENTITY_ID_PATTERN
from neutrality.http import PROBLEM_SCHEMA, problem_responses
from services.ingest.content import MAX_BATCH_EVENTS, Mode
from services.ingest.entrypoints.ndjson import MEDIA_TYPE as NDJSON
from services.ingest.inflating import ENCODINGS, MAX_RATIO
from services.ingest.remembered import MAX_KEY

_REF: Final = "#/components/schemas/{model}"
_REFERENCE: Final[dict[str, Any]] = {
    "description": "An entity by a name or an identifier, for one whose id is not known. It is kept under its canonical id, once that is known.",
    "oneOf": [
        {
            "type": "object",
            "required": ["name"],
            "properties": {"name": {"type": "string", "minLength": 1, "examples": ["Meta Platforms, Inc."]}},
            "additionalProperties": False,
        },
        {
            "type": "object",
            "required": ["scheme", "id"],
            "properties": {
                "scheme": {"type": "string", "examples": ["LEI", "GB-COH", "CIK", "ISIN", "domain"]},
                "id": {"type": "string", "examples": ["5493001KJTIIGC8Y1R12"]},
            },
            "additionalProperties": False,
        },
    ],
}


def _example(kind: str, subject: str, data: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": f"example-{kind}-1",
        "source": "https://example.org/newsroom",
        "type": f"watch.neutrality.{kind}.v1",
        "time": "2025-06-12T12:00:00Z",
        "subject": subject,
        "datacontenttype": "application/json",
        "data": {"subject": subject, **data},
    }


def _claim(claim_id: str, status: str, **data: Any) -> dict[str, Any]:
    return {
        "claim_id": claim_id,
        "status": status,
        "effective_time": "2025-06-12T00:00:00Z",
        "evidence": [{"kind": "official_statement", "publisher": "Example Vendor", "url": "https://example.org/statement"}],
        **data,
    }


EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "entity": _example(
        "entity",
        "example-vendor",
        _claim("profile", "completed", name="Example Vendor", kind="organisation", is_vendor=True, categories=["data-labelling"]),
    ),
    "interest": _example(
        "interest",
        "example-vendor",
        _claim("lab-a-equity", "announced", interested_party="lab-a", interest_type="shareholding", share={"exact": 0.49}),
    ),
    "role": _example(
        "role",
        "example-vendor",
        _claim("founder-ceo", "terminated", person="founder", role_type="executive", title="CEO", left_for="lab-a"),
    ),
    "contract": _example(
        "contract",
        "example-vendor",
        _claim("lab-b-labelling", "completed", customer="lab-b", categories=["data-labelling"], intent="reduce"),
    ),
    "revenue": _example(
        "revenue",
        "example-vendor",
        _claim("revenue-2024", "completed", fiscal_year=2024, amount={"amount": "870000000", "currency": "USD"}),
    ),
    "correction": _example(
        "correction", "example-vendor", {"retracts_claim": "lab-a-equity", "reason": "The publisher took the report back."}
    ),
}


def _lines(*documents: Mapping[str, Any]) -> str:
    return "".join(orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE).decode() for document in documents)


_ANY_EVENT: Final = {
    "oneOf": [{"$ref": _REF.format(model=model.__name__)} for model in EVENT_MODELS],
    "discriminator": {
        "propertyName": "type",
        "mapping": {str(model.model_fields["type"].default): _REF.format(model=model.__name__) for model in EVENT_MODELS},
    },
}
_ANY_DATA: Final = {
    "oneOf": [
        {"$ref": _REF.format(model=str(getattr(model.model_fields["data"].annotation, "__name__", "")))} for model in EVENT_MODELS
    ]
}

EVENTS_OPERATION: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            Mode.STRUCTURED.value: {
                "schema": _ANY_EVENT,
                "examples": {name: {"summary": f"{name} is reported", "value": value} for name, value in EXAMPLES.items()},
            },
            Mode.BATCH.value: {
                "schema": {"type": "array", "maxItems": MAX_BATCH_EVENTS, "items": _ANY_EVENT},
                "examples": {"two": {"summary": "two events", "value": [EXAMPLES["entity"], EXAMPLES["interest"]]}},
            },
            NDJSON: {
                "schema": {
                    "type": "string",
                    "description": "One event (structured, as above) a line; any number of lines, streamed.",
                },
                "examples": {"two": {"summary": "two events", "value": _lines(EXAMPLES["entity"], EXAMPLES["interest"])}},
            },
            Mode.BINARY.value: {
                "schema": _ANY_DATA,
                "examples": {
                    "interest": {"summary": "the data alone; attributes in ce- headers", "value": EXAMPLES["interest"]["data"]}
                },
            },
        },
    },
    "parameters": [
        {
            "name": f"ce-{name}",
            "in": "header",
            "required": False,
            "schema": {"type": "string"},
            "description": "Binary mode only; percent-encoded UTF-8.",
        }
        for name in ("specversion", "id", "source", "type", "time", "subject")
    ]
    + [
        {
            "name": "content-encoding",
            "in": "header",
            "required": False,
            "schema": {"type": "string", "enum": ["identity", *ENCODINGS]},
            "description": f"How the body is compressed; it may inflate to {MAX_RATIO} times its size.",
        },
        {
            "name": "prefer",
            "in": "header",
            "required": False,
            "schema": {"type": "string", "examples": ["return=minimal"]},
            "description": "Lines only: `return=minimal` leaves the accepted ones out of the answer (RFC 7240).",
        },
        {
            "name": "idempotency-key",
            "in": "header",
            "required": False,
            "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY},
            "description": "Not with lines: the same key and payload are answered as the first time, for a day. Optional: an event counts once.",
        },
    ],
    "security": [{}, {"publisher": []}],
}

_ACCEPTED_FIELDS: Final = {
    "source": {"type": "string"},
    "id": {"type": "string"},
    "type": {"type": "string"},
    "topic": {"type": "string"},
    "partition": {"type": "integer", "minimum": 0},
    "offset": {"type": "integer", "minimum": 0},
}
_RETRY_AFTER: Final = {"retry-after": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}}


_RESULT: Final = {
    "type": "object",
    "required": ["line", "status"],
    "properties": {
        "line": {"type": "integer", "minimum": 1},
        "status": {"type": "string", "enum": ["accepted", "duplicate", "rejected", "failed"]},
        **_ACCEPTED_FIELDS,
        "problem": PROBLEM_SCHEMA,
    },
}
_SUMMARY: Final = {
    "type": "object",
    "required": ["complete", "accepted", "duplicate", "rejected", "failed"],
    "properties": {
        "complete": {"type": "boolean", "description": "Whether all was read. If not, send the lines without a result again."},
        "accepted": {"type": "integer", "minimum": 0},
        "duplicate": {"type": "integer", "minimum": 0, "description": "Were there already, with the same content."},
        "rejected": {"type": "integer", "minimum": 0},
        "failed": {"type": "integer", "minimum": 0},
        "problem": PROBLEM_SCHEMA,
    },
}


def _responses() -> dict[int | str, dict[str, Any]]:
    responses = problem_responses(
        {
            400: "The body is not JSON, or not compressed as it says.",
            401: "This server asks for an API key, and none that it takes was sent.",
            403: "The key may not publish an event: its type, its source, or what it retracts. Nothing was written; `errors` lists every one.",
            408: "The body did not arrive in time.",
            409: "An event has the source and id of another content; nothing was written. `errors` lists every one. "
            "Or the first request with the Idempotency-Key is still being worked on.",
            413: "The body, the batch or an event is too large.",
            415: "The Content-Type is none of the four, or the Content-Encoding none that is known.",
            422: "An event is invalid; nothing was written. `errors` lists every problem, in a batch with the event's index first.",
            429: "The rate of the API key is spent.",
            500: "The server failed.",
            503: "Kafka does not acknowledge, or too much is on its way. Send the same again: an event counts once by its source and id.",
        }
    )
    responses[503]["headers"] = responses[429]["headers"] = _RETRY_AFTER
    fields = {**_ACCEPTED_FIELDS, "duplicate": {"type": "boolean", "description": "It was there already, with the same content."}}
    item = {"type": "object", "required": list(fields), "properties": fields}
    responses[200] = {
        "description": "Lines: a result for each, in order, while they are still being sent; a summary as the last.",
        "headers": {"preference-applied": {"description": "`return=minimal`, if asked for.", "schema": {"type": "string"}}},
        "content": {
            NDJSON: {
                "schema": {
                    "type": "object",
                    "description": "One of these a line.",
                    "oneOf": [_RESULT, {"type": "object", "required": ["summary"], "properties": {"summary": _SUMMARY}}],
                },
            }
        },
    }
    responses[202] = {
        "description": "Kafka has every event on all in-sync replicas.",
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["accepted"],
                    "properties": {"accepted": {"type": "array", "items": item}},
                }
            }
        },
    }
    return responses


EVENTS_RESPONSES: Final = _responses()


def _with_references(schema: Any) -> Any:
    """An entity may be named by a name or an identifier wherever it is by its id."""
    if isinstance(schema, list):
        return [_with_references(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("pattern") == ENTITY_ID_PATTERN:
        return {"anyOf": [schema, {"$ref": _REF.format(model="EntityReference")}]}
    return {name: _with_references(one) for name, one in schema.items()}


def complete(app: FastAPI) -> None:
    """Add the events' schemas, which no route's signature names."""
    infer = app.openapi

    def document() -> dict[str, Any]:
        inferred = infer()
        schemas = inferred.setdefault("components", {}).setdefault("schemas", {})
        for model in EVENT_MODELS:
            schema = model.model_json_schema(ref_template=_REF)
            schema["properties"].pop("revision")  # ours to set
            schemas.update(_with_references(schema.pop("$defs", {})))
            schema["required"] = sorted({*schema["required"], "type", "specversion"})
            schema["description"] = (
                f"{schema.get('description', '')} ({short_type(str(model.model_fields['type'].default))})".strip()
            )
            schemas[model.__name__] = schema
        schemas["EntityReference"] = _REFERENCE
        inferred["components"]["securitySchemes"] = {
            "publisher": {"type": "http", "scheme": "bearer", "description": "An API key, as `neutrality keys create` prints it."}
        }
        inferred["components"]["schemas"] = dict(sorted(schemas.items()))
        return inferred

    app.openapi = document  # type: ignore[method-assign]  # FastAPI's documented way to extend it
