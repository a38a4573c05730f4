"""Looks at the group's offsets and at the ends of what it reads and writes, twice a second, from a thread of its own."""

import contextlib
import threading
import time
from collections.abc import Sequence
from typing import Any, Final, Self

from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import OffsetSpec
from kafka.errors import KafkaError

from neutrality.topics import REJECTED, SCORES
from services.scoring.worker import SOURCES
from tests.trials.stalls import Lane, Sample, Stalls

INTERVAL_S: Final = 0.5
REQUEST_LIMIT_MS: Final = 5_000


class UpClock:
    """Seconds since it was made, without those in which the broker was away. For use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._began_s = time.monotonic()
        self._away_s = 0.0
        self._away_since_s: float | None = None

    @property
    def stands(self) -> bool:
        """Whether the broker is away."""
        with self._lock:
            return self._away_since_s is not None

    @property
    def away_s(self) -> float:
        """How long the broker was away before now."""
        with self._lock:
            return self._away_s

    def now_s(self) -> float:
        """The time on it."""
        with self._lock:
            wall_s = time.monotonic() if self._away_since_s is None else self._away_since_s
            return wall_s - self._began_s - self._away_s

    def stop(self) -> None:
        """The broker goes."""
        with self._lock:
            self._away_since_s = time.monotonic()

    def go_on(self) -> None:
        """The broker is back."""
        with self._lock:
            if self._away_since_s is not None:
                self._away_s += time.monotonic() - self._away_since_s
                self._away_since_s = None


class Watch:
    """The looks so far. Use as a context manager."""

    def __init__(self, servers: str, group: str, changelog: str, partitions: int, clock: UpClock) -> None:
        self.stalls = Stalls()
        self.last: Sample | None = None
        self.rejected = 0
        self.looks = 0
        self._servers, self._group, self._clock = servers, group, clock
        self._written, self._partitions = (changelog, SCORES.name), partitions
        self._admin: Any = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look_for_ever, name="watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._forget_client()

    @property
    def has_moved(self) -> bool:
        """Whether a worker has written or committed something."""
        return self.last is not None and any(any(lane.marks) for lane in self.last.lanes.values())

    def quiet_s(self, *, since_s: float) -> float:
        """For how long nothing has been left or moved, by the last look; counted from `since_s` at the earliest."""
        if self.last is None or self.last.left:
            return 0.0
        return self.last.at_s - max(since_s, self.stalls.group.moved_s)

    def _look_for_ever(self) -> None:
        while not self._ended.wait(INTERVAL_S):
            if self._clock.stands:
                self._forget_client()
                continue
            try:
                sample = self._look()
            except (KafkaError, OSError):
                self._forget_client()  # the time counts: the next look tells whether anything moved
            else:
                self.last = sample
                self.looks += 1
                self.stalls.see(sample)

    def _look(self) -> Sample:
        if self._admin is None:
            self._admin = KafkaAdminClient(
                bootstrap_servers=self._servers,
                request_timeout_ms=REQUEST_LIMIT_MS,
                bootstrap_timeout_ms=REQUEST_LIMIT_MS,
                reconnect_backoff_max_ms=1_000,
            )
        # first what is committed: what comes in between is work left, never work done
        committed = self._admin.list_group_offsets({self._group: self._places(SOURCES)})[self._group]
        ends = self._admin.list_partition_offsets(
            dict.fromkeys(self._places((*SOURCES, *self._written, REJECTED.name)), OffsetSpec.LATEST)
        )
        at_s = self._clock.now_s()
        self.rejected = sum(ends[place].offset for place in self._places((REJECTED.name,)))
        lanes = {}
        for number in range(self._partitions):
            done = [max(0, committed[TopicPartition(topic, number)].offset) for topic in SOURCES]
            upto = [ends[TopicPartition(topic, number)].offset for topic in SOURCES]
            written = [ends[TopicPartition(topic, number)].offset for topic in self._written]
            lanes[number] = Lane(sum(upto) - sum(done), (*done, *written))
        return Sample(at_s, lanes)

    def _places(self, topics: Sequence[str]) -> list[TopicPartition]:
        return [TopicPartition(topic, number) for topic in topics for number in range(self._partitions)]

    def _forget_client(self) -> None:
        if self._admin is not None:
            with contextlib.suppress(KafkaError, OSError):
                self._admin.close()
            self._admin = None
