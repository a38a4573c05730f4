"""What speaks against a trial of ingest."""

from collections.abc import Sequence

import pytest

from neutrality.events.cloudevent import Event, event_from_document
from tests.ingest_trials.trial import SOURCE, documents, fold
from tests.ingest_trials.verdict import Verdict, judge

DOCUMENTS = documents(110)
EVENTS = [event_from_document(dict(document)) for document in DOCUMENTS]
SENT = {(SOURCE, event.id): event for event in EVENTS}
LAST = DOCUMENTS[-1]
FORGED = event_from_document(LAST | {"data": LAST["data"] | {"share": {"exact": 0.99}}})
FOREIGN = event_from_document(LAST | {"id": "foreign"})


def verdict(found: Sequence[Event], rejected: int = 0) -> Verdict:
    return judge(SENT, SENT.keys(), found, rejected, fold)


def test_all_events_once_have_passed() -> None:
    assert verdict(EVENTS) == Verdict(110, 0, 0, same_states=True, failures=())


def test_repeats_with_the_same_content_in_any_order_are_counted_and_pass() -> None:
    assert verdict([*reversed(EVENTS), *EVENTS[:7]]) == Verdict(117, 7, 0, same_states=True, failures=())


@pytest.mark.parametrize(
    ("found", "rejected", "told"),
    [
        (EVENTS[:-1], 0, "1 events were answered 202 and are not in the topics"),
        (EVENTS[:-1], 0, "1 events were never delivered"),
        ([*EVENTS[:-1], FORGED], 0, "1 records have another content"),
        ([*EVENTS[:-1], FORGED], 0, "scoring makes something else"),
        ([*EVENTS, FORGED], 0, "1 records have another content"),
        ([*EVENTS, FOREIGN], 0, "1 events were never sent"),
        (EVENTS, 1, "1 records are rejected"),
    ],
)
def test_each_failure_is_told(found: Sequence[Event], rejected: int, told: str) -> None:
    assert any(told in failure for failure in verdict(found, rejected).failures)
