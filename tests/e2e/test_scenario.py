"""The reference scenario through the real product: ingest, Kafka, scoring and alerts as processes."""

import random
from collections.abc import Iterator
from typing import Any

import pytest

from neutrality.cli.stack import Stack
from neutrality.client import Client
from neutrality.events.assessment import Assessment, attribute
from neutrality.scenario import load_expectations, load_scenario
from tests.support.stack import Scores, Subscriber, World, in_process, substance

NAME = "scale-ai-2025"
SCENARIO = load_scenario(NAME)
EXPECTED = load_expectations(NAME)
STORY = World("story")
VENDOR = STORY.entity("scale-ai")


def rounded(assessment: Assessment, world: World) -> dict[str, float]:
    labs = ("google", "openai", "microsoft", "xai", "meta")
    return {lab: round(assessment.score_for(world.entity(lab)).confirmed, 1) for lab in labs}


@pytest.fixture(scope="module")
def subscribers(stack: Stack) -> Iterator[dict[str, Subscriber]]:
    found = {lab: Subscriber(stack, STORY.entity(lab)) for lab in EXPECTED.labs}
    yield found
    for subscriber in found.values():
        subscriber.close()


def tell_until(client: Client, scores: Scores, world: World, last: str) -> Assessment:
    """Hand in every step up to and with `last`, and wait until what it says stands in the scores."""
    for step in SCENARIO.steps:
        client.send(world.documents(step.documents))
        if step.key == last:
            break
    told = world.documents(
        document for s in SCENARIO.steps[: SCENARIO.steps.index(SCENARIO.step(last)) + 1] for document in s.documents
    )
    wanted = substance(in_process(told)[world.entity("scale-ai")])
    return scores.wait_for(world.entity("scale-ai"), lambda found: substance(found) == wanted)


def test_the_worked_example_comes_true_and_every_lab_is_told(
    stack: Stack, client: Client, scores: Scores, subscribers: dict[str, Subscriber]
) -> None:
    before = tell_until(client, scores, STORY, "9")
    assert rounded(before, STORY) == {"google": 100.0, "openai": 91.4, "microsoft": 91.4, "xai": 91.4, "meta": 91.4}
    announced = tell_until(client, scores, STORY, "10a")
    assert rounded(announced, STORY) == rounded(before, STORY)
    for lab, subscriber in subscribers.items():
        score = announced.score_for(STORY.entity(lab))
        assert (score.outlook, score.watch, score.projected < score.confirmed - 30) == ("negative", "down", True)
        alert = subscriber.wait_for(lambda a: a.rule == "watch" and any(r.claim_id == "meta-equity" for r in a.reasons))
        assert alert.vendor == VENDOR
        reason = next(r for r in alert.reasons if r.claim_id == "meta-equity")
        assert "Meta takes 49 %" in reason.summary
        assert reason.lab == STORY.entity("meta")
        assert {item["publisher"] for item in reason.evidence} == {"Meta", "Scale AI"}
    after = tell_until(client, scores, STORY, "11b")
    assert rounded(after, STORY) == {"google": 38.9, "openai": 35.6, "microsoft": 35.6, "xai": 35.6, "meta": 91.4}
    for subscriber in subscribers.values():
        for rule in ("score_drop", "grade"):
            subscriber.wait_for(lambda a, rule=rule: a.rule == rule and any(r.claim_id == "wang-ceo" for r in a.reasons))  # type: ignore[misc]
    ended = tell_until(client, scores, STORY, "20")
    assert rounded(ended, STORY) == rounded(after, STORY)


def test_ownership_costs_most_then_governance_and_votes_nothing(client: Client, scores: Scores) -> None:
    ended = tell_until(client, scores, STORY, "20")
    costs: dict[str, float] = {}
    for row in attribute(ended, STORY.entity("google")):
        costs[row.channel] = costs.get(row.channel, 0.0) + row.points
    assert sorted(costs, key=lambda channel: -costs[channel]) == ["ownership", "governance"]
    assert sum(costs.values()) == pytest.approx(100 - ended.score_for(STORY.entity("google")).confirmed)


def test_no_lab_is_told_twice_or_what_is_another_labs(subscribers: dict[str, Subscriber]) -> None:
    for lab, subscriber in subscribers.items():
        assert {alert.lab for alert in subscriber.alerts} == {STORY.entity(lab)}
        moments = [(alert.subscription, alert.rule, alert.vendor, alert.version) for alert in subscriber.alerts]
        assert len(set(moments)) == len(moments)
        versions = [alert.version for alert in subscriber.alerts if alert.vendor == VENDOR]
        assert versions == sorted(versions)


@pytest.mark.parametrize("seed", [1, 2])
def test_any_order_with_repeats_ends_in_the_same_scores(client: Client, scores: Scores, seed: int) -> None:
    world = World(f"shuffled{seed}")
    told = world.documents(SCENARIO.documents())
    shuffled = told + told[::2]
    chance = random.Random(seed)
    chance.shuffle(shuffled)
    while shuffled:
        size = chance.randint(1, 8)
        client.send(shuffled[:size])
        del shuffled[:size]
    wanted = substance(in_process(told)[world.entity("scale-ai")])
    scores.wait_for(world.entity("scale-ai"), lambda found: substance(found) == wanted)


def test_taking_row_10_back_restores_the_earlier_score(client: Client, scores: Scores) -> None:
    world = World("retracted")
    till_10 = [document for step in SCENARIO.steps if step.row <= 10 for document in step.documents]
    till_9 = [document for step in SCENARIO.steps if step.row <= 9 for document in step.documents]
    client.send(world.documents(till_10))
    vendor = world.entity("scale-ai")
    scores.wait_for(vendor, lambda found: round(found.score_for(world.entity("google")).confirmed, 1) == 60.8)
    client.send(_retraction(world, document) for document in till_10[len(till_9) :] if document["data"]["subject"] == "scale-ai")
    wanted = substance(in_process(world.documents(till_9))[vendor])
    restored = scores.wait_for(vendor, lambda found: substance(found) == wanted)
    assert rounded(restored, world) == {"google": 100.0, "openai": 91.4, "microsoft": 91.4, "xai": 91.4, "meta": 91.4}


def _retraction(world: World, document: dict[str, Any]) -> dict[str, Any]:
    told = world.document(document)
    return {
        "specversion": "1.0",
        "id": f"{told['id']}/taken-back",
        "source": told["source"],
        "type": "watch.neutrality.correction.v1",
        "time": "2025-06-13T01:00:00Z",
        "data": {
            "subject": told["data"]["subject"],
            "retracts_event": {"source": told["source"], "id": told["id"]},
            "reason": "the report of row 10 was wrong",
        },
    }
