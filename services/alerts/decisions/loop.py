"""Looks after timers: works them off when they are due, a second late at most."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Final

import structlog

from services.alerts.database import DatabaseUnavailable
from services.alerts.decisions.store import to_ms
from services.alerts.decisions.timers import MOST_AT_ONCE
from services.alerts.intake import Intake

LOOK_EVERY_S: Final = 1.0  # for timers that others have set, and that labs have moved
LONGEST_PAUSE_S: Final = 5.0

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


class TimerLoop:
    """`run` until it is cancelled."""

    def __init__(self, intake: Intake, partitions: Callable[[], frozenset[str]], *, clock: Callable[[], datetime]) -> None:
        """`partitions`: numbers of those of the scores that this instance reads."""
        self._intake = intake
        self._partitions = partitions
        self._clock = clock

    async def run(self) -> None:
        """Work off what is due, and wait; while the database is away try again."""
        pause_s = LOOK_EVERY_S
        while True:
            try:
                partitions = [int(name) for name in self._partitions()]
                if await self._intake.work_off_timers(partitions) == MOST_AT_ONCE:
                    continue
                due_ms = await self._intake.next_timer_ms(partitions)
                pause_s = LOOK_EVERY_S if due_ms is None else min(LOOK_EVERY_S, (due_ms - to_ms(self._clock())) / 1000.0)
            except DatabaseUnavailable as error:
                log.warning("timers_postponed", error=str(error))
                pause_s = LONGEST_PAUSE_S
            await asyncio.sleep(max(0.01, pause_s))
