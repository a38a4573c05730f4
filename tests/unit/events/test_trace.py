"""A trace that an event belongs to (W3C Trace Context) can be followed to the assessment and to the alerts that it led to."""

import asyncio

from neutrality.events.assessment import assessment_to_kafka
from neutrality.events.cloudevent import event_from_kafka, event_to_kafka
from neutrality.model.local import LocalRunner
from neutrality.model.methodology import load_methodology
from services.alerts.domain.subscription import Subscription
from tests.support.alerts import alerts
from tests.support.events import AT, lab, stake, vendor

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


def test_a_trace_goes_from_the_event_through_assessment_and_alert_to_the_labs_topic(sqlite_url: str) -> None:
    runner = LocalRunner(load_methodology(), AT)
    runner.apply([lab("meta"), vendor("scale-ai"), vendor("holding"), stake("holding", "scale-ai", 0.9)])
    first = runner.assessments["scale-ai"]
    # one step away from the vendor: the trace must come along with the message between the two
    headers, value = event_to_kafka(stake("meta", "holding", 0.9).model_copy(update={"traceparent": TRACEPARENT}))
    runner.apply([event_from_kafka(headers, value)])
    fall = runner.assessments["scale-ai"]
    assert fall.version > first.version
    assert dict(assessment_to_kafka(fall, "2025-06-13T00:00:00Z")[0])["ce_traceparent"] == TRACEPARENT.encode()
    assert "ce_traceparent" not in dict(assessment_to_kafka(first, "2025-06-13T00:00:00Z")[0])

    async def run() -> None:
        async with alerts(sqlite_url) as parts:
            await parts.intake.put_subscription(Subscription(lab="google", name="desk"))
            await parts.take_in(first, fall)
            await parts.deliver()
            [record, *_] = parts.broker.records("neutrality.alerts.google")
            assert dict(record.headers)["ce_traceparent"] == TRACEPARENT.encode()
            observed = [sample for metric in parts.registry.collect() for sample in metric.samples if sample.exemplar]
            assert {sample.exemplar.labels["trace_id"] for sample in observed if sample.exemplar} == {TRACE}

    asyncio.run(run())


def test_what_is_no_trace_context_has_no_trace_id() -> None:
    runner = LocalRunner(load_methodology(), AT)
    runner.apply([vendor("scale-ai", name="Scale AI").model_copy(update={"traceparent": "00-x"})])
    cause = runner.assessments["scale-ai"].cause
    assert cause is not None
    assert cause.trace_id is None
