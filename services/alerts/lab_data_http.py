"""HTTP: all of a lab's data, given out and removed."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Final

import structlog
from fastapi import FastAPI, Response
from fastapi.responses import StreamingResponse

from neutrality.broker.port import BrokerError
from neutrality.events.vocabulary import iso
from neutrality.http import problem_responses
from services.alerts import lab_data
from services.alerts.answers import LabId, json_answer, not_found
from services.alerts.database import Database
from services.alerts.intake import Intake

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)
_UNKNOWN: Final = problem_responses({404: "Nothing is kept of this lab."})


@dataclass(frozen=True, slots=True)
class LabDataApi:
    """`drop_topic` blocks, removes a lab's topic if it is there, and raises BrokerError. `let_go_s`: until no instance writes there any more."""

    database: Database
    intake: Intake
    drop_topic: Callable[[str], None]
    clock: Callable[[], datetime]
    let_go_s: float

    def add_to(self, app: FastAPI) -> None:
        """Add the routes."""

        @app.get(
            "/labs/{lab}/export",
            tags=["lab"],
            summary="All that is kept of a lab, as one document",
            response_class=StreamingResponse,
            responses=_UNKNOWN,
        )
        async def export_lab(lab: LabId) -> StreamingResponse:
            """By table. Secrets of endpoints are left out: they were shown once."""
            if not await self.database.read(lab_data.is_known, lab):
                raise not_found(f"nothing is kept of {lab}")
            headers = {"content-disposition": f'attachment; filename="{lab}.json"'}
            return StreamingResponse(self._export(lab), media_type="application/json", headers=headers)

        @app.delete(
            "/labs/{lab}",
            tags=["lab"],
            summary="Remove all that is kept of a lab, for good",
            response_class=Response,
            responses=_UNKNOWN,
        )
        async def remove_lab(lab: LabId) -> Response:
            """Subscriptions, portfolio, alerts, endpoints and logs, and its topic in Kafka. Its keys are the operator's: `neutrality labs`."""
            if not await self.database.read(lab_data.is_known, lab):
                raise not_found(f"nothing is kept of {lab}")
            async with self.intake.changing() as connection:
                removed = await lab_data.remove(connection, lab)
            log.info("lab_removed", rows=removed)
            return json_answer({"lab": lab, "rows": removed, "topic": await self._remove_topic(lab)}, HTTPStatus.OK)

    async def _export(self, lab: str) -> AsyncIterator[bytes]:
        async with self.database.reading() as connection:
            async for piece in lab_data.export(connection, lab, iso(self.clock())):
                yield piece

    async def _remove_topic(self, lab: str) -> str:
        """What became of it, in words."""
        await asyncio.sleep(self.let_go_s)  # an instance that writes there would make it anew
        try:
            await asyncio.to_thread(self.drop_topic, lab)
        except BrokerError as error:
            log.warning("topic_not_removed", error=str(error))
            return f"not removed, remove it by hand: {error}"
        return "removed"
