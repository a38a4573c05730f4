"""Plays the scenario event by event, then takes row 10 back, and notes which alert came of which row."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from neutrality.cli.stack import Stack
from neutrality.client import Client
from neutrality.events.alert import Alert
from neutrality.events.assessment import Assessment
from neutrality.events.cloudevent import event_from_document
from neutrality.model.local import LocalRunner
from neutrality.model.methodology import load_methodology
from neutrality.scenario import load_scenario
from tests.scenario_table.channels import CHANNELS, Listener
from tests.support.background import Background
from tests.support.mailbox import Mailbox
from tests.support.stack import CLOCK, PATIENCE_S, Scores, World, substance

SCENARIO: Final = load_scenario("scale-ai-2025")
LABS: Final = ("google", "openai", "microsoft", "xai", "meta")
VENDORS: Final = ("scale-ai", "turing", "labelbox", "handshake", "mercor")
RETRACTED: Final = "10, taken back"


@dataclass
class Played:
    """Each lab's alerts in the order of decision with the row that they came of, and what each channel received in which order."""

    rows: dict[str, list[tuple[str, Alert]]] = field(default_factory=dict)
    received: dict[str, dict[str, list[str]]] = field(default_factory=dict)


def events(world: World) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every event with its row: rows 1 to 20, and what takes row 10 back."""
    for step in SCENARIO.steps:
        for document in step.documents:
            yield str(step.row), world.document(document)
    for step in SCENARIO.steps:
        for document in step.documents:
            if step.row == 10 and document["data"]["subject"] == "scale-ai":
                yield RETRACTED, retraction(world, document)


def retraction(world: World, document: Mapping[str, Any]) -> dict[str, Any]:
    """A correction that takes an event back."""
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


def play(stack: Stack, world: World, mailbox: Mailbox) -> Played:
    """One event after another, each only when all channels have what came of the last; fails if one does not get it."""
    played = Played({lab: [] for lab in LABS})
    vendors = [world.entity(name) for name in VENDORS]
    with Background() as servers, Client(stack.ingest_url) as client:
        listeners = {lab: Listener(stack, world.entity(lab), vendors, mailbox, servers) for lab in LABS}
        scores = Scores(stack)
        runner = LocalRunner(load_methodology(), CLOCK)
        known: dict[str, Assessment] = {}
        try:
            for row, document in events(world):
                client.send([document])
                runner.apply([event_from_document(document)])
                changed = [vendor for vendor in vendors if runner.assessments.get(vendor) is not known.get(vendor)]
                known = dict(runner.assessments)
                _until_taken_in(stack, scores, runner, changed)
                for lab, listener in listeners.items():
                    fresh = listener.alerts()[len(played.rows[lab]) :]
                    if fresh:
                        played.rows[lab] += [(row, alert) for alert in fresh]
                        listener.until_told({alert.id for alert in fresh})
            played.received = {lab: listener.received() for lab, listener in listeners.items()}
        finally:
            scores.close()
            for listener in listeners.values():
                listener.close()
    return played


def _until_taken_in(stack: Stack, scores: Scores, runner: LocalRunner, vendors: Sequence[str]) -> None:
    """Alerts has decided on what the events make of the vendors."""
    for vendor in vendors:
        wanted = substance(runner.assessments[vendor])
        version = scores.wait_for(vendor, lambda found, wanted=wanted: substance(found) == wanted).version  # type: ignore[misc]
        deadline_s = time.monotonic() + PATIENCE_S
        while (answer := httpx.get(f"{stack.alerts_url}/vendors/{vendor}")).status_code == 404 or (
            answer.raise_for_status().json()["version"] < version
        ):
            assert time.monotonic() < deadline_s, f"alerts has not taken in version {version} of {vendor}"
            time.sleep(0.02)


def table(played: Played, world: World) -> str:
    """Markdown: each alert, and which it was on each channel of its lab."""
    head = ("row", "lab", "rule", *CHANNELS, "alert")
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for lab, rows in played.rows.items():
        for row, alert in rows:
            places = [str(played.received[lab][channel].index(alert.id) + 1) for channel in CHANNELS]
            title = alert.title.replace(f"{world.prefix}-", "")
            lines.append(f"| {row} | {lab} | {alert.rule} | {' | '.join(places)} | {title} |")
    return "\n".join(lines) + "\n"
