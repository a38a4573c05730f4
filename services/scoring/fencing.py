"""The fencing epoch: whose states in a partition of the changelog are valid, told by the changelog itself. Pure.

A worker that is stopped past its session may wake after another has taken its partitions, and what it had in hand still reaches Kafka: old
state over new. So every record carries the epoch of its writer. A worker that takes a partition over replays it to the end and then
*claims* it: it writes one record under the next epoch, which must join what was replayed. From that record on, whatever carries a
lower epoch was written by somebody whose time is over, and replay refuses it.
"""

from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from typing import Final, NamedTuple

from services.scoring.records import OutgoingRecord

EPOCH_HEADER: Final = "epoch"  # decimal text; a record without it is of epoch 0
NEXT_CHANGE_HEADER: Final = "next_change"  # ISO 8601, or empty: the vertex waits for nothing
CLAIM_KEY: Final = b"\x00claim"  # no entity id begins like this
CLAIM_VALUE: Final = b"{}"  # not None: compaction would remove the claim
REBUILDING: Final = b'{"rebuilding":true}'  # the same, as long as the group has not taken in again what others said scores of
_WAITS_FOR_NOTHING: Final = (NEXT_CHANGE_HEADER, b"")
_ALWAYS_REFUSED: Final = -1

Headers = tuple[tuple[str, bytes | None], ...]


class State(NamedTuple):
    """A state as it lies in the changelog. `told`: the changelog said when the vertex wants to be looked at again, or that it does not."""

    value: bytes
    next_change: datetime | None
    told: bool = True


@lru_cache(maxsize=1024)  # under backlog all states of a batch are due at the same time
def state_headers(epoch: int, next_change: datetime | None) -> Headers:
    """What is written with a state."""
    due = _WAITS_FOR_NOTHING if next_change is None else (NEXT_CHANGE_HEADER, next_change.isoformat().encode())
    return ((EPOCH_HEADER, b"%d" % epoch), due)


def read_headers(found: Iterable[tuple[str, bytes | None]]) -> tuple[int, datetime | None, bool]:
    """Epoch, next change, and whether the latter was told. An epoch that is no number is nobody's: it is below all others."""
    epoch, next_change, told = 0, None, False
    for name, value in found:
        if name == EPOCH_HEADER:
            epoch = int(value) if value is not None and value.isdigit() else _ALWAYS_REFUSED
        elif name == NEXT_CHANGE_HEADER:
            try:
                next_change, told = datetime.fromisoformat(value.decode()) if value else None, True
            except ValueError:  # not ours: the state itself will tell
                told = False
    return epoch, next_change, told


def claim_record(changelog: str, partition: int, epoch: int, *, rebuilding: bool = False) -> OutgoingRecord:
    """The record by which a worker takes a partition over, or says that it still holds it."""
    value = REBUILDING if rebuilding else CLAIM_VALUE
    return OutgoingRecord(changelog, partition, CLAIM_KEY, value, ((EPOCH_HEADER, b"%d" % epoch),))


def restoring_record(changelog: str, partition: int, key: bytes, state: State | None, epoch: int) -> OutgoingRecord:
    """A valid state, written again over a refused one; None: there is none, and the key is deleted."""
    if state is None:
        return OutgoingRecord(changelog, partition, key, None, ((EPOCH_HEADER, b"%d" % epoch),))
    return OutgoingRecord(changelog, partition, key, state.value, state_headers(epoch, state.next_change))
