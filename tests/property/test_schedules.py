"""What holds of any schedule in any zone, also around the days when clocks are set."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from services.alerts.domain.schedule import DAYS, QuietHours, Schedule, quiet_over, release_time

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/Los_Angeles",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "America/Sao_Paulo",
)
SETS = (
    date(2025, 3, 9),
    date(2025, 3, 30),
    date(2025, 4, 6),
    date(2025, 10, 5),
    date(2025, 10, 26),
    date(2025, 11, 2),
    date(2018, 11, 4),
)
MINUTE = timedelta(minutes=1)

walls = st.times().map(lambda at: f"{at.hour:02}:{at.minute:02}")
quiet = st.builds(
    QuietHours, start=walls, end=walls, days=st.lists(st.sampled_from(DAYS), min_size=1, max_size=7, unique=True).map(tuple)
)
moments = st.one_of(
    st.datetimes(datetime(2011, 1, 1), datetime(2030, 1, 1)),
    st.builds(
        lambda day, minutes: datetime.combine(day, time()) + timedelta(minutes=minutes),
        st.sampled_from(SETS),
        st.integers(-1440, 2880),
    ),
).map(lambda found: found.replace(second=0, microsecond=0, tzinfo=UTC))


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    try:
        return Schedule(
            deliver=draw(st.sampled_from(("at_once", "hourly", "daily"))),
            daily_at=draw(walls),
            time_zone=draw(st.sampled_from(ZONES)),
            quiet_hours=tuple(draw(st.lists(quiet, max_size=3))),
        )
    except ValidationError:  # no minute of the week is left
        assume(condition=False)
        raise


def is_quiet(instant: datetime, schedule: Schedule) -> bool:
    """By another way than the code: each day's hours as instants, looked through for the week around."""
    zone = ZoneInfo(schedule.time_zone)
    for offset in range(-2, 2):
        day = instant.astimezone(zone).date() + timedelta(days=offset)
        for hours in schedule.quiet_hours:
            if DAYS[day.weekday()] not in hours.days:
                continue
            start = datetime.combine(day, time.fromisoformat(hours.start), zone)
            over = day + timedelta(days=hours.end <= hours.start)
            end = datetime.combine(over, time.fromisoformat(hours.end), zone)
            if start.astimezone(UTC) <= instant < end.astimezone(UTC):
                return True
    return False


@settings(max_examples=100)
@given(moments, schedules())
def test_an_alert_is_never_released_early_nor_in_quiet_hours_and_waits_no_longer_than_it_must(
    raised: datetime, schedule: Schedule
) -> None:
    due = release_time(raised, "info", schedule)
    assert due >= raised
    assert not is_quiet(due, schedule)
    assert release_time(due, "info", Schedule(time_zone=schedule.time_zone, quiet_hours=schedule.quiet_hours)) == due
    if schedule.deliver == "at_once":
        waited = min(int((due - raised) / MINUTE), 3000)  # two days, minute by minute, are enough to look at
        assert all(is_quiet(raised + number * MINUTE, schedule) for number in range(waited))


@settings(max_examples=100)
@given(moments, schedules())
def test_digests_are_on_the_hour_or_at_their_time_of_the_day_by_the_wall(raised: datetime, schedule: Schedule) -> None:
    due = release_time(raised, "info", schedule)
    wall = due.astimezone(ZoneInfo(schedule.time_zone))
    if schedule.quiet_hours and quiet_over(raised, "info", schedule) != raised:
        return
    if not schedule.quiet_hours and schedule.deliver == "hourly":
        assert wall.minute == 0
        assert due - raised < timedelta(hours=1, minutes=30)
    if not schedule.quiet_hours and schedule.deliver == "daily":
        assert due - raised <= timedelta(hours=25)
        asked = time.fromisoformat(schedule.daily_at)
        is_skipped = datetime.combine(wall.date(), asked, wall.tzinfo).astimezone(UTC).astimezone(wall.tzinfo).time() != asked
        assert is_skipped or wall.time() == asked


@settings(max_examples=100)
@given(st.lists(moments, min_size=2, max_size=5), schedules())
def test_releases_keep_the_order_in_which_alerts_were_raised(raised: list[datetime], schedule: Schedule) -> None:
    dues = [release_time(at, "info", schedule) for at in sorted(raised)]
    assert dues == sorted(dues)
