"""Alerts in words, for people: one message for one alert or for several. Pure.

What a publisher wrote (names, summaries, URLs) is untrusted: it is escaped in HTML, cannot break a line of the subject, and in a chat it cannot
call people or hide a link.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from html import escape
from typing import Any, Final

from neutrality.events.alert import SEVERITIES, Alert, Alternative, Reason, Severity, Spending
from neutrality.events.assessment import Score

MAX_SUBJECT: Final = 180
_MAX_NAMED: Final = 3  # vendors in a subject
_CONTROLS: Final = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+"
)  # and what reverses the direction of text
_EVIDENCE: Final = {
    "filing": "filing",
    "official_statement": "official statement",
    "named_press": "press",
    "anonymous_source": "anonymous source",
    "rumour": "rumour",
}


@dataclass(frozen=True, slots=True)
class Message:
    """What a person reads. `text` and `html` say the same.

    `key` is the same whenever the same alerts are rendered: the alert's id, if it is one. `thread` is the same for all messages about one vendor, and
    `follows` are the keys of those that this one corrects or repeats.
    """

    key: str
    thread: str
    subject: str
    text: str
    html: str
    severity: Severity = "info"
    follows: tuple[str, ...] = ()

    @property
    def chat(self) -> str:
        """The text, with mentions and links disarmed."""
        return _disarmed(self.text)

    @property
    def chat_title(self) -> str:
        """The subject, the same way."""
        return _disarmed(self.subject)


def render(alerts: Sequence[Alert]) -> Message:
    """One message for one alert, or for several of one lab, in the order given. Raises ValueError if there is none."""
    if not alerts:
        raise ValueError("there is nothing to tell")
    vendors = list(dict.fromkeys(alert.vendor for alert in alerts))
    names = {alert.vendor: line(alert.vendor_name) for alert in alerts}
    if len(alerts) == 1:
        subject = _headline(alerts[0])
        key = alerts[0].id
    else:
        named = ", ".join(names[vendor] for vendor in vendors[:_MAX_NAMED])
        others = len(vendors) - _MAX_NAMED
        subject = f"{len(alerts)} alerts: {named}" + (f" and {others} more" if others > 0 else "")
        key = "ms_" + _digest(*(alert.id for alert in alerts))
    thread = _digest(alerts[0].lab, *vendors) if len(vendors) == 1 else _digest(alerts[0].lab)
    return Message(
        key=key,
        thread=thread,
        subject=shortened(subject, MAX_SUBJECT),
        text="\n\n\n".join(_text(alert) for alert in alerts) + "\n",
        html=page("\n<hr>\n".join(_html(alert) for alert in alerts)),
        severity=max((alert.severity for alert in alerts), key=SEVERITIES.index),
        follows=tuple(dict.fromkeys(other for alert in alerts for other in _followed(alert))),
    )


def render_plainly(key: str, subject: str, paragraphs: Sequence[str], severity: Severity = "info") -> Message:
    """A message that is no alert."""
    told = [line(one) for one in paragraphs]
    body = "\n".join(f"<p>{escape(one)}</p>" for one in told)
    return Message(key, _digest(key), shortened(line(subject), MAX_SUBJECT), "\n\n".join(told) + "\n", page(body), severity)


def _followed(alert: Alert) -> tuple[str, ...]:
    return alert.corrects if alert.reminds is None else (*alert.corrects, alert.reminds)


def _headline(alert: Alert) -> str:
    if alert.reminds is not None:
        return f"Reminder {alert.reminder}: {line(alert.title)}"
    return line(alert.title)


def _text(alert: Alert) -> str:
    lines = [_headline(alert), "", *(f"{name}: {value}" for name, value in _facts(alert))]
    if alert.reasons:
        lines += ["", "Why:"]
        for reason in alert.reasons:
            lines.append(f"- {_points(reason)} {line(reason.summary)} ({line(reason.status)})")
            lines += [f"    {words}" + (f" {url}" if url else "") for words, url in _sources(reason)]
    if alert.alternatives:
        lines += ["", "Alternatives:", *(f"- {_alternative(one)}" for one in alert.alternatives)]
    return "\n".join([*lines, "", f"Alert {line(alert.id)}, {line(alert.raised_at)}"])


def _html(alert: Alert) -> str:
    facts = "".join(f"<tr><th align='left'>{_safe(name)}</th><td>{_safe(value)}</td></tr>" for name, value in _facts(alert))
    reasons = "".join(
        f"<li>{_safe(_points(reason))} {_safe(reason.summary)} ({_safe(reason.status)})"
        + "".join(f"<br><small>{_safe(words)}{_link(url)}</small>" for words, url in _sources(reason))
        + "</li>"
        for reason in alert.reasons
    )
    others = "".join(f"<li>{_safe(_alternative(one))}</li>" for one in alert.alternatives)
    return (
        f"<h2>{_safe(_headline(alert))}</h2>\n<table cellpadding='4'>{facts}</table>\n"
        + (f"<h3>Why</h3>\n<ul>{reasons}</ul>\n" if reasons else "")
        + (f"<h3>Alternatives</h3>\n<ol>{others}</ol>\n" if others else "")
        + f"<p><small>Alert {_safe(alert.id)}, {_safe(alert.raised_at)}</small></p>"
    )


def page(body: str) -> str:
    """An HTML document around a body that is safe."""
    return f"<!doctype html>\n<html><head><meta charset='utf-8'></head><body style='font-family: sans-serif'>\n{body}\n</body></html>\n"


def _facts(alert: Alert) -> list[tuple[str, str]]:
    before, after = alert.before, alert.after
    score = _score(after) if before is None else f"{_score(after)}, before {_score(before)}"
    projected = f"{after.projected:.1f}"
    standing = f"outlook {after.outlook}" + (f", watch {after.watch}" if after.watch else "")
    points = f" ({alert.points:.1f} points)" if alert.points > 0 else ""
    facts = [
        ("Severity", f"{alert.severity}{points}"),
        ("Vendor", f"{line(alert.vendor_name)} ({alert.vendor})"),
        ("Neutrality", score),
        ("Projected", f"{projected}; {standing}"),
    ]
    if alert.stake is not None and alert.stake.summary:
        facts.append(("At stake", line(alert.stake.summary)))
        if alert.stake.spending is not None:
            facts.append(("Spending", _spending(alert.stake.spending, alert.stake.spending_share)))
    if alert.corrects:
        facts.append(("Corrects", ", ".join(alert.corrects)))
    if alert.reminds is not None:
        facts.append(("Repeats", alert.reminds))
    return [*facts, ("Subscription", alert.subscription)]


def _spending(spending: Spending, share: float | None) -> str:
    told = f"{line(spending.amount)} {line(spending.currency)} a {spending.period}"
    return told if share is None else f"{told}, {share:.0%} of all"


def _alternative(one: Alternative) -> str:
    known = f"known: {', '.join(one.known)}" if one.known else "nothing is known"
    score = "not rated" if one.grade == "NR" else f"{one.confirmed:.1f} ({one.grade})"
    return f"{line(one.name)}: {score}; {known}" + ("; bought already" if one.bought else "")


def _score(score: Score) -> str:
    return f"{score.confirmed:.1f} ({score.grade})"


def _points(reason: Reason) -> str:
    return f"{-reason.points:+.1f} points:"


def _sources(reason: Reason) -> list[tuple[str, str | None]]:
    """Who says so, and where that is read."""
    return [(f"{line(str(item.get('publisher', '?')))}, {_kind(item)}", _url(item)) for item in reason.evidence]


def _kind(item: dict[str, Any]) -> str:
    kind = str(item.get("kind", "?"))
    return _EVIDENCE.get(kind, line(kind))


def _url(item: dict[str, Any]) -> str | None:
    url = item.get("url")
    return url if isinstance(url, str) and re.fullmatch(r"https?://[^\s<>\"'`]+", url) else None


def _link(url: str | None) -> str:
    return "" if url is None else f" <a href='{escape(url)}' rel='noopener noreferrer'>{escape(url)}</a>"


def _safe(text: str) -> str:
    return escape(line(text))


def line(text: str) -> str:
    """Text on one line, without control characters."""
    return _CONTROLS.sub(" ", text).strip()


def shortened(text: str, limit: int) -> str:
    """At most so many characters."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _disarmed(text: str) -> str:
    return text.replace("@", "@\u200b").replace("<", "\u2039").replace(">", "\u203a").replace("](", "]\u200b(")


def _digest(*parts: str) -> str:
    return sha256("\x1f".join(parts).encode()).hexdigest()[:32]
