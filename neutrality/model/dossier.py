"""Everything ever reported about an entity: a set of events by (source, id), so that neither order nor repeats matter.

Immutable: `add` returns another dossier. It shares the picture of the one before, so that an event costs the reckoning of its own claim,
not of all claims.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from neutrality.events import cloudevent
from neutrality.events.structs import AnyEvent, Correction, Event, as_struct, event_to_json
from neutrality.model.claims import NO_RETRACTIONS, Report, by_claim, disputes, retractions, standing_of
from neutrality.model.methodology import Methodology
from neutrality.model.picture import Picture

_NOBODY: Final[Mapping[str, bool]] = {}


class _Kept:
    """The last picture with what it was made of, and the interval of time in which it holds."""

    __slots__ = ("contested", "picture", "since", "until")

    def __init__(self, picture: Picture, since: datetime, until: datetime | None, *, contested: bool) -> None:
        self.picture, self.since, self.until, self.contested = picture, since, until, contested

    def holds_at(self, at: datetime) -> bool:
        return self.since <= at and (self.until is None or at < self.until)


class Dossier:
    """Reports and corrections of one entity, each by `source` and `id` with a line feed between.

    `kept`: whoever stores vertices has stored all these reports by themselves.
    """

    __slots__ = ("_kept", "_size_bytes", "_touched", "corrections", "kept", "reports")

    def __init__(self, reports: Mapping[str, Report] | None = None, corrections: Mapping[str, Event] | None = None) -> None:
        """Keep what is known."""
        self.reports: Final[Mapping[str, Report]] = reports or {}
        self.corrections: Final[Mapping[str, Event]] = corrections or {}
        self._kept: _Kept | None = None
        self._touched: frozenset[str] = frozenset()
        self._size_bytes: int | None = None
        self.kept = False

    @property
    def size_bytes(self) -> int:
        """What all reports take as JSON."""
        if self._size_bytes is None:
            self._size_bytes = sum([report.size_bytes for report in self.reports.values()])
        return self._size_bytes

    def __eq__(self, other: object) -> bool:
        """The same reports and corrections."""
        return isinstance(other, Dossier) and self.reports == other.reports and self.corrections == other.corrections

    __hash__ = None  # type: ignore[assignment]  # it holds dictionaries

    def add(self, events: Iterable[tuple[AnyEvent, int]]) -> "Dossier":
        """The dossier with these events, each with the time at which Kafka took it (ms since 1970); itself if it knew them all."""
        reports: dict[str, Report] = {}
        corrections: dict[str, Event] = {}
        touched: set[str] = set()
        for told, accepted_ms in events:
            event = as_struct(told)
            key = f"{event.source}\n{event.id}"
            if isinstance(event.data, Correction):
                known_correction = corrections.get(key) or self.corrections.get(key)
                if known_correction is None or event != known_correction:
                    corrections[key] = event if known_correction is None else settle(known_correction, event)
                continue
            known = reports.get(key) or self.reports.get(key)
            settled = Report(event, accepted_ms) if known is None else settle_report(known, event, accepted_ms)
            if settled is not known:
                reports[key] = settled
                touched |= {event.data.claim_id, settled.data.claim_id, (known or settled).data.claim_id}
        if not reports and not corrections:
            return self
        found = Dossier({**self.reports, **reports}, {**self.corrections, **corrections} if corrections else self.corrections)
        if self._size_bytes is not None and self.reports.keys().isdisjoint(reports):
            found._size_bytes = self._size_bytes + sum([report.size_bytes for report in reports.values()])
        if not corrections:
            found._kept, found._touched = self._kept, self._touched | touched
        return found

    def picture(self, entity: str, at: datetime, methodology: Methodology) -> Picture:
        """How all claims stand at time `at`; the same object as long as nothing has changed."""
        kept = self._kept
        if kept is not None and not self._touched and kept.holds_at(at):
            return kept.picture
        taken_back = retractions(self.corrections.values()) if self.corrections else NO_RETRACTIONS
        claims = by_claim(self.reports.values(), taken_back)
        contests = any([report.data.contradicts for report in self.reports.values()])  # noqa: C419 - half the time of a generator
        disputed = disputes(claims) if contests else {}
        known = {}
        if kept is not None and kept.holds_at(at) and not contests and not kept.contested:
            known = {s.claim_id: s for s in kept.picture.standings if s.claim_id not in self._touched}
        weights = methodology.evidence
        standings = tuple(
            known.get(claim_id) or standing_of(claim_id, claims[claim_id], disputed.get(claim_id, _NOBODY), at, weights)
            for claim_id in sorted(claims)
        )
        reports = (report for found in claims.values() for report in found)
        picture = Picture(entity, standings, at, methodology, reports, None if kept is None else kept.picture.notes)
        self._kept = _Kept(picture, at, picture.next_time(at), contested=contests)
        self._touched = frozenset()
        return picture


def settle(one: Event, other: Event) -> Event:
    """Of two under one (source, id) the later revision; what differs otherwise is against the contract: the same one whatever the order."""
    return max(one, other, key=lambda event: (event.revision or 0, event.time, _as_contract(event)))


def _as_contract(event: Event) -> str:
    return cloudevent.event_from_json(event_to_json(event)).model_dump_json()


def settle_report(known: Report, event: Event, accepted_ms: int) -> Report:
    """Of two reports under one (source, id) the one that stands, accepted when the first was."""
    settled = known.event if known.event == event else settle(known.event, event)
    earliest = min(known.accepted_ms, accepted_ms)
    return known if settled is known.event and earliest == known.accepted_ms else Report(settled, earliest)
