"""What people read: one message for one alert or several, in which nothing that a publisher wrote does anything."""

from html.parser import HTMLParser

import pytest

from neutrality.events.alert import Alternative, Severity, Spending, Stake
from services.alerts.channels.rendering import MAX_SUBJECT, render
from tests.support.assessments import alert, reason

EVIL = "x\r\nBcc: all@example.com\u202e<script>alert(1)</script> @everyone <!channel> [a](https://evil.example) \"'&"


class Tags(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str | None] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value for name, value in attrs if name == "href"]


def test_a_message_says_what_changed_how_far_why_and_on_whose_word() -> None:
    found = render([alert()])
    assert found.subject == "Scale AI was regraded from N1 to N4 for google (100.0 to 38.9)".replace("AI", "Ai")
    for told in (
        "Neutrality: 38.9 (N4), before 100.0 (N1)",
        "Projected: 38.9; outlook negative",
        "-39.2 points: Meta takes 49 % of Scale AI (completed)",
        "Meta, official statement https://example.com/meta",
        "Subscription: desk",
        alert().id,
    ):
        assert told in found.text, told
    assert "<a href='https://example.com/meta'" in found.html


def test_a_message_has_the_key_of_its_alert_and_the_thread_of_its_vendor() -> None:
    first, second = render([alert(1)]), render([alert(2)])
    assert (first.key, second.key) == (alert(1).id, alert(2).id)
    assert first.thread == second.thread == render([alert(1), alert(2)]).thread
    assert first.thread != render([alert(1, lab="openai")]).thread
    assert first.thread != render([alert(1, vendor="turing")]).thread


def test_several_alerts_are_one_message_that_is_the_same_whenever_it_is_rendered() -> None:
    several = [alert(1), alert(2, vendor="turing"), alert(3, vendor="labelbox"), alert(4, vendor="mercor"), alert(5)]
    found = render(several)
    assert found.subject == "5 alerts: Scale Ai, Turing, Labelbox and 1 more"
    assert found == render(several)
    assert found.key != render(several[:2]).key
    places = [found.text.index(one.id) for one in several]
    assert places == sorted(places)
    with pytest.raises(ValueError, match="nothing to tell"):
        render([])


def test_nothing_that_a_publisher_wrote_breaks_out() -> None:
    evidence = (
        {"kind": EVIL, "publisher": EVIL, "url": "javascript:alert(1)"},
        {"publisher": "P", "url": "https://e.example/'onx='"},
    )
    found = render([alert(title=EVIL, vendor_name=EVIL, reasons=(reason(summary=EVIL, status=EVIL, evidence=evidence),))] * 2)
    assert "\n" not in found.subject
    assert "\r" not in found.subject + found.text
    assert "\u202e" not in found.subject + found.text + found.html
    page = Tags(found.html)
    assert page.tags <= {
        "html",
        "head",
        "meta",
        "body",
        "h2",
        "h3",
        "table",
        "tr",
        "th",
        "td",
        "ul",
        "ol",
        "li",
        "br",
        "small",
        "p",
        "hr",
    }
    assert page.links == []
    for told in ("@everyone", "<!channel>", "](https"):
        assert told in found.text
        assert told not in found.chat + found.chat_title


def test_a_subject_is_short() -> None:
    assert len(render([alert(title="long " * 200)]).subject) == MAX_SUBJECT


def test_a_message_says_what_is_at_stake_what_else_there_is_and_what_it_corrects_or_repeats() -> None:
    stake = Stake(0.8, listed=True, summary="80 % exposed", spending=Spending("150000000", "USD", "year"), spending_share=0.25)
    rated = Alternative("turing", "Turing", "N1", 97.0, 97.0, ("ownership", "revenue"), bought=True)
    unknown = Alternative("mercor", "Mercor", "NR", 100.0, 100.0, ())
    found = render([alert(stake=stake, alternatives=(rated, unknown), corrects=("al_1",), severity="critical")])
    for told in (
        "At stake: 80 % exposed",
        "Spending: 150000000 USD a year, 25% of all",
        "- Turing: 97.0 (N1); known: ownership, revenue; bought already",
        "- Mercor: not rated; nothing is known",
        "Corrects: al_1",
    ):
        assert told in found.text, told
        assert told.removeprefix("- ").rpartition(": ")[2] in found.html
    assert (found.severity, found.follows) == ("critical", ("al_1",))
    again = render([alert(reminds="al_1", reminder=2)])
    assert again.subject.startswith("Reminder 2: Scale Ai was regraded")
    assert (again.follows, again.thread) == (("al_1",), found.thread)


def test_the_gravest_alert_gives_the_message_its_severity() -> None:
    severities: tuple[Severity, ...] = ("info", "critical", "warning")
    assert render([alert(number, severity=one) for number, one in enumerate(severities)]).severity == "critical"
