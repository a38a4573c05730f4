"""What comes of a part of the log, in process: runs in a worker, so that pages answer meanwhile. Pure; arguments and results can be pickled."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import groupby

from neutrality.events.assessment import Assessment
from neutrality.events.structs import Correction, Event, event_from_json
from neutrality.model.evidence import evidence_document
from neutrality.model.explanation import summarize
from neutrality.model.local import LocalRunner
from neutrality.model.methodology import load_methodology
from services.board.domain.log import Told
from services.board.domain.market import Past, past_of

_HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Report:
    """One event in words: what it says, how far it has come, and who says so."""

    about: str
    summary: str
    status: str
    evidence: tuple[dict[str, object], ...]
    effective: str | None


@dataclass(frozen=True, slots=True)
class Moment:
    """What was recorded at a time, and the vendor's assessment then. Without reports, time alone has changed it."""

    at: datetime
    reports: tuple[Report, ...]
    assessment: Assessment | None


@dataclass(frozen=True, slots=True)
class WhatIf:
    """Assessments without and with the events that have not happened, of the vendors that may be affected."""

    before: dict[str, Assessment]
    after: dict[str, Assessment]


def as_of(told: Sequence[Told], at: datetime) -> dict[str, Assessment]:
    """Every vendor as it stood at a time, by what had been recorded by then (as `neutrality replay --as-of`)."""
    runner = LocalRunner(load_methodology(), at)
    runner.apply_together((event, _recorded_ms(event)) for event in _events(told) if event.time <= at)
    return runner.standing_assessments()


def scores_as_of(told: Sequence[Told], at: datetime) -> dict[str, Assessment]:
    """The same with the scores alone, without terms and claims: what a heat map needs of hundreds of vendors."""
    return {
        vendor: replace(found, confirmed=(), projected=(), claims=(), cause=None, before=None)
        for vendor, found in as_of(told, at).items()
    }


def history(told: Sequence[Told], vendor: str, now: datetime) -> tuple[Moment, ...]:
    """A vendor's past, oldest first: each time at which something was reported of it or its score changed."""
    events = sorted(
        (event for event in _events(told) if event.time <= now), key=lambda event: (event.time, event.source, event.id)
    )
    if not events:
        return ()
    runner = LocalRunner(load_methodology(), events[0].time)
    names = _names(events)
    moments: list[Moment] = []
    shown: Assessment | None = None
    for at, together in groupby(events, key=lambda event: event.time):
        for moment in _elapse(runner, vendor, at, shown):
            moments.append(moment)
            shown = moment.assessment
        batch = list(together)
        runner.apply_together((event, _recorded_ms(event)) for event in batch)
        known = runner.standing_assessments().get(vendor)
        reports = tuple(_report(event, names) for event in batch if _is_of(event, vendor) or not _same(known, shown))
        if reports or not _same(known, shown):
            moments.append(Moment(at, reports, known))
            shown = known
    moments += _elapse(runner, vendor, now, shown)
    return tuple(moments)


def what_if(told: Sequence[Told], assumed: Sequence[bytes], at: datetime) -> WhatIf:
    """The scores without and with some events."""
    runner = LocalRunner(load_methodology(), at)
    runner.apply_together((event, accepted_ms) for event, accepted_ms in zip(_events(told), (ms for _, ms in told), strict=True))
    before = dict(runner.standing_assessments())
    runner.apply_together(map(event_from_json, assumed))
    return WhatIf(before, runner.standing_assessments())


def published(told: Sequence[Told], since_ms: int, now_ms: int) -> dict[str, tuple[Past, ...]]:
    """What scores were published from a time on, to the hour, beginning with how they stood then: by when Kafka took the events."""
    events = sorted(zip(_events(told), (ms for _, ms in told), strict=True), key=lambda item: item[1])
    before = [item for item in events if item[1] <= since_ms]
    runner = LocalRunner(load_methodology(), _time(since_ms))
    found: dict[str, list[Past]] = {}
    known: dict[str, Assessment] = {}

    def look(at_ms: int) -> None:
        for vendor, assessment in runner.standing_assessments().items():
            if known.get(vendor) is not assessment:
                known[vendor] = assessment
                found.setdefault(vendor, []).append(past_of(assessment, at_ms))

    runner.apply_together(before)
    look(since_ms)
    for _, together in groupby(events[len(before) :], key=lambda item: item[1] // _HOUR_MS):
        batch = list(together)
        at_ms = min(batch[-1][1], now_ms)
        runner.pass_time(_time(at_ms))
        runner.apply_together(batch)
        look(at_ms)
    return {vendor: tuple(pasts) for vendor, pasts in found.items()}


def _events(told: Iterable[Told]) -> Iterator[Event]:
    return (event_from_json(json) for json, _ in told)


def _elapse(runner: LocalRunner, vendor: str, until: datetime, shown: Assessment | None) -> list[Moment]:
    """Let time pass, and tell each time at which that changed the vendor's score."""
    found = []
    while True:
        due = min((v.next_change for v in runner.vertices.values() if v.next_change is not None), default=None)
        if due is None or due > until:
            break
        runner.pass_time(due)
        known = runner.standing_assessments().get(vendor)
        if not _same(known, shown):
            found.append(Moment(due, (), known))
            shown = known
    runner.pass_time(until)
    return found


def _same(one: Assessment | None, other: Assessment | None) -> bool:
    """Whether the scores are the same; what else is known may differ."""
    if one is None or other is None:
        return one is other
    return one.headline == other.headline and one.labs == other.labs


def _is_of(event: Event, vendor: str) -> bool:
    return event.data.subject == vendor


def _names(events: Iterable[Event]) -> dict[str, str]:
    return {event.data.subject: name for event in events if (name := getattr(event.data, "name", None)) is not None}


def _report(event: Event, names: dict[str, str]) -> Report:
    data = event.data
    if isinstance(data, Correction):
        what = data.retracts_claim or (data.retracts_event.id if data.retracts_event is not None else "")
        return Report(data.subject, f"Taken back: {what} ({data.reason})", "correction", _evidence(data.evidence), None)
    summary = summarize(data, lambda entity: names.get(entity, entity))
    return Report(data.subject, summary, data.status.value, _evidence(data.evidence), data.effective_time.isoformat())


def _evidence(items: Iterable[object]) -> tuple[dict[str, object], ...]:
    return tuple(dict(evidence_document(item)) for item in items)  # type: ignore[arg-type]


def _recorded_ms(event: Event) -> int:
    return int(event.time.timestamp() * 1000)


def _time(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000.0, UTC)
