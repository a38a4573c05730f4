"""Which connectors there are, by the name that commands know them by; each is loaded only when it is used."""

from importlib import import_module
from typing import Final, NamedTuple

from neutrality.registers.connector import Connector

CONNECTORS: Final = {
    "bods": "neutrality.registers.bods:BodsConnector",
    "gleif": "neutrality.registers.gleif:GleifConnector",
    "psc": "neutrality.registers.psc:PscConnector",
    "sec13": "neutrality.registers.sec13:Sec13Connector",
}


class StreamPosition(NamedTuple):
    """How a register's stream numbers its records: the query parameter to resume by, and the path of the number in a record."""

    parameter: str
    path: tuple[str, ...]

    def of(self, record: object) -> int | None:
        """The number of a record; None if it has none."""
        for step in self.path:
            record = record.get(step) if isinstance(record, dict) else None
        return record if isinstance(record, int) else None


STREAMS: Final = {"psc": StreamPosition("timepoint", ("event", "timepoint"))}


def new_connector(name: str) -> Connector:
    """A connector for one file.

    Raises:
        KeyError: there is none of this name.
        ImportError: its extra, `registers`, is not installed.
    """
    module, _, attribute = CONNECTORS[name].partition(":")
    connector: Connector = getattr(import_module(module), attribute)()
    return connector
