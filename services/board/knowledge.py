"""All that the board knows: the market as it stands, the log, and what entities are called. Changes on the event loop alone."""

from collections.abc import Callable
from datetime import datetime

from neutrality.events.structs import event_from_json
from neutrality.model.dossier import Dossier
from neutrality.model.methodology import load_methodology
from services.board.domain.log import Log
from services.board.domain.market import Market
from services.board.feed import Batch
from services.board.metrics import BoardMetrics


class Knowledge:
    """`take` is the feed's; `changed` is told the vendors whose assessment is another."""

    def __init__(self, metrics: BoardMetrics, *, clock: Callable[[], datetime], changed: Callable[[set[str]], None]) -> None:
        """Nothing is known yet."""
        self.market = Market()
        self.log = Log()
        self._metrics = metrics
        self._clock = clock
        self._changed = changed
        self._methodology = load_methodology()
        self._names: dict[str, str] = {}

    def take(self, batch: Batch) -> None:
        """Take in what was read."""
        for record in batch.records:
            self.log.add(record)
            self._names.pop(record.subject, None)
        news = {found.vendor for found, at_ms in batch.assessments if self.market.take(found, at_ms)}
        self._metrics.unreadable.inc(batch.unreadable)
        self._metrics.events.set(self.log.size)
        self._metrics.vendors.set(len(self.market.vendors))
        if news:
            self._changed(news)

    def forget(self) -> None:
        """The topics were made anew."""
        self.log = Log()
        self._names.clear()
        self.market.forget()

    def name(self, entity: str) -> str:
        """What an entity is called: by its assessment, by what events say of it, or by its id."""
        if (assessment := self.market.vendors.get(entity)) is not None:
            return assessment.name
        if entity not in self._names:
            events = ((event_from_json(record.json), record.accepted_ms) for record in self.log.about(entity))
            attributes = Dossier().add(events).picture(entity, self._clock(), self._methodology).attributes
            self._names[entity] = attributes.name or entity
        return self._names[entity]

    def labs(self) -> frozenset[str]:
        """All labs that are known of."""
        return self.market.labs | self.log.labs

    def labs_by_name(self) -> list[tuple[str, str]]:
        """Id and name, by name."""
        return sorted(((lab, self.name(lab)) for lab in self.labs()), key=lambda item: item[1].casefold())
