"""What the points were lost to: from 100 down to the score, a bar a claim, with who says so and who says otherwise."""

from dataclasses import dataclass

from neutrality.events.assessment import Assessment, Attribution, Channel, ClaimNote, attribute
from neutrality.explanation import path_of, what_is_unknown

_Key = tuple[str, Channel, str, str]


@dataclass(frozen=True, slots=True)
class Bar:
    """A claim's cost through one lab's channel, in points of the confirmed and of the projected score (0: none).

    `start` and `projected_start` are what was left before it. `path` runs from the lab to the vendor.
    """

    lab: str
    channel: Channel
    points: float
    start: float
    projected_points: float
    projected_start: float
    path: str
    claim: ClaimNote | None

    @property
    def end(self) -> float:
        """What is left after it."""
        return self.start - self.points

    @property
    def projected_end(self) -> float:
        """The same of the projected score."""
        return self.projected_start - self.projected_points


@dataclass(frozen=True, slots=True)
class Waterfall:
    """`bars` end at the two scores. `aside` are claims that cost nothing in either; `unknown`: in words, a line each."""

    bars: tuple[Bar, ...]
    aside: tuple[ClaimNote, ...]
    unknown: tuple[str, ...]


def waterfall_of(assessment: Assessment, lab: str) -> Waterfall:
    """The largest confirmed cost first, then what is only projected."""
    confirmed = _by_key(attribute(assessment, lab))
    projected = _by_key(attribute(assessment, lab, "projected"))
    keys = sorted(
        confirmed.keys() | projected.keys(),
        key=lambda key: (-_points(confirmed.get(key)), -_points(projected.get(key)), key),
    )
    left = projected_left = 100.0
    bars = []
    for key in keys:
        known, expected = confirmed.get(key), projected.get(key)
        row = known or expected
        assert row is not None  # noqa: S101 - a key is in one of both
        note = assessment.claim(row.claim_id)
        path = path_of(assessment, row, note, "projected" if known is None else "confirmed")
        bar = Bar(row.lab, row.channel, _points(known), left, _points(expected), projected_left, path, note)
        bars.append(bar)
        left, projected_left = bar.end, bar.projected_end
    costing = {key[2] for key in keys}
    aside = tuple(note for note in assessment.claims if note.claim_id not in costing)
    return Waterfall(tuple(bars), aside, what_is_unknown(assessment))


def _by_key(rows: tuple[Attribution, ...]) -> dict[_Key, Attribution]:
    return {(row.lab, row.channel, row.claim_id, row.through): row for row in rows}


def _points(row: Attribution | None) -> float:
    return 0.0 if row is None else row.points
