"""Events as BODS 0.4 statements: one organisation, all that is held in it, and its holders' holders. Pure.

Each claim is a relationship record with one interest, told as it stands by its newest report in force; plans, rumours and denials are not
told, nor contracts and revenues, for which BODS has no words. Ids are made of ours, so the same events give the same statements.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from neutrality.events import cloudevent
from neutrality.events.structs import (
    Entity,
    EntityKind,
    Event,
    EvidenceKind,
    Identifier,
    Interest,
    Role,
    RoleType,
    Share,
    Status,
    as_struct,
)
from neutrality.events.vocabulary import iso
from neutrality.model.claims import Report, Retractions, by_claim, retractions
from neutrality.registers.bods.naming import OURS

_IN_FORCE: Final = (Status.COMPLETED, Status.TERMINATED)
_SOURCE_TYPES: Final = {EvidenceKind.FILING: "officialRegister", EvidenceKind.OFFICIAL_STATEMENT: "selfDeclaration"}
_ROLES: Final = {RoleType.EXECUTIVE: "seniorManagingOfficial", RoleType.BOARD_MEMBER: "boardMember"}
_KINDS: Final = {EntityKind.ORGANISATION: "legalEntity", EntityKind.ARRANGEMENT: "arrangement"}
PUBLISHER: Final = "Neutrality Watch"

Statement = dict[str, Any]


def statements_about(organisation: str, events: Iterable[cloudevent.Event]) -> list[Statement]:
    """Entities and persons first, then what they hold; empty if nothing is known of the organisation."""
    known = _Known(events)
    reached, waiting = {organisation}, [organisation]
    holdings: list[Report] = []
    while waiting:
        for report in known.holdings(waiting.pop()):
            holdings.append(report)
            party = _holder(report)
            if party not in reached:
                reached.add(party)
                waiting.append(party)
    if not holdings and not known.entities(organisation):
        return []
    persons = {_holder(report) for report in holdings if isinstance(report.data, Role)}
    parties = [_party(entity, known, organisation, holdings, is_person=entity in persons) for entity in sorted(reached)]
    return parties + [_relationship(report, organisation) for report in sorted(holdings, key=_by_name)]


class _Known:
    """The newest report in force of each claim, by subject."""

    def __init__(self, events: Iterable[cloudevent.Event]) -> None:
        subjects: dict[str, list[Event]] = {}
        for event in map(as_struct, events):
            subjects.setdefault(event.data.subject, []).append(event)
        self._reports: dict[str, list[Report]] = {}
        for subject, told in subjects.items():
            taken_back: Retractions = retractions(told)
            reports = [Report(event, 0) for event in told if isinstance(event.data, Entity | Interest | Role)]
            in_force = [report for report in reports if report.data.status in _IN_FORCE]
            claims = by_claim(in_force, taken_back)
            self._reports[subject] = [max(claims[name], key=lambda report: report.by_effect) for name in sorted(claims)]

    def holdings(self, subject: str) -> list[Report]:
        """Interests and roles in it."""
        return [report for report in self._reports.get(subject, ()) if isinstance(report.data, Interest | Role)]

    def entities(self, subject: str) -> list[Report]:
        """What is said of it itself."""
        return [report for report in self._reports.get(subject, ()) if isinstance(report.data, Entity)]


def _holder(report: Report) -> str:
    data = report.data
    return data.person if isinstance(data, Role) else data.interested_party  # type: ignore[union-attr]


def _by_name(report: Report) -> tuple[str, str]:
    return report.data.subject, report.data.claim_id


def _party(entity: str, known: _Known, about: str, holdings: list[Report], *, is_person: bool) -> Statement:
    told = known.entities(entity)
    near = told or [report for report in holdings if entity in (report.data.subject, _holder(report))]
    newest = max(near, key=lambda report: report.by_record)
    claims = [report.data for report in told if isinstance(report.data, Entity)]
    name = next((data.name for data in claims if data.name), None)
    kind = next((data.kind for data in claims if data.kind), EntityKind.PERSON if is_person else EntityKind.ORGANISATION)
    ours = {"scheme": OURS.upper(), "schemeName": PUBLISHER, "id": entity}
    if kind is EntityKind.PERSON:
        details: Statement = {"isComponent": False, "personType": "knownPerson", "identifiers": [ours]}
        if name:
            details["names"] = [{"fullName": name}]
        return _statement(newest, about, _record(entity), "person", details)
    registered: dict[Identifier, None] = {item: None for data in claims for item in data.identifiers or ()}
    identifiers = [{"scheme": item.scheme.upper(), "id": item.id} for item in registered]
    details = {"isComponent": False, "entityType": {"type": _KINDS[kind]}, "identifiers": [ours, *identifiers]}
    if name:
        details["name"] = name
    return _statement(newest, about, _record(entity), "entity", details)


def _relationship(report: Report, about: str) -> Statement:
    data = report.data
    ended = data.status is Status.TERMINATED
    interest: Statement
    if isinstance(data, Interest):
        interest = {"type": data.interest_type.value, "directOrIndirect": data.direct_or_indirect}
        if data.share is not None:
            interest["share"] = _percentages(data.share)
    else:
        assert isinstance(data, Role)  # noqa: S101 - nothing else is held
        interest = {"type": _ROLES[data.role_type], "directOrIndirect": "direct"}
        if data.title:
            interest["details"] = data.title
    begins, ends = data.effective_time.date(), None if data.end_time is None else data.end_time.date()
    if ended:
        interest["endDate"] = begins.isoformat()
    elif ends != begins:  # BODS has days: of a term within one day only the end can be told
        interest["startDate"] = begins.isoformat()
    if ends is not None and not ended:
        interest["endDate"] = ends.isoformat()
    details: Statement = {
        "isComponent": False,
        "subject": _record(data.subject),
        "interestedParty": _record(_holder(report)),
        "interests": [interest],
    }
    components = getattr(data, "component_claims", ())
    if components:
        details["componentRecords"] = [_record(data.subject, claim) for claim in components]
    status = "closed" if ended else "new"
    return _statement(report, about, _record(data.subject, data.claim_id), "relationship", details, status)


def _percentages(share: Share) -> dict[str, float]:
    told = {"exact": share.exact, "minimum": share.minimum, "maximum": share.maximum}
    return {name: float(Decimal(repr(ratio)) * 100) for name, ratio in told.items() if ratio is not None}


def _record(entity: str, claim: str = "") -> str:
    return str(uuid5(NAMESPACE_URL, f"urn:neutrality:record:{entity}\n{claim}"))


def _statement(report: Report, about: str, record: str, kind: str, details: Statement, status: str = "new") -> Statement:
    event = report.event
    source: Statement = {"assertedBy": [{"name": item.publisher} for item in report.data.evidence]}
    types = {_SOURCE_TYPES.get(item.kind, "thirdParty"): None for item in report.data.evidence}
    source["type"] = list(types)
    urls = [item.url for item in report.data.evidence if item.url]
    if urls:
        source["url"] = urls[0]
    told = iso(event.time)
    return {
        "statementId": str(uuid5(NAMESPACE_URL, f"urn:neutrality:statement:{record}\n{event.source}\n{event.id}")),
        "statementDate": told,
        "declarationSubject": _record(about),
        "recordId": record,
        "recordType": kind,
        "recordStatus": status,
        "recordDetails": details,
        "source": source,
        "publicationDetails": {"publicationDate": told, "bodsVersion": "0.4", "publisher": {"name": PUBLISHER}},
    }
