"""What is a lab's own, on the board in a real browser: its inbox, silences, subscriptions and endpoints."""

import json

from playwright.sync_api import expect

from neutrality.client import Client
from tests.support.board import BOARD, HOSTILE, VENDOR, Visit, stake


def test_an_alert_is_acknowledged_by_somebody_who_says_what_was_done(visit: Visit) -> None:
    page = visit.go("/alerts")
    alert = page.locator("ul.inbox > li", has_text="Meta holds 49 % of the equity of Scale AI").first
    expect(alert.get_by_role("heading")).to_contain_text("Scale AI")
    name = alert.get_attribute("id")
    alert.get_by_label("By").fill("Ada")
    alert.get_by_label("What was done").fill("the contract was moved")
    alert.get_by_role("button", name="Acknowledge").click()
    expect(page.locator(f"#{name}")).to_have_count(0)
    visit.go("/alerts?box=acknowledged")
    expect(page.locator(f"#{name}")).to_contain_text("Acknowledged by Ada")
    expect(page.locator(f"#{name}")).to_contain_text("the contract was moved")


def test_a_silence_has_a_reason_and_an_end_and_what_it_mutes_is_kept(visit: Visit, client: Client) -> None:
    page = visit.go("/alerts")
    page.get_by_role("link", name="Silence…").first.click()
    vendor = BOARD.entity("hostile")
    page.get_by_label("Vendor").fill(vendor)
    page.get_by_label("Rule").fill("")
    page.get_by_label("Reason").fill("known since Monday")
    page.get_by_label("By", exact=True).fill("Ada")
    page.get_by_role("button", name="Silence").click()
    silence = page.locator("ul.inbox > li", has_text="known since Monday")
    expect(silence).to_contain_text(f"vendor is {vendor}")
    client.send([stake(vendor, 60, 20)])
    visit.go("/alerts?box=silenced")
    muted = page.locator("ul.inbox > li", has=page.locator(f'a[href="/vendors/{vendor}"]'))
    for _ in range(20):
        if muted.count():
            break
        page.wait_for_timeout(250)
        page.reload()
    expect(muted.first.get_by_role("link").first).to_have_text(HOSTILE)
    visit.go("/silences")
    silence.get_by_role("button", name="End now").click()
    expect(silence).to_contain_text("ended")


def test_a_subscription_is_made_changed_and_ended(visit: Visit) -> None:
    page = visit.go("/subscriptions")
    page.get_by_label("Name").fill("night")
    page.get_by_role("combobox", name="Vendors").fill(VENDOR)
    page.get_by_role("button", name="Subscribe").click()
    one = page.locator("li", has=page.get_by_role("heading", name="night"))
    expect(one).to_contain_text("Vendors: Scale AI.")
    one.locator("summary").click()
    terms = json.loads(one.get_by_label("As JSON").input_value())
    one.get_by_label("As JSON").fill(json.dumps(terms | {"vendors": None}))
    one.get_by_role("button", name="Save").click()
    expect(one).to_contain_text("All vendors.")
    one.locator("summary").click()
    one.get_by_label("As JSON").fill(json.dumps(terms | {"vendors": ["No Id"]}))
    one.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="Alerts refused this")).to_be_visible()
    expect(page.locator("main li")).to_contain_text("/vendors/0")
    visit.complaints.clear()  # of the refusal's status
    visit.go("/subscriptions")
    one.get_by_role("button", name="End").click()
    expect(one).to_have_count(0)


def test_an_endpoint_shows_its_secret_once_is_tested_and_has_a_log(visit: Visit) -> None:
    page = visit.go("/endpoints")
    page.get_by_label("Name").fill("soc")
    page.get_by_label("URL or address").fill("https://hooks.example.invalid/neutrality")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".secret")).to_contain_text("whsec_")
    visit.go("/endpoints/soc")
    expect(page.locator(".secret")).to_have_count(0)
    page.get_by_role("button", name="Send a test").click()
    expect(page.get_by_role("status").filter(has_text="did not arrive")).to_contain_text("name not resolved")
    expect(page.locator("tbody tr")).to_contain_text("test")
    page.get_by_role("button", name="Remove").click()
    expect(page.get_by_text("None yet.")).to_be_visible()
