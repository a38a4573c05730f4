"""What if: changes as a reader puts them, as they stand in a link, and as the events that they would be.

In a link a change is its fields with `~` between, the kind first: `stake~meta~scale-ai~equity~51~completed`. What is changed replaces the claims
that say it now: so "Meta holds 51 %" does not come on top of the 49 % that it has.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from neutrality.events.claims import Contract, Correction, Interest, InterestType, Revenue
from neutrality.events.cloudevent import Event, event_from_document
from neutrality.events.vocabulary import EntityId, iso

MOST_CHANGES: Final = 20
SOURCE: Final = "urn:neutrality-watch:what-if"
_BETWEEN: Final = "~"


class WrongChange(ValueError):  # noqa: N818 - named for what it is
    """A change cannot be read; the message says which part, and what it should be. Fate: tell the reader."""

    retriable = False


class _Change(BaseModel):
    """One change. The order of the fields is that of the link."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @property
    def text(self) -> str:
        """As in a link."""
        return _BETWEEN.join(str(value) for value in self.model_dump(mode="json").values())


class Stake(_Change):
    """A party holds `percent` of the equity or of the votes in a subject; 0: nothing any more."""

    kind: Literal["stake"] = "stake"
    party: EntityId
    subject: EntityId
    aspect: Literal["equity", "votes"]
    percent: Annotated[float, Field(ge=0.0, le=100.0)]
    status: Literal["completed", "announced"] = "completed"


class Leaves(_Change):
    """A customer ends its contracts with a vendor."""

    kind: Literal["leaves"] = "leaves"
    party: EntityId
    subject: EntityId


class Spends(_Change):
    """A customer spends so many millions of US dollars with a vendor in a fiscal year."""

    kind: Literal["spends"] = "spends"
    party: EntityId
    subject: EntityId
    millions: Annotated[float, Field(ge=0.0, le=1e6)]
    year: Annotated[int, Field(ge=1900, le=2200)]


class Seat(_Change):
    """A party has somebody on a subject's board."""

    kind: Literal["seat"] = "seat"
    party: EntityId
    subject: EntityId


Change = Stake | Leaves | Spends | Seat
KINDS: Final[dict[str, type[Change]]] = {"stake": Stake, "leaves": Leaves, "spends": Spends, "seat": Seat}
_CHANGE: Final = TypeAdapter[Change](Annotated[Change, Field(discriminator="kind")])


def change_of(fields: dict[str, Any]) -> Change:
    """A change from a form's fields. Raises WrongChange."""
    model = KINDS.get(str(fields.get("kind")))
    if model is None:
        raise WrongChange(f"no such change {str(fields.get('kind'))[:40]!r}; there are {', '.join(KINDS)}")
    given = {name: str(fields[name]).strip() for name in model.model_fields if fields.get(name) not in (None, "")}
    try:
        found = _CHANGE.validate_python(given)
    except ValidationError as error:
        item = error.errors()[0]
        field = str(item["loc"][-1]) if item["loc"] else "change"
        what = "an entity's id (lower-case letters, digits and . _ : -)" if field in ("party", "subject") else item["msg"]
        raise WrongChange(f"{field}: {what}") from error
    if found.party == found.subject:
        raise WrongChange("party: it is the subject itself")
    return found


def change_from(text: str) -> Change:
    """A change from a link. Raises WrongChange."""
    kind, *values = text.split(_BETWEEN)
    model = KINDS.get(kind)
    names = [] if model is None else list(model.model_fields)[1:]
    if len(values) != len(names):
        raise WrongChange(f"{text[:80]!r} is no change of a kind that there is")
    return change_of({"kind": kind, **dict(zip(names, values, strict=True))})


def changes_from(texts: Sequence[str]) -> tuple[Change, ...]:
    """All changes of a link. Raises WrongChange."""
    if len(texts) > MOST_CHANGES:
        raise WrongChange(f"{len(texts)} changes; at most {MOST_CHANGES}")
    return tuple(map(change_from, texts))


def events_of(changes: Iterable[Change], about: Callable[[str], Iterable[Event]], at: datetime) -> tuple[Event, ...]:
    """The events that the changes would be, told at `at`; `about` gives what was told of an entity so far."""
    found: list[Event] = []
    for change in changes:
        known = sorted((event for event in about(change.subject) if event.time <= at), key=lambda event: (event.time, event.id))
        found += _Telling(change, known, at).events()
    return tuple(found)


class _Telling:
    """One change as events."""

    def __init__(self, change: Change, known: Sequence[Event], at: datetime) -> None:
        self._change, self._known, self._at = change, known, at

    def events(self) -> list[Event]:
        """The claim that says it, and the end of others that say otherwise."""
        change = self._change
        if isinstance(change, Stake):
            return self._stake(change)
        if isinstance(change, Leaves):
            claims = self._claims(lambda data: isinstance(data, Contract) and data.customer == change.party)
            ends = {"customer": change.party, "intent": "end"}
            return [self._event("contract", claim, ends) for claim in claims or (self._new("leaves"),)]
        if isinstance(change, Spends):
            claims = self._claims(
                lambda data: isinstance(data, Revenue) and (data.customer, data.fiscal_year) == (change.party, change.year)
            )
            amount = {"amount": f"{change.millions * 1e6:.2f}", "currency": "USD"}
            spent = {"customer": change.party, "fiscal_year": change.year, "amount": amount}
            return [self._event("revenue", (claims or (self._new("spends"),))[-1], spent)]
        body = {"person": f"what-if:seat-of-{change.party}"[:128], "role_type": "board_member", "represents": change.party}
        return [self._event("role", self._new("seat"), body)]

    def _stake(self, change: Stake) -> list[Event]:
        kind = InterestType.SHAREHOLDING if change.aspect == "equity" else InterestType.VOTING_RIGHTS
        claims = self._claims(
            lambda data: isinstance(data, Interest) and (data.interested_party, data.interest_type) == (change.party, kind)
        )
        *others, claim = claims or (self._new(change.aspect),)
        holds = {"interested_party": change.party, "interest_type": kind.value}
        share = {"share": {"exact": change.percent / 100.0}}
        status = change.status if change.percent > 0.0 else "terminated"
        return [
            self._event("interest", claim, {**holds, **share}, status),
            *[self._event("interest", other, holds, "terminated") for other in others if change.status == "completed"],
        ]

    def _claims(self, says: Callable[[Any], bool]) -> tuple[str, ...]:
        """Ids of the claims that say it, the one told last at the end."""
        ids = [event.data.claim_id for event in self._known if not isinstance(event.data, Correction) and says(event.data)]
        return tuple(dict.fromkeys(reversed(ids)))[::-1]

    def _new(self, what: str) -> str:
        return f"what-if-{what}-{hashlib.sha256(self._change.text.encode()).hexdigest()[:12]}"

    def _event(self, kind: str, claim: str, body: dict[str, Any], status: str = "completed") -> Event:
        name = hashlib.sha256(f"{self._change.text}\n{claim}".encode()).hexdigest()[:16]
        document = {
            "specversion": "1.0",
            "id": f"what-if/{name}",
            "source": SOURCE,
            "type": f"watch.neutrality.{kind}.v1",
            "time": iso(self._at),
            "subject": self._change.subject,
            "data": {
                "subject": self._change.subject,
                "claim_id": claim,
                "status": status,
                "effective_time": iso(self._at),
                "evidence": [{"kind": "official_statement", "publisher": "What if"}],
                **body,
            },
        }
        return event_from_document(document)
