"""What is due later happens once, in its time, and after every crash: settling, releases, ends of silences, reminders, escalations."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, select

from neutrality.events.alert import Alert
from neutrality.events.assessment import Assessment
from services.alerts.decisions import store
from services.alerts.decisions.loop import TimerLoop
from services.alerts.decisions.tables import ATTENTION, BASELINES, MEMORIES, TIMERS, UNSENT
from services.alerts.domain.conditions import GradeChange, OutlookChange, ScoreDrop
from services.alerts.domain.portfolio import Purchase
from services.alerts.domain.silence import Matcher, Silence, SilenceTerms
from services.alerts.domain.subscription import Subscription
from services.alerts.outbox import alerts_behind
from tests.support.alerts import NOW, AlertsParts, alerts
from tests.support.assessments import STAKE, assessment, score

LAB = "google"
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
FIRST = assessment(1, score(100.0))
FALL = assessment(2, score(60.8, grade="N3"), losses={STAKE: 0.5})
FURTHER = assessment(3, score(38.9, grade="N4"), losses={STAKE: 0.9})
BACK = assessment(4, score(100.0))


def grade_only(**terms: Any) -> Subscription:
    return Subscription.model_validate({"lab": LAB, "name": "desk", "conditions": (GradeChange(),), **terms})


@asynccontextmanager
async def watching(url: str, wanted: Subscription, *known: Assessment) -> AsyncIterator[AlertsParts]:
    async with alerts(url) as parts:
        await parts.intake.put_subscription(wanted)
        await parts.take_in(*(known or (FIRST,)))
        yield parts


async def sent(parts: AlertsParts) -> list[Alert]:
    return [stored.alert for stored in await parts.database.read(alerts_behind, LAB, 0, 100)]


async def rows(parts: AlertsParts, table: Any) -> list[Any]:
    async with parts.database.reading() as connection:
        return list(await connection.execute(select(table)))


def test_a_cascade_is_told_once_when_it_has_settled(database_url: str) -> None:
    async def run() -> None:
        async with watching(database_url, grade_only(settling_s=60)) as parts:
            await parts.take_in(FALL)
            parts.clock = NOW + timedelta(seconds=30)
            await parts.take_in(FURTHER)
            await parts.at(NOW + timedelta(seconds=59))
            assert await sent(parts) == []
            await parts.at(NOW + timedelta(seconds=60))
            [one] = await sent(parts)
            assert one.before is not None
            assert (one.before.grade, one.after.grade, one.version) == ("N1", "N4", 3)
            assert one.reasons[0].claim_id == STAKE
            await parts.at(NOW + 10 * HOUR)
            assert len(await sent(parts)) == 1
            assert (await rows(parts, TIMERS), await rows(parts, MEMORIES)) == ([], [])

    asyncio.run(run())


def test_what_passes_before_it_has_settled_is_not_told(sqlite_url: str) -> None:
    async def run() -> None:
        async with watching(sqlite_url, grade_only(settling_s=60)) as parts:
            await parts.take_in(FALL)
            parts.clock = NOW + timedelta(seconds=59)
            await parts.take_in(BACK)
            await parts.at(NOW + HOUR)
            assert (await sent(parts), await rows(parts, TIMERS)) == ([], [])

    asyncio.run(run())


def test_what_settles_outlives_a_crash(database_url: str) -> None:
    async def run() -> None:
        async with watching(database_url, grade_only(settling_s=60)) as parts:
            await parts.take_in(FALL)
        async with alerts(database_url) as parts:  # another process
            await parts.at(NOW + HOUR)
            assert [(one.rule, one.before and one.before.grade) for one in await sent(parts)] == [("grade", "N1")]
            assert len(await rows(parts, BASELINES)) == 1
            async with parts.database.transaction() as connection:
                await store.forget_decisions(connection, store.to_ms(NOW))
            assert await rows(parts, BASELINES) == []

    asyncio.run(run())


def test_what_was_not_sent_is_forgotten_in_its_time_but_not_what_waits(sqlite_url: str) -> None:
    async def run() -> None:
        hourly = grade_only(schedule={"deliver": "hourly"})
        async with watching(sqlite_url, grade_only(name="strict", minimum_severity="critical")) as parts:
            await parts.intake.put_subscription(hourly)
            parts.clock = NOW + MINUTE
            await parts.take_in(assessment(2, score(89.0, grade="N2")))
            for kept_to, outcomes in ((NOW, {"minor", "held"}), (NOW + HOUR, {"held"})):
                async with parts.database.transaction() as connection:
                    await store.forget_decisions(connection, store.to_ms(kept_to))
                assert {one.outcome for one in await rows(parts, UNSENT)} == outcomes

    asyncio.run(run())


def test_a_baseline_that_is_gone_costs_the_comparison_and_not_the_alert(sqlite_url: str) -> None:
    async def run() -> None:
        async with watching(sqlite_url, grade_only(settling_s=60)) as parts:
            await parts.take_in(FALL)
        async with alerts(sqlite_url) as parts:
            async with parts.database.transaction() as connection:
                await connection.execute(delete(BASELINES))
            await parts.at(NOW + HOUR)
            assert [(one.rule, one.before, one.after.grade) for one in await sent(parts)] == [("grade", None, "N3")]

    asyncio.run(run())


def test_a_failure_leaves_the_timer_due_and_sends_nothing(sqlite_url: str) -> None:
    async def run() -> None:
        async with watching(sqlite_url, grade_only(settling_s=60)) as parts:
            await parts.take_in(FALL)
            async with parts.database.transaction() as connection:
                await connection.exec_driver_sql("ALTER TABLE alerts RENAME TO mislaid")
            with pytest.raises(Exception, match="no such table: alerts"):
                await parts.at(NOW + HOUR)
            async with parts.database.transaction() as connection:
                await connection.exec_driver_sql("ALTER TABLE mislaid RENAME TO alerts")
            assert len(await rows(parts, TIMERS)) == 1
            await parts.at(NOW + HOUR)
            assert len(await sent(parts)) == 1

    asyncio.run(run())


def test_new_terms_begin_anew_and_an_ended_subscription_sends_nothing_more(sqlite_url: str) -> None:
    async def run() -> None:
        async with watching(sqlite_url, grade_only(settling_s=60)) as parts:
            await parts.take_in(FALL)
            await parts.intake.put_subscription(grade_only(settling_s=120))
            await parts.at(NOW + HOUR)
            assert await sent(parts) == []
            await parts.intake.put_subscription(grade_only(schedule={"deliver": "daily"}))
            await parts.take_in(FURTHER)
            await parts.intake.delete_subscription(LAB, "desk")
            await parts.at(NOW + 48 * HOUR)
            assert await sent(parts) == []
            assert [(one.outcome, one.why) for one in await rows(parts, UNSENT)] == [("cancelled", "the subscription was ended")]

    asyncio.run(run())


def test_a_digest_goes_out_in_its_time_in_order_and_as_one_group(database_url: str) -> None:
    async def run() -> None:
        wanted = grade_only(conditions=(GradeChange(), OutlookChange()), schedule={"deliver": "hourly"})
        other = assessment(1, score(95.0), vendor="turing")
        async with watching(database_url, wanted, FIRST, other) as parts:
            parts.clock = NOW + MINUTE
            await parts.take_in(FALL)
            parts.clock = NOW + 20 * MINUTE
            await parts.take_in(assessment(2, score(40.0, grade="N4", outlook="negative"), vendor="turing"))
            await parts.at(NOW + 59 * MINUTE)
            assert await sent(parts) == []
            [first, *_] = await rows(parts, UNSENT)
            assert (first.outcome, first.why) == ("held", "goes out at 2025-06-12T13:00:00Z")
            await parts.at(NOW + HOUR)
            told = await sent(parts)
            assert [(one.vendor, one.rule) for one in told] == [("scale-ai", "grade"), ("turing", "grade"), ("turing", "outlook")]
            assert len({one.group for one in told}) == 1
            assert await rows(parts, UNSENT) == []
            await parts.deliver()
            assert parts.received(LAB) == told
            assert all(one.deferred for one in told)
            assert (
                parts.registry.get_sample_value("alerts_event_to_alert_seconds_count") == 0.0
            )  # it was not slow: it was to wait

    asyncio.run(run())


def test_what_is_taken_back_before_it_was_sent_is_never_sent(sqlite_url: str) -> None:
    async def run() -> None:
        wanted = Subscription.model_validate({"lab": LAB, "name": "desk", "schedule": {"deliver": "hourly"}})
        async with watching(sqlite_url, wanted) as parts:
            parts.clock = NOW + MINUTE
            await parts.take_in(FALL)
            await parts.take_in(assessment(3, score(100.0)))
            await parts.at(NOW + HOUR)
            outcomes = {one.outcome for one in await rows(parts, UNSENT)}
            assert outcomes == {"cancelled", "inhibited"}
            assert await sent(parts) == []

    asyncio.run(run())


def test_a_correction_names_the_alerts_that_were_sent(database_url: str) -> None:
    async def run() -> None:
        async with watching(database_url, Subscription(lab=LAB, name="desk")) as parts:
            told = await parts.take_in(FALL)
            [correction] = await parts.take_in(assessment(3, score(100.0)))
            assert correction.corrects == tuple(one.id for one in told)
            assert [one.rule for one in await sent(parts)] == ["score_drop", "grade", "correction"]
            states = {one.alert: one.state for one in await rows(parts, ATTENTION)}
            assert [states[one.id] for one in (*told, correction)] == ["over", "over", "open"]
            assert await parts.take_in(assessment(4, score(99.0))) == ()

    asyncio.run(run())


async def silence(parts: AlertsParts, ends: datetime, identity: str = "si_1", **matcher: Any) -> None:
    terms = SilenceTerms(matchers=(Matcher(**matcher),), ends=ends, reason="moving", by="ada")
    async with parts.intake.changing() as connection:
        await store.put_silence(connection, Silence(identity, LAB, terms, NOW - HOUR, ends))


@pytest.mark.parametrize(
    ("rule_in_words", "meanwhile", "told"),
    [
        ("what still holds is sent", (), [2]),
        ("what has passed is not", (BACK,), []),
        ("the newest of a kind stands for the older", (FURTHER,), [3]),
    ],
)
def test_the_end_of_a_silence(database_url: str, rule_in_words: str, meanwhile: tuple[Assessment, ...], told: list[int]) -> None:
    async def run() -> None:
        async with watching(database_url, grade_only()) as parts:
            await silence(parts, NOW + HOUR, field="vendor", values=("scale-ai",))
            assert await parts.take_in(FALL, *meanwhile) == ()
            [first, *_] = await rows(parts, UNSENT)
            assert (first.outcome, first.why) == ("silenced", "ada: moving")
            await parts.at(NOW + 59 * MINUTE)
            assert await sent(parts) == []
            await parts.at(NOW + HOUR)
            assert [one.version for one in await sent(parts)] == told, rule_in_words
            assert {one.outcome for one in await rows(parts, UNSENT)} <= {"cancelled"}

    asyncio.run(run())


def test_what_a_silence_lets_go_in_quiet_hours_waits_for_their_end(sqlite_url: str) -> None:
    async def run() -> None:
        night = {"quiet_hours": ({"start": "12:30", "end": "15:00"},)}
        async with watching(sqlite_url, grade_only(schedule=night)) as parts:
            await silence(parts, NOW + HOUR, field="rule", values=("grade",))
            await parts.take_in(FALL)
            await parts.at(NOW + HOUR)
            assert [one.outcome for one in await rows(parts, UNSENT)] == ["held"]
            await parts.at(NOW + 3 * HOUR)
            assert len(await sent(parts)) == 1

    asyncio.run(run())


def test_another_silence_goes_on_muting_what_the_first_lets_go(sqlite_url: str) -> None:
    async def run() -> None:
        async with watching(sqlite_url, grade_only()) as parts:
            await silence(parts, NOW + HOUR, field="vendor", values=("scale-ai",))
            await parts.take_in(FALL)
            await silence(parts, NOW + 2 * HOUR, "si_2", field="rule", values=("grade",))
            await parts.at(NOW + HOUR)
            assert [(one.outcome, one.silence) for one in await rows(parts, UNSENT)] == [("silenced", "si_2")]
            await parts.at(NOW + 2 * HOUR)
            assert len(await sent(parts)) == 1

    asyncio.run(run())


def test_a_recovery_that_is_no_news_itself_ends_reminders_and_escalations(sqlite_url: str) -> None:
    async def run() -> None:
        escalation = {"after_s": 700, "endpoints": ("boss",)}
        wanted = grade_only(conditions=(ScoreDrop(),), remind_every_s=600, escalation=escalation)
        async with watching(sqlite_url, wanted) as parts:
            [alert] = await parts.take_in(FALL)
            await parts.take_in(assessment(3, score(90.0)))
            await parts.at(NOW + HOUR)
            assert await sent(parts) == [alert]
            assert ([one.state for one in await rows(parts, ATTENTION)], await rows(parts, TIMERS)) == (["over"], [])

    asyncio.run(run())


def test_it_is_told_again_until_it_is_acknowledged(database_url: str) -> None:
    async def run() -> None:
        async with watching(database_url, grade_only(remind_every_s=600)) as parts:
            [alert] = await parts.take_in(FALL)
            await parts.at(NOW + 10 * MINUTE)
            await parts.at(NOW + 20 * MINUTE)
            reminders = (await sent(parts))[1:]
            assert [(one.reminds, one.reminder, one.title) for one in reminders] == [
                (alert.id, 1, alert.title),
                (alert.id, 2, alert.title),
            ]
            async with parts.database.transaction() as connection:
                await store.set_attention(connection, LAB, alert.id, state="acknowledged")
            await parts.at(NOW + 10 * HOUR)
            assert len(await sent(parts)) == 3
            assert await rows(parts, TIMERS) == []

    asyncio.run(run())


@pytest.mark.parametrize(
    ("rule_in_words", "then"),
    [("it has passed", BACK), ("a newer one of its kind stands for it", FURTHER)],
)
def test_what_no_longer_matters_is_not_told_again(sqlite_url: str, rule_in_words: str, then: Assessment) -> None:
    async def run() -> None:
        async with watching(sqlite_url, grade_only(remind_every_s=600)) as parts:
            [alert] = await parts.take_in(FALL)
            await parts.take_in(then)
            await parts.at(NOW + 10 * MINUTE)
            assert alert.id not in {one.reminds for one in await sent(parts)}, rule_in_words
            states = {one.alert: one.state for one in await rows(parts, ATTENTION)}
            assert states[alert.id] == "over"

    asyncio.run(run())


def test_an_alert_carries_the_stake_and_the_alternatives_of_its_lab_alone(sqlite_url: str) -> None:
    async def run() -> None:
        async with alerts(sqlite_url) as parts:
            for lab in (LAB, "openai"):
                await parts.intake.put_subscription(
                    Subscription(lab=lab, name="desk", portfolio=True, conditions=(GradeChange(),))
                )
            async with parts.intake.changing() as connection:
                bought = Purchase(buys="dialogues", categories=("data-labelling",), data_classes=("road-maps",))
                await store.put_purchase(connection, LAB, "scale-ai", bought)
            sells = [
                replace(assessment(1, score(value), vendor=name), categories=("data-labelling",))
                for name, value in (("turing", 97.0), ("surge", 99.0))
            ]
            told = await parts.take_in(*sells, FIRST, FALL)
            assert [(one.lab, one.severity) for one in told] == [(LAB, "critical")]
            assert told[0].stake is not None
            assert told[0].stake.summary == "you buy dialogues from Scale Ai and share road-maps"
            assert [one.vendor for one in told[0].alternatives] == ["surge", "turing"]

    asyncio.run(run())


def test_of_several_instances_one_works_off_a_timer_and_the_others_know(postgres_url: str) -> None:
    async def run() -> None:
        wanted = grade_only(settling_s=60, remind_every_s=600)
        async with watching(postgres_url, wanted) as one, alerts(postgres_url) as other:
            await one.take_in(FALL)
            one.clock = other.clock = NOW + MINUTE
            assert [await parts.intake.work_off_timers([0]) for parts in (other, one)] == [1, 0]
            [first] = await sent(one)
            # the one remembers the fall as untold, and must find out that it was told
            for parts in (one, other):
                assert await parts.take_in(replace(FALL, version=3 + (parts is other))) == ()
            for minutes in (11, 21, 31):
                one.clock = other.clock = NOW + minutes * MINUTE
                assert sum(await asyncio.gather(*(parts.intake.work_off_timers([0]) for parts in (one, other)))) == 1
            assert [alert.reminds for alert in await sent(one)] == [None, first.id, first.id, first.id]

    asyncio.run(run())


def test_a_condition_settles_only_where_its_scores_are_read(database_url: str) -> None:
    async def run() -> None:
        async with watching(database_url, grade_only(settling_s=60)) as parts:
            await parts.take_in(FALL)
            parts.clock = NOW + HOUR
            assert await parts.intake.work_off_timers([1, 2]) == 0
            assert await parts.intake.next_timer_ms([1, 2]) is None
            assert await parts.intake.next_timer_ms([0]) == int((NOW + MINUTE).timestamp() * 1000)
            assert await parts.intake.work_off_timers([0]) == 1

    asyncio.run(run())


def test_the_loop_works_off_what_is_due(sqlite_url: str) -> None:
    async def run() -> None:
        async with watching(sqlite_url, grade_only(settling_s=1)) as parts:
            await parts.take_in(FALL)
            looping = asyncio.create_task(TimerLoop(parts.intake, lambda: frozenset({"0"}), clock=parts.now).run())
            await asyncio.sleep(0.1)
            assert await sent(parts) == []
            parts.clock = NOW + MINUTE
            async with asyncio.timeout(10.0):
                while not await sent(parts):
                    await asyncio.sleep(0.05)
            looping.cancel()
            await asyncio.gather(looping, return_exceptions=True)

    asyncio.run(run())
