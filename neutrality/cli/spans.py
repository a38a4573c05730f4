"""Spans of time, times of day and conditions, as they are said on the command line."""

import re
from typing import Any, Final

from neutrality.cli.exits import Exit, end

_SPAN: Final = re.compile(r"(\d+)\s*(s|m|h|d)")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_QUIET: Final = re.compile(r"(?:([a-z,]+)\s+)?(\d\d:\d\d)-(\d\d:\d\d)")
_NUMBERED: Final = {"score_drop": "points", "score_rise": "points", "level": "at"}
_RULES: Final = ("score_drop", "score_rise", "grade", "level", "outlook", "watch", "influence", "coverage", "correction")


def seconds(text: str) -> int:
    """`90s`, `15m`, `2h`, `3d`. Ends the command if it is none."""
    found = _SPAN.fullmatch(text.strip())
    if found is None:
        end(f"{text!r} is no span of time; say 90s, 15m, 2h or 3d", Exit.USAGE)
    return int(found[1]) * _SECONDS[found[2]]


def quiet_hours(text: str) -> dict[str, Any]:
    """`22:00-07:00`, or `sat,sun 00:00-24:00`. Ends the command if it is none."""
    found = _QUIET.fullmatch(text.strip())
    if found is None:
        end(f"{text!r} are no quiet hours; say 22:00-07:00, or sat,sun 00:00-24:00", Exit.USAGE)
    days = {"days": found[1].split(",")} if found[1] else {}
    return {"start": found[2], "end": found[3], **days}


def condition(text: str) -> dict[str, Any]:
    """`grade`, `score_drop:5`, `level:50`, `influence:ownership:0.25`; any with `:projected` at its end. Ends the command if it is none."""
    rule, *rest = text.split(":")
    if rule not in _RULES:
        end(f"there is no rule {rule!r}; there are {', '.join(_RULES)}", Exit.USAGE)
    found: dict[str, Any] = {"rule": rule}
    if rest and rest[-1] in ("confirmed", "projected"):
        found["view"] = rest.pop()
    if rule == "influence" and len(rest) == 2:
        return {**found, "channel": rest[0], "above": _number(text, rest[1])}
    if rule in _NUMBERED and len(rest) == 1:
        return {**found, _NUMBERED[rule]: _number(text, rest[0])}
    if rest or rule in ("level", "influence"):
        end(f"{text!r} is no condition; say {rule}{_EXAMPLES.get(rule, '')}", Exit.USAGE)
    return found


_EXAMPLES: Final = {"level": ":50", "influence": ":ownership:0.25", "score_drop": ":5", "score_rise": ":5"}


def _number(text: str, number: str) -> float:
    try:
        return float(number)
    except ValueError:
        end(f"{number!r} in {text!r} is no number", Exit.USAGE)
