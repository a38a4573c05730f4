"""SEC Schedules 13D and 13G: one holding counts once, however many file for it."""

import io
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neutrality.events.claims import Entity, Interest
from neutrality.events.cloudevent import Event
from neutrality.model.local import LocalRunner
from neutrality.model.methodology import load_methodology
from neutrality.registers.connector import Conversion, NotThisFormat
from neutrality.registers.sec13 import Sec13Connector
from tests.support.events import lab, vendor

AT = datetime(2027, 1, 1, tzinfo=UTC)
ISSUER = "cik:2042347"


def row(
    name: str, cik: str | None, amount: str, percent: str, types: str = "CO", *, sole: str = "0", shared: str | None = None
) -> str:
    shared = amount if shared is None else shared
    person = f"<reportingPersonCIK>{cik}</reportingPersonCIK>" if cik else "<reportingPersonNoCIK>Y</reportingPersonNoCIK>"
    kinds = "".join(f"<typeOfReportingPerson>{one}</typeOfReportingPerson>" for one in types.split())
    return f"""<reportingPersonInfo>{person}<reportingPersonName>{name}</reportingPersonName>
      <soleVotingPower>{sole}</soleVotingPower><sharedVotingPower>{shared}</sharedVotingPower>
      <soleDispositivePower>{sole}</soleDispositivePower><sharedDispositivePower>{shared}</sharedDispositivePower>
      <aggregateAmountOwned>{amount}</aggregateAmountOwned><percentOfClass>{percent}</percentOfClass>{kinds}</reportingPersonInfo>"""


def filing(
    *rows: str, event: str = "05/04/2026", signed: str = "05/06/2026", form: str = "SCHEDULE 13D", amendment: int | None = None
) -> bytes:
    number = "" if amendment is None else f"<amendmentNo>{amendment}</amendmentNo>"
    return f"""<?xml version="1.0" encoding="UTF-8"?><edgarSubmission xmlns="http://www.sec.gov/edgar/schedule13D">
    <schemaVersion>X0202</schemaVersion><headerData><submissionType>{form}</submissionType>
    <filerInfo><filer><filerCredentials><cik>0001906837</cik></filerCredentials></filer></filerInfo></headerData>
    <formData><coverPageHeader>{number}<securitiesClassTitle>Common Stock</securitiesClassTitle><dateOfEvent>{event}</dateOfEvent>
    <issuerInfo><issuerCIK>0002042347</issuerCIK><issuerCusips><issuerCusipNumber>81221K108</issuerCusipNumber></issuerCusips>
    <issuerName>Vendor, Inc.</issuerName></issuerInfo></coverPageHeader><reportingPersons>{"".join(rows)}</reportingPersons>
    <signatureInfo><signaturePerson><signatureDetails><date>{signed}</date></signatureDetails></signaturePerson></signatureInfo>
    </formData></edgarSubmission>""".encode()


GIVEN_13G = b"""

<?xml version="1.0"?><s:edgarSubmission xmlns:s="http://www.sec.gov/edgar/schedule13g" xmlns:com="http://www.sec.gov/edgar/common">
<s:headerData><s:submissionType>SCHEDULE 13G</s:submissionType></s:headerData><s:formData><s:coverPageHeader>
<s:securitiesClassTitle>Ordinary shares</s:securitiesClassTitle>
<s:eventDateRequiresFilingThisStatement>11/19/2025</s:eventDateRequiresFilingThisStatement>
<s:issuerInfo><s:issuerCik> 0002042347</s:issuerCik><s:issuerName>Vendor, Inc.</s:issuerName><s:issuerCusip>81221K108</s:issuerCusip></s:issuerInfo>
</s:coverPageHeader><s:coverPageHeaderReportingPersonDetails><s:reportingPersonName>Fund Ltd</s:reportingPersonName>
<s:reportingPersonBeneficiallyOwnedNumberOfShares><s:soleVotingPower>5000000.00</s:soleVotingPower>
<s:sharedVotingPower>0.00</s:sharedVotingPower><s:soleDispositivePower>10,000,000.00</s:soleDispositivePower>
<s:sharedDispositivePower>0.00</s:sharedDispositivePower></s:reportingPersonBeneficiallyOwnedNumberOfShares>
<s:reportingPersonBeneficiallyOwnedAggregateNumberOfShares>10000000.00</s:reportingPersonBeneficiallyOwnedAggregateNumberOfShares>
<s:classPercent>22.2%</s:classPercent><s:typeOfReportingPerson>IA</s:typeOfReportingPerson></s:coverPageHeaderReportingPersonDetails>
</s:formData></s:edgarSubmission>"""


def convert(content: bytes, name: str = "primary_doc.xml") -> list[Conversion]:
    return list(Sec13Connector().convert(io.BytesIO(content), name))


def reasons(found: list[Conversion]) -> list[str]:
    return [refusal.reason for one in found for refusal in one.refusals]


def interests(found: list[Conversion]) -> list[Interest]:
    return [one.data for conversion in found for one in conversion.events if isinstance(one.data, Interest)]


def ownership(*filings: bytes, labs: tuple[str, ...]) -> Any:
    """What the labs own of the vendor by the confirmed score alone: points lost through the channel, low to high."""
    events: list[Event] = [one for content in filings for conversion in convert(content) for one in conversion.events]
    runner = LocalRunner(load_methodology(), AT)
    runner.apply([*map(lab, labs), vendor(ISSUER), *(one for one in events if not votes(one))])
    score = runner.assessments[ISSUER].headline
    return score.low, score.high


def votes(event: Event) -> bool:
    return isinstance(event.data, Interest) and event.data.interest_type == "votingRights"


SEVEN = [row(f"Filer {number}", str(100 + number), "6294951", "11.9", "IN" if number > 3 else "PN") for number in range(1, 8)]


def test_seven_joint_filers_hold_what_one_of_them_does() -> None:
    found = convert(filing(*SEVEN))
    assert reasons(found) == ["joint-total-repeated"] * 6
    everybody = tuple(f"cik:{100 + number}" for number in range(1, 8))
    assert ownership(filing(*SEVEN), labs=everybody) == pytest.approx((100 * (1 - 0.8 * 0.119),) * 2)


def test_if_the_one_that_stands_for_a_holding_exits_the_next_does() -> None:
    everybody = tuple(f"cik:{100 + number}" for number in range(1, 8))
    exit_ = filing(
        row("Filer 1", "101", "0.00", "0.0", "PN"), event="09/01/2026", signed="09/02/2026", form="SCHEDULE 13D/A", amendment=1
    )
    assert ownership(filing(*SEVEN), exit_, labs=everybody) == pytest.approx((100 * (1 - 0.8 * 0.119),) * 2)


@pytest.mark.parametrize(
    ("types", "stands"),
    [
        (("PN", "OO", "HC CO", "HC CO"), 4),  # a fund's chain ends with its ultimate parent
        (("CO", "OO", "OO", "OO"), 1),  # a corporation lists itself before its subsidiaries
        (("IN", "PN", "PN", "IN"), 2),
        (("IN HC", "OO", "OO", "IN"), 2),
    ],
)
def test_the_likeliest_parent_stands_for_a_joint_holding(types: tuple[str, ...], stands: int) -> None:
    rows = [row(f"Filer {number}", str(100 + number), "100", "10", kind) for number, kind in enumerate(types, start=1)]
    [first] = [
        one for one in interests(convert(filing(*rows))) if not one.component_claims and one.interest_type == "shareholding"
    ]
    assert first.interested_party == f"cik:{100 + stands}"


def test_disjoint_holdings_add_up_and_one_that_may_be_nested_is_a_range() -> None:
    disjoint = filing(row("A", "1", "100", "10", sole="100", shared="0"), row("B", "2", "50", "5", sole="50", shared="0"))
    assert ownership(disjoint, labs=("cik:1", "cik:2"))[0] == pytest.approx(100 * (1 - 0.8 * 0.1) * (1 - 0.8 * 0.05))
    nested = filing(row("A", "1", "100", "10"), row("B", "2", "50", "5"))
    assert reasons(convert(nested)) == ["may-be-nested"]
    low, high = ownership(nested, labs=("cik:1", "cik:2"))
    assert (low, high) == pytest.approx((100 * (1 - 0.8 * 0.1) * (1 - 0.8 * 0.05), 100 * (1 - 0.8 * 0.1)))


def test_amendments_update_and_an_exit_ends() -> None:
    first = filing(row("A", "1", "100", "10"))
    more = filing(
        row("A", "0000000001", "300", "30"), event="06/01/2026", signed="06/02/2026", form="SCHEDULE 13G/A", amendment=1
    )
    out = filing(row("A", "1", "0", "0"), event="07/01/2026", signed="07/02/2026", form="SCHEDULE 13D/A", amendment=2)
    assert ownership(more, first, labs=("cik:1",))[0] == pytest.approx(76.0)
    assert ownership(out, more, first, labs=("cik:1",)) == (100.0, 100.0)


def test_amendments_of_one_day_go_by_their_numbers() -> None:
    first = filing(row("A", "1", "300", "30"), amendment=2)
    second = filing(row("A", "1", "100", "10"), amendment=3)
    assert ownership(second, first, labs=("cik:1",))[0] == pytest.approx(92.0)


def test_prefixes_percent_signs_commas_and_an_empty_first_line_are_read() -> None:
    found = convert(GIVEN_13G)
    assert reasons(found) == []
    shares, voting = interests(found)
    assert (shares.subject, shares.share and shares.share.exact) == (ISSUER, 0.222)
    assert voting.share is not None
    assert voting.share.exact == pytest.approx(0.111)
    assert shares.interested_party.startswith("sec13:cik-2042347-fund-ltd-")


def test_people_and_companies_are_told_apart_and_known_by_their_cik() -> None:
    found = convert(filing(row("Jo Example", "7", "10", "1", "IN"), row("Fund LP", "8", "20", "2", "PN")))
    told = {one.data.subject: one.data for conversion in found for one in conversion.events if isinstance(one.data, Entity)}
    assert {name: str(one.kind) for name, one in told.items()} == {
        ISSUER: "organisation",
        "cik:7": "person",
        "cik:8": "organisation",
    }
    assert told["cik:8"].name == "Fund LP"


def test_the_accession_number_in_the_files_name_is_the_events() -> None:
    found = convert(filing(row("A", "1", "100", "10")), "edgar/data/0001140361-26-012345/primary_doc.xml")
    assert {one.id.partition("/")[0] for conversion in found for one in conversion.events} == {"0001140361-26-012345"}
    assert convert(filing(row("A", "1", "100", "10"))) == convert(filing(row("A", "1", "100", "10")))


def test_what_cannot_be_used_is_told() -> None:
    found = convert(filing(row("A", "x", "100", "10"), row("B", "2", "", ""), row("C", "3", "500", "")))
    assert reasons(found) == ["identifier-not-usable", "not-a-row", "no-percentage"]
    assert [one.share for one in interests([found[3]])] == [None, None]


BOMB = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;&b;">]><edgarSubmission>&c;</edgarSubmission>'


@pytest.mark.parametrize(
    "hostile",
    [
        b"",
        b"SC 13D text",
        BOMB,
        b"<edgarSubmission/>",
        b"<a>" * 20_000,
        filing(form="SC 13D"),
        filing(event="2026-05-04"),
        filing()[:-20],
    ],
    ids=range(8),
)
def test_what_is_no_structured_schedule_is_told_as_a_whole(hostile: bytes) -> None:
    with pytest.raises(NotThisFormat):
        convert(hostile)


words = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="<&"), max_size=12)


@given(words, words, words, words, words)
def test_whatever_stands_in_a_row_is_events_or_a_refusal(name: str, cik: str, amount: str, percent: str, kind: str) -> None:
    found = convert(filing(row(name, cik, amount, percent, kind), row("B", "2", "1", "1")))
    assert len(found) == 3
