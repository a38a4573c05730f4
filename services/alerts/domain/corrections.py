"""Which earlier alerts a new assessment takes back: those that named a claim which was withdrawn or denied since.

A claim is withdrawn if it is gone, or if an earlier report of it stands again. What merely goes on (announced, completed, ended, another share) is
news of its own and corrects nothing.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime

from neutrality.events.alert import Alert
from neutrality.events.assessment import Assessment, ClaimNote
from neutrality.events.vocabulary import Status
from services.alerts.domain.memory import MOST_TOLD, Memory, Told, ToldClaim


def taken_back(told: Iterable[Told], current: Assessment) -> tuple[Told, ...]:
    """Alerts that no longer hold."""
    notes = {note.claim_id: note for note in current.claims}
    return tuple(one for one in told if any(_is_taken_back(claim, notes) for claim in one.claims))


def told_by(alert: Alert, current: Assessment) -> Told:
    """What is remembered of an alert on `current`, in case one of its claims is taken back."""
    notes = {note.claim_id: note for note in current.claims}
    named = dict.fromkeys(reason.claim_id for reason in alert.reasons)
    claims = tuple(ToldClaim(name, note.recorded_time, note.status) for name in named if (note := notes.get(name)) is not None)
    return Told(alert.id, alert.severity, claims)


def remember(memory: tuple[Told, ...], more: Iterable[Told]) -> tuple[Told, ...]:
    """The newest of all."""
    return (*memory, *(one for one in more if one.claims))[-MOST_TOLD:]


def without(memory: Memory, gone: Iterable[Told]) -> tuple[Told, ...]:
    """What may still be corrected."""
    ids = {one.alert for one in gone}
    return tuple(one for one in memory.told if one.alert not in ids)


def _is_taken_back(claim: ToldClaim, notes: Mapping[str, ClaimNote]) -> bool:
    note = notes.get(claim.claim_id)
    if note is None:
        return True
    if note.status == Status.DENIED:
        return claim.status != Status.DENIED
    return datetime.fromisoformat(note.recorded_time) < datetime.fromisoformat(claim.recorded_time)
