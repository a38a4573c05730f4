"""Sets what was published against what the events say: bit for bit with the runner in process, within a bound with the formulas. Pure."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson

from neutrality.events.assessment import Assessment, assessment_to_bytes
from neutrality.verification.standing import Standing

Kind = Literal["missing", "unexpected", "published", "outdated", "direct"]
KINDS: Final[tuple[Kind, ...]] = ("missing", "unexpected", "published", "outdated", "direct")
HEALABLE: Final[frozenset[Kind]] = frozenset({"missing", "published", "outdated"})
MAX_FIELDS: Final = 20  # told of one vendor and kind; one wrong claim can touch every field
SCORES: Final = ("confirmed", "projected", "low", "high")

Bounds = Mapping[str, Mapping[tuple[str | None, str], tuple[float, float]]]  # by vendor, (lab, view): least and most


@dataclass(frozen=True, slots=True)
class Difference:
    """One field of one vendor. `direct` is what the formulas say, for scores.

    `missing`: nothing was published; `unexpected`: it never was a vendor; `published`: what stands is not what the runner in process finds;
    `outdated`: the topic's last record is of an older version, which is all that compaction leaves; `direct`: the formulas say otherwise.
    """

    kind: Kind
    vendor: str
    field: str
    published: Any = None
    in_process: Any = None
    direct: float | None = None


def content_of(assessment: Assessment) -> bytes:
    """An assessment as JSON without its version and the event behind it."""
    return assessment_to_bytes(assessment.unversioned())


def differences(
    published: Mapping[str, Standing], in_process: Mapping[str, Assessment], former: Collection[str], direct: Bounds
) -> tuple[Difference, ...]:
    """All differences, by vendor. `former` are those that were vendors once: what was last said of them may stand.

    `direct` says between which values each score must lie.
    """
    found: list[Difference] = []
    for vendor in sorted(published.keys() | in_process.keys() | direct.keys()):
        stands, expected = published.get(vendor), in_process.get(vendor)
        if expected is None:
            if stands is not None and vendor not in former:
                found.append(Difference("unexpected", vendor, "version", stands.newest.version))
        elif stands is None:
            found.append(Difference("missing", vendor, "headline.confirmed", None, expected.headline.confirmed))
        else:
            if stands.last_version < stands.newest.version:
                found.append(Difference("outdated", vendor, "version", stands.last_version, stands.newest.version))
            if content_of(stands.newest) != content_of(expected):
                found += list(_fields(vendor, stands.newest, expected, direct.get(vendor, {})))[:MAX_FIELDS]
        found += list(_against_formulas(vendor, stands, expected, direct.get(vendor)))[:MAX_FIELDS]
    return tuple(found)


def _fields(
    vendor: str, stands: Assessment, expected: Assessment, direct: Mapping[tuple[str | None, str], tuple[float, float]]
) -> Iterator[Difference]:
    """Field by field, scores first."""
    published, in_process = (dict(_leaves(orjson.loads(content_of(one)))) for one in (stands, expected))
    by_formula = {
        f"{'headline' if lab is None else f'labs.{lab}'}.{view}": (least + most) / 2.0
        for (lab, view), (least, most) in direct.items()
    }
    order = sorted(published.keys() | in_process.keys(), key=lambda path: (not path.startswith(("headline.", "labs.")), path))
    for path in order:
        one, other = published.get(path), in_process.get(path)
        if one != other:
            yield Difference("published", vendor, path, one, other, by_formula.get(path))


def _leaves(value: object, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of a JSON document with its path; what is empty is one too."""
    if isinstance(value, dict) and value:
        for name, part in value.items():
            yield from _leaves(part, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and value:
        for index, part in enumerate(value):
            yield from _leaves(part, f"{path}[{index}]")
    else:
        yield path, value


def _against_formulas(
    vendor: str,
    stands: Standing | None,
    expected: Assessment | None,
    direct: Mapping[tuple[str | None, str], tuple[float, float]] | None,
) -> Iterator[Difference]:
    """Scores that the runner in process (or, if it knows none, scoring) and the formulas do not agree on."""
    if direct is None:
        if expected is not None:
            yield Difference("direct", vendor, "headline.confirmed", None, expected.headline.confirmed)
        return
    if expected is None:
        yield Difference("direct", vendor, "headline.confirmed", direct=direct[None, "confirmed"][0])
        return
    for (lab, view), (least, most) in direct.items():
        reckoned = getattr(expected.score_for(lab), view)
        if not least <= reckoned <= most:
            said = None if stands is None else getattr(stands.newest.score_for(lab), view)
            path = f"{'headline' if lab is None else f'labs.{lab}'}.{view}"
            yield Difference("direct", vendor, path, said, reckoned, (least + most) / 2.0)
