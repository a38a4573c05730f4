"""Every finding of the doctor says what is so, and what to do about it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from neutrality.acls import GRANTS
from neutrality.broker.inspection import Broker, ClusterState, Disk, Group, TopicState
from neutrality.diagnosis import Finding, ServiceState, judge_cluster, judge_schemas, judge_service
from neutrality.topics import TOPICS


def healthy() -> ClusterState:
    """Three brokers, everything as declared."""
    return ClusterState(
        tuple(Broker(number, f"kafka-{number}:9092", (4, 3)) for number in (1, 2, 3)),
        {topic.name: TopicState(topic.name, 12, 3, 0, 0, {**topic.config, "min.insync.replicas": "2"}) for topic in TOPICS},
        (Disk(1, "/data", 100, 60),),
        Group(2, 5),
        (),
    )


def with_topic(**changes: object) -> ClusterState:
    state = healthy()
    name = "neutrality.ownership"
    return replace(state, topics={**state.topics, name: replace(state.topics[name], **changes)})  # type: ignore[arg-type]


def troubles(state: ClusterState) -> list[Finding]:
    return [finding for finding in judge_cluster(state) if finding.level != "ok"]


def test_a_healthy_cluster_has_nothing_but_good_findings() -> None:
    assert troubles(healthy()) == []
    assert len(list(judge_cluster(healthy()))) == 3 + len(TOPICS) + 3


@pytest.mark.parametrize(
    ("state", "level", "subject", "says"),
    [
        (replace(healthy(), brokers=(Broker(1, "kafka:9092", (2, 8)),) * 3), "failure", "broker 1", "2.8"),
        (replace(healthy(), brokers=healthy().brokers[:1]), "note", "brokers", "only copy"),
        (replace(healthy(), topics={}), "failure", "neutrality.ownership", "is not there"),
        (
            with_topic(config={"cleanup.policy": "delete", "retention.ms": "604800000"}),
            "failure",
            "neutrality.ownership",
            "not -1",
        ),
        (with_topic(without_leader=2), "failure", "neutrality.ownership", "no leader"),
        (with_topic(out_of_sync=2), "warning", "neutrality.ownership", "out of sync"),
        (with_topic(replicas=1), "warning", "neutrality.ownership", "1 replicas"),
        (with_topic(partitions=6), "failure", "partitions", "neutrality.ownership 6"),
        (replace(healthy(), disks=(Disk(1, "/data", 100, 10),)), "warning", "disk of broker 1", "10%"),
        (replace(healthy(), disks=(Disk(1, "/data", 100, 4),)), "failure", "disk of broker 1", "4%"),
        (replace(healthy(), group=Group(0, 0)), "failure", "scoring", "no worker"),
        (replace(healthy(), group=Group(2, 5_000)), "warning", "lag of scoring", "5000"),
        (replace(healthy(), lacking=GRANTS[:1]), "failure", "grants", "ingest may not"),
        (replace(healthy(), lacking=None), "note", "grants", "no authorizer"),
        (replace(healthy(), lacking=None, unread={"grants": "denied"}), "note", "grants", "denied"),
    ],
)
def test_what_is_wrong_is_found_with_what_to_do(state: ClusterState, level: str, subject: str, says: str) -> None:
    found = [finding for finding in troubles(state) if finding.subject == subject and says in finding.says]
    assert [finding.level for finding in found][:1] == [level], troubles(state)
    assert all(finding.do for finding in troubles(state))


def test_min_insync_replicas_of_one_is_told_where_there_are_three() -> None:
    config = {**TOPICS[0].config, "min.insync.replicas": "1"}
    assert any("min.insync.replicas=1" in finding.says for finding in troubles(with_topic(config=config)))


@pytest.mark.parametrize(
    ("state", "levels", "says"),
    [
        (ServiceState("ingest", "http://i", ready=True, skew=timedelta(seconds=1)), ["ok"], "is ready"),
        (ServiceState("ingest", "http://i"), ["failure"], "is not ready"),
        (ServiceState("ingest", "http://i", problem="refused"), ["failure"], "refused"),
        (ServiceState("alerts", "http://a", ready=True, skew=timedelta(seconds=-9)), ["ok", "warning"], "9 s behind"),
        (ServiceState("alerts", "http://a", ready=True, skew=timedelta(seconds=9)), ["ok", "warning"], "9 s ahead of"),
        (
            ServiceState("alerts", "http://a", ready=True, metrics={"alerts_outbox_oldest_seconds": 61.0}),
            ["ok", "warning"],
            "61 s old",
        ),
    ],
)
def test_services_are_judged_by_their_own_answers(state: ServiceState, levels: list[str], says: str) -> None:
    found = list(judge_service(state))
    assert [finding.level for finding in found] == levels
    assert says in found[-1].says


def test_instances_that_know_different_revisions_of_the_database_are_told() -> None:
    assert [finding.level for finding in judge_schemas({"a": ("0002",), "b": ("0002",)})] == ["ok"]
    assert [finding.level for finding in judge_schemas({"a": ("0002",), "b": ("0003",)})] == ["warning"]
    assert list(judge_schemas({})) == []
