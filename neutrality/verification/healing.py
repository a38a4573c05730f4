"""Says anew what scoring has lost: the last line, not the first.

For a vendor and all that it depends on, the original input records go to `neutrality.messages` in the form in which scoring forwards an
event that lies in another partition than its entity, each with the time at which Kafka took it first; then each entity is asked to repeat
what stands. Everything is idempotent: events count once, and what is said again is said under the same version. So what scoring knew
already changes nothing.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from neutrality.broker.port import ConsumedRecord, OutgoingRecord, RecordPublisher, RecordReader
from neutrality.model.messages import Message, message_to_bytes
from neutrality.model.vertex import Vertex
from neutrality.topics import FORWARDED_HEADER, MESSAGES
from neutrality.verification.log import records_of

SENDER: Final = "verify"
_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class Healing:
    """What was said anew: for these vendors, about so many entities, in so many input records."""

    vendors: tuple[str, ...]
    entities: int
    records: int


def upstream(vertices: Mapping[str, Vertex], vendors: Iterable[str]) -> set[str]:
    """The vendors and all that their scores depend on: their parties, the organisations that these lead, and so on."""
    found: set[str] = set()
    frontier = [*vendors]
    while frontier:
        entity = frontier.pop()
        if entity in found:
            continue
        found.add(entity)
        vertex = vertices.get(entity)
        if vertex is None:
            continue
        frontier += vertex.links
        frontier += [
            subject
            for subject, link in vertex.held.items()
            if link.value is not None and (link.value.ties or link.value.affiliate)
        ]
    return found


def reapplied(record: ConsumedRecord) -> OutgoingRecord:
    """An input record as scoring forwards it to its entity's partition."""
    place = f"{record.topic}/{record.partition}/{record.offset}".encode()
    headers = tuple((name, value) for name, value in record.headers if value is not None)
    return OutgoingRecord(
        MESSAGES.name,
        record.key or b"",
        record.value or b"",
        (*headers, (FORWARDED_HEADER, place)),
        timestamp_ms=record.timestamp_ms,
    )


def repeat(entity: str) -> OutgoingRecord:
    """The request to an entity to say again what stands."""
    return OutgoingRecord(MESSAGES.name, entity.encode(), message_to_bytes(Message("repeat", SENDER, entity, 0)))


def heal(
    vendors: Collection[str],
    vertices: Mapping[str, Vertex],
    *,
    open_inputs: Callable[[], RecordReader],
    open_publisher: Callable[[], RecordPublisher],
) -> Healing:
    """Reapply what the vendors' scores follow from. Returns once Kafka has it; scoring then takes its time.

    Raises:
        BrokerError: some may have been written; doing it again is harmless.
    """
    entities = upstream(vertices, vendors)
    reader = open_inputs()
    try:
        records = [reapplied(record) for record in records_of(reader, entities)]
    finally:
        reader.close()
    asyncio.run(_publish(open_publisher, (records, [repeat(entity) for entity in sorted(entities)])))
    return Healing(tuple(sorted(vendors)), len(entities), len(records))


async def _publish(open_publisher: Callable[[], RecordPublisher], waves: Iterable[Sequence[OutgoingRecord]]) -> None:
    """One wave after the other: first what was missing, then the requests to say what follows from it."""
    publisher = open_publisher()
    try:
        for wave in waves:
            for start in range(0, len(wave), _AT_ONCE):
                await publisher.publish_all(wave[start : start + _AT_ONCE])
    finally:
        await publisher.close()
