"""Faust's aiokafka consumer with its offset tracking replaced by the ledger.

What Faust 0.15 does there that loses events, and what is done instead:

- `Consumer._add_gap` and `_new_offset` treat the offsets between two messages as acknowledged: with batches they are not. Here
  only the ledger says what may be committed, and only `BatchConsumer.applied` advances it, after Kafka has all writes. What Faust
  acknowledges (it also does so when an agent fails) counts for nothing.
- `AIOKafkaConsumer.seek_to_committed` does not seek where the committed offset is 0, so what was fetched and dropped before
  the first commit stays lost. Here every partition is sought, also to 0.
- `_drain_messages` drops what lies before a remembered read offset, which it may set after a seek back. Here it remembers none.
- `on_buffer_full` takes partitions out of the fetch and, with all of them out, sleeps a second. Here the bounded queue alone holds back.
- `Recovery.on_recovery_completed` seeks the sources, and only then calls `flow_control.resume`, which clears the queues: what was fetched in
  between is dropped after the seek, and with the gap rule above committed over. Here sources are fetched only once the flow is resumed.
- Recovery empties the set of active partitions while a fetch with it is under way; aiokafka takes the empty set for all partitions, and Faust
  drops what comes, after the seek too. Here an empty set is none.
- Whatever else is dropped shows as a hole between ranges as soon as the next record comes, or, if none comes, as a partition that was
  fetched further than it was applied and does not move (`is_stuck`); both lead back to where it was applied to.
- A consumer that reads uncommitted data also reads what a transactional producer has taken back. Here it reads committed data.
"""

from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any, Final, cast

import aiokafka
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread
from faust.transport.drivers.aiokafka import Consumer as FaustConsumer
from faust.types import TP, ConsumerMessage
from faust.types.transports import TPorTopicSet

from neutrality.topics import MESSAGES
from services.scoring.batching.fetching import flat, hand_out_whole_batches
from services.scoring.batching.ledger import Admission, OffsetLedger
from services.scoring.batching.records import FetchedRecords, RecordBatch

FETCH_MAX_WAIT_MS: Final = 50  # of partitions without news, while those that had some when they were asked cannot be asked again
STUCK_AFTER_S: Final = 10.0  # a batch in hand takes 0.2 s, a full queue of them a few seconds


class _Forgetful(dict[TP, int | None]):
    """Faust's read offsets, never remembered (see the module)."""

    def __getitem__(self, _tp: TP) -> None:
        return None


class _NotEmpty:
    """The partitions to fetch, as they are at the moment: aiokafka takes an empty set for all, and Faust empties it during a fetch."""

    def __init__(self, partitions: Container[TP]) -> None:
        self._partitions = partitions

    def __contains__(self, tp: object) -> bool:
        return tp in self._partitions


class BatchConsumerThread(AIOKafkaConsumerThread):
    """The thread that talks to Kafka. Notes for each fetch the range of offsets it covers; `_starts` is used in this thread only."""

    def __post_init__(self) -> None:
        """Begin without known positions."""
        super().__post_init__()
        self._starts: dict[Any, int] = {}

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        consumer._isolation_level = "read_committed"  # noqa: SLF001  Faust ties it to its transactions
        consumer._fetch_max_wait_ms = FETCH_MAX_WAIT_MS  # noqa: SLF001  Faust has 1,500 and no setting
        return consumer

    async def _fetch_records(
        self,
        consumer: aiokafka.AIOKafkaConsumer,
        active_partitions: set[TP],
        timeout: float | None = None,  # noqa: ASYNC109  Faust's signature
        max_records: int | None = None,
    ) -> Any:
        active: Any = _NotEmpty(active_partitions)
        hand_out_whole_batches(consumer._fetcher)  # noqa: SLF001
        fetched = await super()._fetch_records(consumer, active, timeout=timeout, max_records=max_records)
        ranged = {}
        assignment = consumer._subscription.subscription.assignment  # noqa: SLF001
        for tp, batches in fetched.items():
            records = flat(batches)
            # no await since the fetcher moved the position, so it is the end of just these records
            end = max(assignment.state_value(tp).position, records[-1].offset + 1)
            start = min(self._starts.get(tp, records[0].offset), records[0].offset)
            self._starts[tp] = end
            ranged[TP(tp.topic, tp.partition)] = FetchedRecords(records, start, end)
        return ranged

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Positions of the next assignment are not known until they are sought."""
        await super().on_partitions_revoked(revoked)
        self._starts.clear()

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Seek every source partition to where it was applied to; if it is new here, to its committed offset. Returns where to."""
        positions: Mapping[TP, int] = await self.call_thread(self._seek_to_committed)
        return positions

    async def _seek_to_committed(self) -> Mapping[TP, int]:
        kafka: Any = self._ensure_consumer()
        changelogs = self.app.tables.changelog_topics
        tps = [tp for tp in kafka.assignment() if tp.topic not in changelogs]
        if not tps:
            return {}
        first, last = await kafka.beginning_offsets(tps), await kafka.end_offsets(tps)
        committed = {tp: await kafka.committed(tp) for tp in tps}
        positions = {}
        # no await from here on: whatever is fetched after the seek meets the ledger that knows of it
        for tp, offset in committed.items():
            # beyond the log: the topic was created anew under an old group
            position = first[tp] if offset is None or offset > last[tp] else offset
            known = self.consumer.ledger.position(tp)  # type: ignore[attr-defined]  # a BatchConsumer's
            position = position if known is None else max(position, known)
            kafka.seek(tp, position)
            self._starts[tp] = position
            positions[TP(tp.topic, tp.partition)] = position
        self.consumer.ledger.restart(positions)  # type: ignore[attr-defined]  # a BatchConsumer's
        self.consumer.expect(last)  # type: ignore[attr-defined]  # what there is to read is known before it is fetched
        return positions

    async def seek_to(self, tp: TP, offset: int) -> None:
        """Go back in one partition."""
        await self.call_thread(self._seek_to, tp, offset)

    async def _seek_to(self, tp: TP, offset: int) -> None:
        kafka: Any = self._ensure_consumer()
        # compared by value: aiokafka's TopicPartition and Faust's TP are tuples alike
        if tp in kafka.assignment():
            kafka.seek(aiokafka.TopicPartition(*tp), offset)
            self._starts[tp] = offset

    async def group_lag(self) -> tuple[int, int]:
        """See `BatchConsumer.group_lag`."""
        found: tuple[int, int] = await self.call_thread(self._group_lag)
        return found

    async def _group_lag(self) -> tuple[int, int]:
        kafka: Any = self._ensure_consumer()
        sources = kafka.subscription() - set(self.app.tables.changelog_topics)
        tps = [aiokafka.TopicPartition(topic, partition) for topic in sources for partition in kafka.partitions_for_topic(topic)]
        committed = await kafka._coordinator.fetch_committed_offsets(tps)  # noqa: SLF001  `committed` asks for each by itself
        ends = await kafka.end_offsets(tps)
        unread = sum(end - (max(0, committed[tp].offset) if tp in committed else 0) for tp, end in ends.items())
        return unread, sum(end for tp, end in ends.items() if tp.topic == MESSAGES.name)

    def fetched_to(self, tp: TP) -> int | None:
        """Where the next fetch of a partition begins; None if it is not known. For use from any thread."""
        return self._starts.get(tp)


class BatchConsumer(FaustConsumer):
    """Consumer whose messages are `RecordBatch`es and whose offsets are the ledger's."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Replace Faust's tracking of offsets."""
        self.ledger = OffsetLedger()
        self._resuming: set[TP] = set()
        self._sought: dict[TP, int] = {}
        self._unmoved: dict[TP, tuple[int, float]] = {}
        self._ends: dict[TP, int] = {}
        super().__init__(*args, **kwargs)
        self._read_offset = _Forgetful()

    def _new_consumer_thread(self) -> AIOKafkaConsumerThread:
        return BatchConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def _to_message(self, tp: TP, record: RecordBatch) -> ConsumerMessage:
        newest = record.records[-1]
        return ConsumerMessage(
            tp.topic,
            tp.partition,
            record.end - 1,  # the last offset: recovery compares it with the log's end
            newest.timestamp / 1000.0,
            0,
            None,
            None,
            record,  # type: ignore[arg-type]  # the raw codec passes it on as it is
            None,
            0,
            0,
            tp,
            generation_id=self.app.consumer_generation_id,
        )

    def admit(self, batch: RecordBatch) -> Admission:
        """Whether a batch may be applied."""
        return self.ledger.admit(batch.tp, batch.start, batch.end)

    async def read_again(self, tp: TP) -> bool:
        """Go back to where a partition was applied to; False if that was done already, and what comes is what was queued before."""
        position = self.ledger.position(tp)
        if position is None or self._sought.get(tp) == position:
            return False
        self._sought[tp] = position
        await cast("BatchConsumerThread", self._thread).seek_to(tp, position)
        return True

    def applied(self, batch: RecordBatch) -> None:
        """Acknowledge a batch's whole range: all it led to is in Kafka."""
        self.ledger.applied(batch.tp, batch.start, batch.end)

    def lag_records(self) -> int:
        """Records written but not yet applied, as far as the last fetches and own writes tell."""
        kafka: Any = cast("BatchConsumerThread", self._thread)._ensure_consumer()  # noqa: SLF001
        subscription = kafka._subscription.subscription  # noqa: SLF001  `highwater` raises if a rebalance is faster
        assignment = None if subscription is None else subscription.assignment
        if assignment is None:
            return 0
        lag = 0
        for tp, position in self.ledger.positions().items():
            if (state := assignment.state_value(tp)) is not None:
                lag += max(0, (state.highwater or 0) - position, self._ends.get(tp, 0) - position)
        return lag

    async def group_lag(self) -> tuple[int, int]:
        """Of all partitions of the sources, whoever holds them: records not committed as applied, and the messages that were ever written.

        Raises:
            KafkaError: Kafka does not tell.
        """
        return await cast("BatchConsumerThread", self._thread).group_lag()

    def expect(self, ends: Mapping[TP, int]) -> None:
        """Source partitions have records up to these offsets (exclusive): own writes, of which no fetch has told yet."""
        self._ends.update(ends)

    async def perform_seek(self) -> None:
        """Go back to the committed offsets and admit batches from there."""
        self._committed_offset.update(await self._thread.seek_to_committed())
        self._unmoved.clear()
        self._sought.clear()

    def resume_partitions(self, tps: Iterable[TP]) -> None:
        """Fetch from partitions once the flow is resumed (see the module)."""
        self._resuming.update(tps)

    def pause_partitions(self, tps: Iterable[TP]) -> None:
        """Fetch no more from partitions."""
        paused = set(tps)
        self._resuming -= paused
        super().pause_partitions(paused)

    def resume_flow(self) -> None:
        """Fetch and hand out."""
        super().resume_partitions(self._resuming)
        self._resuming.clear()
        super().resume_flow()

    def is_stuck(self, now_s: float) -> bool:
        """Whether a partition was fetched further than it was applied, and has not moved for `STUCK_AFTER_S`; `now_s` is monotonic."""
        stuck = False
        for tp, position in self.ledger.positions().items():
            fetched = cast("BatchConsumerThread", self._thread).fetched_to(tp)
            seen, since_s = self._unmoved.get(tp, (-1, now_s))
            if fetched is None or fetched <= position:
                self._unmoved.pop(tp, None)
            elif seen != position:
                self._unmoved[tp] = (position, now_s)
            else:
                stuck = stuck or now_s - since_s >= STUCK_AFTER_S
        return stuck

    def on_buffer_full(self, tp: TP) -> None:
        """Do nothing (see the module)."""

    def on_buffer_drop(self, tp: TP) -> None:
        """Do nothing (see the module)."""

    def _filter_tps_with_pending_acks(self, topics: TPorTopicSet | None = None) -> Iterator[TP]:
        return (tp for tp in self.ledger.positions() if topics is None or tp in topics or tp.topic in topics)

    def _filter_committable_offsets(self, tps: Any) -> dict[TP, int]:
        positions = self.ledger.positions()
        return {tp: positions[tp] for tp in tps if tp in positions and positions[tp] != self._committed_offset[tp]}
