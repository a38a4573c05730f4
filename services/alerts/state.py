"""What is known of vendors, what labs subscribe to, and how far the scores have been read: statements over a connection."""

from collections.abc import Collection, Iterable, Mapping
from enum import Enum, auto
from typing import Final

from sqlalchemy import delete, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from neutrality.broker.port import TopicPartition
from neutrality.events.assessment import Assessment, InvalidAssessment, assessment_to_bytes, parse_assessment
from neutrality.topics import SCORES
from services.alerts import leases
from services.alerts.dialects import Turn, add, put, take_turn
from services.alerts.domain.subscription import Subscription, TermsDocument
from services.alerts.migrations import SchemaMismatch
from services.alerts.tables import OFFSETS, REVISIONS, SUBSCRIPTIONS, VENDORS

_TERMS: Final = "terms"
_SETTLED: Final = "settled/"


class OffsetMoved(Exception):  # noqa: N818 - named for what it is
    """Another instance has taken in what a batch holds. Fate: forget the batch, and go on from the stored offsets."""

    retriable = True


async def terms_revision(connection: AsyncConnection) -> int:
    """A number that is another one after every change of what labs wish; it stays as it is until this transaction ends."""
    await take_turn(connection, Turn.TERMS, shared=True)
    number: int = (await connection.execute(select(REVISIONS.c.number).where(REVISIONS.c.name == _TERMS))).scalar_one()
    return number


async def change_terms(connection: AsyncConnection) -> None:
    """Before a change of what labs wish: wait for those who decide by it, and have them look again."""
    await take_turn(connection, Turn.TERMS)
    await connection.execute(update(REVISIONS).where(REVISIONS.c.name == _TERMS).values(number=REVISIONS.c.number + 1))


class Put(Enum):
    """What came of putting a subscription."""

    NEW = auto()
    CHANGED = auto()
    SAME = auto()


async def put_subscription(connection: AsyncConnection, wanted: Subscription) -> Put:
    """Make or replace a subscription."""
    document = wanted.terms().model_dump_json().encode()
    key = (SUBSCRIPTIONS.c.lab == wanted.lab, SUBSCRIPTIONS.c.name == wanted.name)
    known = (await connection.execute(select(SUBSCRIPTIONS.c.terms).where(*key))).scalar()
    if known is not None and TermsDocument.model_validate_json(known).terms() == wanted.terms():
        return Put.SAME
    await connection.execute(put(connection, SUBSCRIPTIONS), {"lab": wanted.lab, "name": wanted.name, "terms": document})
    await leases.offer(connection, leases.TOPIC, [wanted.lab])
    return Put.NEW if known is None else Put.CHANGED


async def delete_subscription(connection: AsyncConnection, lab: str, name: str) -> bool:
    """Remove a subscription; whether there was one. Its alerts stay."""
    gone = await connection.execute(delete(SUBSCRIPTIONS).where(SUBSCRIPTIONS.c.lab == lab, SUBSCRIPTIONS.c.name == name))
    return gone.rowcount > 0


async def subscriptions_of(connection: AsyncConnection, lab: str | None = None) -> tuple[Subscription, ...]:
    """All subscriptions, or one lab's, in order of (lab, name)."""
    query = select(SUBSCRIPTIONS.c.lab, SUBSCRIPTIONS.c.name, SUBSCRIPTIONS.c.terms).order_by(
        SUBSCRIPTIONS.c.lab, SUBSCRIPTIONS.c.name
    )
    rows = await connection.execute(query if lab is None else query.where(SUBSCRIPTIONS.c.lab == lab))
    return tuple(_subscription(lab_id, name, terms) for lab_id, name, terms in rows)


async def assessments_of(connection: AsyncConnection, vendors: Iterable[str] | None = None) -> dict[str, Assessment]:
    """Last assessments of these vendors, or of all, by vendor; unknown ones are left out."""
    query = select(VENDORS.c.assessment).order_by(VENDORS.c.vendor)
    rows = await connection.execute(query if vendors is None else query.where(VENDORS.c.vendor.in_(list(vendors))))
    return {found.vendor: found for found in map(read_assessment, rows.scalars())}


async def versions(connection: AsyncConnection) -> dict[str, int]:
    """The last version of every vendor."""
    rows = await connection.execute(select(VENDORS.c.vendor, VENDORS.c.version))
    return {row.vendor: row.version for row in rows}


async def put_assessments(connection: AsyncConnection, found: Iterable[Assessment]) -> None:
    """Write the last assessments of vendors."""
    rows = [{"vendor": a.vendor, "version": a.version, "assessment": assessment_to_bytes(a)} for a in found]
    if rows:
        await connection.execute(put(connection, VENDORS), rows)


async def offsets_of(connection: AsyncConnection, wanted: Iterable[TopicPartition] | None = None) -> dict[TopicPartition, int]:
    """Next offset to read of these partitions, or of all; one that was never read is left out."""
    query = select(OFFSETS.c.topic, OFFSETS.c.partition, OFFSETS.c.next_offset)
    if wanted is not None:
        query = query.where(tuple_(OFFSETS.c.topic, OFFSETS.c.partition).in_(sorted(wanted)))
    return {(topic, partition): offset for topic, partition, offset in await connection.execute(query)}


async def move_offsets(
    connection: AsyncConnection, since: Mapping[TopicPartition, int], to: Mapping[TopicPartition, int]
) -> None:
    """Move offsets on from where they are believed to be (0: never read), and keep others from it until this transaction ends.

    Raises:
        OffsetMoved: one of them is elsewhere.
    """
    here = sorted(since)
    locked = (
        select(OFFSETS.c.topic, OFFSETS.c.partition, OFFSETS.c.next_offset)
        .where(tuple_(OFFSETS.c.topic, OFFSETS.c.partition).in_(here))
        .order_by(OFFSETS.c.topic, OFFSETS.c.partition)
        .with_for_update()
    )
    found = {(topic, partition): offset for topic, partition, offset in await connection.execute(locked)}
    if len(found) < len(here):
        rows = [{"topic": topic, "partition": partition, "next_offset": 0} for topic, partition in here]
        await connection.execute(add(connection, OFFSETS), rows)
        found = {(topic, partition): offset for topic, partition, offset in await connection.execute(locked)}
    moved = [
        f"{topic}/{number} is at {at}, not {since[topic, number]}"
        for (topic, number), at in found.items()
        if at != since[topic, number]
    ]
    if moved:
        raise OffsetMoved("; ".join(moved))
    rows = [{"topic": topic, "partition": partition, "next_offset": offset} for (topic, partition), offset in to.items()]
    await connection.execute(put(connection, OFFSETS), rows)


async def lock_offsets(connection: AsyncConnection, partitions: Collection[int]) -> dict[int, int]:
    """Where these partitions of the scores stand; nobody moves them until this transaction ends."""
    query = select(OFFSETS.c.partition, OFFSETS.c.next_offset).where(OFFSETS.c.topic == SCORES.name)
    query = query.where(OFFSETS.c.partition.in_(sorted(partitions))).order_by(OFFSETS.c.partition).with_for_update()
    return {row.partition: row.next_offset for row in await connection.execute(query)}


async def settled(connection: AsyncConnection, partitions: Collection[int]) -> dict[int, int]:
    """How often something has settled of each of these partitions, whose offsets this transaction has locked."""
    names = {f"{_SETTLED}{partition}": partition for partition in partitions}
    rows = await connection.execute(select(REVISIONS.c.name, REVISIONS.c.number).where(REVISIONS.c.name.in_(names)))
    return dict.fromkeys(partitions, 0) | {names[name]: number for name, number in rows}


async def set_settled(connection: AsyncConnection, numbers: Mapping[int, int]) -> None:
    """Write how often."""
    rows = [{"name": f"{_SETTLED}{partition}", "number": number} for partition, number in numbers.items()]
    await connection.execute(put(connection, REVISIONS), rows)


def _subscription(lab: str, name: str, terms: bytes) -> Subscription:
    return Subscription.of(lab, name, TermsDocument.model_validate_json(terms).terms())


def read_assessment(document: bytes) -> Assessment:
    """A stored assessment. Raises SchemaMismatch."""
    found = parse_assessment(document)
    if isinstance(found, InvalidAssessment):
        raise SchemaMismatch(f"a stored assessment cannot be read: {found.detail}")
    return found
