"""Claims in words: one sentence a claim, and the note that an assessment carries of it."""

import re
from collections.abc import Callable

from neutrality.events.assessment import ClaimNote
from neutrality.events.cloudevent import short_type
from neutrality.events.structs import (
    Claim,
    Contract,
    Entity,
    Interest,
    InterestType,
    Money,
    Revenue,
    Role,
    Share,
    Status,
)
from neutrality.events.vocabulary import iso
from neutrality.model.claims import Report, Standing
from neutrality.model.evidence import evidence_document
from neutrality.model.picture import parties_of

Namer = Callable[[str], str]
_ASPECTS = {
    InterestType.SHAREHOLDING: "of the equity",
    InterestType.VOTING_RIGHTS: "of the votes",
}


def summarize(claim: Claim, name: Namer) -> str:
    """A claim as one sentence, such as "Meta holds 49 % of the equity of Scale AI"."""
    subject = name(claim.subject)
    if isinstance(claim, Interest):
        return f"{name(claim.interested_party)} {_interest(claim)} {subject}"
    if isinstance(claim, Role):
        return _role(claim, name, subject)
    if isinstance(claim, Revenue):
        payer = subject if claim.customer is None else name(claim.customer)
        verb = "had revenue of" if claim.customer is None else "spent"
        where = "" if claim.customer is None else f" with {subject}"
        return f"{payer} {verb} {money_text(claim.amount)}{where} in {claim.fiscal_year}"
    if isinstance(claim, Contract):
        plan = {"continue": "works with", "reduce": "means to cut back with", "end": "means to leave"}[claim.intent.value]
        return f"{name(claim.customer)} {plan} {subject}"
    return _entity(claim, subject)


def named_in(standing: Standing) -> tuple[str, ...]:
    """The entities whose names the note of a claim may use."""
    data = _told(standing).data
    return (data.subject, *parties_of(data))


def note_of(standing: Standing, name: Namer) -> ClaimNote:
    """What an assessment says of a claim: the pending report if there is one, else the confirmed, else the newest (a denial)."""
    report = _told(standing)
    data = report.data
    ended = standing.pending is None and standing.active is None
    return ClaimNote(
        claim_id=standing.claim_id,
        kind=short_type(report.event.type),
        summary=summarize(data, name),
        status=data.status.value,
        counts="pending" if standing.pending is not None else "confirmed" if standing.confirmed is not None else "no",
        credibility=standing.credibility,
        effective_time=iso(data.effective_time),
        recorded_time=iso(report.event.time),
        event_source=report.event.source,
        event_id=report.event.id,
        evidence=tuple(map(evidence_document, data.evidence)),
        contradicted_by=standing.contradicted_by,
        ended=ended,
        note=data.note,
    )


def _told(standing: Standing) -> Report:
    return standing.pending or standing.confirmed or standing.newest


def _interest(claim: Interest) -> str:
    if claim.interest_type is InterestType.APPOINTMENT_OF_BOARD:
        return "may appoint the majority of the board of"
    if claim.interest_type is InterestType.OTHER_INFLUENCE_OR_CONTROL:
        return "has another kind of influence over"
    if claim.interest_type not in _ASPECTS:
        share = "" if claim.share is None else f", {share_text(claim.share)}"
        return f"has an interest ({_words(claim.interest_type)}{share}) in"
    verb = "held" if claim.status is Status.TERMINATED else "takes" if claim.status is Status.ANNOUNCED else "holds"
    verb = "is said to hold" if claim.status is Status.RUMOURED else verb
    indirectly = " indirectly" if claim.direct_or_indirect == "indirect" else ""
    return f"{verb}{indirectly} {share_text(claim.share)} {_ASPECTS[claim.interest_type]} of"


def _words(code: str) -> str:
    """A BODS code as words: `rightsToProfitOrIncome` -> `rights to profit or income`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", code).lower()


def share_text(share: Share | None) -> str:
    """A share in words: "49 %", "25 to 50 %"."""
    if share is None:
        return "an unknown part"
    low, high = share.bounds
    return f"{_percent(low)} %" if low == high else f"{_percent(low)} to {_percent(high)} %"


def _percent(ratio: float) -> str:
    return f"{100.0 * ratio:.10g}"


def money_text(money: Money) -> str:
    """An amount in words: "14.3 bn USD"."""
    for size, word in ((10**9, "bn"), (10**6, "m")):
        if money.amount >= size:
            return f"{(money.amount / size).normalize():f} {word} {money.currency}"
    return f"{money.amount.normalize():f} {money.currency}"


def _role(claim: Role, name: Namer, subject: str) -> str:
    office = claim.title or ("an executive" if claim.role_type.value == "executive" else "on the board")
    if claim.left_for is not None or claim.status is Status.TERMINATED:
        gone = f" for {name(claim.left_for)}" if claim.left_for is not None else ""
        leaves = "leaves" if claim.status is Status.ANNOUNCED else "left"
        return f"{name(claim.person)} ({office}) {leaves} {subject}{gone}"
    appointed = f", appointed by {name(claim.represents)}" if claim.represents is not None else ""
    where = "of" if claim.role_type.value == "board_member" else "at"
    return f"{name(claim.person)} is {office} {where} {subject}{appointed}"


def _entity(claim: Entity, subject: str) -> str:
    if claim.valuation is not None:
        return f"{subject} is valued at {money_text(claim.valuation)}"
    if claim.affiliates:
        return f"{subject} does not count {', '.join(claim.affiliates)} as rivals"
    words = [word for word, yes in (("a vendor", claim.is_vendor), ("an AI lab", claim.is_lab)) if yes]
    return f"{subject} is {' and '.join(words)}" if words else claim.note or f"{subject} is known"
