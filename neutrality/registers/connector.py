"""What every connector gives: for each record of its source the events that it makes, and what it says that no event can.

Events are the same whenever the same record is read again: `id` holds whatever tells two contents of one record apart (its version, or a digest
of what it says), and `time` comes from the record, never from a clock. So a file that is imported twice counts once.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from neutrality.events.cloudevent import Event


@dataclass(frozen=True, slots=True)
class Refusal:
    """Something in a record that becomes no event. `reason`: one of the few of the connector, kebab-case; `detail`: which field, and why."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Conversion:
    """What became of one record. `place` lets the user find it: a line, or the record's own id. Events, refusals or both; never neither."""

    place: str
    events: tuple[Event, ...] = ()
    refusals: tuple[Refusal, ...] = ()

    def __post_init__(self) -> None:
        """Refuse silence."""
        if not self.events and not self.refusals:
            raise ValueError(f"{self.place}: neither an event nor a refusal")


class Connector(Protocol):
    """Reads one format. Made anew for each file."""

    def convert(self, source: BinaryIO, name: str = "") -> Iterator[Conversion]:
        """The records of a file, in its order, held one at a time as far as the format allows.

        `name` is the file's: some publishers tell there what the content does not, such as its date. A record that cannot be read is a refusal, and
        the rest is read on.

        Raises:
            NotThisFormat: the file is none of this format, or is broken so that nothing after it can be read.
        """
        ...


class NotThisFormat(ValueError):  # noqa: N818 - named for what it is
    """The source is not what the connector reads; the message says what was expected and found, and where."""
