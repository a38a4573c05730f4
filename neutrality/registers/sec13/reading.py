"""A filing's cover pages, by local names: prefixes, namespaces and versions of the schema differ from filing to filing."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import BinaryIO, Final
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from neutrality.registers.connector import NotThisFormat

MAX_BYTES: Final = 64 * 1024 * 1024
_ROWS: Final = ("reportingPersonInfo", "coverPageHeaderReportingPersonDetails")
_NUMBER: Final = re.compile(r"-?\d[\d,]*(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class Row:
    """One reporting person. Numbers that are missing or cannot be read are None; `percent` is of the class."""

    number: int
    name: str
    cik: str | None
    types: tuple[str, ...]
    amount: Decimal | None
    percent: Decimal | None
    sole_votes: Decimal | None
    shared_votes: Decimal | None
    shared_disposition: Decimal | None

    @property
    def has_shared_power(self) -> bool:
        """Whether others have power over the same shares, or it is not told that nobody has."""
        return any(one is None or one > 0 for one in (self.shared_votes, self.shared_disposition))


@dataclass(frozen=True, slots=True)
class Filing:
    """What a filing says on its cover pages. `filed` is the latest signature's date, else the event's."""

    form: str
    filer_cik: str
    amendment: int
    issuer_cik: str | None
    issuer_name: str
    cusips: tuple[str, ...]
    class_title: str
    event: datetime
    filed: datetime
    rows: tuple[Row, ...]


def read_filing(source: BinaryIO) -> Filing:
    """The filing.

    Raises:
        NotThisFormat: it is no Schedule 13D or 13G in XML, or has no date of event.
    """
    content = source.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise NotThisFormat(f"more than {MAX_BYTES} bytes; a filing is one XML document of some kilobytes")
    try:
        root = fromstring(content.lstrip(b"\xef\xbb\xbf \r\n\t"))
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise NotThisFormat(f"not XML that is read: {type(error).__name__}: {error}") from error
    form = _text(root, "submissionType") or ""
    if not form.startswith("SCHEDULE 13"):
        raise NotThisFormat(
            f"expected submissionType SCHEDULE 13D or 13G (structured since December 2024), found {form or 'none'!r}"
        )
    event = _date(_text(root, "dateOfEvent", "eventDateRequiresFilingThisStatement"))
    if event is None:
        raise NotThisFormat("the date of the event is missing or no date (MM/DD/YYYY)")
    signed = [date for element in _all(root, "date") if (date := _date(element.text)) is not None]
    amendment = _text(root, "amendmentNo") or "0"
    return Filing(
        form=form,
        filer_cik=(_text(root, "cik") or "").lstrip("0"),
        amendment=int(amendment) if amendment.isdigit() and len(amendment) < 5 else 0,
        issuer_cik=_text(root, "issuerCIK", "issuerCik"),
        issuer_name=_text(root, "issuerName") or "",
        cusips=tuple(
            dict.fromkeys(text for name in ("issuerCUSIP", "issuerCusip", "issuerCusipNumber") for text in _texts(root, name))
        ),
        class_title=_text(root, "securitiesClassTitle") or "",
        event=event,
        filed=max([event, *signed]),
        rows=tuple(_row(number, row) for number, row in enumerate((one for name in _ROWS for one in _all(root, name)), start=1)),
    )


def _row(number: int, row: Element) -> Row:
    return Row(
        number=number,
        name=_text(row, "reportingPersonName") or "",
        cik=_text(row, "reportingPersonCIK", "reportingCik"),
        types=tuple(_texts(row, "typeOfReportingPerson")),
        amount=_number(_text(row, "aggregateAmountOwned", "reportingPersonBeneficiallyOwnedAggregateNumberOfShares")),
        percent=_number(_text(row, "percentOfClass", "classPercent")),
        sole_votes=_number(_text(row, "soleVotingPower")),
        shared_votes=_number(_text(row, "sharedVotingPower")),
        shared_disposition=_number(_text(row, "sharedDispositivePower")),
    )


def _all(root: Element, name: str) -> list[Element]:
    return [element for element in root.iter() if isinstance(element.tag, str) and element.tag.rpartition("}")[2] == name]


def _texts(root: Element, name: str) -> list[str]:
    return [text for element in _all(root, name) if (text := " ".join((element.text or "").split()))]


def _text(root: Element, *names: str) -> str | None:
    return next((text for name in names for text in _texts(root, name)), None)


def _number(text: str | None) -> Decimal | None:
    """A number as filers write it: `10000000.00`, `22.2%`, `6,294,951`."""
    found = _NUMBER.search(text or "")
    try:
        value = None if found is None else Decimal(found.group().replace(",", ""))
    except InvalidOperation:
        return None
    return value if value is None or 0 <= value < 10**18 else None


def _date(text: str | None) -> datetime | None:
    try:
        return datetime.strptime((text or "").strip(), "%m/%d/%Y").replace(tzinfo=UTC)
    except ValueError:
        return None
