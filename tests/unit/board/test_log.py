"""A vendor's score follows from the part of the log that the board takes for it, and from no more."""

import pytest

from neutrality.events.cloudevent import Event, event_to_json
from neutrality.model.local import LocalRunner
from neutrality.model.methodology import load_methodology
from neutrality.scenario import load_scenario
from services.board.domain.log import Log, record_of
from services.board.domain.replaying import as_of, what_if
from tests.support.events import AT, event, lab, vendor
from tests.support.market import BEGINNING, SPAN, Market
from tests.support.stack import substance

END = BEGINNING + SPAN
TIED = [
    lab("lab-a", affiliates=["lab-b"]),
    lab("lab-b"),
    lab("lab-c"),
    vendor("works"),
    vendor("other-works"),
    event("entity", subject="arm", claim_id="group", group="lab-c"),
    event("interest", subject="works", interested_party="holding", interest_type="shareholding", share={"exact": 0.5}),
    event("interest", subject="holding", interested_party="arm", interest_type="shareholding", share={"exact": 0.6}),
    event("role", subject="works", person="somebody", role_type="executive"),
    event("role", subject="lab-b", person="somebody", role_type="board_member"),
    event("role", subject="owned-by-b", person="chief", role_type="executive"),
    event("interest", subject="owned-by-b", interested_party="lab-b", interest_type="votingRights", share={"exact": 0.7}),
    event("role", subject="other-works", person="chief", role_type="board_member"),
]


def log_of(events: list[Event]) -> Log:
    log = Log()
    for one in events:
        log.add(record_of(one, event_to_json(one), 0))
    return log


def logs() -> list[list[Event]]:
    market = Market(entities=30, labs=3, ring_share=0.3).events(500)
    return [TIED, list(load_scenario("scale-ai-2025").events()), list(market)]


@pytest.mark.parametrize("number", range(3))
def test_a_vendors_part_of_the_log_gives_the_score_that_all_of_it_gives(number: int) -> None:
    events = logs()[number]
    log = log_of(events)
    at = max(END, AT)
    everything = as_of(log.everything(), at)
    assert everything
    for name, whole in everything.items():
        part = as_of(log.told(log.needed([name])), at)
        assert substance(part[name]) == substance(whole), name


def test_a_part_of_a_large_log_is_small() -> None:
    log = log_of(list(Market(entities=400, labs=3, depth=4, seed=3).events(3000)))
    assert len(log.told(log.needed(["entity-000004"]))) < log.size / 10


@pytest.mark.parametrize("number", [0, 2])
def test_all_that_an_event_may_change_is_among_the_affected(number: int) -> None:
    events = logs()[number]
    log = log_of(events)
    at = max(END, AT)
    subjects = sorted({one.data.subject for one in events} - {"lab-b"})[:8]
    for subject in subjects:
        assumed = event("interest", subject=subject, interested_party="lab-b", interest_type="shareholding", share={"exact": 0.4})
        runner = LocalRunner(load_methodology(), at)
        runner.apply_together(events)
        before = dict(runner.standing_assessments())
        runner.apply_together([assumed])
        changed = {name for name, found in runner.standing_assessments().items() if before.get(name) is not found}
        affected = log.affected([subject, "lab-b"])
        assert changed <= affected
        found = what_if(log.told(log.needed(affected)), [event_to_json(assumed)], at)
        for name in changed:
            assert substance(found.after[name]) == substance(runner.standing_assessments()[name])
