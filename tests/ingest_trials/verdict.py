"""What the topics must hold after a trial. Pure."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from neutrality.events.cloudevent import Event

Name = tuple[str, str]  # source, id


@dataclass(frozen=True, slots=True)
class Verdict:
    """`repeated`: records beyond the first of their name, which count once. `failures`: what speaks against the trial."""

    records: int
    repeated: int
    lost: int
    same_states: bool
    failures: tuple[str, ...]


def judge(
    sent: Mapping[Name, Event],
    answered: AbstractSet[Name],
    found: Sequence[Event],
    rejected: int,
    fold: Callable[[Sequence[Event]], object],
) -> Verdict:
    """Compare what was sent and what was answered 202 with what lies in the topics; `fold` is what scoring makes of events."""
    times = Counter((event.source, event.id) for event in found)
    lost = len(answered - times.keys())
    failures = []
    if lost:
        failures.append(f"{lost} events were answered 202 and are not in the topics")
    if undelivered := len(sent.keys() - times.keys()):
        failures.append(f"{undelivered} events were never delivered")
    if foreign := len(times.keys() - sent.keys()):
        failures.append(f"{foreign} events were never sent")
    known = [event for event in found if (event.source, event.id) in sent]
    if altered := sum(event.data != sent[event.source, event.id].data for event in known):
        failures.append(f"{altered} records have another content than was sent")
    if rejected:
        failures.append(f"{rejected} records are rejected by scoring")
    same = fold(found) == fold(list(sent.values()))
    if not same:
        failures.append("scoring makes something else of the topics than of the events")
    return Verdict(len(found), len(found) - len(times), lost, same, tuple(failures))
