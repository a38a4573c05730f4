"""What is run, and how it is told."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal

from tests.support.market import Market

DEFAULT_EVENTS: Final = 100_000
COLUMNS: Final = (
    "entities",
    "depth",
    "in rings",
    "workers",
    "store",
    "events",
    "s",
    "events/s",
    "events per CPU s",
    "Kafka's CPU µs/event",
    "messages/event",
    "scores/event",
    "records/batch",
    "peak MiB",
    "result",
)


@dataclass(frozen=True)
class Case:
    """One row. `rebuild`: the log is there before the worker starts, and its start is counted."""

    market: Market
    events: int = DEFAULT_EVENTS
    workers: int = 1
    store: Literal["memory", "rocksdb"] = "memory"
    rebuild: bool = False


@dataclass(frozen=True)
class Outcome:
    """What a case showed; without `seconds` it failed, and `verdict` says how."""

    verdict: str
    seconds: float = 0.0
    cpu_s: float = 0.0
    kafka_cpu_s: float = 0.0
    peak_bytes: int = 0
    messages: int = 0
    scores: int = 0
    batch_records: float = 0.0

    @property
    def right(self) -> bool:
        """Whether it came out as it must."""
        return self.verdict.startswith("right")


def all_cases(events: int = DEFAULT_EVENTS, entities: int = 10_000, rebuild_events: int = 1_000_000) -> Iterator[Case]:
    """The default first; then what differs from it in one thing; the rebuild last."""
    usual = Case(Market(entities), events)
    yield usual
    yield replace(usual, workers=2)
    yield replace(usual, store="rocksdb")
    yield replace(usual, market=Market(entities // 10))
    yield replace(usual, market=Market(entities * 10))
    yield from (replace(usual, market=Market(entities, depth=depth)) for depth in (1, 16))
    yield from (replace(usual, market=Market(entities, ring_share=share)) for share in (0.3, 1.0))
    yield replace(usual, events=5 * events)  # of the same entities: what each leads to once is shared by more of them
    yield Case(Market(entities * 10), rebuild_events, rebuild=True)


def quick_cases() -> Iterator[Case]:
    """A few small ones."""
    usual = Case(Market(1_000), 5_000)
    yield usual
    yield replace(usual, market=Market(1_000, ring_share=1.0), workers=2)
    yield replace(usual, store="rocksdb", rebuild=True)


def cells(case: Case, outcome: Outcome) -> list[str]:
    """One row of the table."""
    told = [
        f"{case.market.entities:,}",
        str(case.market.depth),
        f"{case.market.ring_share:.0%}",
        str(case.workers),
        case.store,
        f"{case.events:,}" + (", rebuilt" if case.rebuild else ""),
    ]
    if not outcome.seconds:
        return [*told, *"-" * (len(COLUMNS) - len(told) - 1), outcome.verdict]
    return [
        *told,
        f"{outcome.seconds:,.1f}",
        f"{case.events / outcome.seconds:,.0f}",
        f"{case.events / outcome.cpu_s:,.0f}",
        f"{1e6 * outcome.kafka_cpu_s / case.events:,.0f}",
        f"{outcome.messages / case.events:.2f}",
        f"{outcome.scores / case.events:.2f}",
        f"{outcome.batch_records:,.0f}",
        f"{outcome.peak_bytes / 2**20:,.0f}",
        outcome.verdict,
    ]
