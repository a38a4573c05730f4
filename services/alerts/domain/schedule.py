"""When an alert is released: at once, with the next digest, and never in quiet hours. Wall times are those of an IANA time zone.

Wall times become instants before anything is compared, so that a change of the clocks cannot lead astray: a time that the clocks skip is the
one as much later, and one that comes twice is the first of the two.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Annotated, Final, Literal, Self, get_args
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field, StringConstraints, field_validator, model_validator

from neutrality.events.alert import SEVERITIES, Severity
from neutrality.events.vocabulary import Wire

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: Final[tuple[Day, ...]] = get_args(Day)
WallTime = Annotated[
    str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d$"), Field(description="HH:MM.", examples=["22:00"])
]
EndTime = Annotated[
    str, StringConstraints(pattern=r"^(([01]\d|2[0-3]):[0-5]\d|24:00)$"), Field(description="HH:MM; 24:00 is the end of the day.")
]
_DAY: Final = timedelta(days=1)
_MINUTES_OF_A_DAY: Final = 24 * 60
_MINUTES_OF_A_WEEK: Final = 7 * _MINUTES_OF_A_DAY


class QuietHours(Wire):
    """From `start` to `end` on each of `days`; an `end` that is not after `start` is on the day after."""

    start: WallTime
    end: EndTime
    days: Annotated[tuple[Day, ...], Field(min_length=1, max_length=7, description="Days on which they begin.")] = DAYS

    def minutes(self) -> tuple[int, int]:
        """Minutes from the day's midnight to the start and to the end."""
        start, end = _minutes(self.start), _minutes(self.end)
        return start, end if end > start else end + _MINUTES_OF_A_DAY


class Schedule(Wire):
    """When alerts go out. Without more: at once."""

    deliver: Annotated[
        Literal["at_once", "hourly", "daily"], Field(description="Digests: on the hour, or once a day at `daily_at`.")
    ] = "at_once"
    daily_at: WallTime = "09:00"
    time_zone: Annotated[str, Field(max_length=64, description="IANA name.", examples=["America/Los_Angeles"])] = "UTC"
    quiet_hours: Annotated[
        tuple[QuietHours, ...], Field(max_length=20, description="What would go out then goes at their end.")
    ] = ()
    break_through: Annotated[
        Severity | None, Field(description="Alerts of this severity and above go at once, whatever the hour; null: none do.")
    ] = None

    @field_validator("time_zone")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in _time_zones():
            raise ValueError("an IANA time zone, such as Europe/Berlin")
        return name

    @model_validator(mode="after")
    def _wakes(self) -> Self:
        """Refuse quiet hours that never end."""
        quiet: set[int] = set()
        for hours in self.quiet_hours:
            start, end = hours.minutes()
            for day in hours.days:
                midnight = DAYS.index(day) * _MINUTES_OF_A_DAY
                quiet.update(minute % _MINUTES_OF_A_WEEK for minute in range(midnight + start, midnight + end))
        if len(quiet) == _MINUTES_OF_A_WEEK:
            raise ValueError("the quiet hours leave no minute of the week: nothing would ever be sent")
        return self


def release_time(raised: datetime, severity: Severity, schedule: Schedule) -> datetime:
    """When an alert that is raised now goes out: `raised` itself, or later, in UTC."""
    if schedule.deliver == "at_once" or _breaks_through(severity, schedule):
        return quiet_over(raised, severity, schedule)
    return quiet_over(_digest_time(raised, schedule, ZoneInfo(schedule.time_zone)), severity, schedule)


def quiet_over(due: datetime, severity: Severity, schedule: Schedule) -> datetime:
    """`due` itself, or the end of the quiet hours that it lies in."""
    if not schedule.quiet_hours or _breaks_through(severity, schedule):
        return due
    zone = ZoneInfo(schedule.time_zone)
    while (end := _quiet_until(due, schedule, zone)) is not None:
        due = end
    return due


def _breaks_through(severity: Severity, schedule: Schedule) -> bool:
    urgent = schedule.break_through
    return urgent is not None and SEVERITIES.index(severity) >= SEVERITIES.index(urgent)


def _digest_time(raised: datetime, schedule: Schedule, zone: ZoneInfo) -> datetime:
    if schedule.deliver == "hourly":
        due = raised
        # twice where the clocks are set by half an hour meanwhile
        while (wall := due.astimezone(zone)) != wall.replace(minute=0, second=0, microsecond=0):
            past = timedelta(minutes=wall.minute, seconds=wall.second, microseconds=wall.microsecond)
            due += timedelta(hours=1) - past
        return due
    at = time.fromisoformat(schedule.daily_at)
    today = raised.astimezone(zone).date()
    return next(due for due in (_instant(today + number * _DAY, at, zone) for number in range(3)) if due >= raised)


def _quiet_until(instant: datetime, schedule: Schedule, zone: ZoneInfo) -> datetime | None:
    """The end of the quiet hours that an instant lies in; None if it lies in none."""
    return max((end for start, end in _quiet_spans(instant, schedule, zone) if start <= instant < end), default=None)


def _quiet_spans(instant: datetime, schedule: Schedule, zone: ZoneInfo) -> Iterator[tuple[datetime, datetime]]:
    """The quiet hours that begin on the day of an instant, or on the one before."""
    today = instant.astimezone(zone).date()
    for hours in schedule.quiet_hours:
        for day in (today - _DAY, today):
            if DAYS[day.weekday()] in hours.days:
                start, end = hours.minutes()
                yield _after_midnight(day, start, zone), _after_midnight(day, end, zone)


def _after_midnight(day: date, minutes: int, zone: ZoneInfo) -> datetime:
    days, rest = divmod(minutes, _MINUTES_OF_A_DAY)
    return _instant(day + days * _DAY, time(*divmod(rest, 60)), zone)


def _instant(day: date, at: time, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, at, zone).astimezone(UTC)


def _minutes(wall: str) -> int:
    hours, minutes = wall.split(":")
    return int(hours) * 60 + int(minutes)


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones())
