"""Short ways to say a BODS 0.4 statement; everybody in it is invented."""

import io
import json
from collections.abc import Iterable
from typing import Any

from neutrality.events.cloudevent import Event
from neutrality.registers.bods import BodsConnector
from neutrality.registers.connector import Conversion

REGISTER = "https://register.example/"


def statement(record: str, kind: str, details: dict[str, Any], *, date: str = "2024-01-10", **other: Any) -> dict[str, Any]:
    return {
        "statementId": f"{record}-{date}".ljust(36, "0"),
        "statementDate": date,
        "declarationSubject": "acme",
        "recordId": record,
        "recordType": kind,
        "recordStatus": "new",
        "recordDetails": {"isComponent": False, **details},
        "publicationDetails": {"publicationDate": date, "bodsVersion": "0.4", "publisher": {"name": "Register", "url": REGISTER}},
        "source": {"type": ["officialRegister"]},
        **other,
    }


def company(record: str, *identifiers: tuple[str, str], **other: Any) -> dict[str, Any]:
    told = [{"scheme": scheme, "id": number} for scheme, number in identifiers]
    details = {"entityType": {"type": "registeredEntity"}, "name": record.title(), "identifiers": told}
    return statement(record, "entity", details, **other)


def person(record: str, **other: Any) -> dict[str, Any]:
    details = {
        "personType": "knownPerson",
        "names": [{"type": "former", "fullName": "Old Name"}, {"type": "legal", "fullName": "Ada Invented"}],
        "birthDate": "1970-01",
        "identifiers": [{"scheme": "GBR-TAXID", "id": "SECRET1"}],
        "addresses": [{"type": "residence", "address": "SECRET2"}],
    }
    return statement(record, "person", details, **other)


def holding(record: str, subject: Any, party: Any, *interests: dict[str, Any], **other: Any) -> dict[str, Any]:
    components = other.pop("components", [])
    details = {"subject": subject, "interestedParty": party, "interests": list(interests), "componentRecords": components}
    return statement(record, "relationship", details, **other)


def shares(exact: float, how: str = "direct", **other: Any) -> dict[str, Any]:
    return {"type": "shareholding", "directOrIndirect": how, "share": {"exact": exact}, **other}


def converted(*statements: dict[str, Any]) -> list[Conversion]:
    return list(BodsConnector().convert(io.BytesIO(json.dumps(statements).encode())))


def events_of(conversions: Iterable[Conversion]) -> list[Event]:
    return [event for conversion in conversions for event in conversion.events]


def reasons(conversions: Iterable[Conversion]) -> list[str]:
    return [refusal.reason for conversion in conversions for refusal in conversion.refusals]


ACME_AND_HOLDERS = (
    company("acme", ("GB-COH", "09876543")),
    company("lab", ("XI-LEI", "5493001KJTIIGC8Y1R12")),
    person("ada"),
    holding("r", "acme", "lab", shares(49)),
    holding("s", "acme", "ada", {"type": "seniorManagingOfficial", "directOrIndirect": "direct"}),
    holding("t", "lab", "ada", shares(10, "unknown", endDate="2024-01-02"), recordStatus="closed"),
)
