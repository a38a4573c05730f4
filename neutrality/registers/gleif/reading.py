"""Records from any of GLEIF's renderings, as plain dictionaries with the names of the common data file format; one at a time.

What the renderings call differently is given one name: periods are a list, validation is `ValidationSources`, a deletion is `DeletedAt`.
"""

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, Final
from xml.etree.ElementTree import Element, ParseError

import ijson
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import iterparse
from ijson.common import JSONError

from neutrality.registers.connector import NotThisFormat
from neutrality.registers.making import Peeked

Record = dict[str, Any]
_RECORDS: Final = ("RelationshipRecord", "Exception")
_PREFIXES: Final = ((b'"relations"', "relations.item"), (b'"exceptions"', "exceptions.item"))
_HEAD_BYTES: Final = 4096


def read_records(source: BinaryIO) -> Iterator[Record]:
    """Every record.

    Raises:
        NotThisFormat: it is none of the renderings, or breaks off.
    """
    peeked = Peeked(source, _HEAD_BYTES)
    head = peeked.head.lstrip(b"\xef\xbb\xbf \r\n\t")
    try:
        if head.startswith(b"<"):
            yield from _from_xml(peeked)
        elif head.startswith((b"{", b"[")):
            yield from _from_json(peeked, head)
        elif b"Relationship.StartNode.NodeID" in head or head.startswith((b"LEI,", b'"LEI"')):
            yield from _from_csv(peeked)
        else:
            raise NotThisFormat(f"expected GLEIF level 2 data as XML, JSON or CSV; it begins with {head[:40]!r}")
    except (ParseError, DefusedXmlException) as error:
        raise NotThisFormat(f"not XML that is read: {type(error).__name__}: {error}") from error
    except JSONError as error:
        raise NotThisFormat(f"not JSON: {error}") from error
    except csv.Error as error:
        raise NotThisFormat(f"not CSV: {error}") from error


def _from_xml(source: Peeked) -> Iterator[Record]:
    root: Element | None = None
    for event, element in iterparse(source, events=("start", "end")):
        if root is None:
            root = element
        if event == "end" and _local(element) in _RECORDS:
            found = _of_element(element)
            yield _unified(found) if isinstance(found, dict) else {}
            element.clear()
            root.clear()  # or the root would keep an empty child for each of millions


def _of_element(element: Element) -> Any:
    if len(element) == 0:
        return (element.text or "").strip()
    found: dict[str, Any] = {}
    for child in element:
        name = _local(child)
        value = _of_element(child)
        if name in found:
            found[name] = [*(found[name] if isinstance(found[name], list) else [found[name]]), value]
        else:
            found[name] = value
    return found


def _local(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _from_json(source: Peeked, head: bytes) -> Iterator[Record]:
    if head.startswith(b"["):
        prefix = "item"
    else:
        compact = b"".join(head.split())
        prefix = "data.item" if b'"data":[' in compact else "data"
        prefix = next((path for mark, path in _PREFIXES if mark in head), prefix)
    for found in ijson.items(source, prefix):
        yield _unified(_plain(found)) if isinstance(found, dict) else {}


def _plain(value: Any) -> Any:
    """Golden copy JSON has {"$": value} for value."""
    if isinstance(value, dict):
        return value["$"] if value.keys() == {"$"} else {name: _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list) else value


def _from_csv(source: Peeked) -> Iterator[Record]:
    text = io.TextIOWrapper(io.BufferedReader(source), encoding="utf-8-sig", errors="replace", newline="")
    for row in csv.DictReader(text):
        if "LEI" in row:
            reasons = [value for name, value in row.items() if name and name.startswith("Exception.Reason") and value]
            yield {"LEI": row["LEI"], "ExceptionCategory": row.get("Exception.Category"), "ExceptionReason": reasons}
            continue
        periods = [
            {"StartDate": row[f"{name}.startDate"], "EndDate": row[f"{name}.endDate"], "PeriodType": row[f"{name}.periodType"]}
            for name in (f"Relationship.Period.{number}" for number in range(1, 6))
            if row.get(f"{name}.periodType")
        ]
        nested: Record = {"Relationship": {"RelationshipPeriods": periods}, "Registration": {}}
        for name, value in row.items():
            group, _, field = (name or "").partition(".")
            if value and group in nested and not field.startswith(("Period.", "Qualifiers.", "Quantifiers.")):
                outer, _, inner = field.partition(".")
                if inner:
                    nested[group].setdefault(outer, {})[inner] = value
                else:
                    nested[group][outer] = value
        yield _unified(nested)


def _unified(found: Record) -> Record:
    found = found.get("RelationshipRecord", found)
    if "attributes" in found:
        return _from_api(found["attributes"])
    if "LEI" in found:
        reasons = found.get("ExceptionReason")
        return {**found, "ExceptionReason": reasons if isinstance(reasons, list) else [reasons]}
    relationship = found.get("Relationship")
    if isinstance(relationship, dict):
        periods = relationship.get("RelationshipPeriods") or []
        periods = periods.get("RelationshipPeriod", periods) if isinstance(periods, dict) else periods
        relationship["RelationshipPeriods"] = periods if isinstance(periods, list) else [periods]
    extension = found.get("Extension")
    deletion = extension.get("Deletion") if isinstance(extension, dict) else None
    if isinstance(deletion, dict) and deletion.get("DeletedAt"):
        found["DeletedAt"] = deletion["DeletedAt"]
    return found


def _from_api(attributes: Mapping[str, Any]) -> Record:
    if "category" in attributes:
        return {"LEI": attributes["lei"], "ExceptionCategory": attributes["category"], "ExceptionReason": [attributes["reason"]]}
    told, registration = attributes["relationship"], attributes["registration"]
    return {
        "Relationship": {
            "StartNode": {"NodeID": told["startNode"]["id"], "NodeIDType": told["startNode"]["type"]},
            "EndNode": {"NodeID": told["endNode"]["id"], "NodeIDType": told["endNode"]["type"]},
            "RelationshipType": told["type"],
            "RelationshipStatus": told["status"],
            "RelationshipPeriods": [
                {"StartDate": one.get("startDate"), "EndDate": one.get("endDate"), "PeriodType": one.get("type")}
                for one in told.get("periods") or ()
            ],
        },
        "Registration": {
            "InitialRegistrationDate": registration["initialRegistrationDate"],
            "LastUpdateDate": registration["lastUpdateDate"],
            "RegistrationStatus": registration["status"],
            "ValidationSources": registration.get("corroborationLevel"),
        },
        "DeletedAt": (attributes.get("extension") or {}).get("deletedAt"),
    }
