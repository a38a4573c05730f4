"""An event read into a struct is what the contract makes of the same record: the same values, or the same word on what is wrong."""

import re
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from neutrality.events import cloudevent, structs
from neutrality.events.cloudevent import InvalidEvent, to_kafka_binary

TIMES = (
    *("2025-06-12T00:00:00Z", "2025-06-12T10:20:30.123456+02:00", "2025-06-12 10:20:30z", "2025-06-12T10:20Z", "2025-06-12"),
    *("2025-06-12T10:20:30.1234567Z", "2025-06-12T10:20:30.9999996Z", "2025-06-12T10:20:30,5Z", "2025-06-12T23:59:60Z"),
    *(
        "2025-06-12T10:20:30",
        "2025-06-12T10:20:30-00:00",
        "0001-01-01T00:00:00+10:00",
        "9999-12-31T23:59:59.9999999Z",
        "1749686400",
    ),
)
TEXTS = (
    "",
    "x",
    "meta",
    "Meta",
    "a\n",
    "é" * 300,
    "x" * 201,
    "x" * 2001,
    "https://a.example/1",
    "https://a b",
    "USD",
    "USD\n",
    "\u2028",
    "\x1c",
)
NUMBERS = (
    "0",
    "1",
    "-0",
    "-1",
    "0.5",
    "1.0",
    "1e0",
    "1.00000000000000001",
    "1e400",
    "0.1000",
    "101",
    "2024",
    "12345678901234567890123456",
)
AMOUNTS = (
    '"870000000"',
    '"1_000"',
    '" 5"',
    '"1e3"',
    '"0.00001"',
    '"Infinity"',
    '"NaN"',
    '"-1"',
    '"١٢"',
    '"12345678901234567890.1234"',
)
TOKENS = (*map(str, NUMBERS), *AMOUNTS, *(orjson.dumps(text).decode() for text in (*TIMES, *TEXTS)))
OTHERS = (
    "null",
    "true",
    "[]",
    "{}",
    '["a"]',
    '["A b"]',
    '"completed"',
    '"shareholding"',
    '"filing"',
    '"\\ud800"',
    "[",
    '{"exact":0.5,"exact":2}',
)

EVIDENCE = {
    "kind": "filing",
    "publisher": "A register",
    "independent_sources": 2,
    "url": "https://example.org/1",
    "published": "2025-06-12T00:00:00Z",
    "quote": "49 %",
}
CLAIM = {
    "claim_id": "C/1",
    "status": "announced",
    "effective_time": "2025-06-12T00:00:00Z",
    "end_time": "2026-06-12T00:00:00Z",
    "evidence": [EVIDENCE],
    "contradicts": ["c2"],
    "note": "a note",
    "subject": "v",
}
MONEY = {"amount": "870000000.25", "currency": "EUR"}
DATA: dict[str, dict[str, Any]] = {
    "entity": {
        **CLAIM,
        "name": "V",
        "kind": "organisation",
        "is_vendor": True,
        "is_lab": False,
        "group": "g",
        "affiliates": ["a"],
        "categories": ["labelling"],
        "board_size": 7,
        "valuation": MONEY,
        "identifiers": [{"scheme": "lei", "id": "1"}],
        "aliases": ["W"],
        "merged_into": "w",
    },
    "interest": {
        **CLAIM,
        "interested_party": "meta",
        "interest_type": "shareholding",
        "share": {"minimum": 0.25, "maximum": 0.5},
        "direct_or_indirect": "indirect",
        "component_claims": ["c3"],
    },
    "role": {**CLAIM, "person": "p", "role_type": "executive", "title": "CEO", "represents": "r", "left_for": "meta"},
    "contract": {
        **CLAIM,
        "customer": "meta",
        "intent": "end",
        "categories": ["labelling"],
        "data_classes": ["video"],
        "annual_value": MONEY,
    },
    "revenue": {**CLAIM, "customer": "meta", "fiscal_year": 2024, "amount": MONEY},
    "correction": {
        "subject": "v",
        "retracts_event": {"source": "urn:a", "id": "1"},
        "retracts_claim": "c",
        "reason": "an error",
        "evidence": [EVIDENCE],
    },
}
ENVELOPE = {
    "specversion": "1.0",
    "id": "e1",
    "source": "urn:test",
    "subject": "v",
    "time": "2025-06-12T00:00:00Z",
    "datacontenttype": "application/json",
    "dataschema": "urn:s",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "tracestate": "a=1",
    "signature": "eyJ..abc",
    "revision": "2",
}
Record = tuple[list[tuple[str, bytes]], bytes]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """All fields and items of a document."""
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for name, part in below for found in ((*path, name), *places(part, (*path, name)))]


def put(document: Any, path: tuple[Any, ...], token: str | None) -> Any:
    """The document with something else at a place; None: left out."""
    first, *rest = path
    changed = dict(document) if isinstance(document, dict) else list(document)
    if rest:
        changed[first] = put(document[first], tuple(rest), token)
    elif token is None:
        del changed[first]
    else:
        changed[first] = f"\x00{token}\x00"  # as it is, once it is JSON
    return changed


def record(kind: str, envelope: dict[str, Any], data: Any) -> Record:
    """In binary mode."""
    headers, value = to_kafka_binary({**envelope, "type": f"watch.neutrality.{kind}.v1", "data": data})
    text = re.sub(r'"\\u0000(.*?)\\u0000"', lambda found: str(orjson.loads(f'"{found[1]}"')), value.decode(), flags=re.DOTALL)
    return headers, text.encode("utf-8", "surrogatepass")


@st.composite
def records(draw: st.DrawFn) -> Record:
    """Good ones, and such as differ in a few fields."""
    kind = draw(st.sampled_from(sorted(DATA)))
    envelope = {
        name: value for name, value in ENVELOPE.items() if draw(st.booleans()) or name in ("specversion", "id", "source", "time")
    }
    data = DATA[kind]
    for _ in range(draw(st.integers(0, 4))):
        token = draw(st.none() | st.none() | st.sampled_from((*TOKENS, *OTHERS)))
        data = put(data, draw(st.sampled_from(places(data))), token)
        if "\x00" in str(data.get("evidence")) or "evidence" not in data:
            break
    if draw(st.integers(0, 4)) == 0:
        envelope[draw(st.sampled_from([*ENVELOPE, "colour"]))] = draw(st.sampled_from((*TIMES, *TEXTS, *NUMBERS)))
    return record(kind, envelope, data)


def outcome(read: Any, found: Record) -> Any:
    """The event, or what is wrong with it."""
    try:
        return structs.as_struct(read(*found))
    except InvalidEvent as error:
        return error.problems


@given(records())
@example(record("interest", ENVELOPE, DATA["interest"]))
@example(record("interest", ENVELOPE | {"time": "2025-06-12T10:20:30.9999996Z"}, DATA["interest"]))
def test_an_event_read_into_a_struct_is_what_the_contract_makes_of_it(found: Record) -> None:
    assert outcome(structs.event_from_kafka, found) == outcome(cloudevent.event_from_kafka, found)


@given(records())
def test_a_struct_written_as_json_reads_as_the_same_event(found: Record) -> None:
    try:
        event = structs.event_from_kafka(*found)
    except InvalidEvent:
        return
    again = structs.event_to_json(event)
    assert structs.event_from_json(again) == event
    assert structs.as_struct(cloudevent.event_from_json(again)) == event


@pytest.mark.parametrize("kind", sorted(DATA))
def test_a_good_event_is_read_without_the_contract(kind: str) -> None:
    data = {name: value for name, value in DATA[kind].items() if name != "retracts_claim"}
    envelope = {name: text for name, text in ENVELOPE.items() if name != "revision"}
    assert structs._from_binary(*record(kind, envelope, data)) is not None


@pytest.mark.parametrize("model", structs.STRUCT_OF, ids=lambda model: model.__name__)
def test_a_struct_has_the_fields_and_the_defaults_of_the_contract(model: Any) -> None:
    kept: Any = structs.STRUCT_OF[model]
    fields = {name: field for name, field in model.model_fields.items() if name != "type"}
    required = {name for name, field in fields.items() if field.is_required() or name == "specversion"}
    optional = kept.__struct_fields__[len(kept.__struct_fields__) - len(kept.__struct_defaults__) :]
    defaults = dict(zip(optional, kept.__struct_defaults__, strict=True))
    found = {name: value for name, value in defaults.items() if name not in required}
    assert set(kept.__struct_fields__) == set(fields)
    assert found == {name: field.default for name, field in fields.items() if name not in required}
