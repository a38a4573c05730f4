"""The one list of grants: nobody gets at what is another's."""

import pytest

from neutrality.acls import GRANTS, SERVICES, Grant, grants_of_lab
from neutrality.topics import TOPICS, alerts_topic
from services.scoring.settings import ScoringSettings


def may(principal: str, operation: str, name: str, resource: str = "topic", grants: tuple[Grant, ...] = GRANTS) -> bool:
    """As Kafka decides without any rule that denies."""
    return any(
        grant.principal == principal
        and grant.resource == resource
        and operation in grant.operations
        and (name.startswith(grant.name) if grant.pattern == "prefixed" else name == grant.name)
        for grant in grants
    )


def test_each_service_writes_what_topics_say_it_produces_and_reads_what_it_consumes() -> None:
    for topic in (*TOPICS, alerts_topic("google")):
        for service in ("ingest", "scoring", "alerts"):
            assert may(service, "write", topic.name) == (service in topic.producers), (service, topic.name)
            if service in topic.consumers:
                assert may(service, "read", topic.name)


def test_ingest_is_refused_scores_and_alerts_is_refused_events() -> None:
    assert not any(may("ingest", operation, "neutrality.scores") for operation in ("read", "write", "create"))
    assert not any(may("alerts", operation, "neutrality.ownership") for operation in ("read", "write", "create"))


def test_the_audit_and_the_operator_change_nothing() -> None:
    for grant in GRANTS:
        if grant.principal in {"verify", "operator", "board"}:
            assert not {"write", "create"} & set(grant.operations)


@pytest.mark.parametrize("other", ["openai", "google-cloud", "goog", "google.research"])
def test_a_lab_gets_at_its_own_topic_and_groups_alone(other: str) -> None:
    grants = grants_of_lab("google")
    assert may("lab-google", "read", "neutrality.alerts.google", grants=grants)
    assert may("lab-google", "read", "google:desk", "group", grants)
    assert not may("lab-google", "read", f"neutrality.alerts.{other}", grants=grants)
    assert not may("lab-google", "read", f"{other}:desk", "group", grants)
    assert not any(may("lab-google", operation, topic.name, grants=grants) for topic in TOPICS for operation in ("read", "write"))
    assert not any("write" in grant.operations for grant in grants)


def test_scorings_group_and_changelog_are_those_of_its_settings() -> None:
    settings = ScoringSettings()
    assert may("scoring", "read", settings.group, "group")
    assert may("scoring", "write", settings.changelog)


def test_every_grant_is_a_services() -> None:
    assert {grant.principal for grant in GRANTS} == set(SERVICES)
