"""A record tells all that one person, company or government holds in one company: one claim for each right, and that the others are not held.

- A right is named in its claim, not its band: a change of the band updates the claim. Rights that the model counts are told of in every record, held
  or not, since a record that no longer has a right says so by silence alone.
- A claim takes effect when the person became registrable; what tells an old record from a new one is when it was recorded: the time of publication in
  the stream, the snapshot's date in a snapshot. That date is in the file's name, since the lines do not tell it.
- Bands are ranges, of what is held directly or indirectly. They are not additive: joint holders each have the whole.
- Of people the name alone is kept. Nobody is joined to anybody by a name.
"""

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any, BinaryIO, Final, NamedTuple

import orjson

from neutrality.events.claims import Correction, Entity, EntityKind, Interest, InterestType
from neutrality.events.cloudevent import CorrectionEvent, EntityEvent, Event, InterestEvent
from neutrality.events.identifiers import entity_id_of, normalise_identifier, spelled_as_id
from neutrality.events.vocabulary import Evidence, EvidenceKind, Identifier, Share, Status
from neutrality.identity.names import normalise_name
from neutrality.registers.connector import Conversion, NotThisFormat, Refusal
from neutrality.registers.making import digest, instant, made

SOURCE: Final = "https://find-and-update.company-information.service.gov.uk"
MAPPING: Final[dict[str, Any]] = tomllib.loads((files("neutrality.registers.psc") / "mapping.toml").read_text(encoding="utf-8"))
_COUNTED: Final = tuple(InterestType(one) for one in MAPPING["counted"])
_UK: Final = frozenset(MAPPING["uk"])
_COMPANY: Final = re.compile(r"/?company/([^/]+)/")
_DATE: Final = re.compile(r"(20\d\d)-(\d\d)-(\d\d)")
_EARLIEST: Final = datetime(1800, 1, 1, tzinfo=UTC)
_TOTALS: Final = "totals#persons-of-significant-control-snapshot"
_STATEMENT: Final = "persons-with-significant-control-statement"
Document = Mapping[str, Any]


class _Record(NamedTuple):
    """One record, from a snapshot or the stream. `version` tells two contents of one record apart."""

    company: str
    psc: str
    data: Document
    recorded: datetime
    version: str
    deleted: bool


class _Held(NamedTuple):
    """A right: its band as ratios, and through whom it is held besides or instead."""

    share: Share | None
    through: str


class PscConnector:
    """See neutrality.registers.connector.Connector. Lines of either form may be mixed."""

    def convert(self, source: BinaryIO, name: str = "") -> Iterator[Conversion]:
        """See Connector. A snapshot's date is in `name`, as in `persons-with-significant-control-snapshot-2026-11-24.txt`."""
        found = _DATE.search(name)
        snapshot = None if found is None else instant(found.group())
        counts = {"persons": 0, "statements": 0, "exemptions": 0}
        for number, line in enumerate(source, start=1):
            if line.strip():  # an empty one shows that the stream lives
                yield _convert(f"line {number}", line, snapshot, counts)


def _convert(place: str, line: bytes, snapshot: datetime | None, counts: dict[str, int]) -> Conversion:
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return _refused(place, "not-json", str(error))
    data = record.get("data") if isinstance(record, dict) else None
    if not isinstance(record, dict) or not isinstance(data, dict | None):
        return _refused(place, "not-json", "no object with an object `data`")
    if data is not None and data.get("kind") == _TOTALS:
        return _totals(place, data, counts)
    if "event" not in record and snapshot is None:
        raise NotThisFormat("the snapshot's date is not in the file's name; name it for example psc-snapshot-2026-11-24.txt")
    try:
        read = _from_stream(record) if "event" in record else _from_snapshot(record, snapshot or _EARLIEST)
        return _events(f"{place} ({read.company} {read.psc})", read, counts)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        return _refused(place, "not-a-record", f"{type(error).__name__}: {error}"[:300])


def _events(place: str, record: _Record, counts: dict[str, int]) -> Conversion:
    kind = record.data.get("kind")
    if record.deleted:
        return _deleted(place, record)
    if kind == _STATEMENT:
        counts["statements"] += 1
        code = str(record.data.get("statement"))[:200]
        return _refused(place, "absence-told" if code in MAPPING["statements"] else "unknown-statement", code.replace("-", " "))
    if kind == "exemptions":
        counts["exemptions"] += 1
        types = sorted(str(one).replace("_", "-") for one in record.data.get("exemptions") or {})
        unknown = [one for one in types if one not in MAPPING["exemptions"]]
        return _refused(place, "unknown-statement" if unknown else "exempt", ", ".join(types)[:300] or "no type is told")
    counts["persons"] += 1
    if not isinstance(kind, str) or kind not in MAPPING["kinds"]:
        return _refused(place, "unknown-kind", str(kind)[:100])
    refusals: list[Refusal] = []
    party = _party(record)
    if MAPPING["kinds"][kind] == "protected":
        refusals.append(Refusal("protected-owner", "an owner whose details are protected"))
        makers = [_interest(record, InterestType.UNPUBLISHED_INTEREST, _Held(None, ""), party, refusals)]
    else:
        held = _held(record, refusals)
        makers = [_entity(record, party, EntityKind(MAPPING["kinds"][kind]))]
        makers += [_interest(record, right, held.get(right), party, refusals) for right in dict.fromkeys((*held, *_COUNTED))]
    events, wrong = made(makers)
    return Conversion(place, tuple(events), (*dict.fromkeys(refusals), *wrong))


def _from_snapshot(record: Document, recorded: datetime) -> _Record:
    data = record["data"]
    return _Record(
        _company(record["company_number"]), _psc(data["links"]["self"]), data, recorded, f"{recorded:%Y-%m-%d}", deleted=False
    )


def _from_stream(record: Document) -> _Record:
    event, uri = record["event"], record["resource_uri"]
    found = _COMPANY.search(uri)
    if found is None:
        raise ValueError(f"no company in {uri!r}")
    version = f"t{int(event['timepoint'])}"
    deleted = event["type"] == "deleted"
    if not deleted and event["type"] != "changed":
        raise ValueError(f"event type {event['type']!r}")
    return _Record(_company(found[1]), _psc(uri), record.get("data") or {}, instant(event["published_at"]), version, deleted)


def _company(number: str) -> str:
    return normalise_identifier(Identifier(scheme="gb-coh", id=number)).id


def _psc(uri: str) -> str:
    found = uri.rstrip("/").rpartition("/")[2]
    if not found:
        raise ValueError(f"no id in {uri!r}")
    return found


def _held(record: _Record, refusals: list[Refusal]) -> dict[InterestType, _Held]:
    """The rights of a record. Of one right held in several ways the own band is kept; of several bands the span."""
    found: dict[InterestType, dict[str, list[int]]] = {}
    for nature in record.data.get("natures_of_control") or ():
        known = MAPPING["natures"].get(nature) if isinstance(nature, str) else None
        if known is None:
            refusals.append(Refusal("unknown-nature", str(nature)[:100]))
            continue
        band = found.setdefault(InterestType(known["type"]), {}).setdefault(known["through"], [])
        band.extend(known["percent"])
    held = {}
    for right, ways in found.items():
        through = "" if "" in ways else ", ".join(sorted(ways))
        if "" in ways and len(ways) > 1:
            refusals.append(
                Refusal("held-also-through", f"{right.value}, also through {' and '.join(sorted(filter(None, ways)))}")
            )
        band = ways[""] if "" in ways else [one for way in ways.values() for one in way]
        held[right] = _Held(Share(minimum=min(band) / 100, maximum=max(band) / 100) if band else None, through)
    return held


def _interest(
    record: _Record, right: InterestType, held: _Held | None, party: str, refusals: list[Refusal]
) -> Callable[[], Event]:
    """A right that is held, or (None) is not."""
    begun = _date(record, "notified_on", refusals) or record.recorded
    ceased = _date(record, "ceased_on", refusals)
    over = ceased is not None or record.data.get("ceased") in (True, 1, "1")
    effective = max(begun, ceased or record.recorded) if over else begun

    def make() -> Event:
        return InterestEvent(
            **_envelope(record, right.value),
            data=Interest(
                subject=_subject(record),
                claim_id=_claim_id(record, right),
                status=Status.TERMINATED if over or held is None else Status.COMPLETED,
                effective_time=effective,
                evidence=_evidence(record),
                interested_party=party,
                interest_type=right,
                share=None if held is None else held.share,
                direct_or_indirect="indirect" if held is not None and held.through else "unknown",
                note=f"Held through {held.through}" if held is not None and held.through else None,
            ),
        )

    return make


def _entity(record: _Record, party: str, kind: EntityKind) -> Callable[[], Event]:
    def make() -> Event:
        # a company that holds thousands is told of once for each snapshot and spelling of its name, not once for each holding
        identifier = _company_identifier(record.data)
        name = record.data.get("name")
        told = digest(str(name), kind.value)
        return EntityEvent(
            source=SOURCE,
            id=f"{party}/{record.version}/{told}",
            time=record.recorded,
            data=Entity(
                subject=party,
                claim_id=f"psc:{told}",
                status=Status.COMPLETED,
                effective_time=record.recorded,
                evidence=(Evidence(kind=EvidenceKind.FILING, publisher="Companies House"),),
                name=name[:300] if isinstance(name, str) and name else None,
                kind=kind,
                identifiers=None if identifier is None else (identifier,),
            ),
        )

    return make


def _deleted(place: str, record: _Record) -> Conversion:
    """Removed from the register: it never should have been there."""

    def retract(right: InterestType) -> Callable[[], Event]:
        return lambda: CorrectionEvent(
            **_envelope(record, right.value),
            data=Correction(
                subject=_subject(record),
                retracts_claim=_claim_id(record, right),
                reason="Companies House has removed the record from the register",
                evidence=_evidence(record),
            ),
        )

    rights = {InterestType(known["type"]) for known in MAPPING["natures"].values()} | {InterestType.UNPUBLISHED_INTEREST}
    events, refusals = made(retract(right) for right in sorted(rights))
    return Conversion(place, tuple(events), tuple(refusals))


def _totals(place: str, data: Document, counts: dict[str, int]) -> Conversion:
    told = {
        "persons": data.get("persons_of_significant_control_count"),
        "statements": data.get("statements_count"),
        "exemptions": data.get("exemptions_count"),
    }
    figures = ", ".join(f"{name} {counts[name]} of {told[name]}" for name in counts)
    return _refused(place, "totals" if told == counts else "totals-differ", figures)


def _party(record: _Record) -> str:
    identifier = _company_identifier(record.data)
    return spelled_as_id("psc", record.psc) if identifier is None else entity_id_of(identifier)


def _company_identifier(data: Document) -> Identifier | None:
    """The number in this register of a company that holds; None unless the register that it names is this one."""
    told = data.get("identification")
    if not isinstance(told, dict) or not str(data.get("kind", "")).startswith("corporate-entity"):
        return None
    places = [normalise_name(str(told[key])) for key in ("country_registered", "place_registered") if told.get(key)]
    if not places or not all(place in _UK for place in places):
        return None
    try:
        return normalise_identifier(Identifier(scheme="gb-coh", id=str(told.get("registration_number"))))
    except ValueError:
        return None


def _date(record: _Record, field: str, refusals: list[Refusal]) -> datetime | None:
    text = record.data.get(field)
    if text is None:
        return None
    try:
        found = instant(str(text))
    except ValueError:
        found = None
    if found is None or not _EARLIEST <= found <= record.recorded + timedelta(days=366):
        refusals.append(Refusal("date-not-possible", f"{field}: {str(text)[:40]}"))
        return record.recorded
    return found


def _subject(record: _Record) -> str:
    return entity_id_of(Identifier(scheme="gb-coh", id=record.company))


def _claim_id(record: _Record, right: InterestType) -> str:
    return f"psc:{digest(record.psc)}/{right.value}"


def _envelope(record: _Record, what: str) -> dict[str, Any]:
    content = "" if record.version.startswith("t") else f"/{digest(str(record.data.get('etag')))}"
    return {
        "source": SOURCE,
        "id": f"{record.company}/{record.psc[:80]}/{record.version}{content}/{what}",
        "time": record.recorded,
    }


def _evidence(record: _Record) -> tuple[Evidence, ...]:
    return (
        Evidence(
            kind=EvidenceKind.FILING,
            publisher="Companies House",
            url=f"{SOURCE}/company/{record.company}/persons-with-significant-control",
        ),
    )


def _refused(place: str, reason: str, detail: str) -> Conversion:
    return Conversion(place, refusals=(Refusal(reason, detail),))
