"""Several instances over one PostgreSQL: each thing is one's to work on, nothing is decided or sent twice, and what a dead one left goes on."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from neutrality.broker.memory import MemoryBroker
from neutrality.broker.port import OutgoingRecord
from neutrality.events.assessment import assessment_to_kafka
from neutrality.topics import SCORES
from services.alerts.database import Database, DatabaseUnavailable
from services.alerts.domain.conditions import GradeChange
from services.alerts.domain.subscription import Subscription
from services.alerts.leases import SCORE_PARTITION, TOPIC, Leases, offer
from services.alerts.outbox import alerts_behind
from services.alerts.scores import ScoreFeed
from services.alerts.state import OffsetMoved, offsets_of
from tests.support.alerts import AlertsParts, alerts, records
from tests.support.assessments import assessment, score
from tests.support.receiver import OK, Received, ids, receiver
from tests.unit.alerts.test_http import listen, served

DESK = Subscription(lab="google", name="desk", conditions=(GradeChange(),))
PARTITIONS = 6
LEASE_S = 1.0  # of those that die
FIRST = assessment(1, score(95.0))
FALL = assessment(2, score(20.0, grade="N5"))


class Held:
    """A holder that remembers what it holds, and takes its time to let go."""

    def __init__(self) -> None:
        self.names: frozenset[str] = frozenset()
        self.free = asyncio.Event()
        self.free.set()

    def hold(self, names: frozenset[str]) -> None:
        self.names = names

    async def finish(self, _names: frozenset[str]) -> None:
        await self.free.wait()


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


async def _offered(database: Database, count: int) -> None:
    async with database.transaction() as connection:
        await offer(connection, "thing", [f"{number:02}" for number in range(count)])


def test_each_takes_its_share_and_hands_over_after_what_is_in_hand(database_url: str) -> None:
    async def run() -> None:
        database, clock = await Database.open(database_url), Clock()
        await _offered(database, 7)
        one, other = Held(), Held()
        first, second = (
            Leases(database, name, {"thing": holder}, clock=clock) for name, holder in (("one", one), ("other", other))
        )
        await first.tick()
        assert len(one.names) == 7
        await second.tick()
        assert other.names == frozenset()
        one.free.clear()
        await first.tick()
        assert len(one.names) == 4  # begins nothing on the rest
        await second.tick()
        assert other.names == frozenset()  # which is in hand still
        one.free.set()
        async with asyncio.timeout(10.0):
            while not other.names:
                await asyncio.sleep(0.02)
                await second.tick()
        assert len(other.names) == 3
        assert not one.names & other.names
        await first.tick()
        assert len(one.names) == 4
        await database.close()

    asyncio.run(run())


def test_what_a_dead_instance_held_is_free_once_its_leases_lapse_and_not_before(database_url: str) -> None:
    async def run() -> None:
        database, clock = await Database.open(database_url), Clock()
        await _offered(database, 4)
        dead, alive = Held(), Held()
        await Leases(database, "dead", {"thing": dead}, clock=clock, lease_s=6.0).tick()
        left = Leases(database, "alive", {"thing": alive}, clock=clock)
        clock.now += timedelta(seconds=5.9)
        await left.tick()
        assert alive.names == frozenset()
        clock.now += timedelta(seconds=0.2)
        await left.tick()
        assert len(alive.names) == 4
        await database.close()

    asyncio.run(run())


def test_a_stopped_instance_gives_back_at_once(database_url: str) -> None:
    async def run() -> None:
        database, clock = await Database.open(database_url), Clock()
        await _offered(database, 4)
        gone, alive = Held(), Held()
        running = asyncio.create_task(Leases(database, "gone", {"thing": gone}, clock=clock).run())
        async with asyncio.timeout(5.0):
            while len(gone.names) < 4:
                await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert gone.names == frozenset()
        await Leases(database, "alive", {"thing": alive}, clock=clock).tick()
        assert len(alive.names) == 4
        await database.close()

    asyncio.run(run())


def test_claims_at_once_take_each_thing_once(postgres_url: str) -> None:
    async def run() -> None:
        opened = [await Database.open(postgres_url) for _ in range(4)]
        await _offered(opened[0], 40)
        holders = [Held() for _ in opened]
        leases = [
            Leases(database, str(number), {"thing": holder}, clock=Clock())
            for number, (database, holder) in enumerate(zip(opened, holders, strict=True))
        ]
        async with asyncio.timeout(10.0):
            while [len(holder.names) for holder in holders] != [10, 10, 10, 10]:
                await asyncio.gather(*(one.tick() for one in leases))
                taken = Counter(name for holder in holders for name in holder.names)
                assert set(taken.values()) <= {1}
                await asyncio.sleep(0.02)
        await asyncio.gather(*(database.close() for database in opened))

    asyncio.run(run())


def test_a_zombie_commits_nothing(postgres_url: str) -> None:
    async def run() -> None:
        async with alerts(postgres_url) as zombie, alerts(postgres_url) as living:
            await living.intake.put_subscription(DESK)
            batch = records([FIRST, FALL])
            place = (SCORES.name, 0)
            [raised] = await living.intake.apply(batch, {place: 0})
            with pytest.raises(OffsetMoved):
                await zombie.intake.apply(batch, {place: 0})
            later = records([assessment(3, score(95.0))])
            [back] = await living.intake.apply(later, {place: batch[-1].offset + 1})
            with pytest.raises(OffsetMoved):
                await zombie.intake.apply(records([assessment(3, score(30.0, grade="N4"))]), {place: batch[-1].offset + 1})
            found = await living.database.read(alerts_behind, "google", 0, 10)
            assert [stored.alert.id for stored in found] == [raised.id, back.id]

    asyncio.run(run())


def test_two_that_take_in_the_same_at_once_commit_it_once(postgres_url: str) -> None:
    async def run() -> None:
        async with alerts(postgres_url) as one, alerts(postgres_url) as other:
            await one.intake.put_subscription(DESK)
            for version in range(1, 21):
                batch = records([assessment(version, score(95.0) if version % 2 else score(20.0, grade="N5"))])
                since = {(SCORES.name, 0): (await one.database.read(offsets_of)).get((SCORES.name, 0), 0)}
                outcomes = await asyncio.gather(*(p.intake.apply(batch, since) for p in (one, other)), return_exceptions=True)
                assert sorted(isinstance(outcome, OffsetMoved) for outcome in outcomes) == [False, True]
            found = await one.database.read(alerts_behind, "google", 0, 100)
            assert [stored.alert.version for stored in found] == list(range(2, 21))

    asyncio.run(run())


def test_what_is_changed_through_one_instance_is_heeded_by_the_other_at_once(postgres_url: str) -> None:
    async def run() -> None:
        async with alerts(postgres_url) as here, alerts(postgres_url) as there:
            assert await there.take_in(FIRST) == ()
            await here.intake.put_subscription(DESK)
            assert len(await there.take_in(FALL)) == 1
            await here.intake.delete_subscription("google", "desk")
            assert await there.take_in(assessment(3, score(95.0))) == ()

    asyncio.run(run())


def test_a_stream_at_one_instance_is_woken_by_a_commit_at_the_other(postgres_url: str) -> None:
    async def run() -> None:
        async with alerts(postgres_url) as there, served(postgres_url) as (here, client), here.working():
            await here.intake.put_subscription(DESK)
            await there.take_in(FIRST)
            told: list[str] = []
            here.database.follow(lambda news: told.extend(sorted(news.labs)))
            listening = asyncio.create_task(listen(client, "google", 1))
            async with asyncio.timeout(5.0):
                while here.registry.get_sample_value("alerts_stream_subscribers") != 1.0:
                    await asyncio.sleep(0.01)
            await asyncio.sleep(0.2)
            [raised] = await there.take_in(FALL)
            [event] = await asyncio.wait_for(listening, 3.0)  # the slow look comes after five seconds
            assert event.id == raised.id
            assert told == ["google"]

    asyncio.run(run())


def test_two_instances_write_each_alert_to_its_topic_once_and_one_goes_on_for_the_other(postgres_url: str) -> None:
    async def run() -> None:
        broker = MemoryBroker()
        labs = [f"lab-{number}" for number in range(6)]
        async with alerts(postgres_url, broker) as one, alerts(postgres_url, broker) as other:
            for lab in labs:
                await one.intake.put_subscription(Subscription(lab=lab, name="desk", conditions=(GradeChange(),)))
            raised: list[str] = []
            async with one.working():
                async with other.working():
                    await _until_shared(one, other)
                    for version in range(1, 11):
                        found = assessment(version, score(95.0) if version % 2 else score(20.0, grade="N5"))
                        raised += [alert.id for alert in await (one, other)[version % 2].take_in(found)]
                    await _until_received(one, labs, len(raised))
                    shares = [_sent(parts) for parts in (one, other)]
                    assert min(shares) > 0
                    assert sum(shares) == len(raised)
                raised += [alert.id for alert in await one.take_in(assessment(11, score(95.0)))]
                await _until_received(one, labs, len(raised))
            received = [alert.id for lab in labs for alert in one.received(lab)]
            assert sorted(received) == sorted(raised)
            for lab in labs:
                versions = [alert.version for alert in one.received(lab)]
                assert versions == sorted(versions)

    asyncio.run(run())


def test_an_endpoint_is_served_by_one_instance_and_handed_over_without_sending_twice(postgres_url: str) -> None:
    async def run() -> None:
        async def slow(one: Received, writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(0.2)
            await OK(one, writer)

        async with alerts(postgres_url) as other, served(postgres_url) as (one, client), receiver(then=slow) as there:
            other.sealer = other.worker._sealer = other.intake._decider._sealer = one.sealer
            await one.intake.put_subscription(DESK)
            for number in range(4):
                terms = {"url": f"{there.url}/{number}"}
                assert (await client.put(f"/labs/google/endpoints/e{number}", json=terms)).status_code == 201
            raised: list[str] = []

            async def flow() -> None:
                for version in range(1, 16):
                    found = assessment(version, score(95.0) if version % 2 else score(20.0, grade="N5"))
                    raised.extend(alert.id for alert in await one.take_in(found))
                    await asyncio.sleep(0.2)

            async with one.working():
                flowing = asyncio.create_task(flow())
                await asyncio.sleep(0.3)
                async with other.working():
                    async with asyncio.timeout(10.0):
                        while len(other.worker._lines) < 2:
                            await asyncio.sleep(0.02)
                    await asyncio.sleep(0.5)
                await flowing
                await there.until(4 * len(raised), within_s=15.0)
                await asyncio.sleep(0.5)
            by_endpoint = Counter((received.path, received.id) for received in there.received)
            assert set(by_endpoint.values()) == {1}
            for number in range(4):
                assert [received.id for received in there.received if received.path.endswith(f"/{number}")] == raised
            assert set(ids(there.received)) == set(raised)

    asyncio.run(run())


def test_instances_that_come_go_and_die_take_in_every_score_once(postgres_url: str) -> None:
    async def run() -> None:
        broker = MemoryBroker(PARTITIONS)
        async with AsyncExitStack() as stack:
            parts = [await stack.enter_async_context(alerts(postgres_url, broker)) for _ in range(3)]
            await parts[0].intake.put_subscription(DESK)
            async with parts[0].database.transaction() as connection:
                await offer(connection, SCORE_PARTITION, [str(number) for number in range(PARTITIONS)])
            workers = [Worker(one, broker) for one in parts]
            workers[0].start()
            vendors = [f"v{number}" for number in range(12)]
            publisher = broker.publisher()
            for version in range(1, 31):
                for vendor in vendors:
                    graded = score(95.0) if version % 2 else score(20.0, grade="N5")
                    headers, value = assessment_to_kafka(assessment(version, graded, vendor=vendor), "2026-01-01T00:00:00Z")
                    await publisher.publish(OutgoingRecord(SCORES.name, vendor.encode(), value, tuple(headers)))
                await asyncio.sleep(0.15)
                if version == 5:
                    workers[1].start()
                if version == 12:
                    await workers[0].die()
                if version == 16:
                    workers[2].start()
                if version == 22:
                    await workers[1].stop()
            wanted = len(vendors) * 29
            async with asyncio.timeout(20.0):
                while len(found := await parts[2].database.read(alerts_behind, "google", 0, 1000)) < wanted:
                    await asyncio.sleep(0.1)
            for vendor in vendors:
                assert [stored.alert.version for stored in found if stored.alert.vendor == vendor] == list(range(2, 31))
            await workers[2].stop()
            assert all(worker.batches > 0 for worker in workers)

    asyncio.run(run())


def test_the_server_ends_what_a_vanished_instance_left_open(postgres_url: str) -> None:
    async def run() -> None:
        database = await Database.open(postgres_url)
        for setting in ("idle_in_transaction_session_timeout", "tcp_keepalives_idle"):
            async with database.reading() as connection:
                query = text("SELECT setting::int FROM pg_settings WHERE name = :name").bindparams(name=setting)
                assert (await connection.execute(query)).scalar_one() in (30, 30_000)
        await database.close()

    asyncio.run(run())


@asynccontextmanager
async def breakable(url: str) -> AsyncIterator[tuple[str, Callable[[bool], None]]]:
    """A way to the server that can be cut (False) and mended (True)."""
    where = make_url(url)
    open_writers: set[asyncio.StreamWriter] = set()
    state = {"whole": True}

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not state["whole"]:
            writer.close()
            return
        there, back = await asyncio.open_connection(where.host, where.port)
        open_writers.update((writer, back))
        ways = [asyncio.create_task(carry(reader, back)), asyncio.create_task(carry(there, writer))]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for one in (writer, back):  # an end at one side is one at the other
            one.close()
            open_writers.discard(one)
        await asyncio.gather(*ways, return_exceptions=True)

    def switch(whole: bool) -> None:
        state["whole"] = whole
        if not whole:
            for writer in open_writers:
                writer.transport.abort()
            open_writers.clear()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield where.set(host="127.0.0.1", port=port).render_as_string(hide_password=False), switch
    finally:
        switch(False)
        server.close()


def test_a_database_that_goes_away_is_waited_for_and_nothing_is_lost_or_sent_twice(postgres_url: str) -> None:
    async def run() -> None:
        async with (
            breakable(postgres_url) as (url, switch),
            served(url) as (parts, client),
            receiver() as there,
            parts.working(),
        ):
            await parts.intake.put_subscription(DESK)
            terms = {"url": there.url}
            assert (await client.put("/labs/google/endpoints/soc", json=terms)).status_code == 201
            await parts.take_in(FIRST)
            switch(False)
            answer = await client.get("/labs/google/alerts")
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
            assert answer.json()["type"].endswith("database-away")
            with pytest.raises(DatabaseUnavailable):
                await parts.take_in(FALL)
            await asyncio.sleep(0.5)
            switch(True)
            [raised] = await parts.take_in(FALL)
            [told] = await there.until(1, within_s=15.0)
            assert told.id == raised.id
            async with asyncio.timeout(10.0):
                while len(parts.received("google")) < 1:
                    await asyncio.sleep(0.05)
            await asyncio.sleep(1.0)
            assert len(there.received) == len(parts.received("google")) == 1

    asyncio.run(run())


class Worker:
    """An instance that takes in scores."""

    def __init__(self, parts: AlertsParts, broker: MemoryBroker) -> None:
        self.batches = 0
        self._broker = broker
        self._parts = parts
        self._feed = ScoreFeed(self._open, self._stored, self._apply, on_error=lambda: None)
        holders: dict[str, Any] = {SCORE_PARTITION: self._feed}
        self._leases = Leases(
            parts.database,
            parts.database._instance,
            holders,
            clock=lambda: datetime.now(UTC),
            lease_s=LEASE_S,
            renew_s=LEASE_S / 5,
        )

    def start(self) -> None:
        self._feed.start()
        self._task = asyncio.create_task(self._leases.run())

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._feed.stop()

    async def die(self) -> None:
        """Without giving anything back."""
        self._leases._give_back = self._nothing  # type: ignore[method-assign]
        await self.stop()

    async def _nothing(self) -> None: ...

    def _open(self, since: Any) -> Any:
        return self._broker.reader([SCORES.name], since, since.keys())

    async def _stored(self, partitions: Any) -> Any:
        self._parts.intake.forget()
        return await self._parts.database.read(offsets_of, partitions)

    async def _apply(self, batch: Any, since: Any) -> None:
        await self._parts.intake.apply(batch, since)
        self.batches += 1


async def _until_shared(*parts: AlertsParts) -> None:
    async with asyncio.timeout(10.0):
        while not all(one.leases._held[TOPIC] for one in parts):
            await asyncio.sleep(0.02)


async def _until_received(parts: AlertsParts, labs: list[str], count: int) -> None:
    async with asyncio.timeout(10.0):
        while sum(len(parts.received(lab)) for lab in labs) < count:
            await asyncio.sleep(0.02)


def _sent(parts: AlertsParts) -> int:
    return int(parts.registry.get_sample_value("alerts_delivered_total", {"channel": "kafka"}) or 0)
