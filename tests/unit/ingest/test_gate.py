"""Publishers are let in by their keys, and held to their scopes and rates."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import OKPKey
from prometheus_client import CollectorRegistry
from pydantic import ValidationError
from structlog.testing import capture_logs

from neutrality.api_keys import ApiKey, digest_of, token_of
from neutrality.events.cloudevent import Event, InvalidEvent, event_to_document
from neutrality.events.signature import sign
from neutrality.key_file import KeysUnusable, Unauthorized
from neutrality.publishers import Publisher, Publishers, SigningKey
from services.ingest.gate import Gate
from services.ingest.metrics import IngestMetrics
from services.ingest.settings import IngestSettings
from tests.support.events import event, stake
from tests.support.ingest import NOW, Ingest, problem

TOKEN = token_of(b"1" * 32)
OTHER = token_of(b"2" * 32)
DESK = "https://example.com/desk"


def key(token: str = TOKEN, **fields: Any) -> ApiKey:
    return ApiKey(**{"id": token[4:12], "sha256": digest_of(token), "not_before": NOW - timedelta(days=1), **fields})


def publisher(**fields: Any) -> Publisher:
    return Publisher(**{"sources": (DESK,), "keys": (key(),), **fields})


def told(source: str = DESK, kind: str = "interest", **data: Any) -> Event:
    if kind == "interest":
        return stake("meta", "v", 0.3, id=f"{source}-{len(data)}").model_copy(update={"source": source})
    return event(kind, subject="v", **data).model_copy(update={"source": source})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "publishers.json"
    write(path, desk=publisher())
    return path


def write(path: Path, **publishers: Publisher) -> None:
    path.write_text(Publishers(publishers=publishers).model_dump_json())


def gate_of(path: Path | None, clock: Callable[[], datetime] = lambda: NOW) -> Gate:
    return Gate(path, IngestMetrics(CollectorRegistry()), clock=clock)


def reread(gate: Gate) -> None:
    """As `follow` does."""
    assert gate._file is not None
    gate._file.read()


@pytest.mark.parametrize(
    ("source", "own"),
    [
        (DESK, True),
        (f"{DESK}/2026", True),
        (f"{DESK}#a", True),
        (f"{DESK}-evil", False),
        (f"{DESK}2", False),
        ("https://example.com", False),
        ("https://example.com/des", False),
        ("urn:other", False),
        (f"{DESK}/../other", False),
        (f"{DESK}/%2e%2E/other", False),
        (f"{DESK}/a/./b", False),
        (f"{DESK}/..%2fother", False),
        (f"{DESK}/..\\other", False),
        (f"{DESK}/..?x", False),
        (f"{DESK}/...", True),
        (f"{DESK}/a..b", True),
    ],
)
def test_a_source_stands_for_itself_and_what_lies_below(source: str, own: bool) -> None:
    assert publisher().owns(source) == own


@pytest.mark.parametrize(
    ("fields", "said", "pointer"),
    [
        ({}, told(), None),
        ({"types": ("entity",)}, told(), "/type"),
        ({}, told(source="https://example.com/other"), "/source"),
        ({}, told(kind="correction", retracts_claim="c", reason="r"), "/data/retracts_claim"),
        ({"may_retract_claims": True}, told(kind="correction", retracts_claim="c", reason="r"), None),
        ({}, told(kind="correction", retracts_event={"source": f"{DESK}/1", "id": "1"}, reason="r"), None),
        ({}, told(kind="correction", retracts_event={"source": "urn:x", "id": "1"}, reason="r"), "/data/retracts_event/source"),
        ({"require_signature": True}, told(), "/signature"),
    ],
)
def test_scopes_name_the_field_that_is_out_of_them(fields: dict[str, Any], said: Event, pointer: str | None) -> None:
    found = publisher(**fields).objection(said)
    assert (None if found is None else found[0]) == pointer


@pytest.mark.parametrize(
    "header", [None, "", "Basic abc", "Bearer", f"Bearer {OTHER}", f"Bearer {TOKEN[4:]}", f"Bearer x{TOKEN}"]
)
def test_without_a_known_key_nobody_is_let_in(file: Path, header: str | None) -> None:
    with pytest.raises(Unauthorized) as error:
        gate_of(file).admit(header)
    assert TOKEN[4:] not in str(error.value)
    assert OTHER not in str(error.value)


def test_a_key_is_taken_in_its_time_alone(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    old, new = key(expires=NOW + timedelta(hours=1)), key(OTHER, not_before=NOW)
    write(path, desk=publisher(keys=(old, new)))
    now = [NOW]
    gate = gate_of(path, lambda: now[0])
    assert gate.admit(f"Bearer {TOKEN}").name == gate.admit(f"bearer {OTHER}").name == "desk"
    now[0] += timedelta(hours=1)
    with pytest.raises(Unauthorized, match="expired"):
        gate.admit(f"Bearer {TOKEN}")
    assert gate.admit(f"Bearer {OTHER}").name == "desk"


def test_an_admission_ends_with_its_key_and_follows_its_scopes(file: Path) -> None:
    now = [NOW]
    write(file, desk=publisher(keys=(key(expires=NOW + timedelta(hours=1)),)))
    gate = gate_of(file, lambda: now[0])
    admission = gate.admit(f"Bearer {TOKEN}")
    admission.renewed().check(told())
    write(file, desk=publisher(types=("entity",)))
    reread(gate)
    with pytest.raises(InvalidEvent, match="may publish entity"):
        admission.renewed().check(told())
    write(file, desk=publisher(keys=(key(OTHER),)))
    reread(gate)
    with pytest.raises(Unauthorized, match="revoked"):
        admission.renewed()


def test_changes_of_the_file_are_taken_in_and_a_broken_one_is_not(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neutrality.key_file.LOOK_S", 0.01)
    registry = CollectorRegistry()
    gate = Gate(file, IngestMetrics(registry), clock=lambda: NOW)

    async def follow_a_while() -> None:
        following = asyncio.create_task(gate.follow())
        await asyncio.sleep(0.1)
        following.cancel()

    file.write_text("{broken")
    with capture_logs() as logs:
        asyncio.run(follow_a_while())
    assert gate.admit(f"Bearer {TOKEN}").name == "desk"
    assert registry.get_sample_value("ingest_api_keys_file_broken") == 1.0
    assert logs[0]["event"] == "keys_not_read"
    write(file, desk=publisher(keys=(key(OTHER),)))
    asyncio.run(follow_a_while())
    assert registry.get_sample_value("ingest_api_keys_file_broken") == 0.0
    with pytest.raises(Unauthorized):
        gate.admit(f"Bearer {TOKEN}")


def test_a_broken_file_at_the_start_is_the_operators(tmp_path: Path) -> None:
    for content in (None, "{", '{"publishers": {"a": {"sources": []}}}', '{"publishers": {"A B": {"sources": ["x"]}}}'):
        path = tmp_path / "p.json"
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_text(content)
        with pytest.raises(KeysUnusable, match=r"p\.json"):
            gate_of(path)


def test_a_rate_lets_a_burst_through_and_then_says_when_to_come_again(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    write(path, desk=publisher(events_per_s=2))
    admission = gate_of(path).admit(f"Bearer {TOKEN}")
    assert admission.largest_batch() == 20
    assert admission.take(15) == 0.0
    assert 0.0 < admission.take(15) <= 10.0
    assert gate_of(None).admit(None).take(10**9) == 0.0


class Guarded(Ingest):
    def __init__(self, path: Path, **fields: Any) -> None:
        super().__init__()
        write(path, desk=publisher(**fields))
        self.gate = gate_of(path)


@pytest.fixture
def guarded(tmp_path: Path) -> Callable[..., Guarded]:
    return lambda **fields: Guarded(tmp_path / "publishers.json", **fields)


def headers(kind: str = "application/cloudevents+json", **more: str) -> dict[str, str]:
    return {
        "content-type": kind,
        "authorization": f"Bearer {TOKEN}",
        **{name.replace("_", "-"): value for name, value in more.items()},
    }


def document(said: Event) -> dict[str, Any]:
    return event_to_document(said)


def test_over_http_a_key_is_asked_for_and_scopes_hold(guarded: Callable[..., Guarded]) -> None:
    ingest = guarded(types=("interest",))
    found = ingest.post(document(told()))
    assert problem(found, 401, "unauthorized")
    assert found.headers["www-authenticate"] == "Bearer"
    assert ingest.count("ingest_events_rejected_total", reason="unauthorized") == 1
    assert ingest.post(document(told()), headers()).status_code == 202
    wrong = problem(ingest.post(document(told("urn:x")), headers()), 403, "out-of-scope")
    assert wrong["errors"][0]["pointer"] == "/source"
    batch = [document(told(f"{DESK}/1")), document(told(kind="entity"))]
    wrong = problem(ingest.post(batch, headers("application/cloudevents-batch+json")), 403, "out-of-scope")
    assert [one["pointer"] for one in wrong["errors"]] == ["/1/type"]
    assert problem(ingest.post([*batch, {}], headers("application/cloudevents-batch+json")), 422, "invalid-event")
    lines = b"\n".join(json.dumps(one).encode() for one in batch)
    results = [json.loads(line) for line in ingest.post(lines, headers("application/x-ndjson")).text.splitlines()]
    assert [one.get("status") for one in results] == ["accepted", "rejected", None]
    assert problem(ingest.post(lines, {"content-type": "application/x-ndjson"}), 401, "unauthorized")
    assert ingest.records() == 2


def test_over_http_a_spent_rate_is_429_and_makes_lines_wait(guarded: Callable[..., Guarded]) -> None:
    ingest = guarded(events_per_s=1)
    batch = [document(told(f"{DESK}/{number}")) for number in range(11)]
    too_many = ingest.post(batch, headers("application/cloudevents-batch+json"))
    assert "at most 10" in problem(too_many, 413, "batch-above-rate")["detail"]
    assert ingest.post(batch[:8], headers("application/cloudevents-batch+json")).status_code == 202
    spent = ingest.post(batch[8:], headers("application/cloudevents-batch+json"))
    problem(spent, 429, "rate-limited")
    assert 1 <= int(spent.headers["retry-after"]) <= 11
    lines = b"\n".join(json.dumps(one).encode() for one in batch[8:10])
    summary = json.loads(ingest.post(lines, headers("application/x-ndjson")).text.splitlines()[-1])["summary"]
    assert (summary["accepted"], summary["complete"]) == (2, True)


def test_a_stream_that_is_open_ends_with_its_key(guarded: Callable[..., Guarded], tmp_path: Path) -> None:
    ingest = guarded()
    first, second = (json.dumps(document(told(f"{DESK}/{number}"))).encode() + b"\n" for number in range(2))

    async def lines() -> AsyncIterator[bytes]:
        yield first
        assert ingest.gate is not None
        write(tmp_path / "publishers.json", desk=publisher(keys=(key(OTHER),)))
        reread(ingest.gate)
        yield second

    results = [json.loads(line) for line in ingest.post(lines(), headers("application/x-ndjson")).text.splitlines()]
    assert [one.get("status") for one in results] == ["accepted", None]
    assert (results[-1]["summary"]["complete"], results[-1]["summary"]["problem"]["status"]) == (False, 401)
    assert ingest.records() == 1


def test_a_request_that_is_cut_short_leaves_its_idempotency_key_free(
    guarded: Callable[..., Guarded], monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest = guarded()

    async def cancelled(*_: object, **__: object) -> None:
        raise asyncio.CancelledError

    with monkeypatch.context() as patched:
        patched.setattr("services.ingest.entrypoints.http._accept", cancelled)
        with pytest.raises(asyncio.CancelledError):
            ingest.post(document(told()), headers(idempotency_key="k"))
    assert ingest.post(document(told()), headers(idempotency_key="k")).status_code == 202


def test_an_idempotency_key_repeats_the_answer(guarded: Callable[..., Guarded]) -> None:
    ingest = guarded()
    one = document(told())
    first = ingest.post(one, headers(idempotency_key="k"))
    again = ingest.post(one, headers(idempotency_key="k"))
    assert (first.json(), first.json()["accepted"][0]["duplicate"]) == (again.json(), False)
    problem(ingest.post(one | {"id": "2"}, headers(idempotency_key="k")), 422, "idempotency-key-reused")
    problem(ingest.post(one, headers(idempotency_key="x" * 256)), 400, "bad-idempotency-key")
    wrong = ingest.post({}, headers(idempotency_key="w"))
    assert ingest.post({}, headers(idempotency_key="w")).content == wrong.content
    ingest.prepared = False
    assert ingest.post(one | {"id": "3"}, headers(idempotency_key="later")).status_code == 503
    ingest.prepared = True
    assert ingest.post(one | {"id": "3"}, headers(idempotency_key="later")).status_code == 202


SIGNING = OKPKey.generate_key("Ed25519")


def test_signatures_are_checked_and_may_be_required(guarded: Callable[..., Guarded]) -> None:
    own = SigningKey(kid="one", x=str(SIGNING.as_dict(private=False)["x"]))
    ingest = guarded(signing_keys=(own,), require_signature=True)
    signed = sign(told(), SIGNING, "one")
    assert ingest.post(document(signed), headers()).status_code == 202
    problem(ingest.post(document(told(f"{DESK}/2")), headers()), 403, "out-of-scope")
    forged = document(signed)
    forged["data"]["share"]["exact"] = 0.31
    found = problem(ingest.post(forged | {"id": "other"}, headers()), 422, "invalid-event")
    assert found["errors"][0]["pointer"] == "/signature"
    stranger = sign(told(f"{DESK}/3"), OKPKey.generate_key("Ed25519"), "one")
    problem(ingest.post(document(stranger), headers()), 422, "invalid-event")
    unknown = sign(told(f"{DESK}/4"), SIGNING, "two")
    assert "not registered" in problem(ingest.post(document(unknown), headers()), 422, "invalid-event")["errors"][0]["detail"]
    again = ingest.post(document(sign(told(), SIGNING, "one")), headers())
    assert again.json()["accepted"][0]["duplicate"]


def test_the_key_is_told_to_nobody(guarded: Callable[..., Guarded]) -> None:
    ingest = guarded()
    with capture_logs() as logs:
        ingest.post(document(told("urn:x")), headers())
        ingest.post(document(told()), {"content-type": "application/cloudevents+json", "authorization": f"Bearer {OTHER}"})
    metrics = ingest.ask("GET", "/metrics").text
    for secret in (TOKEN[4:], OTHER[4:], digest_of(TOKEN)):
        assert secret not in metrics
        assert secret not in str(logs)


def test_ingest_is_open_to_others_only_if_that_is_said(file: Path) -> None:
    for host in ("127.0.0.1", "::1", "localhost"):
        assert IngestSettings(host=host).api_keys_file is None
    with pytest.raises(ValidationError, match="api_keys_file"):
        IngestSettings(host="0.0.0.0")  # noqa: S104 - refused
    assert IngestSettings(host="0.0.0.0", allow_anonymous=True).allow_anonymous  # noqa: S104 - that is what is tested
    assert IngestSettings(host="0.0.0.0", api_keys_file=file).api_keys_file == file  # noqa: S104
