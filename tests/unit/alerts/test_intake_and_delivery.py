"""State, alerts and offset are one transaction; the outbox survives every crash and keeps the order."""

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy.exc import DBAPIError

from neutrality.broker.memory import MemoryBroker
from neutrality.broker.port import BrokerUnavailable, ConsumedRecord
from neutrality.topics import SCORES
from services.alerts.database import Database, DatabaseInUse
from services.alerts.domain.subscription import Subscription
from services.alerts.outbox import alerts_behind, oldest_undelivered
from services.alerts.state import offsets_of
from tests.support.alerts import alerts, records
from tests.support.assessments import STAKE, assessment, score

DESK = Subscription(lab="google", name="desk")
FIRST = assessment(1, score(100.0))
FALL = assessment(2, score(60.8, grade="N3"), losses={STAKE: 0.5})


def test_a_fall_reaches_the_labs_topic_once_with_its_id_as_header(database_url: str) -> None:
    async def run() -> None:
        async with alerts(database_url) as parts:
            await parts.intake.put_subscription(DESK)
            raised = await parts.take_in(FIRST, FALL)
            await parts.deliver()
            await parts.deliver()
            assert parts.received("google") == list(raised)
            [first, _] = parts.broker.records("neutrality.alerts.google")
            assert dict(first.headers)["ce_id"] == raised[0].id.encode()
            assert first.key == b"scale-ai"
            assert parts.registry.get_sample_value("alerts_event_to_alert_seconds_count") == 2.0

    asyncio.run(run())


def test_repeats_and_older_versions_change_nothing(database_url: str) -> None:
    async def run() -> None:
        async with alerts(database_url) as parts:
            await parts.intake.put_subscription(DESK)
            assert len(await parts.take_in(FIRST, FALL)) == 2
            assert await parts.take_in(FALL, FIRST, FALL) == ()

    asyncio.run(run())


def test_a_crash_after_the_commit_loses_nothing_and_keeps_the_ids(database_url: str) -> None:
    async def run() -> None:
        broker = MemoryBroker()
        async with alerts(database_url, broker) as parts:
            await parts.intake.put_subscription(DESK)
            raised = await parts.take_in(FIRST, FALL)
            offsets = await parts.database.read(offsets_of)
        async with alerts(database_url, broker) as parts:
            assert await parts.database.read(offsets_of) == offsets
            await parts.deliver()
            await parts.delivery.mark()
            assert [alert.id for alert in parts.received("google")] == [alert.id for alert in raised]
            assert await parts.database.read(oldest_undelivered) is None

    asyncio.run(run())


def test_a_failure_within_the_transaction_moves_neither_state_nor_offset(database_url: str) -> None:
    async def run() -> None:
        async with alerts(database_url) as parts:
            await parts.intake.put_subscription(DESK)
            await parts.take_in(FIRST)
            before = await parts.database.read(offsets_of)
            async with parts.database.transaction() as connection:
                await connection.exec_driver_sql("ALTER TABLE alerts RENAME TO mislaid")
            with pytest.raises(DBAPIError, match="alerts"):
                await parts.take_in(FALL)
            assert await parts.database.read(offsets_of) == before
            assert await parts.vendor("scale-ai") == FIRST

    asyncio.run(run())


def test_while_kafka_is_away_alerts_wait_in_order(database_url: str) -> None:
    async def run() -> None:
        async with alerts(database_url) as parts:
            await parts.intake.put_subscription(DESK)
            raised = await parts.take_in(FIRST, FALL)
            parts.broker.fail_with(BrokerUnavailable("away"))
            with pytest.raises(BrokerUnavailable):
                await parts.deliver()
            assert parts.registry.get_sample_value("alerts_outbox_depth") == 2.0
            raised += await parts.take_in(assessment(3, score(30.0, grade="N4")))
            parts.broker.fail_with(None)
            await parts.deliver()
            assert parts.received("google") == list(raised)

    asyncio.run(run())


def test_a_labs_alerts_reach_no_other_lab(database_url: str) -> None:
    async def run() -> None:
        async with alerts(database_url) as parts:
            for lab in ("google", "openai"):
                await parts.intake.put_subscription(Subscription(lab=lab, name="desk"))
            await parts.take_in(FIRST, FALL)
            await parts.deliver()
            for lab in ("google", "openai"):
                assert {alert.lab for alert in parts.received(lab)} == {lab}
                assert {stored.alert.lab for stored in await parts.database.read(alerts_behind, lab, 0, 100)} == {lab}

    asyncio.run(run())


def test_what_is_no_assessment_is_counted_and_skipped(database_url: str) -> None:
    async def run() -> None:
        async with alerts(database_url) as parts:
            await parts.intake.put_subscription(DESK)
            garbage = [
                ConsumedRecord(SCORES.name, 1, offset, 0, b"k", value, ()) for offset, value in enumerate((None, b"{", b"{}"))
            ]
            raised = await parts.apply([*garbage, *records([FIRST, FALL])])
            assert len(raised) == 2
            assert (await parts.database.read(offsets_of))[SCORES.name, 1] == 3
            assert parts.registry.get_sample_value("alerts_unreadable_records_total") == 3.0

    asyncio.run(run())


def test_a_new_subscription_is_told_only_of_what_changes_after_it(database_url: str) -> None:
    async def run() -> None:
        async with alerts(database_url) as parts:
            await parts.take_in(FIRST, FALL)
            assert await parts.intake.put_subscription(DESK) is True
            assert await parts.intake.put_subscription(DESK) is False
            assert await parts.take_in(assessment(3, score(60.0, grade="N3"))) == ()
            assert len(await parts.take_in(assessment(4, score(40.0, grade="N4")))) == 2

    asyncio.run(run())


def test_a_second_instance_on_the_same_file_is_refused(sqlite_url: str) -> None:
    async def run() -> None:
        async with alerts(sqlite_url):
            with pytest.raises(DatabaseInUse, match="another instance of alerts uses"):
                await Database.open(sqlite_url)

    asyncio.run(run())


def test_an_alert_that_kafka_finds_too_large_goes_without_its_evidence_under_its_id(database_url: str) -> None:
    async def run() -> None:
        async with alerts(database_url) as parts:
            await parts.intake.put_subscription(DESK)
            note = FALL.claims[0]
            heavy = replace(note, evidence=tuple({"quote": "x" * 2000} for _ in range(1000)))
            raised = await parts.take_in(FIRST, replace(FALL, claims=(heavy,)))
            await parts.deliver()
            assert [alert.id for alert in parts.received("google")] == [alert.id for alert in raised]
            assert parts.received("google")[0].reasons[0].evidence == ()

    asyncio.run(run())
