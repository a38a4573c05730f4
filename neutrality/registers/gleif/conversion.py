"""A relationship record becomes the claim that the end node (the parent) controls the start node by consolidating it, without any share.

- GLEIF tells no percentage: a quantifier is the degree of consolidation in the accounts. So no share is ever told.
- A child has one direct and one ultimate parent at a time, and a new record takes the place of the old: the claim is named by the kind alone. It
  takes effect with the record's first registration, so that a new parent replaces the old one; when the relationship began is in the note.
- The ultimate parent is a summary of what leads to it: its claim yields to that of the direct parent.
- Deletion wins over whatever the record's status says.
"""

import tomllib
from collections.abc import Iterator, Mapping
from datetime import datetime
from importlib.resources import files
from typing import Any, BinaryIO, Final

from neutrality.events.claims import Correction, Interest, InterestType
from neutrality.events.cloudevent import CorrectionEvent, Event, InterestEvent
from neutrality.events.identifiers import entity_id_of
from neutrality.events.vocabulary import Evidence, EvidenceKind, Identifier, Status
from neutrality.registers.connector import Conversion, Refusal
from neutrality.registers.gleif.reading import read_records
from neutrality.registers.making import digest, instant, made

SOURCE: Final = "https://www.gleif.org"
MAPPING: Final[dict[str, dict[str, str]]] = tomllib.loads(
    (files("neutrality.registers.gleif") / "mapping.toml").read_text(encoding="utf-8")
)
_FEEDER: Final = "IS_FEEDER_TO"
_DIRECT: Final = "IS_DIRECTLY_CONSOLIDATED_BY"
Document = Mapping[str, Any]


class GleifConnector:
    """See neutrality.registers.connector.Connector."""

    def convert(self, source: BinaryIO, name: str = "") -> Iterator[Conversion]:  # noqa: ARG002  it tells nothing here
        """See Connector."""
        for number, record in enumerate(read_records(source), start=1):
            place = f"record {number}"
            try:
                yield _exception(place, record) if "LEI" in record else _relationship(place, record)
            except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
                yield _refused(place, "not-a-record", f"{type(error).__name__}: {error}"[:300])


def _exception(place: str, record: Document) -> Conversion:
    reasons = [str(reason) for reason in record["ExceptionReason"]]
    unknown = [reason for reason in reasons if reason not in MAPPING["exceptions"]]
    told = "; ".join(MAPPING["exceptions"].get(reason, reason[:60]) for reason in reasons)
    category = str(record.get("ExceptionCategory"))[:60]
    return _refused(f"{place} ({record['LEI']})", "unknown-code" if unknown else "parent-not-told", f"{category}: {told}")


def _relationship(place: str, record: Document) -> Conversion:
    told, registration = record["Relationship"], record["Registration"]
    start, end, kind = told["StartNode"]["NodeID"].strip(), told["EndNode"]["NodeID"].strip(), told["RelationshipType"].strip()
    place = f"{place} ({start} {kind})"
    if kind in MAPPING["other"]:
        return _refused(place, "no-interest", MAPPING["other"][kind])
    status, registered = told.get("RelationshipStatus"), registration["RegistrationStatus"]
    if kind not in MAPPING["consolidation"] and kind != _FEEDER:
        return _refused(place, "unknown-code", kind[:60])
    if registered not in MAPPING["status"] or status not in ("ACTIVE", "INACTIVE", "NULL"):
        return _refused(place, "unknown-code", f"RegistrationStatus {registered}, RelationshipStatus {status}")
    if status == "NULL":
        return _refused(place, "not-applicable", "RelationshipStatus is NULL")
    try:
        child, parent = (entity_id_of(Identifier(scheme="lei", id=node)) for node in (start, end))
    except ValueError as error:
        return _refused(place, "not-a-lei", str(error))
    deleted_at = record.get("DeletedAt")
    fate = "ended" if deleted_at or status == "INACTIVE" else MAPPING["status"][registered]
    fate = MAPPING["status"][registered] if MAPPING["status"][registered] == "retracted" else fate
    recorded = instant(deleted_at or registration["LastUpdateDate"])
    begun = instant(registration["InitialRegistrationDate"])
    periods = [one for one in told["RelationshipPeriods"] if one.get("PeriodType") == "RELATIONSHIP_PERIOD"]
    spans = [" ".join(str(one.get(name) or "").strip() for name in ("StartDate", "EndDate")) for one in periods]
    # a feeder puts its money into its master: there the start node is who holds
    subject, party = (parent, child) if kind == _FEEDER else (child, parent)

    def make() -> Event:
        claim = f"gleif:{kind.lower()}" if kind != _FEEDER else f"gleif:{kind.lower()}/{start.lower()}"
        evidence = Evidence(
            kind=EvidenceKind(MAPPING["evidence"].get(str(registration.get("ValidationSources")), "official_statement")),
            publisher="GLEIF",
            url=f"https://search.gleif.org/#/record/{start}",
        )
        envelope: dict[str, Any] = {
            "source": SOURCE,
            "id": f"{start}/{kind}/{recorded:%Y%m%dT%H%M%S.%f}/{digest(end, fate, *spans, evidence.kind, str(begun))}",
            "time": recorded,
        }
        if fate == "retracted":
            reason = f"GLEIF: the record is {registered}"
            return CorrectionEvent(
                **envelope, data=Correction(subject=subject, retracts_claim=claim, reason=reason, evidence=(evidence,))
            )
        indirect = kind in MAPPING["consolidation"] and kind != _DIRECT
        return InterestEvent(
            **envelope,
            data=Interest(
                subject=subject,
                claim_id=claim,
                status=Status.TERMINATED if fate == "ended" else Status.COMPLETED,
                effective_time=_ended_at(periods, recorded, begun) if fate == "ended" else begun,
                evidence=(evidence,),
                interested_party=party,
                interest_type=InterestType.SHAREHOLDING if kind == _FEEDER else InterestType.OTHER_INFLUENCE_OR_CONTROL,
                direct_or_indirect="indirect" if indirect else "direct",
                component_claims=(f"gleif:{_DIRECT.lower()}",) if indirect else (),
                note=_note(periods, kind),
            ),
        )

    events, refusals = made([make])
    return Conversion(place, tuple(events), tuple(refusals))


def _ended_at(periods: list[Document], recorded: datetime, begun: datetime) -> datetime:
    ends = [instant(one["EndDate"]) for one in periods if one.get("EndDate")]
    return max(begun, *ends) if ends else max(begun, recorded)


def _note(periods: list[Document], kind: str) -> str:
    since = next((str(one["StartDate"]).strip()[:10] for one in periods if one.get("StartDate")), None)
    words = kind.replace("_", " ").lower()
    return f"GLEIF: {words}" + (f", since {since}" if since else "")


def _refused(place: str, reason: str, detail: str) -> Conversion:
    return Conversion(place, refusals=(Refusal(reason, detail),))
