"""What a trial does and when, drawn from its seed. Pure."""

from dataclasses import dataclass
from random import Random
from typing import Final, Literal, NamedTuple

from tests.support.market import Market

Kind = Literal["together", "killed", "stopped", "broker"]
Store = Literal["memory", "rocksdb"]
Action = Literal["kill", "add", "stop", "wake", "kill broker", "start broker"]

KINDS: Final[tuple[Kind, ...]] = ("together", "killed", "stopped", "broker")
WORKERS: Final = 2


@dataclass(frozen=True, slots=True)
class Size:
    """How large trials are. `flow_s` is how long the events take that come while workers work, `verify_wait_s` how long scores may be late."""

    events: int = 50_000
    entities: int = 10_000
    labs: int = 5
    partitions: int = 12
    session_s: float = 8.0
    outage_s: float = 20.0
    flow_s: float = 30.0
    quiet_s: float = 3.0
    patience_s: float = 600.0
    verify_wait_s: float = 30.0


SHORT: Final = Size(
    events=2_000,
    entities=300,
    partitions=4,
    session_s=6.0,  # the least that Kafka takes
    outage_s=5.0,
    flow_s=3.0,
    quiet_s=1.0,
    patience_s=90.0,
)


class Step(NamedTuple):
    """Something to be done to a worker, or to the broker, so long after the first worker's first sign of life in Kafka."""

    at_s: float
    action: Action
    worker: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """One trial. `backlog` events are there before the workers, the second of which starts `gap_s` after the first; the rest flows then."""

    kind: Kind
    seed: int
    size: Size
    store: Store
    backlog: int
    gap_s: float
    steps: tuple[Step, ...]

    @property
    def market(self) -> Market:
        """Where its events come from."""
        return Market(self.size.entities, labs=self.size.labs, ring_share=0.05, seed=self.seed)


def draw(kind: Kind, seed: int, size: Size) -> Plan:
    """The trial of a kind and seed; the same each time."""
    random = Random(f"{kind} {seed}")
    return Plan(
        kind,
        seed,
        size,
        store="rocksdb" if seed % 2 else "memory",
        backlog=int(size.events * random.uniform(0.2, 0.8)),
        gap_s=random.uniform(0, 0.5),
        steps=tuple(sorted(_steps(kind, random, size))),
    )


def _steps(kind: Kind, random: Random, size: Size) -> list[Step]:
    """While the flow lasts; what happens in its last fifth would find too little to do."""
    at_s, other_s = (random.uniform(0, 0.8 * size.flow_s) for _ in range(2))
    worker = random.randrange(WORKERS)
    steps: dict[Kind, list[Step]] = {
        "together": [],
        "killed": [Step(at_s, "kill", worker), Step(other_s, "add")],
        "stopped": [Step(at_s, "stop", worker), Step(at_s + 2 * size.session_s, "wake", worker)],
        "broker": [Step(at_s, "kill broker"), Step(at_s + size.outage_s, "start broker")],
    }
    return steps[kind]
