"""Each reporting person's row becomes claims about the issuer: what it beneficially owns of the class, and its votes in it.

- Beneficial ownership (Rule 13d-3) is voting or investment power over shares of one class, options within 60 days included. The percentage is the
  filer's own, of the class: a company with several classes has other votes.
- Joint filers each repeat the total of one holding. Rows with the same amount and percentage are one holding: the likeliest parent stands for it, and
  the claims of the others name those before them as components, to which they yield. So one counts, whichever of them ends; never the sum.
- Of different totals a smaller one with shared power may be part of a larger: it is a range from nothing, so that the bounds are right.
- A row of nothing ends the claims of that person in that class. A later filing, whatever its form, updates them. A person who is left out of an
  amendment is not touched: absence may mean either.
"""

import hashlib
import io
import re
import tomllib
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from importlib.resources import files
from typing import Any, BinaryIO, Final

from neutrality.events.claims import Entity, EntityKind, Interest, InterestType
from neutrality.events.cloudevent import EntityEvent, Event, InterestEvent
from neutrality.events.identifiers import entity_id_of, normalise_identifier, spelled_as_id
from neutrality.events.vocabulary import Evidence, EvidenceKind, Identifier, Share, Status
from neutrality.identity.names import normalise_name
from neutrality.registers.connector import Conversion, Refusal
from neutrality.registers.making import digest, made
from neutrality.registers.sec13.reading import Filing, Row, read_filing

SOURCE: Final = "https://www.sec.gov/edgar"
MAPPING: Final[dict[str, dict[str, str]]] = tomllib.loads(
    (files("neutrality.registers.sec13") / "mapping.toml").read_text(encoding="utf-8")
)
_ACCESSION: Final = re.compile(r"(?<!\d)(\d{10})-?(\d{2})-?(\d{6})(?!\d)")
_KINDS: Final = (InterestType.SHAREHOLDING, InterestType.VOTING_RIGHTS)


class Sec13Connector:
    """See neutrality.registers.connector.Connector. A filing is one file; its accession number, if any, is in the file's name."""

    def convert(self, source: BinaryIO, name: str = "") -> Iterator[Conversion]:
        """See Connector."""
        content = source.read()
        filing = read_filing(io.BytesIO(content))
        found = _ACCESSION.search(name)
        version = "-".join(found.groups()) if found else hashlib.sha256(content).hexdigest()[:20]
        issuer, refusals = _issuer(filing)
        yield _Converter(filing, version, issuer).company(refusals)
        yield from _Converter(filing, version, issuer).people()


def _issuer(filing: Filing) -> tuple[str, list[Refusal]]:
    try:
        return entity_id_of(Identifier(scheme="cik", id=filing.issuer_cik or "")), []
    except ValueError:
        named = filing.cusips[0] if filing.cusips else filing.issuer_name
        return spelled_as_id("sec13", named or "unknown"), [Refusal("identifier-not-usable", f"issuer CIK {filing.issuer_cik!r}")]


class _Converter:
    def __init__(self, filing: Filing, version: str, issuer: str) -> None:
        self._filing, self._version, self._issuer = filing, version, issuer
        self._class = digest(*(sorted(filing.cusips) or [normalise_name(filing.class_title)]))
        # amendments of one day go in the order of their numbers
        self._recorded: datetime = filing.filed + timedelta(microseconds=filing.amendment)

    def company(self, refusals: list[Refusal]) -> Conversion:
        name = self._filing.issuer_name[:300] or None
        events, wrong = made([self._entity("issuer", self._issuer, name, EntityKind.ORGANISATION, self._filing.issuer_cik)])
        return Conversion(f"issuer ({name})", tuple(events), (*refusals, *wrong))

    def people(self) -> Iterator[Conversion]:
        holdings: dict[object, list[Row]] = {}
        for row in self._filing.rows:
            alone = row.amount is None or row.percent is None or not row.percent
            holdings.setdefault(row.number if alone else (row.amount, row.percent), []).append(row)
        largest = max((row.percent for row in self._filing.rows if row.percent is not None), default=None)
        for rows in holdings.values():
            ranked = _ranked(rows)
            for place, row in enumerate(ranked):
                yield self._person(row, ranked[:place], largest=row.percent == largest)

    def _person(self, row: Row, before: Sequence[Row], *, largest: bool) -> Conversion:
        refusals: list[Refusal] = []
        party = self._party(row, refusals)
        kind = EntityKind.PERSON if set(row.types) == {"IN"} else EntityKind.ORGANISATION
        makers = [self._entity(f"person-{row.number}", party, row.name[:300] or None, kind, row.cik)]
        place = f"reporting person {row.number} ({row.name[:80]})"
        if row.amount is None and row.percent is None:
            refusals.append(Refusal("not-a-row", "neither an amount nor a percentage"))
            return self._made(place, makers, refusals)
        if before:
            refusals.append(Refusal("joint-total-repeated", f"the holding of {before[0].name[:80]}"))
        if row.percent is None:
            refusals.append(Refusal("no-percentage", f"{row.amount} shares"))
        nested = not before and not largest and bool(row.percent) and row.has_shared_power
        if nested:
            refusals.append(Refusal("may-be-nested", f"{row.amount} shares, {row.percent} %"))
        for what in _KINDS:
            share = self._share(row, what, nested=nested)
            makers.append(self._interest(row, what, party, share, [self._claim_id(one, what) for one in before]))
        return self._made(place, makers, refusals)

    def _share(self, row: Row, what: InterestType, *, nested: bool) -> Share | None:
        if row.percent is None:
            return None
        ratio = min(100.0, float(row.percent)) / 100
        if what is InterestType.VOTING_RIGHTS:
            if row.sole_votes is None or row.shared_votes is None or not row.amount:
                return None if row.percent else Share(exact=0.0)
            votes: Decimal = row.sole_votes + row.shared_votes
            ratio = min(1.0, float(votes / row.amount) * ratio)
        return Share(minimum=0.0, maximum=ratio) if nested else Share(exact=ratio)

    def _interest(
        self, row: Row, what: InterestType, party: str, share: Share | None, yields_to: list[str]
    ) -> Callable[[], Event]:
        over = row.percent is not None and not row.percent and not row.amount

        def make() -> Event:
            return InterestEvent(
                **self._envelope(f"{row.number}/{what.value}"),
                data=Interest(
                    subject=self._issuer,
                    claim_id=self._claim_id(row, what),
                    status=Status.TERMINATED if over else Status.COMPLETED,
                    effective_time=self._filing.event,
                    evidence=self._evidence(),
                    interested_party=party,
                    interest_type=what,
                    share=share,
                    direct_or_indirect="indirect" if yields_to else "unknown",
                    component_claims=tuple(yields_to),
                    note=f"{self._filing.form}: {self._filing.class_title}"[:2000],
                ),
            )

        return make

    def _entity(self, what: str, entity: str, name: str | None, kind: EntityKind, cik: str | None) -> Callable[[], Event]:
        def make() -> Event:
            try:
                identifiers = (normalise_identifier(Identifier(scheme="cik", id=cik or "")),)
            except ValueError:
                identifiers = None
            return EntityEvent(
                **self._envelope(what),
                data=Entity(
                    subject=entity,
                    claim_id="sec13:filer",
                    status=Status.COMPLETED,
                    effective_time=self._filing.event,
                    evidence=self._evidence(),
                    name=name,
                    kind=kind,
                    identifiers=identifiers,
                ),
            )

        return make

    def _made(self, place: str, makers: list[Callable[[], Event]], refusals: list[Refusal]) -> Conversion:
        events, wrong = made(makers)
        return Conversion(place, tuple(events), (*refusals, *wrong))

    def _party(self, row: Row, refusals: list[Refusal]) -> str:
        if row.cik:
            try:
                return entity_id_of(Identifier(scheme="cik", id=row.cik))
            except ValueError:
                refusals.append(Refusal("identifier-not-usable", f"CIK {row.cik[:40]!r}"))
        return spelled_as_id("sec13", f"{self._issuer}/{normalise_name(row.name) or row.number}")

    def _claim_id(self, row: Row, what: InterestType) -> str:
        return f"sec13:{self._class}/{digest(self._party(row, []))}/{what.value}"

    def _envelope(self, what: str) -> dict[str, Any]:
        return {"source": SOURCE, "id": f"{self._version}/{what}", "time": self._recorded}

    def _evidence(self) -> tuple[Evidence, ...]:
        return (Evidence(kind=EvidenceKind.FILING, publisher="U.S. Securities and Exchange Commission (EDGAR)"),)


def _ranked(rows: list[Row]) -> list[Row]:
    """Joint filers of one holding, the one that stands for it first: see `parents` in the mapping; people last."""
    for kind, which in MAPPING["parents"].items():
        found = [row for row in rows if kind in row.types and "IN" not in row.types]
        if found:
            chosen = found[0] if which == "first" else found[-1]
            return [chosen, *sorted((row for row in rows if row is not chosen), key=_people_last)]
    return sorted(rows, key=_people_last)


def _people_last(row: Row) -> tuple[bool, int]:
    return "IN" in row.types, row.number
