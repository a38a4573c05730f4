"""What the views of a vendor are made of: points, ownership, customers, the past, the report."""

import csv
import io
from datetime import UTC, datetime
from typing import Any

import pytest

from neutrality.events.cloudevent import Event, event_to_json
from neutrality.scenario import load_scenario
from services.board.domain.alternatives import alternatives_to
from services.board.domain.contracts import contracts_of
from services.board.domain.ownership import MOST_NODES, ownership_of
from services.board.domain.points import waterfall_of
from services.board.domain.replaying import as_of, history
from services.board.domain.report import COLUMNS, Report, Step, rows_of
from services.board.pages.vendor import entries_of, line_of
from services.board.pdf import pdf
from tests.support.assessments import assessment, score
from tests.support.events import AT, event, lab, vendor

TOLD = [(event_to_json(one), 0) for one in load_scenario("scale-ai-2025").events()]
NOW = datetime(2025, 6, 14, tzinfo=UTC)
BEFORE = datetime(2025, 6, 11, 23, tzinfo=UTC)


def told(*events: Event) -> list[tuple[bytes, int]]:
    return [(event_to_json(one), 0) for one in events]


@pytest.mark.parametrize("towards", ["google", "openai", "meta"])
@pytest.mark.parametrize("at", [BEFORE, NOW])
def test_the_waterfall_ends_at_both_scores(towards: str, at: datetime) -> None:
    found = as_of(TOLD, at)["scale-ai"]
    fall = waterfall_of(found, towards)
    points = found.score_for(towards)
    assert sum(bar.points for bar in fall.bars) == pytest.approx(100 - points.confirmed)
    assert sum(bar.projected_points for bar in fall.bars) == pytest.approx(100 - points.projected)
    for one, next_ in zip(fall.bars, fall.bars[1:], strict=False):
        assert (one.end, one.projected_end) == (next_.start, next_.projected_start)


def test_what_costs_nothing_is_set_aside_and_the_unknown_is_told() -> None:
    fall = waterfall_of(as_of(TOLD, NOW)["scale-ai"], "google")
    costing = {bar.claim.claim_id for bar in fall.bars if bar.claim}
    assert costing.isdisjoint(note.claim_id for note in fall.aside)
    assert fall.unknown == ("some shareholders are known, but not the size of their shares",)


def test_ownership_tells_votes_from_equity_and_what_is_not_certain() -> None:
    held: dict[str, Any] = {"subject": "works", "share": {"exact": 0.4}}
    graph = ownership_of(
        told(
            lab("meta"),
            vendor("works"),
            event("interest", interested_party="holding", interest_type="shareholding", **held),
            event("interest", interested_party="holding", interest_type="votingRights", **held),
            event("interest", interested_party="fund", interest_type="shareholding", status="rumoured", by=("rumour", 1), **held),
            event("interest", interested_party="meta", interest_type="appointmentOfBoard", subject="holding"),
            event("interest", interested_party="works", interest_type="shareholding", subject="meta", share={"exact": 0.01}),
        ),
        "works",
        AT,
    )
    assert {(node.entity, node.kind, node.level) for node in graph.nodes} == {
        ("works", "vendor", 0), ("holding", "entity", 1), ("fund", "entity", 1), ("meta", "lab", 2),
    }  # fmt: skip
    assert {(edge.holder, edge.held, edge.aspect, edge.share, edge.is_pending) for edge in graph.edges} == {
        ("holding", "works", "equity", "40 %", False),
        ("holding", "works", "votes", "40 %", False),
        ("fund", "works", "equity", "40 %", True),
        ("meta", "holding", "control", "", False),
        ("works", "meta", "equity", "1 %", False),
    }


def test_a_graph_that_nobody_could_read_says_what_it_leaves_out() -> None:
    holders = [
        event("interest", subject="works", interested_party=f"fund-{n}", interest_type="shareholding", share={"exact": 0.001})
        for n in range(MOST_NODES + 10)
    ]
    graph = ownership_of(told(vendor("works"), *holders), "works", AT)
    assert (len(graph.nodes), graph.left_out) == (MOST_NODES, 11)
    assert {edge.holder for edge in graph.edges} == {node.entity for node in graph.nodes} - {"works"}


def test_revenue_at_risk_is_what_customers_who_mean_to_go_spend() -> None:
    found = contracts_of(TOLD, "scale-ai", NOW)
    google = found.customers[0]
    assert (google.customer, round(google.share or 0, 3)) == ("google", 0.172)
    leaving = next(plan for plan in google.plans if plan.intent == "end")
    assert google.at_risk == pytest.approx((google.share or 0) * leaving.credibility)
    assert found.at_risk == pytest.approx(google.at_risk)
    assert contracts_of(TOLD, "scale-ai", BEFORE).customers[0].at_risk == 0.0
    assert contracts_of(TOLD, "turing", NOW).customers == ()


def test_the_past_falls_once_by_the_claims_of_the_deal() -> None:
    moments = history(TOLD, "scale-ai", NOW)
    entries = entries_of(moments, "scale-ai", "google")
    fall = [entry for entry in entries if entry.moved is not None]
    assert [round(entry.moved or 0, 1) for entry in fall] == [-61.1]
    assert sum(mover.points for mover in fall[0].movers) == pytest.approx(fall[0].moved)
    line = line_of(entries, "google", NOW)
    assert line["times"] == sorted(line["times"])
    assert line["confirmed"][0] is None
    assert line["first"] == line["times"][line["confirmed"].index(100.0)]


def test_time_alone_is_a_moment_of_the_past() -> None:
    works = told(
        lab("meta"),
        vendor("works"),
        event(
            "interest", subject="works", interested_party="meta", interest_type="shareholding", share={"exact": 0.5},
            effective_time="2025-03-01T00:00:00Z", end_time="2025-05-01T00:00:00Z",
        ),
    )  # fmt: skip
    alone = [moment.at for moment in history(works, "works", NOW) if not moment.reports]
    assert alone == [datetime(2025, 3, 1, tzinfo=UTC), datetime(2025, 5, 1, tzinfo=UTC)]


def test_alternatives_share_the_work_and_the_unrated_are_last() -> None:
    def found(name: str, points: float, **more: object) -> object:
        return assessment(1, score(points, **more), vendor=name)

    vendors = [found("a", 60.0, grade="N3"), found("b", 100.0, grade="NR"), found("c", 80.0, grade="N2"), found("own", 1.0)]
    for one in vendors:
        object.__setattr__(one, "categories", ("data-labelling",))
    other = found("elsewhere", 100.0)
    ranked = alternatives_to(vendors[-1], "google", [*vendors, other])  # type: ignore[arg-type, list-item]
    assert [one.vendor for one in ranked] == ["c", "a", "b"]


def report() -> Report:
    found = as_of(TOLD, NOW)
    own = found["scale-ai"]
    return Report(
        vendor=own,
        lab="google",
        lab_name="=HYPERLINK(1)",
        score=own.score_for("google"),
        made=NOW,
        as_of=None,
        fall=waterfall_of(own, "google"),
        graph=ownership_of(TOLD, "scale-ai", NOW),
        contracts=contracts_of(TOLD, "scale-ai", NOW),
        others=alternatives_to(own, "google", found.values()),
        steps=(Step(NOW, -61.1, 38.9, "Ünïcode — 株式会社 ≥ 49 %"),),
        names={"meta": "Meta"},
    )


def test_the_table_of_a_report_reads_back_and_holds_no_formula() -> None:
    text = io.StringIO()
    csv.writer(text).writerows(rows_of(report()))
    rows = list(csv.DictReader(io.StringIO(text.getvalue())))
    assert set(rows[0]) == set(COLUMNS)
    assert rows[0]["who"] == "'=HYPERLINK(1)"
    lost = [float(row["confirmed"]) for row in rows if row["section"] == "points"]
    assert sum(lost) == pytest.approx(-61.1, abs=0.1)
    assert {row["section"] for row in rows} == {
        "score", "points", "costs nothing now", "not known", "ownership", "customer", "alternative", "moved",
    }  # fmt: skip


def test_the_document_of_a_report_is_a_pdf_whatever_is_in_it() -> None:
    content = pdf(report())
    assert content.startswith(b"%PDF-")
    assert content.count(b"/Type /Page\n") >= 2
