"""The audit on a broker in memory: what it finds, what it lets stand, and what it says anew."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from neutrality.broker.memory import MemoryBroker
from neutrality.broker.port import BrokerUnavailable, OutgoingRecord
from neutrality.events.assessment import Assessment, assessment_to_bytes
from neutrality.events.cloudevent import Event, event_to_kafka, topic_kind
from neutrality.model.local import LocalRunner
from neutrality.model.messages import message_from_bytes
from neutrality.model.methodology import load_methodology
from neutrality.model.vertex import Input, Vertex
from neutrality.topics import CONTRACTS, FORWARDED_HEADER, MESSAGES, OWNERSHIP, SCORES
from neutrality.verification.audit import Audit
from neutrality.verification.healing import Healing, heal, upstream
from neutrality.verification.log import EventLog
from neutrality.verification.metrics import VerifyMetrics
from neutrality.verification.patrol import MAX_ATTEMPTS, Patrol
from neutrality.verification.standing import ScoreLog
from services.scoring.handlers import intake
from services.scoring.partitions import partition_of
from tests.support.events import AT, event, lab, stake, vendor
from tests.support.scoring import Consumed

INPUTS = (OWNERSHIP.name, CONTRACTS.name)
ACCEPTED_MS = int(AT.timestamp() * 1000)
GRAPH = [
    *[lab(name) for name in ("google", "meta")],
    *[vendor(name) for name in ("scale-ai", "turing")],
    stake("meta", "holding", 0.6),
    stake("holding", "scale-ai", 0.5),
    stake("google", "turing", 0.1),
    event("role", subject="scale-ai", person="wang", role_type="executive"),
    event("role", subject="meta", person="wang", role_type="executive"),
]


class Cluster:
    """Topics with events, and the scores that a right scoring would have published."""

    def __init__(self, events: Iterable[Event] = GRAPH) -> None:
        self.broker = MemoryBroker()
        self.at = AT
        self.runner = LocalRunner(load_methodology(), AT)
        self.happen(*events)

    def happen(self, *events: Event, published: bool = True) -> None:
        for one in events:
            headers, value = event_to_kafka(one)
            topic = f"neutrality.{topic_kind(one)}"
            self.broker.append(OutgoingRecord(topic, one.key, value, tuple(headers), timestamp_ms=ACCEPTED_MS))
        before = dict(self.runner.assessments)
        self.runner.apply_together((one, ACCEPTED_MS) for one in events)
        for name, found in self.runner.assessments.items():
            if published and before.get(name) is not found:
                self.publish(found)

    def publish(self, assessment: Assessment) -> None:
        self.broker.append(OutgoingRecord(SCORES.name, assessment.vendor.encode(), assessment_to_bytes(assessment)))

    def tampered(self, name: str, confirmed: float) -> Assessment:
        right = self.runner.assessments[name]
        return replace(right, headline=replace(right.headline, confirmed=confirmed))

    def audit(self) -> Audit:
        return Audit(EventLog(self.broker.reader(INPUTS)), ScoreLog(self.broker.reader((SCORES.name,))), load_methodology())

    def heal(self, vendors: Collection[str], vertices: Mapping[str, Vertex]) -> Healing:
        return heal(vendors, vertices, open_inputs=lambda: self.broker.reader(INPUTS), open_publisher=self.broker.publisher)

    def patrol(self, registry: CollectorRegistry | None = None, *, healing: bool = True) -> Patrol:
        return Patrol(
            self.audit,
            lambda: self.at,
            metrics=VerifyMetrics(registry or CollectorRegistry()),
            wall_clock_s=lambda: 1_750_000_000.0,
            heal=self.heal if healing else None,
        )


def kinds(cluster: Cluster, audit: Audit | None = None) -> set[tuple[str, str]]:
    return {(found.kind, found.vendor) for found in (audit or cluster.audit()).run(cluster.at).differences}


def test_what_scoring_published_is_found_right() -> None:
    findings = Cluster().audit().run(AT)
    assert findings.differences == ()
    assert (findings.vendors, findings.events, findings.lag) == (2, len(GRAPH), 0)


def test_a_tampered_score_is_told_with_what_it_should_be_by_both_reckonings() -> None:
    cluster = Cluster()
    right = cluster.runner.assessments["scale-ai"].headline.confirmed
    cluster.publish(cluster.tampered("scale-ai", 99.0))
    (found,) = cluster.audit().run(AT).differences
    assert (found.kind, found.vendor, found.field) == ("published", "scale-ai", "headline.confirmed")
    assert (found.published, found.in_process) == (99.0, right)
    assert found.direct == pytest.approx(right)


def test_the_last_bit_counts_in_process() -> None:
    cluster = Cluster()
    cluster.publish(cluster.tampered("scale-ai", cluster.runner.assessments["scale-ai"].headline.confirmed + 1e-12))
    assert kinds(cluster) == {("published", "scale-ai")}


@pytest.mark.parametrize(
    ("happen", "kind"),
    [
        (lambda cluster: cluster.happen(vendor("new"), published=False), "missing"),
        (lambda cluster: cluster.publish(replace(cluster.runner.assessments["turing"], vendor="new")), "unexpected"),
    ],
)
def test_a_vendor_that_is_missing_and_one_that_is_none(happen: Callable[[Cluster], None], kind: str) -> None:
    cluster = Cluster()
    happen(cluster)
    assert kinds(cluster) == {(kind, "new")}


def test_an_older_version_after_a_newer_one_is_what_compaction_would_leave() -> None:
    cluster = Cluster()
    older = cluster.runner.assessments["scale-ai"]
    cluster.happen(stake("google", "scale-ai", 0.2))
    assert kinds(cluster) == set()
    cluster.publish(older)
    assert kinds(cluster) == {("outdated", "scale-ai")}


def test_who_is_no_vendor_any_more_may_keep_the_last_score() -> None:
    cluster = Cluster()
    cluster.happen(event("correction", day=9, subject="turing", retracts_claim="vendor", reason="a test"))
    assert kinds(cluster) == set()


def test_the_formulas_are_asked_too() -> None:
    cluster = Cluster()
    audit = cluster.audit()
    assert kinds(cluster, audit) == set()
    audit._direct.add([(stake("google", "turing", 0.3, day=9), 0)])
    cluster.happen(stake("google", "scale-ai", 0.2))
    assert kinds(cluster, audit) == {("direct", "turing")}


def test_what_scoring_rejects_does_not_count() -> None:
    cluster = Cluster()
    headers, value = event_to_kafka(stake("meta", "scale-ai", 1.0))
    cluster.broker.append(OutgoingRecord(OWNERSHIP.name, b'"scale-ai"', value, tuple(headers)))
    cluster.broker.append(OutgoingRecord(OWNERSHIP.name, b"scale-ai", b"\x00 no event"))
    cluster.broker.append(OutgoingRecord(SCORES.name, b"scale-ai", b"no assessment"))
    findings = cluster.audit().run(AT)
    assert findings.differences == ()
    assert findings.rejected == {"invalid_event": 1, "wrong_key": 1}
    assert findings.unreadable == 1


def test_a_later_run_takes_in_only_what_is_new_and_lets_time_pass() -> None:
    cluster = Cluster()
    audit = cluster.audit()
    assert kinds(cluster, audit) == set()
    closing = AT + timedelta(days=30)
    cluster.happen(stake("google", "scale-ai", 0.2, effective_time=closing.isoformat(), day=9))
    assert kinds(cluster, audit) == set()
    cluster.at = closing
    assert kinds(cluster, audit) == {("published", "scale-ai")}, "scoring has not ticked yet"
    cluster.runner.pass_time(closing)
    cluster.publish(cluster.runner.assessments["scale-ai"])
    assert kinds(cluster, audit) == set()
    assert kinds(cluster) == set()


def test_a_score_depends_on_its_parties_and_on_what_its_people_lead_but_not_on_what_they_hold_elsewhere() -> None:
    cluster = Cluster()
    assert upstream(cluster.runner.vertices, ["scale-ai"]) == {"scale-ai", "holding", "meta", "wang"}
    assert upstream(cluster.runner.vertices, ["turing"]) == {"turing", "google"}
    assert upstream(cluster.runner.vertices, ["nobody"]) == {"nobody"}


def test_a_difference_that_persists_is_healed_with_the_original_records_in_the_form_that_scoring_reads() -> None:
    cluster = Cluster()
    cluster.publish(cluster.tampered("scale-ai", 99.0))
    patrol = cluster.patrol()
    assert patrol.walk().healing is None, "it may just be late"
    assert cluster.broker.records(MESSAGES.name) == ()
    found = patrol.walk()
    assert found.persistent == ("scale-ai",)
    assert found.healing == Healing(("scale-ai",), 4, 6)
    records = cluster.broker.records(MESSAGES.name)
    forwarded = [record for record in records if any(name == FORWARDED_HEADER for name, _ in record.headers)]
    assert {record.timestamp_ms for record in forwarded} == {ACCEPTED_MS}
    home = partition_of(12)
    for record in records:
        assert record.key is not None
        place = Consumed(record.topic, home(record.key), record.offset, record.key, record.value, record.headers)
        assert isinstance(intake.read_record(place.topic, place.partition, place, home), Input)
    asked = [message_from_bytes(record.value) for record in records if record not in forwarded]
    assert {(message.kind, message.sender) for message in asked} == {("repeat", "verify")}
    assert {message.receiver for message in asked} == {"scale-ai", "holding", "meta", "wang"}
    cluster.publish(cluster.runner.assessments["scale-ai"])  # scoring says again what stands, under the same version
    assert patrol.walk().findings.differences == ()


def test_what_cannot_be_healed_is_given_up_and_stays_told() -> None:
    cluster = Cluster()
    cluster.publish(replace(cluster.tampered("scale-ai", 99.0), version=1_000))
    patrol = cluster.patrol()
    rounds = [patrol.walk() for _ in range(2 * MAX_ATTEMPTS + 4)]
    assert sum(found.healing is not None for found in rounds) == MAX_ATTEMPTS
    assert rounds[-1].given_up == ("scale-ai",)


def test_nothing_is_written_unless_it_is_asked_for() -> None:
    cluster = Cluster()
    cluster.publish(cluster.tampered("scale-ai", 99.0))
    patrol = cluster.patrol(healing=False)
    assert [patrol.walk().healing for _ in range(3)] == [None] * 3
    assert cluster.broker.records(MESSAGES.name) == ()


def test_the_metrics_tell_what_was_found() -> None:
    cluster = Cluster()
    registry = CollectorRegistry()
    patrol = cluster.patrol(registry)
    before = generate_latest(registry).decode()
    assert 'neutrality_verify_differences{kind="published"} 0.0' in before
    assert 'neutrality_verify_runs_total{outcome="failed"} 0.0' in before
    cluster.publish(cluster.tampered("scale-ai", 99.0))
    patrol.walk()
    patrol.walk()
    text = generate_latest(registry).decode()
    for line in (
        "neutrality_verify_vendors_checked 2.0",
        'neutrality_verify_differences{kind="published"} 1.0',
        "neutrality_verify_persistent_vendors 1.0",
        "neutrality_verify_last_run_timestamp_seconds 1.75e+09",
        "neutrality_verify_lag_records 0.0",
        "neutrality_verify_heals_total 1.0",
        'neutrality_verify_runs_total{outcome="differences"} 2.0',
    ):
        assert line in text.splitlines()


def test_when_kafka_cannot_be_read_the_next_round_starts_over() -> None:
    cluster = Cluster()
    registry = CollectorRegistry()
    patrol = cluster.patrol(registry)
    patrol.walk()
    cluster.publish(cluster.tampered("scale-ai", 99.0))
    patrol.walk()
    cluster.broker.fail_with(BrokerUnavailable("away"))
    with pytest.raises(BrokerUnavailable):
        patrol.walk()
    assert registry.get_sample_value("neutrality_verify_runs_total", {"outcome": "failed"}) == 1.0
    cluster.broker.fail_with(None)
    assert patrol.walk().healing is not None


def test_an_event_of_a_time_before_now_counts_from_when_kafka_took_it() -> None:
    """A watch lapses by when we learnt of the plan: the record's own timestamp, in process as in the stream."""
    cluster = Cluster()
    cluster.happen(stake("google", "turing", 0.9, status="announced", claim_id="plan", day=9))
    score = cluster.runner.assessments["turing"].score_for("meta")
    assert score.watch == "down"
    later: datetime = AT + timedelta(days=90)
    cluster.at = later
    assert kinds(cluster) == {("published", "turing")}, "the watch has lapsed"
    cluster.at = later - timedelta(seconds=1)
    assert kinds(cluster) == set()
