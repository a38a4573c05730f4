"""Once it is learnt who is meant, every event stands under canonical ids, and nowhere else."""

from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neutrality.events.cloudevent import Event
from neutrality.identity.directory import Directory, StoreInMemory
from neutrality.identity.moving import concerned, is_canonical, resolve
from neutrality.identity.naming import Named, NamesItself, as_named
from neutrality.model.local import LocalRunner
from neutrality.model.methodology import load_methodology
from tests.support.events import AT, event, lab, stake, vendor

LEI = "5493001KJTIIGC8Y1R12"


class Log:
    """The topics, and what ingest does: an event is written under what its ids mean then, and moved when more is learnt."""

    def __init__(self) -> None:
        self.records: list[tuple[Event, Named]] = []
        self.directory = Directory(StoreInMemory(), load_methodology())

    def take(self, *events: Event, late: bool = False) -> None:
        """`late`: as a writer who does not ask ingest, or does not know yet."""
        affected: set[str] = set()
        for one in events:
            self.records.append((one, {}) if late else resolve(one, self.directory))
            affected |= self.directory.learn([self.records[-1][0]])
        self.settle(affected)

    def settle(self, affected: set[str]) -> None:
        for _ in range(10):
            found = list(concerned(lambda: iter(self.records), affected).moves(self.directory))
            self.records += found
            affected = self.directory.learn([event for event, _ in found])
            if not found:
                return
        raise AssertionError("it does not come to rest")

    def assessments(self, at: datetime = AT) -> dict[str, Any]:
        runner = LocalRunner(load_methodology(), at)
        runner.apply(event for event, _ in self.records)
        return {
            name: (
                found.name,
                found.headline,
                found.labs,
                found.excluded,
                found.coverage,
                found.flags,
                found.categories,
                found.confirmed,
            )
            for name, found in runner.standing_assessments().items()
        }


def scene(meta: str = "meta", scale: str = "scale-ai") -> list[Event]:
    return [
        lab("google"),
        lab("meta"),
        vendor("scale-ai"),
        stake(meta, scale, 0.49, claim_id="meta-equity", id="stake"),
        event("contract", id="contract", subject=scale, customer="google", claim_id="work"),
        event("revenue", id="r1", subject=scale, customer="google", fiscal_year=2024, amount={"amount": "150"}, claim_id="r1"),
        event("revenue", id="r2", subject=scale, fiscal_year=2024, amount={"amount": "870"}, claim_id="r2"),
    ]


KNOWN = [
    event(
        "entity", id="k1", claim_id="ids", subject="meta", identifiers=[{"scheme": "LEI", "id": LEI}], aliases=["Facebook, Inc."]
    ),
    event("entity", id="k2", claim_id="names", subject="scale-ai", name="Scale AI", aliases=["Scale AI, Inc."]),
    event("entity", id="k3", claim_id="same", subject="smart-labels", merged_into="scale-ai"),
]


def oracle() -> dict[str, Any]:
    log = Log()
    log.take(*scene(), *KNOWN)
    return log.assessments()


@pytest.mark.parametrize("meta", ["meta", f"lei:{LEI.lower()}", "name:facebook-inc"])
@pytest.mark.parametrize("scale", ["scale-ai", "name:scale-ai-inc", "smart-labels"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_it_makes_no_difference_how_an_entity_is_named_nor_when_that_is_learnt(meta: str, scale: str, when: str) -> None:
    log = Log()
    told = scene(meta, scale)
    log.take(*(told + KNOWN if when == "before" else KNOWN + told))
    assert log.assessments() == oracle()
    assert {one.data.subject for one, _ in log.records if one.data.subject.startswith("name:") and one.revision} == set()


@given(st.permutations([*scene("name:facebook-inc", "smart-labels"), *KNOWN]), st.sets(st.integers(0, 9)))
def test_any_order_ends_in_the_same_scores(order: list[Event], late: set[int]) -> None:
    log = Log()
    for place, one in enumerate(order):
        log.take(one, late=place in late)
    log.settle({"name:facebook-inc", "smart-labels"})  # ingest sees what others write, and looks whether it is canonical
    assert log.assessments() == oracle()
    newest = {
        one.id: (one, named) for one, named in sorted(log.records, key=lambda it: it[0].revision or 0) if one.source == "urn:test"
    }
    assert all(is_canonical(one, named, log.directory) for one, named in newest.values())


def test_a_merger_that_is_taken_back_is_undone_and_may_be_made_again() -> None:
    log = Log()
    log.take(*scene("meta", "smart-labels"), vendor("smart-labels"))
    apart = log.assessments()
    assert apart["scale-ai"] != apart["smart-labels"]
    merger = event("entity", id="merger-1", claim_id="same", subject="smart-labels", merged_into="scale-ai")
    log.take(merger)
    together = log.assessments()
    assert "smart-labels" not in together or together["smart-labels"] != apart["smart-labels"]
    log.take(
        event("correction", subject="smart-labels", retracts_event={"source": "urn:test", "id": "merger-1"}, reason="two firms")
    )
    assert log.assessments() == apart
    log.take(event("entity", id="merger-2", claim_id="same-after-all", subject="smart-labels", merged_into="scale-ai"))
    assert log.assessments() == together


def test_what_a_publisher_takes_back_under_an_old_name_is_taken_back() -> None:
    log = Log()
    log.take(*scene("meta", "name:scale-ai-inc"))
    log.take(
        event("correction", subject="name:scale-ai-inc", retracts_event={"source": "urn:test", "id": "stake"}, reason="wrong")
    )
    log.take(*KNOWN)
    expected = Log()
    expected.take(*[one for one in scene() if one.id != "stake"], *KNOWN)
    assert log.assessments() == expected.assessments()


def test_an_update_of_a_moved_claim_replaces_it() -> None:
    log = Log()
    log.take(*scene("meta", "name:scale-ai-inc"), *KNOWN)
    log.take(stake("meta", "name:scale-ai-inc", 0.6, claim_id="meta-equity", id="stake-2", day=300))
    expected = Log()
    expected.take(*scene(), *KNOWN, stake("meta", "scale-ai", 0.6, claim_id="meta-equity", id="stake-2", day=300))
    assert log.assessments() == expected.assessments()


def test_a_holding_in_oneself_is_none() -> None:
    log = Log()
    log.take(*scene())
    treasury = stake("smart-labels", "scale-ai", 0.3, id="treasury")
    log.take(treasury)
    log.take(*KNOWN)
    assert log.assessments() == oracle()
    with pytest.raises(NamesItself, match="smart-labels is scale-ai itself"):
        resolve(treasury, log.directory)


def test_it_is_done_once() -> None:
    log = Log()
    log.take(*scene("meta", "name:scale-ai-inc"), *KNOWN)
    again = concerned(lambda: iter(log.records), {"name:scale-ai-inc", "smart-labels", "meta"})
    assert list(again.moves(log.directory)) == []


@pytest.mark.parametrize("pointer", ["/nothing", "/affiliates/7", "/share", "", "/subject/0", "/subject", "/share/exact"])
def test_a_header_that_anybody_wrote_is_no_more_than_wrong(pointer: str) -> None:
    with pytest.raises(ValueError, match=r"is not in the event|validation error"):
        as_named(stake("meta", "v", 0.3), {pointer: "NO ID"})
