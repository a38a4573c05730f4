"""On the real stack: a lab's stake that was reported under another name counts once it is told who that is, and no longer once that is taken back."""

import json
from typing import Any

from typer.testing import CliRunner

from neutrality.cli.main import app
from neutrality.cli.stack import Stack
from neutrality.client import Client
from tests.support.stack import Scores

VENDOR, LAB = "alias-vendor", "alias-lab"
NAMED = {"name": "Alias Lab Holdings, Ltd."}


def event(kind: str, identity: str, **data: Any) -> dict[str, Any]:
    stamp = "2025-01-01T00:00:00Z"
    if kind != "correction":
        evidence = [{"kind": "filing", "publisher": "a register"}]
        data = {"claim_id": identity, "status": "completed", "effective_time": stamp, "evidence": evidence, **data}
    document = {"specversion": "1.0", "id": identity, "source": "urn:test:alias", "time": stamp, "data": data}
    return {**document, "type": f"watch.neutrality.{kind}.v1"}


def test_a_stake_under_another_name_counts_once_it_is_known_whose_it_is(stack: Stack, scores: Scores, client: Client) -> None:
    client.send(
        [
            event("entity", "vendor", subject=VENDOR, is_vendor=True),
            event("entity", "lab", subject=LAB, is_lab=True),
            event("entity", "other", subject="alias-other", is_lab=True),
            event(
                "interest", "stake", subject=VENDOR, interested_party=NAMED, interest_type="shareholding", share={"exact": 0.5}
            ),
        ]
    )
    scores.wait_for(VENDOR, lambda found: found.headline.confirmed == 100.0 and found.coverage["ownership"])
    kafka = ["--bootstrap-servers", stack.bootstrap_servers]
    listed = CliRunner().invoke(app, ["entities", "unresolved", *kafka], env={"COLUMNS": "200"})
    assert "name:alias-lab-holdings-ltd" in listed.output

    into = ["name:alias-lab-holdings-ltd", LAB, "--publisher", "a test", "--ingest-url", stack.ingest_url, "--json"]
    merged = CliRunner().invoke(app, ["entities", "merge", *into])
    assert merged.exit_code == 0, merged.output
    scores.wait_for(VENDOR, lambda found: found.headline.confirmed < 61.0)
    assert "name:alias-lab" not in CliRunner().invoke(app, ["entities", "unresolved", *kafka], env={"COLUMNS": "200"}).output

    late = client.publish(event("interest", "late", subject=VENDOR, interested_party=NAMED, interest_type="votingRights"))
    assert not late.duplicate
    scores.wait_for(VENDOR, lambda found: any(claim.claim_id == "late" and LAB in claim.summary for claim in found.claims))

    ref = {name: merged_event(merged.output)[name] for name in ("source", "id")}
    client.publish(event("correction", "undo", subject="name:alias-lab-holdings-ltd", retracts_event=ref, reason="two firms"))
    scores.wait_for(VENDOR, lambda found: found.headline.confirmed == 100.0)


def merged_event(output: str) -> dict[str, Any]:

    found: dict[str, Any] = json.loads(output)
    return found
