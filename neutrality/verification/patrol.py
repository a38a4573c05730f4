"""The audit as a round that is walked again and again: what persists, when to heal, and what the metrics say."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from neutrality.broker.errors import BrokerError
from neutrality.model.vertex import Vertex
from neutrality.verification.audit import Audit, Findings
from neutrality.verification.comparison import HEALABLE
from neutrality.verification.healing import Healing
from neutrality.verification.metrics import VerifyMetrics

MAX_ATTEMPTS: Final = 3  # to heal one vendor; what is still wrong then needs a person

Heal = Callable[[Collection[str], Mapping[str, Vertex]], Healing]


@dataclass(frozen=True, slots=True)
class Round:
    """What a round found. `persistent` are vendors with a difference now and in the round before; `given_up` those that could not be healed."""

    findings: Findings
    persistent: tuple[str, ...]
    given_up: tuple[str, ...]
    healing: Healing | None


class Patrol:
    """Keeps the audit between rounds; after an error it starts over with a new one, from the beginning of the log."""

    def __init__(
        self,
        open_audit: Callable[[], Audit],
        clock: Callable[[], datetime],
        *,
        metrics: VerifyMetrics,
        wall_clock_s: Callable[[], float],
        heal: Heal | None = None,
    ) -> None:
        """`clock` tells the cluster's time, `wall_clock_s` the seconds since 1970. Without `heal` nothing is ever written."""
        self._open_audit, self._clock, self._heal = open_audit, clock, heal
        self._metrics, self._wall_clock_s = metrics, wall_clock_s
        self._audit: Audit | None = None
        self._before: frozenset[str] = frozenset()
        self._attempts: dict[str, int] = {}

    def walk(self) -> Round:
        """One round.

        Raises:
            BrokerError: Kafka cannot be read, or did not take what was to be healed.
        """
        began_s = self._wall_clock_s()
        try:
            if self._audit is None:
                self._audit = self._open_audit()
            round_ = self._look(self._audit)
        except BrokerError:
            self._metrics.failed()
            self.close()
            raise
        ended_s = self._wall_clock_s()
        self._metrics.tell(round_.findings, len(round_.persistent), ended_s=ended_s, took_s=ended_s - began_s)
        return round_

    def close(self) -> None:
        """Let go of the connections."""
        if self._audit is not None:
            self._audit.close()
        self._audit = None

    def _look(self, audit: Audit) -> Round:
        findings = audit.run(self._clock())
        wrong = frozenset(difference.vendor for difference in findings.differences)
        persistent = wrong & self._before
        self._before = wrong
        self._attempts = {vendor: count for vendor, count in self._attempts.items() if vendor in wrong}
        healable = {difference.vendor for difference in findings.differences if difference.kind in HEALABLE} & persistent
        given_up = {vendor for vendor in healable if self._attempts.get(vendor, 0) >= MAX_ATTEMPTS}
        healing = None
        if self._heal is not None and healable - given_up:
            healing = self._heal(sorted(healable - given_up), audit.vertices)
            for vendor in healing.vendors:
                self._attempts[vendor] = self._attempts.get(vendor, 0) + 1
            self._metrics.healed(healing)
            self._before = wrong - set(healing.vendors)  # scoring takes its time: two more rounds before the next attempt
        return Round(findings, tuple(sorted(persistent)), tuple(sorted(given_up)), healing)
