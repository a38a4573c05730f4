"""What comes of an attempt to deliver, by webhook or to people: done, tried again later, or given up. Pure.

Source: Standard Webhooks, "Deliverability and reliability": the schedule, 410 Gone, `Retry-After`, and disabling after days of failure.
"""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Literal

_HOUR_S: Final = 3600.0
# seconds from each attempt to the next; the first comes at once
SCHEDULE_S: Final = (5.0, 300.0, 1800.0, *(hours * _HOUR_S for hours in (2, 5, 10, 14, 20, 24)))
JITTER: Final = 0.1  # of each pause, to both sides
LONGEST_RETRY_AFTER_S: Final = 24 * _HOUR_S
DISABLED_AFTER_S: Final = 5 * 24 * _HOUR_S

State = Literal["pending", "delivered", "failed"]
Fault = Literal[
    "timeout",
    "name-not-resolved",
    "forbidden-address",
    "not-connected",
    "tls",
    "connection-cut",
    "not-http",
    "not-smtp",
    "not-taken",  # by the service, without a status
    "not-allowed",  # by the operator, any more
]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt: the answer's status (HTTP's, or SMTP's reply code), or else what went wrong. Times in seconds.

    `gone`: the receiver said that it does not exist.
    """

    status: int | None
    fault: Fault | None
    duration_s: float
    retry_after_s: float | None = None
    gone: bool = False

    @property
    def succeeded(self) -> bool:
        """Whether the receiver has it."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def is_gone(self) -> bool:
        """Whether the receiver wants no more."""
        return self.gone or self.status == HTTPStatus.GONE

    @property
    def outcome(self) -> str:
        """For metrics: `2xx` to `5xx`, or the fault."""
        return f"{self.status // 100}xx" if self.status is not None else str(self.fault)


def next_state(attempt: Attempt, number: int, chance: float, schedule_s: tuple[float, ...] = SCHEDULE_S) -> tuple[State, float]:
    """The delivery's state after its attempt `number` (from 1), and the pause before the next in seconds. `chance` is in [0, 1]."""
    if attempt.succeeded:
        return "delivered", 0.0
    if number > len(schedule_s):
        return "failed", 0.0
    pause_s = schedule_s[number - 1] * (1.0 + JITTER * (2.0 * chance - 1.0))
    return "pending", max(pause_s, min(attempt.retry_after_s or 0.0, LONGEST_RETRY_AFTER_S))


def why_disabled(attempt: Attempt, failing_for_s: float) -> str | None:
    """Why the endpoint is sent nothing more after an attempt; None: it is. `failing_for_s`: since when nothing has succeeded."""
    if attempt.is_gone:
        return "it answered 410 Gone" if attempt.status == HTTPStatus.GONE else "there is no such address"
    if not attempt.succeeded and failing_for_s >= DISABLED_AFTER_S:
        return f"nothing succeeded for {DISABLED_AFTER_S / 24 / _HOUR_S:g} days; last: {attempt.outcome}"
    return None
