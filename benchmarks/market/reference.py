"""What must come out: the same events through the runner in process."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b

from neutrality.events.assessment import Assessment, parse_assessment
from neutrality.model.local import LocalRunner
from neutrality.model.methodology import load_methodology
from neutrality.verification.comparison import content_of
from tests.support.market import Market


@lru_cache(maxsize=1)  # cases of the same market follow one another
def expected(market: Market, count: int) -> Mapping[str, bytes]:
    """A digest of what stands of each vendor after these events, but for version and cause."""
    runner = LocalRunner(load_methodology(), datetime.now(UTC))
    runner.apply_together(market.events(count))
    return {vendor: _digest(assessment) for vendor, assessment in runner.standing_assessments().items()}


def difference(newest: Mapping[bytes, bytes], want: Mapping[str, bytes]) -> str:
    """What is wrong with the newest records of `neutrality.scores`, by key; empty if nothing is."""
    got = {key.decode(): parse_assessment(value) for key, value in newest.items()}
    wrong = [vendor for vendor, found in got.items() if not isinstance(found, Assessment) or _digest(found) != want.get(vendor)]
    missing = sorted(want.keys() - got.keys())
    if not wrong and not missing:
        return ""
    return f"WRONG: {len(wrong)} of {len(want)} vendors differ, {len(missing)} are missing, such as {[*wrong, *missing][0]}"


def _digest(assessment: Assessment) -> bytes:
    return blake2b(content_of(assessment), digest_size=16).digest()
