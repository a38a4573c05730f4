"""A vendor on the board, and what if, in a real browser: points, past, owners, customers, alternatives, report."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from neutrality.cli.stack import Stack
from neutrality.client import Client
from tests.support.board import BOARD, GOOGLE, VENDOR, Visit, row, stake
from tests.support.stack import Scores


def test_points_lead_from_100_down_to_the_score_with_claim_evidence_and_contradiction(visit: Visit) -> None:
    page = visit.go(f"/vendors/{VENDOR}")
    rows = page.locator("table.fall tbody tr")
    expect(rows.first).to_contain_text("100.0")
    expect(rows.nth(1)).to_contain_text("−32.2")  # noqa: RUF001 - a real minus
    expect(rows.last).to_contain_text("38.9")
    lost = [text.replace("\N{MINUS SIGN}", "-") for text in rows.locator("td:nth-of-type(2)").all_inner_texts()]
    assert sum(map(float, lost[:-1])) == pytest.approx(float(lost[-1]), abs=0.15)
    claim = rows.nth(1).locator("details")
    claim.locator("summary").click()
    expect(claim).to_contain_text("Meta (official_statement".replace("_", " "))
    disputed = page.locator("details", has_text="OpenAI means to cut back")
    disputed.locator("summary").click()
    expect(disputed).to_contain_text("Contradicted by")
    expect(disputed).to_contain_text("OpenAI works with Scale AI (completed; OpenAI (official statement)")
    visit.go(f"/vendors/{VENDOR}?at=2025-06-11")
    expect(page.locator(".facts")).to_contain_text("100.0 N1 independent")


def test_the_past_is_a_step_line_with_the_reports_on_it_and_a_table_beside_it(visit: Visit) -> None:
    page = visit.go(f"/vendors/{VENDOR}/history")
    expect(page.locator("#line canvas")).to_be_visible()
    line = page.locator("#line-data").evaluate("node => JSON.parse(node.textContent)")
    rated = [round(points, 1) for points in line["confirmed"] if points is not None]
    assert rated == sorted(rated, reverse=True)
    assert (rated[0], rated[-1]) == (100.0, 38.9)
    assert any("Meta takes 49 %" in text for event in line["events"] for text in event["text"])
    expect(page.locator("tbody tr", has_text="−61.1")).to_contain_text("Meta holds 49 % of the equity")  # noqa: RUF001 - the same


def test_ownership_is_drawn_and_told_in_a_table(visit: Visit) -> None:
    page = visit.go(f"/vendors/{VENDOR}/ownership")
    expect(page.locator("#graph")).to_have_attribute("data-drawn", "4")
    expect(page.locator("#graph canvas").first).to_be_visible()
    table = page.locator("table.rows")
    expect(table.locator("tr", has_text="49 %")).to_contain_text("the equity")
    expect(table.locator("tr", has_text="0 %").last).to_contain_text("the votes")
    visit.go(f"/vendors/{VENDOR}/ownership?at=2025-06-11")
    expect(page.locator("#graph")).to_have_attribute("data-drawn", "3")


def test_a_graph_of_200_entities_is_drawn(visit: Visit, client: Client, scores: Scores) -> None:
    vendor = BOARD.entity("turing")
    client.send(holding(vendor, number) for number in range(1, 200))
    scores.wait_for(vendor, lambda found: found.claim("owner-5") is not None)
    page = visit.go(f"/vendors/{vendor}/ownership")
    expect(page.locator("#graph")).to_have_attribute("data-drawn", "200")
    expect(page.locator("table.rows tbody tr")).to_have_count(199)


def test_contracts_tell_the_revenue_at_risk(visit: Visit) -> None:
    page = visit.go(f"/vendors/{VENDOR}/contracts")
    google = page.locator("tr", has_text="150 m USD in 2024")
    expect(google).to_contain_text("17.2 %")
    expect(google).to_contain_text("leaves (announced")
    expect(page.locator(".facts").last).to_contain_text("870 m USD in 2024")


def test_alternatives_are_ranked_and_the_unknown_is_not(visit: Visit) -> None:
    page = visit.go(f"/vendors/{VENDOR}/alternatives")
    expect(page.locator("tr", has_text="Handshake")).to_contain_text("not rated: no ownership data")
    expect(page.locator("tr", has_text="Handshake").locator("td").first).to_have_text("–")  # noqa: RUF001 - a dash


def test_the_report_is_printed_and_saved(visit: Visit) -> None:
    page = visit.go(f"/vendors/{VENDOR}/report")
    for link, begins in (("PDF", b"%PDF-"), ("CSV", "\N{BYTE ORDER MARK}section,what".encode())):
        with page.expect_download() as saved:
            page.get_by_role("link", name=link, exact=True).click()
        assert saved.value.suggested_filename == f"{VENDOR}-{GOOGLE}-2025-06-13.{link.lower()}"
        assert Path(saved.value.path()).read_bytes().startswith(begins)
    page.emulate_media(media="print")
    expect(page.locator("nav").first).to_be_hidden()
    expect(page.locator("details").first).to_contain_text("On whose word")


def test_what_if_compares_before_and_after_is_a_link_and_saves_events(visit: Visit, stack: Stack) -> None:
    page = visit.go("/what-if")
    form = page.get_by_role("form", name="A share changes")
    form.get_by_label("Party").fill(BOARD.entity("meta"))
    form.get_by_label("In", exact=True).fill(VENDOR)
    form.get_by_label("Of the").select_option("votes")
    form.get_by_label("Percent").fill("51")
    form.get_by_role("button").click()
    page.wait_for_url("**/what-if?c=stake*")
    own = page.get_by_role("region", name="Scores towards Google").locator("tbody tr").first
    expect(own).to_contain_text("38.9 N4")
    expect(own).to_contain_text("0.0 N5")
    with page.expect_download() as saved:
        page.get_by_role("link", name="Save as events").click()
    events = Path(saved.value.path())
    command = [str(Path(sys.executable).with_name("neutrality")), "whatif", str(events), "--json", "--at", "2025-06-14"]
    done = subprocess.run([*command, "--bootstrap-servers", stack.bootstrap_servers], capture_output=True, text=True, check=True)
    changes = {(one["vendor"], one["lab"]): one["after"]["confirmed"] for one in json.loads(done.stdout)["changes"]}
    assert changes[VENDOR, GOOGLE] == pytest.approx(0.0, abs=0.05)
    visit.go("/")
    expect(row(page, VENDOR).locator("td").first).to_have_text("38.9 N4")


def holding(vendor: str, number: int) -> dict[str, Any]:
    """One of many on several levels above a vendor: of six each, the first five hold in the vendor or in who is a sixth of them."""
    held = vendor if number <= 5 else BOARD.entity(f"owner-{number // 6}")
    document = stake(held, 10, number % 60)
    data = {
        **document["data"],
        "interested_party": BOARD.entity(f"owner-{number}"),
        "claim_id": f"owner-{number}",
        "interest_type": "votingRights" if number % 5 == 0 else "shareholding",
        "status": ("completed", "completed", "announced", "rumoured")[number % 4],
    }
    return {**document, "id": f"board-owner/{number}", "data": data}
