"""Which connectors there are, by the name that commands know them by; each is loaded only when it is used."""

from importlib import import_module
from pathlib import Path
from typing import Final, NamedTuple

from neutrality.registers.connector import Connector

CONNECTORS: Final = {
    "bods": "neutrality.registers.bods:BodsConnector",
    "gleif": "neutrality.registers.gleif:GleifConnector",
    "psc": "neutrality.registers.psc:PscConnector",
    "sec13": "neutrality.registers.sec13:Sec13Connector",
}
WITH_SCHEMA: Final = ("bods",)


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


def new_connector(name: str, schema: Path | None = None) -> Connector:
    """A connector for one file. `schema`: the folder of the standard's own schema, where there is a standard (bods).

    Raises:
        KeyError: there is none of this name.
        ValueError: it knows no schema of others, or the folder does not hold it.
        ImportError: its extra, `registers`, is not installed.
    """
    module, _, attribute = CONNECTORS[name].partition(":")
    if schema is not None and name not in WITH_SCHEMA:
        raise ValueError(f"{name} is no standard with a schema of its own; {', '.join(WITH_SCHEMA)} is")
    connector: Connector = getattr(import_module(module), attribute)(*(() if schema is None else (schema,)))
    return connector
