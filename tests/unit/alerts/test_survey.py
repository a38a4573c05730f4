"""What operators see of alerts by looking: the outbox's age, the lag, and scores that name no lab's own things."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy.exc import DBAPIError

from neutrality.broker.port import BrokerUnavailable, OutgoingRecord, RecordReader
from neutrality.events.assessment import Assessment, assessment_to_kafka
from neutrality.model.local import LocalRunner
from neutrality.model.methodology import load_methodology
from neutrality.topics import SCORES
from services.alerts.domain.subscription import Subscription
from services.alerts.state import assessments_of
from services.alerts.survey import ShownScores, Survey, moved_by
from tests.support.alerts import NOW, AlertsParts, alerts
from tests.support.assessments import STAKE, assessment, score
from tests.support.events import AT, event, lab, stake, vendor


@asynccontextmanager
async def surveyed(url: str, shown: int = 20, *, later_s: float = 0.0) -> AsyncIterator[tuple[AlertsParts, Survey]]:
    async with alerts(url) as parts:
        yield (
            parts,
            Survey(
                parts.database,
                parts.metrics,
                ShownScores(parts.registry),
                open_reader=lambda: parts.broker.reader((SCORES.name,)),
                shown=shown,
                clock=lambda: NOW + timedelta(seconds=later_s),
            ),
        )


def test_the_outboxs_age_is_that_of_the_oldest_alert_that_kafka_does_not_have(database_url: str) -> None:
    async def run() -> None:
        async with surveyed(database_url, later_s=90.0) as (parts, survey):
            await parts.intake.put_subscription(Subscription(lab="google", name="desk"))
            await parts.take_in(assessment(1, score(100.0)), assessment(2, score(60.8), losses={STAKE: 0.5}))
            await survey.look()
            assert parts.registry.get_sample_value("alerts_outbox_oldest_seconds") == 90.0
            await parts.deliver()
            await parts.delivery.mark()
            await survey.look()
            assert parts.registry.get_sample_value("alerts_outbox_oldest_seconds") == 0.0

    asyncio.run(run())


def test_the_lag_is_what_kafka_has_and_the_database_has_not(database_url: str) -> None:
    async def run() -> None:
        async with surveyed(database_url) as (parts, survey):
            publisher = parts.broker.publisher()
            for version in (1, 2, 3):
                headers, value = assessment_to_kafka(assessment(version, score(100.0)), "2025-06-12T00:00:00Z")
                await publisher.publish(OutgoingRecord(SCORES.name, b"scale-ai", value, tuple(headers)))
            await survey.look()
            assert parts.registry.get_sample_value("alerts_lag_records") == 3.0

    asyncio.run(run())


def test_the_vendors_that_changed_most_are_shown_and_no_subscription_changes_that(database_url: str) -> None:
    async def run() -> None:
        async with surveyed(database_url, shown=1) as (parts, survey):
            await parts.intake.put_subscription(Subscription(lab="google", name="desk", vendors=("quiet",)))
            await parts.take_in(
                assessment(1, score(80.0), vendor="quiet"), assessment(7, score(35.6), vendor="scale-ai", google=score(38.9))
            )
            await survey.look()
            value = parts.registry.get_sample_value
            assert value("neutrality_score", {"vendor": "scale-ai", "view": "headline"}) == 35.6
            assert value("neutrality_score", {"vendor": "scale-ai", "view": "google"}) == 38.9
            assert value("neutrality_score", {"vendor": "quiet", "view": "headline"}) is None

    asyncio.run(run())


def test_a_vendor_of_which_nothing_is_known_has_no_score(database_url: str) -> None:
    async def run() -> None:
        async with surveyed(database_url) as (parts, survey):
            await parts.take_in(assessment(1, score(100.0, grade="NR")))
            await survey.look()
            assert parts.registry.get_sample_value("neutrality_score", {"vendor": "scale-ai", "view": "headline"}) is None

    asyncio.run(run())


def test_influence_adds_up_to_what_the_headline_lost_and_the_claim_that_moved_it_is_named() -> None:
    runner = LocalRunner(load_methodology(), AT)
    runner.apply(
        [
            lab("meta"),
            lab("google"),
            vendor("scale-ai"),
            event("revenue", subject="scale-ai", fiscal_year=2024, amount={"amount": "870"}),
            event("revenue", subject="scale-ai", customer="google", fiscal_year=2024, amount={"amount": "150"}),
            stake("meta", "scale-ai", 0.49),
        ]
    )
    found: Assessment = runner.assessments["scale-ai"]
    registry = CollectorRegistry()
    ShownScores(registry).shown = (found,)
    points = {
        (sample.labels["lab"], sample.labels["channel"]): sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == "neutrality_influence_points"
    }
    assert {("meta", "ownership"), ("google", "revenue")} <= points.keys()
    assert sum(points.values()) == 100.0 - found.headline.confirmed
    claim, summary = moved_by(found)
    assert claim == "meta-shareholding"
    assert "meta" in summary.lower()
    assert moved_by(replace(found, confirmed=(), before=None))[0] == (found.cause.event_id if found.cause else None)


def test_kafka_and_the_database_away_are_counted_and_end_nothing(postgres_url: str) -> None:
    async def run() -> None:
        async with alerts(postgres_url) as parts:
            parts.database.on_error(parts.metrics.database_errors.inc)

            def away() -> RecordReader:
                raise BrokerUnavailable("no Kafka")

            survey = Survey(
                parts.database, parts.metrics, ShownScores(parts.registry), open_reader=away, shown=1, clock=lambda: NOW
            )
            await survey.look()
            assert parts.registry.get_sample_value("alerts_broker_errors_total") == 1.0
            async with parts.database.transaction() as connection:
                await connection.exec_driver_sql("DROP TABLE vendors")
            await survey.look()
            assert parts.registry.get_sample_value("alerts_database_errors_total") == 1.0
            with pytest.raises(DBAPIError):
                await parts.database.read(assessments_of)
            assert parts.registry.get_sample_value("alerts_database_errors_total") == 2.0

    asyncio.run(run())
