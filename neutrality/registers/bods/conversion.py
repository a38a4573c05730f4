"""One valid statement into events. What others say of the records that it names comes through `Records`."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple, Protocol

from pydantic import ValidationError

from neutrality.events.claims import Entity, EntityKind, Interest, InterestType, Role, RoleType
from neutrality.events.cloudevent import EntityEvent, Event, InterestEvent, RoleEvent, event_to_json
from neutrality.events.vocabulary import Evidence, Share, Status
from neutrality.registers.bods.mapping import evidence_kind, mapping
from neutrality.registers.bods.naming import OURS, digest, identifiers_of, provisional_id, record_key, source_of
from neutrality.registers.connector import Refusal

MAX_NAME: Final = 300
MAX_COMPONENTS: Final = 50
_OLD_NAMES: Final = frozenset({"former", "birth"})

Statement = dict[str, Any]


class Records(Protocol):
    """What the other statements of the file say."""

    def entity(self, key: str) -> str | None:
        """The entity id of a record, or None if the file has none."""
        ...

    def before(self, key: str, declared: float, published: str, statement_id: str) -> Statement | None:
        """The statement on the same record that this one follows."""
        ...

    def told(self, key: str) -> Iterator[Statement]:
        """All statements on a relationship record."""
        ...


class _Held(NamedTuple):
    """One interest of a relationship statement, with the id of its claim."""

    claim_id: str
    where: str
    told: dict[str, Any]


def convert_statement(statement: Statement, records: Records) -> tuple[list[Event], list[Refusal]]:
    """Events, refusals or both; never neither."""
    if statement["recordType"] == "relationship":
        return _relationship(statement, records)
    return _party(statement, records)


def why(error: Exception) -> str:
    """What is wrong, without the value, which may be somebody's."""
    if isinstance(error, ValidationError):
        return str(error.errors(include_url=False, include_input=False)[0]["msg"])
    return type(error).__name__


def declared_at(statement: Statement) -> datetime:
    """`statementDate`, a date being its beginning in UTC."""
    return _instant(statement["statementDate"])


def published_on(statement: Statement) -> datetime:
    """`publicationDate`, likewise."""
    return _instant(statement["publicationDetails"]["publicationDate"])


def claims_of(statement: Statement) -> list[_Held]:
    """The interests of a relationship statement whose type is told.

    A claim is named by its record, type and directness, so that what changes of it updates it and the order in the array does not matter;
    several of one name are told apart by their place in time.
    """
    named: dict[str, list[tuple[tuple[str, str], int]]] = {}
    interests = statement["recordDetails"].get("interests", [])
    record = digest(record_key(statement, statement["recordId"]))
    for number, told in enumerate(interests):
        if "type" in told:
            base = f"bods/{record}/{told['type']}/{told.get('directOrIndirect', 'unknown')}"
            order = told.get("startDate", ""), json.dumps(told, sort_keys=True)
            named.setdefault(base, []).append((order, number))
    found = []
    for base, group in named.items():
        for rank, (_, number) in enumerate(sorted(group), 1):
            name = base if rank == 1 else f"{base}/{rank}"
            found.append(_Held(name, f"/recordDetails/interests/{number}", interests[number]))
    return found


# --- entities and persons ---


def _party(statement: Statement, records: Records) -> tuple[list[Event], list[Refusal]]:
    details = statement["recordDetails"]
    key = record_key(statement, statement["recordId"])
    named, refused = identifiers_of(statement)
    identifiers = [identifier for identifier in named if identifier.scheme != OURS]  # that one is the subject
    name = _name(statement)
    if name is not None and len(name) > MAX_NAME:
        refused.append(Refusal("name-too-long", f"{len(name)} characters; at most {MAX_NAME} are kept"))
        name = name[:MAX_NAME]
    is_person = statement["recordType"] == "person"
    kind = mapping()["person"][details["personType"]] if is_person else mapping()["entity"][details["entityType"]["type"]]
    if len(identifiers) > 50:
        refused.append(Refusal("identifier", f"{len(identifiers)} of them; the first 50 are kept"))
    closed = statement.get("recordStatus") == "closed"
    entity = Entity(
        claim_id=f"bods/{digest(key)}/entity",
        subject=records.entity(key) or provisional_id(key),
        status=Status.TERMINATED if closed else Status.COMPLETED,
        effective_time=declared_at(statement),
        evidence=(_evidence(statement),),
        name=name,
        kind=EntityKind(kind),
        identifiers=tuple(identifiers[:50]) or None,
    )
    return [_event(statement, entity)], refused


def _name(statement: Statement) -> str | None:
    """An entity's name; a person's legal name, or else the first that is not a former one."""
    details = statement["recordDetails"]
    if statement["recordType"] == "entity":
        return details.get("name", "").strip() or None
    names = [item for item in details.get("names", ()) if item.get("type") not in _OLD_NAMES]
    legal = [item for item in names if item.get("type") == "legal"]
    return next((name for item in legal + names if (name := item["fullName"].strip())), None)


# --- relationships ---


def _relationship(statement: Statement, records: Records) -> tuple[list[Event], list[Refusal]]:
    details = statement["recordDetails"]
    ends = _ends(statement, records)
    if isinstance(ends, Refusal):
        return [], [ends]
    subject, party = ends
    refused = [
        Refusal("interest-without-type", f"/recordDetails/interests/{number}: of what kind it is, is not told")
        for number, told in enumerate(details.get("interests", ()))
        if "type" not in told
    ]
    events: list[Event] = []
    held = claims_of(statement)
    for item in held:
        made = _held(statement, item, subject, party, records)
        if isinstance(made, Refusal):
            refused.append(made)
        else:
            events.append(made)
    gone = _gone(statement, {item.claim_id for item in held}, records)
    events += gone
    if not events and not refused:
        refused.append(Refusal("no-interests", "/recordDetails/interests: none is told"))
    return events, refused


def _ends(statement: Statement, records: Records) -> tuple[str, str] | Refusal:
    """The subject and the party. A party that is not told but holds something gets an id of its own, joined to nobody."""
    details = statement["recordDetails"]
    subject, party = details["subject"], details["interestedParty"]
    if isinstance(subject, dict):
        return Refusal("unspecified-subject", f"/recordDetails/subject: {subject['reason']}")
    found = records.entity(record_key(statement, subject))
    if found is None:
        return Refusal("record-not-in-file", "/recordDetails/subject: what its id is, only its own statement can tell")
    if isinstance(party, dict):
        if mapping()["party"][party["reason"]] == "refused" or not details.get("interests"):
            return Refusal("unspecified-party", f"/recordDetails/interestedParty: {party['reason']}")
        return found, provisional_id(record_key(statement, statement["recordId"]), "bods-unspecified")
    holder = records.entity(record_key(statement, party))
    if holder is None:
        return Refusal("record-not-in-file", "/recordDetails/interestedParty: what its id is, only its own statement can tell")
    return found, holder


def _held(statement: Statement, item: _Held, subject: str, party: str, records: Records) -> Event | Refusal:
    """One interest as an event."""
    told = item.told
    start = told.get("startDate")
    declared, first = declared_at(statement), statement.get("recordStatus", "new") == "new"
    effective = declared if start is None else _instant(start) if first else max(_instant(start), declared)
    end = None if told.get("endDate") is None else _instant(told["endDate"])
    over = statement.get("recordStatus") == "closed" or (end is not None and end <= declared and (start is None or not first))
    if over:
        effective, end = (end or declared) if first else max(end or declared, declared), None
    elif end is not None and end <= effective:
        return Refusal("term-not-forward", f"{item.where}: it ends before it begins")
    common: dict[str, Any] = {
        "claim_id": item.claim_id,
        "subject": subject,
        "status": Status.TERMINATED if over else Status.COMPLETED,
        "effective_time": effective,
        "end_time": end,
        "evidence": (_evidence(statement),),
    }
    role = mapping()["role"].get(told["type"])
    try:
        if role is not None:
            title = (told.get("details") or told["type"])[:200]
            return _event(statement, Role(person=party, role_type=RoleType(role), title=title, **common))
        how = told.get("directOrIndirect", "unknown")
        return _event(
            statement,
            Interest(
                interested_party=party,
                interest_type=InterestType(mapping()["interest"][told["type"]]),
                share=_share(told.get("share")),
                direct_or_indirect=how,
                component_claims=() if how == "direct" else _components(statement, subject, told["type"], records),
                **common,
            ),
        )
    except ValueError as error:
        return Refusal("not-expressible", f"{item.where}: {why(error)}")


def _gone(statement: Statement, named: set[str], records: Records) -> list[Event]:
    """The ends of the claims that the statement before on the same record told and this one does not."""
    previous = _before(statement, records)
    ends = None if previous is None else _ends(previous, records)
    if previous is None or previous.get("recordStatus") == "closed" or not isinstance(ends, tuple):
        return []
    found: list[Event] = []
    for item in claims_of(previous):
        if item.claim_id not in named:
            made = _held(previous, item, *ends, records)
            if not isinstance(made, Refusal) and isinstance(made, InterestEvent | RoleEvent):
                at = max(declared_at(statement), made.data.effective_time)
                over = {"status": Status.TERMINATED, "effective_time": at, "end_time": None, "evidence": (_evidence(statement),)}
                found.append(_event(statement, made.data.model_copy(update=over)))
    return found


def _before(statement: Statement, records: Records) -> Statement | None:
    return records.before(
        record_key(statement, statement["recordId"]),
        declared_at(statement).timestamp(),
        published_on(statement).isoformat(),
        statement["statementId"],
    )


def _components(statement: Statement, subject: str, interest_type: str, records: Records) -> tuple[str, ...]:
    """The claims on the same subject, of the same type, that the statement's component records tell: it yields to these."""
    found: list[str] = []
    for record in statement["recordDetails"].get("componentRecords", ()):
        for told in records.told(record_key(statement, record)):
            into = told["recordDetails"]["subject"]
            if isinstance(into, str) and records.entity(record_key(told, into)) == subject:
                found += [item.claim_id for item in claims_of(told) if item.told["type"] == interest_type]
    return tuple(dict.fromkeys(found))[:MAX_COMPONENTS]


def _share(told: dict[str, float] | None) -> Share | None:
    """A share of 1, not of 100. An exclusive bound is read as the bound; a side that is not told is open. Raises ValueError."""
    if not told:
        return None
    if "exact" in told:
        return Share(exact=_ratio(told["exact"]))
    least = max((told[name] for name in ("minimum", "exclusiveMinimum") if name in told), default=0.0)
    most = min((told[name] for name in ("maximum", "exclusiveMaximum") if name in told), default=100.0)
    return Share(minimum=_ratio(least), maximum=_ratio(most))


def _ratio(percentage: float) -> float:
    """Exactly, so that 7 per cent is 0.07."""
    return float(Decimal(str(percentage)) / 100)


# --- common ---


def _evidence(statement: Statement) -> Evidence:
    source = statement.get("source", {})
    publisher = statement["publicationDetails"]["publisher"]
    url = source.get("url", "")
    return Evidence(
        kind=evidence_kind(source.get("type", [])),
        publisher=(publisher.get("name") or publisher["url"])[:200],
        url=url if url.startswith(("http://", "https://")) and len(url) <= 2000 else None,
        published=published_on(statement),
    )


def _event(statement: Statement, data: Entity | Interest | Role) -> Event:
    """The event's id holds the statement's and a digest of the claim: what a statement means may depend on the others of its file."""
    envelope: dict[str, Any] = {"source": source_of(statement), "time": declared_at(statement)}
    told: dict[str, Any] = {"data": data, **envelope}
    model = EntityEvent if isinstance(data, Entity) else InterestEvent if isinstance(data, Interest) else RoleEvent
    content = digest(event_to_json(model(id=statement["statementId"], **told)).decode(), 12)
    return model(id=f"{statement['statementId']}.{content}", **told)


def _instant(text: str) -> datetime:
    """RFC 3339 with an offset, or a date: its beginning in UTC."""
    found = datetime.fromisoformat(text.upper())
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found
