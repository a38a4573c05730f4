"""Who else sells the same: vendors of a category, ranked by their neutrality towards one lab, with how much is known about each."""

import heapq
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Final

from neutrality.events.alert import Alternative
from neutrality.events.assessment import CHANNELS, Assessment

MAX_ALTERNATIVES: Final = 5


class Market:
    """Vendors by category, as they stand. Of each it keeps what ranks it, and leaves the reasons out."""

    def __init__(self, vendors: Iterable[Assessment] = ()) -> None:
        """All of them."""
        self._versions: dict[str, int] = {}
        self._categories: dict[str, tuple[str, ...]] = {}
        self._vendors: dict[str, dict[str, Assessment]] = {}
        self.take(vendors)

    def take(self, vendors: Iterable[Assessment]) -> None:
        """These stand so now."""
        for found in vendors:
            self._versions[found.vendor] = found.version
            for category in self._categories.pop(found.vendor, ()):
                self._vendors[category].pop(found.vendor, None)
            if found.categories:
                self._categories[found.vendor] = found.categories
                slim = replace(found, confirmed=(), projected=(), claims=(), before=None)
                for category in found.categories:
                    self._vendors.setdefault(category, {})[found.vendor] = slim

    def outdated(self, versions: Mapping[str, int]) -> list[str]:
        """Vendors of which there are newer versions."""
        return [vendor for vendor, version in versions.items() if self._versions.get(vendor, 0) < version]

    def of(self, categories: Iterable[str]) -> list[Assessment]:
        """The vendors of any of these categories, each once."""
        found: dict[str, Assessment] = {}
        for category in categories:
            found.update(self._vendors.get(category, {}))
        return list(found.values())


def rank_alternatives(
    vendors: Iterable[Assessment], lab: str, *, bought: Collection[str] = (), limit: int = MAX_ALTERNATIVES
) -> tuple[Alternative, ...]:
    """The most neutral first; of equals the one of which more is known. Those not rated come last: nothing known is not neutral."""
    return tuple(_alternative(found, lab, bought) for found in heapq.nsmallest(limit, vendors, key=lambda one: _rank(one, lab)))


def neutral_alternatives(
    current: Assessment, others: Iterable[Assessment], lab: str, *, bought: Collection[str] = ()
) -> tuple[Alternative, ...]:
    """What to offer beside a vendor: others that are more neutral towards the lab, then those not rated."""
    score = current.score_for(lab).confirmed
    rated = current.score_for(lab).grade != "NR"
    wanted = (
        other
        for other in others
        if other.vendor != current.vendor
        and (not rated or other.score_for(lab).grade == "NR" or other.score_for(lab).confirmed > score)
    )
    return rank_alternatives(wanted, lab, bought=bought)


def _rank(found: Assessment, lab: str) -> tuple[bool, float, int, str]:
    score = found.score_for(lab)
    return score.grade == "NR", -score.confirmed, -sum(found.coverage.values()), found.vendor


def _alternative(found: Assessment, lab: str, bought: Collection[str]) -> Alternative:
    score = found.score_for(lab)
    known = tuple(channel for channel in CHANNELS if found.coverage.get(channel))
    return Alternative(found.vendor, found.name, score.grade, score.confirmed, score.projected, known, found.vendor in bought)
