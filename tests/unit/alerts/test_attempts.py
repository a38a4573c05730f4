"""When a delivery is tried again, and when it is given up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.alerts.domain.attempts import SCHEDULE_S, Attempt, next_state, why_disabled

OK = Attempt(204, None, 0.1)
BROKEN = Attempt(500, None, 0.1)
DAY_S = 86_400.0


def test_the_schedule_is_that_of_standard_webhooks() -> None:
    hours = [0.0, 5 / 3600, 5 / 60, 0.5, 2, 5, 10, 14, 20, 24]
    assert [0.0, *SCHEDULE_S] == pytest.approx([hour * 3600 for hour in hours])
    waits = [next_state(BROKEN, number, 0.5) for number in range(1, 11)]
    assert waits == [("pending", pause) for pause in SCHEDULE_S] + [("failed", 0.0)]


@pytest.mark.parametrize(
    ("attempt", "succeeded"),
    [(OK, True), (Attempt(299, None, 0), True)]
    + [(Attempt(status, None, 0), False) for status in (199, 301, 302, 400, 404, 410, 429, 500, 503)]
    + [(Attempt(None, "timeout", 15), False), (Attempt(None, "connection-cut", 1), False)],
)
def test_only_2xx_is_a_success(attempt: Attempt, succeeded: bool) -> None:
    assert attempt.succeeded == succeeded
    assert (next_state(attempt, 1, 0.5)[0] == "delivered") == succeeded


@given(number=st.integers(1, 9), chance=st.floats(0.0, 1.0), after=st.none() | st.floats(0.0, 1e9))
def test_jitter_is_a_tenth_and_retry_after_is_kept_up_to_a_day(number: int, chance: float, after: float | None) -> None:
    state, pause_s = next_state(Attempt(429, None, 0.1, after), number, chance)
    assert state == "pending"
    assert pause_s >= 0.9 * SCHEDULE_S[number - 1] - 1e-9
    assert pause_s >= min(after or 0.0, DAY_S)
    assert pause_s <= max(1.1 * SCHEDULE_S[number - 1] + 1e-6, DAY_S if after else 0.0)


def test_an_endpoint_is_disabled_when_it_is_gone_or_has_failed_for_days() -> None:
    assert why_disabled(Attempt(410, None, 0.1), 0.0) == "it answered 410 Gone"
    assert why_disabled(BROKEN, 5 * DAY_S - 1) is None
    assert why_disabled(BROKEN, 5 * DAY_S) == "nothing succeeded for 5 days; last: 5xx"
    assert why_disabled(OK, 9 * DAY_S) is None
