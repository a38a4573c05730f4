"""Applies the rules of the domain to new assessments, and to what has settled, within the transaction of the caller.

What is known of vendors, and what subscriptions remember of them, is kept in memory while nobody else takes in their scores: `stand_on` finds out.
What labs wish is kept under its revision, which every transaction looks at.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from neutrality.events.alert import Alert, Alternative
from neutrality.events.assessment import Assessment
from services.alerts import state
from services.alerts.decisions import store
from services.alerts.decisions.store import Due, MemoryKey, TimerKey
from services.alerts.decisions.wishes import Wishes, wishes_of
from services.alerts.domain.alternatives import Market, neutral_alternatives
from services.alerts.domain.decide import Case, Decision, decide
from services.alerts.domain.history import Step, step_of
from services.alerts.domain.memory import Memory
from services.alerts.domain.portfolio import Purchase, stake_in
from services.alerts.domain.routing import Routed, Scene, route
from services.alerts.domain.severity import load_severity_scale
from services.alerts.domain.subscription import Subscription
from services.alerts.endpoints.sealing import Sealer

REMEMBERED_VENDORS: Final = 5_000  # some 10 kB each; beyond that the database is asked
REMEMBERED_BASELINES: Final = 1_000  # more, if so many settle at once
MARKET_LOOK_MS: Final = 60_000


@dataclass
class Batch:
    """What one transaction decides. `write` keeps all of it but what is sent. `partitions`: of the scores, by vendor."""

    now: datetime
    partitions: dict[str, int] = field(default_factory=dict)
    assessments: dict[str, Assessment] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    memories: dict[MemoryKey, Memory | None] = field(default_factory=dict)
    baselines: dict[tuple[str, int], Assessment] = field(default_factory=dict)
    timers: dict[TimerKey, Due | None] = field(default_factory=dict)
    sent: list[Alert] = field(default_factory=list)
    unsent: dict[str, Routed] = field(default_factory=dict)
    cancelled: list[str] = field(default_factory=list)

    async def write(self, connection: AsyncConnection) -> None:
        """In the transaction that decided it."""
        await store.keep_baselines(connection, self.baselines.values())
        await store.keep_memories(connection, self.memories)
        await store.keep_unsent(connection, self.unsent.values())
        await store.set_timers(connection, self.timers)
        if self.cancelled:
            await store.settle_outcome(connection, self.cancelled, "cancelled", CANCELLED)


CANCELLED: Final = "a claim behind it was taken back before it was sent"


class Decider:
    """One at a time: the caller sees to it that no two transactions of this instance decide at once."""

    def __init__(self, sealer: Sealer) -> None:
        """Nothing is known yet. `sealer`: of endpoints."""
        self._sealer = sealer
        self._scale = load_severity_scale()
        self._wishes: Wishes | None = None
        self._known: dict[str, Assessment | None] = {}
        self._memories: dict[MemoryKey, Memory] = {}
        self._baselines: dict[tuple[str, int], Assessment | None] = {}
        self._stands: dict[int, tuple[int, int]] = {}
        self._market = Market()
        self._market_looked_ms = 0

    def forget(self) -> None:
        """Another instance may have taken in scores of the same partitions, or a transaction has failed."""
        self._wishes = None
        self._forget_vendors()

    async def wishes(self, connection: AsyncConnection) -> Wishes:
        """What labs wish, which stays so until this transaction ends."""
        revision = await state.terms_revision(connection)
        if self._wishes is None or self._wishes.revision != revision:
            self._forget_vendors()
            self._wishes = await wishes_of(connection, revision, self._sealer)
        return self._wishes

    async def recall(self, connection: AsyncConnection, vendors: Iterable[str]) -> None:
        """Know what the database says of these vendors, whose scores nobody else takes in until this transaction ends."""
        if len(self._known) > REMEMBERED_VENDORS:
            self._forget_vendors()
        unknown = sorted({vendor for vendor in vendors if vendor not in self._known})
        if unknown:
            self._known |= dict.fromkeys(unknown) | await state.assessments_of(connection, unknown)
            found = await store.memories_of(connection, unknown)
            for (_, _, vendor), memory in found.items():
                version = memory.baseline
                if version is not None and (vendor, version) not in self._baselines:
                    self._baselines[vendor, version] = await store.baseline(connection, vendor, version)
            self._memories |= found

    async def stand_on(self, connection: AsyncConnection, offsets: Mapping[int, int]) -> None:
        """The offsets of partitions as they are, which this transaction has locked.

        If others have taken in or settled something of them since, all is recalled from the database.
        """
        settled = await state.settled(connection, offsets)
        standing = {partition: (offset, settled[partition]) for partition, offset in offsets.items()}
        if any(self._stands.get(partition, found) != found for partition, found in standing.items()):
            self._forget_vendors()
        self._stands |= standing

    def moved(self, offsets: Mapping[int, int]) -> None:
        """The partitions' offsets are these now, by a transaction of this instance that has ended well."""
        self._stands |= {partition: (offset, self._stands[partition][1]) for partition, offset in offsets.items()}

    async def settles(self, connection: AsyncConnection, partitions: Iterable[int]) -> None:
        """Tell other instances that what they may remember of these partitions is outdated."""
        numbers = {partition: self._stands[partition][1] + 1 for partition in partitions}
        self._stands |= {partition: (self._stands[partition][0], number) for partition, number in numbers.items()}
        await state.set_settled(connection, numbers)

    def _forget_vendors(self) -> None:
        self._stands.clear()
        self._known.clear()
        self._memories.clear()
        self._baselines.clear()

    async def take(self, connection: AsyncConnection, batch: Batch, wishes: Wishes, current: Assessment) -> bool:
        """Decide on a new version of a vendor that was recalled; whether it is new."""
        previous = batch.assessments.get(current.vendor) or self._known.get(current.vendor)
        if previous is not None and current.version <= previous.version:
            return False
        for subscription in wishes.by_vendor.of(current.vendor, current.categories):
            await self._consider(connection, batch, wishes, subscription, previous, current)
        batch.assessments[current.vendor] = current
        batch.steps.append(step_of(previous, current, store.to_ms(batch.now)))
        self._market.take([current])
        return True

    async def settle(self, connection: AsyncConnection, batch: Batch, wishes: Wishes, key: TimerKey) -> None:
        """Decide anew on a vendor that was recalled, since some condition may have held for long enough."""
        subscription, current = wishes.subscriptions.get((key.lab, key.name)), self._known.get(key.subject)
        if subscription is not None and current is not None:
            await self._consider(connection, batch, wishes, subscription, current, current)

    def committed(self, batch: Batch) -> None:
        """The transaction has ended well: what it decided is known from here on."""
        self._known.update(batch.assessments)
        self._baselines |= batch.baselines
        if len(self._baselines) > REMEMBERED_BASELINES:
            used = {(key[2], memory.baseline) for key, memory in self._memories.items()}
            self._baselines = {key: found for key, found in self._baselines.items() if key in used or key in batch.baselines}
        for key, memory in batch.memories.items():
            if memory is None:
                self._memories.pop(key, None)
            else:
                self._memories[key] = memory

    async def _consider(
        self,
        connection: AsyncConnection,
        batch: Batch,
        wishes: Wishes,
        subscription: Subscription,
        previous: Assessment | None,
        current: Assessment,
    ) -> None:
        key = subscription.lab, subscription.name, current.vendor
        memory = batch.memories[key] if key in batch.memories else self._memories.get(key)
        case = Case(subscription, previous, current, memory, self._baseline(batch, current.vendor, memory))
        decision = decide(case, store.to_ms(batch.now), self._scale)
        kept = decision.memory
        if decision.findings:
            kept = await self._route(connection, batch, wishes, subscription, current, decision)
        if kept != memory:
            batch.memories[key] = kept
            self._note_baseline(batch, memory, kept, previous)
        settles = memory is not None and bool(memory.since_ms)
        if settles or decision.due_ms is not None:
            due = None if decision.due_ms is None else Due(decision.due_ms, batch.partitions[current.vendor])
            batch.timers[TimerKey("settle", subscription.lab, subscription.name, current.vendor)] = due

    def _baseline(self, batch: Batch, vendor: str, memory: Memory | None) -> Assessment | None:
        if memory is None or memory.baseline is None:
            return None
        key = vendor, memory.baseline
        return batch.baselines.get(key) or self._baselines.get(key)

    def _note_baseline(self, batch: Batch, before: Memory | None, after: Memory | None, previous: Assessment | None) -> None:
        if (
            after is None
            or after.baseline is None
            or previous is None
            or (before is not None and before.baseline == after.baseline)
        ):
            return
        batch.baselines[previous.vendor, after.baseline] = previous

    async def _route(
        self,
        connection: AsyncConnection,
        batch: Batch,
        wishes: Wishes,
        subscription: Subscription,
        current: Assessment,
        decision: Decision,
    ) -> Memory | None:
        lab = subscription.lab
        purchases = wishes.portfolios.get(lab, {})
        corrected = [one.alert for finding in decision.findings for one in finding.corrects]
        here = {one for one in corrected if one in batch.unsent and batch.unsent[one].outcome in ("held", "silenced")}
        unsent = here | await store.waiting(connection, corrected) if corrected else frozenset[str]()
        worse = any(not finding.improves and not finding.corrects for finding in decision.findings)
        scene = Scene(
            subscription,
            current,
            stake_in(purchases, current.vendor, current.name, self._scale),
            self._scale,
            batch.now,
            await self._alternatives(connection, batch, current, lab, purchases) if worse else (),
            tuple(wishes.silences.get(lab, ())),
            frozenset(unsent),
        )
        routing = route(decision, scene)
        for one in routing.routed:
            if one.outcome == "sent":
                batch.sent.append(one.alert)
            else:
                batch.unsent[one.alert.id] = one
        for identity in routing.cancelled:
            if identity in batch.unsent:
                batch.unsent[identity] = replace(batch.unsent[identity], outcome="cancelled", why=CANCELLED, due=None)
            else:
                batch.cancelled.append(identity)
        return routing.memory

    async def _alternatives(
        self, connection: AsyncConnection, batch: Batch, current: Assessment, lab: str, purchases: Mapping[str, Purchase]
    ) -> tuple[Alternative, ...]:
        now_ms = store.to_ms(batch.now)
        if now_ms - self._market_looked_ms > MARKET_LOOK_MS:  # other instances take in scores too
            self._market_looked_ms = now_ms
            versions = await state.versions(connection)
            self._market.take((await state.assessments_of(connection, self._market.outdated(versions))).values())
        purchase = purchases.get(current.vendor)
        categories: Sequence[str] = (purchase.categories if purchase is not None else ()) or current.categories
        return neutral_alternatives(current, self._market.of(categories), lab, bought=purchases)
