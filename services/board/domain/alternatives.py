"""Who else does the same work, and how neutral they are: what is not known is told, and never ranked as neutral."""

from collections.abc import Iterable
from dataclasses import dataclass

from neutrality.events.assessment import CHANNELS, Assessment, Score


@dataclass(frozen=True, slots=True)
class Alternative:
    """A vendor that shares `shared` categories, with its score towards the reader, and the channels that are known of it."""

    vendor: str
    name: str
    shared: tuple[str, ...]
    score: Score
    known: tuple[str, ...]

    @property
    def is_rated(self) -> bool:
        """Whether its score says anything."""
        return self.score.grade != "NR"


def alternatives_to(found: Assessment, lab: str, everybody: Iterable[Assessment]) -> tuple[Alternative, ...]:
    """Ranked: the rated by neutrality towards the lab (what is known of more channels first among equals), then the unrated by name."""
    wanted = set(found.categories)
    others = [
        Alternative(
            other.vendor,
            other.name,
            tuple(sorted(wanted.intersection(other.categories))),
            other.score_for(lab),
            tuple(channel for channel in CHANNELS if other.coverage.get(channel)),
        )
        for other in everybody
        if other.vendor != found.vendor and wanted.intersection(other.categories)
    ]
    return tuple(sorted(others, key=_rank))


def _rank(one: Alternative) -> tuple[bool, float, int, str]:
    if not one.is_rated:
        return True, 0.0, 0, one.name.casefold()
    return False, -round(one.score.confirmed, 1), -len(one.known), one.name.casefold()
