"""Arbitrary sets of claim events about a few entities, from any source of choices: a seeded `Random`, or Hypothesis' `st.randoms`."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final

from neutrality.events.cloudevent import Event, event_to_json
from tests.support.events import AT, event, lab, vendor

LABS: Final = ("lab-a", "lab-b", "lab-c")
VENDORS: Final = ("v-0", "v-1", "v-2")
FIRMS: Final = ("f-0", "f-1")
PEOPLE: Final = ("p-0", "p-1")
ORGANISATIONS: Final = (*LABS, *VENDORS, *FIRMS)
BASE: Final = (
    *[lab(name) for name in LABS],
    *[vendor(name) for name in VENDORS],
    *[
        event("revenue", subject=name, fiscal_year=2024, amount={"amount": "100"}, claim_id="total", id=f"total-{name}")
        for name in VENDORS[:2]
    ],
)
START: Final = datetime.fromisoformat("2025-01-01T00:00:00+00:00")

_KINDS: Final = ("interest",) * 9 + ("role",) * 5 + ("revenue",) * 3 + ("contract",) * 1 + ("entity",) * 2
_STATUSES: Final = ("completed",) * 10 + ("announced", "announced", "rumoured", "terminated", "denied")
_EVIDENCE: Final = (
    *[("official_statement", 1), ("official_statement", 1), ("filing", 1), ("named_press", 1), ("named_press", 2)],
    *[("anonymous_source", 1), ("anonymous_source", 2), ("rumour", 1)],
)
_FROM_NOW: Final = (0,) * 12 + (-700, -30, 20, 60, 200, 400)  # days from the recorded to the effective time
_SHARES: Final = ({"minimum": 0.1, "maximum": 0.6}, {"minimum": 0.0, "maximum": 1.0}, {"minimum": 0.3, "maximum": 0.3}, None)
_INTERESTS: Final = ("shareholding",) * 4 + ("votingRights",) * 3 + ("appointmentOfBoard", "otherInfluenceOrControl")

Taken = tuple[Event, int]


def claim_set(choose: Random, size: int, *, base: Sequence[Event] = BASE) -> list[Taken]:
    """Events with the time at which Kafka took them: `base`, then up to `size` arbitrary ones; days before `AT`."""
    drawn = list(base)
    for number in range(choose.randint(1, size)):
        drawn.append(_correction(choose, number, drawn) if choose.random() < 0.06 else _claim(choose, number, drawn))
    return taken(drawn)


def taken(events: Iterable[Event]) -> list[Taken]:
    """Each with a time at which Kafka took it: when it was recorded, and a little."""
    return [(found, int(found.time.timestamp() * 1000) + number) for number, found in enumerate(events)]


def takes_back(found: Event, identity: str, *, day: int = 160, **data: Any) -> Event:
    """The correction of one event; of its claim, if `retracts_claim` says so."""
    if not data:
        data = {"retracts_event": {"source": found.source, "id": found.id}}
    return event("correction", day=day, id=identity, subject=found.data.subject, reason="a test", **data)


def described(events: Iterable[Taken]) -> str:
    """A line an event, to repeat a case by hand."""
    return "\n".join(f"{accepted_ms} {event_to_json(found).decode()}" for found, accepted_ms in events)


def _correction(choose: Random, number: int, known: Sequence[Event]) -> Event:
    target = choose.choice(known)
    day = choose.randint(0, 150)
    if choose.random() < 0.3 and target.type != "watch.neutrality.correction.v1":
        claim_id = getattr(target.data, "claim_id", "")
        return takes_back(target, f"e{number}", day=day, retracts_claim=claim_id)
    return takes_back(target, f"e{number}", day=day)


def _claim(choose: Random, number: int, known: Sequence[Event]) -> Event:
    kind = choose.choice(_KINDS)
    subject = VENDORS[0]
    if choose.random() < 0.6:
        subject = choose.choice(VENDORS if kind in ("revenue", "contract") else ORGANISATIONS)
    day = choose.randint(0, 150)
    effective = START + timedelta(days=day + choose.choice(_FROM_NOW))
    data: dict[str, Any] = {
        "subject": subject,
        "claim_id": f"{kind}-{choose.randint(0, 5)}" if choose.random() < 0.97 else "any-kind",
        "effective_time": effective.isoformat(),
        **_BODIES[kind](choose, subject),
    }
    if choose.random() < 0.1:
        data["end_time"] = (effective + timedelta(days=choose.choice((5, 60, 200)))).isoformat()
    if choose.random() < 0.1:
        data["contradicts"] = [f"{choose.choice(_KINDS)}-{choose.randint(0, 5)}"]
    identity = f"e{number}"
    if choose.random() < 0.03:  # two events under one name, which is against the contract
        identity = choose.choice(known).id
    return event(kind, status=choose.choice(_STATUSES), by=choose.choice(_EVIDENCE), day=day, id=identity, **data)


def _organisation(choose: Random) -> str:
    return choose.choice(LABS if choose.random() < 0.5 else ORGANISATIONS)


def _interest(choose: Random, subject: str) -> dict[str, Any]:
    kind = choose.choice(_INTERESTS)
    party = _organisation(choose)
    if party == subject:
        party = "f-2"
    data: dict[str, Any] = {"interested_party": party, "interest_type": kind}
    share = {"exact": choose.randint(1, choose.choice((8, 8, 14, 20))) / 20} if choose.random() < 0.7 else choose.choice(_SHARES)
    if share is not None:
        data["share"] = share
    if choose.random() < 0.2:
        data |= {
            "direct_or_indirect": choose.choice(("indirect", "unknown", "direct")),
            "component_claims": [f"interest-{choose.randint(0, 3)}"],
        }
    return data


def _role(choose: Random, subject: str) -> dict[str, Any]:
    data: dict[str, Any] = {
        "person": choose.choice((*PEOPLE, *PEOPLE, choose.choice(ORGANISATIONS))),
        "role_type": choose.choice(("executive", "board_member")),
    }
    if choose.random() < 0.4:
        data["represents"] = _organisation(choose)
    if choose.random() < 0.2:
        data["left_for"] = _organisation(choose)
    return data


def _revenue(choose: Random, subject: str) -> dict[str, Any]:
    data: dict[str, Any] = {
        "fiscal_year": choose.choice((2023, 2024, 2024)),
        "amount": {"amount": str(choose.randint(0, 100)), "currency": "USD" if choose.random() < 0.9 else "EUR"},
    }
    if choose.random() < 0.8:
        data["customer"] = _organisation(choose)
    return data


def _contract(choose: Random, subject: str) -> dict[str, Any]:
    return {"customer": _organisation(choose), "intent": choose.choice(("end", "reduce", "continue"))}


def _entity(choose: Random, subject: str) -> dict[str, Any]:
    return choose.choice(
        (
            {"name": f"Name {choose.randint(0, 2)}"},
            {"group": choose.choice(LABS)},
            {"affiliates": sorted({choose.choice(LABS), choose.choice(ORGANISATIONS)})},
            {"board_size": choose.randint(1, 5)},
            {"is_lab": choose.random() < 0.5},
            {"is_vendor": choose.random() < 0.7},
            {"categories": ["evaluation"]},
        )
    )


_BODIES: Final = {"interest": _interest, "role": _role, "revenue": _revenue, "contract": _contract, "entity": _entity}

__all__ = [
    "AT",
    "BASE",
    "FIRMS",
    "LABS",
    "ORGANISATIONS",
    "PEOPLE",
    "START",
    "VENDORS",
    "Taken",
    "claim_set",
    "described",
    "taken",
    "takes_back",
]
