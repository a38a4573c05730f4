"""From news to alerts: what is hidden, muted, too little, held or sent, and why."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from neutrality.events.alert import Stake
from neutrality.events.assessment import Assessment, Score
from services.alerts.domain.alternatives import Market, neutral_alternatives
from services.alerts.domain.conditions import BY_RULE, Condition
from services.alerts.domain.decide import Case, decide
from services.alerts.domain.memory import Memory, Told, ToldClaim
from services.alerts.domain.routing import Routed, Routing, Scene, route
from services.alerts.domain.severity import load_severity_scale
from services.alerts.domain.silence import Matcher, Silence, SilenceTerms, muting
from services.alerts.domain.subscription import Subscription
from tests.support.assessments import STAKE, assessment, score

NOW = datetime(2025, 6, 12, 23, tzinfo=UTC)
SCALE = load_severity_scale()
ALL: tuple[Condition, ...] = tuple(BY_RULE.values())
EXPOSED = Stake(1.0, listed=True, summary="")


def routed(
    before: Score | Assessment | None,
    after: Score | Assessment,
    *,
    memory: Memory | None = None,
    stake: Stake = EXPOSED,
    **terms: Any,
) -> Routing:
    scene = {name: terms.pop(name) for name in ("silences", "unsent", "alternatives", "now") if name in terms}
    wanted = Subscription.model_validate({"lab": "google", "name": "desk", "conditions": ALL, **terms})
    previous = assessment(1, before) if isinstance(before, Score) else before
    current = assessment(2, after) if isinstance(after, Score) else after
    decision = decide(Case(wanted, previous, current, memory), 0, SCALE)
    return route(decision, Scene(wanted, current, stake, SCALE, **{"now": NOW, **scene}))


def outcomes(found: Routing) -> dict[str, str]:
    return {one.alert.rule: one.outcome for one in found.routed}


def why(found: Routing, rule: str) -> str | None:
    return next(one.why for one in found.routed if one.alert.rule == rule)


def test_alerts_carry_what_the_lab_has_at_stake_and_are_one_group() -> None:
    found = routed(score(100.0), score(60.8, grade="N3", watch="down"))
    assert outcomes(found) == {"score_drop": "sent", "grade": "sent", "watch": "sent"}
    assert len({one.alert.group for one in found.routed}) == 1
    drop = found.routed[0].alert
    assert (drop.severity, round(drop.points, 1), drop.stake, drop.raised_at) == (
        "critical",
        39.2,
        EXPOSED,
        "2025-06-12T23:00:00Z",
    )
    assert routed(score(100.0), score(60.8), stake=replace(EXPOSED, exposure=0.2)).routed[0].alert.severity == "warning"


def test_an_n5_hides_outlook_and_watch_if_the_subscription_tells_grades() -> None:
    before, after = score(30.0, grade="N4"), score(20.0, grade="N5", outlook="negative", watch="down")
    found = routed(before, after)
    assert outcomes(found) == {"score_drop": "sent", "grade": "sent", "outlook": "inhibited", "watch": "inhibited"}
    assert why(found, "outlook") == "the vendor is N5: its grade says more"
    later = routed(replace(after, outlook="stable"), after)
    assert outcomes(later) == {"outlook": "inhibited"}
    only = routed(before, after, conditions=(BY_RULE["outlook"], BY_RULE["watch"]))
    assert outcomes(only) == {"outlook": "sent", "watch": "sent"}


def test_lost_coverage_hides_what_only_shows_that_less_is_known() -> None:
    before = replace(assessment(1, score(60.0, grade="N3")), coverage={"ownership": True})
    after = replace(assessment(2, score(100.0, grade="NR")), coverage={"ownership": False})
    found = routed(before, after)
    assert outcomes(found) == {"grade": "inhibited", "coverage": "sent"}
    assert next(one.alert.points for one in found.routed if one.alert.rule == "coverage") == SCALE.other.channel_lost


TOLD = Told("al_earlier", "critical", (ToldClaim(STAKE, "2025-06-12T00:00:00Z", "completed"),))


def test_a_correction_names_the_alert_it_corrects_with_its_severity_and_hides_the_recovery() -> None:
    found = routed(score(60.0, grade="N3"), score(100.0), memory=Memory(told=(TOLD,)), minimum_severity="warning")
    assert outcomes(found) == {"score_rise": "inhibited", "grade": "inhibited", "correction": "sent"}
    correction = next(one.alert for one in found.routed if one.alert.rule == "correction")
    assert (correction.corrects, correction.severity, correction.alternatives) == (("al_earlier",), "critical", ())
    assert why(found, "grade") == "the correction says it"
    assert found.memory is None  # it is corrected once


def test_a_further_fall_is_not_hidden_by_a_correction() -> None:
    found = routed(score(60.0, grade="N3"), score(40.0, grade="N4"), memory=Memory(told=(TOLD,)))
    assert outcomes(found) == {"score_drop": "sent", "grade": "sent", "correction": "sent"}


def test_what_nobody_was_told_of_yet_is_cancelled_and_not_corrected() -> None:
    found = routed(score(60.0), score(60.0), memory=Memory(told=(TOLD,)), unsent=frozenset({"al_earlier"}))
    assert (found.routed, found.cancelled) == ((), ("al_earlier",))


@pytest.mark.parametrize(
    ("rule_in_words", "claim", "is_corrected"),
    [
        ("a claim that is gone was withdrawn", ToldClaim("gone", "2025-06-12T00:00:00Z", "completed"), True),
        ("an earlier report that stands again means that the later was withdrawn", ToldClaim(STAKE, "2025-06-13T00:00:00Z", "completed"), True),
        ("the same report still stands", ToldClaim(STAKE, "2025-06-12T00:00:00Z", "completed"), False),
        ("a later report goes on and takes nothing back", ToldClaim(STAKE, "2025-06-11T00:00:00Z", "announced"), False),
        ("the same instant in another offset is the same report", ToldClaim(STAKE, "2025-06-12T02:00:00+02:00", "completed"), False),
    ],
)  # fmt: skip
def test_what_takes_an_alert_back(rule_in_words: str, claim: ToldClaim, is_corrected: bool) -> None:
    still = assessment(2, score(60.0), losses={STAKE: 0.5})
    found = routed(assessment(1, score(60.0), losses={STAKE: 0.5}), still, memory=Memory(told=(replace(TOLD, claims=(claim,)),)))
    assert bool(found.routed) is is_corrected, rule_in_words


def test_a_denied_claim_is_corrected_once() -> None:
    denied = assessment(2, score(60.0), losses={STAKE: 0.5})
    denied = replace(denied, claims=tuple(replace(note, status="denied") for note in denied.claims))
    before = assessment(1, score(60.0), losses={STAKE: 0.5})
    assert outcomes(routed(before, denied, memory=Memory(told=(TOLD,)))) == {"correction": "sent"}
    told_as_denied = replace(TOLD, claims=(replace(TOLD.claims[0], status="denied"),))
    assert outcomes(routed(before, denied, memory=Memory(told=(told_as_denied,)))) == {}


def test_what_was_told_is_remembered_with_the_reports_that_stood_and_what_was_hidden_is_not() -> None:
    fall = assessment(2, score(20.0, grade="N5", watch="down"), losses={STAKE: 0.5})
    found = routed(assessment(1, score(100.0)), fall)
    assert found.memory is not None
    assert [one.claims for one in found.memory.told] == [(ToldClaim(STAKE, "2025-06-12T00:00:00Z", "completed"),)] * 2
    assert {one.alert for one in found.memory.told} == {one.alert.id for one in found.routed if one.outcome == "sent"}


def test_lesser_alerts_than_wanted_are_kept_and_not_sent() -> None:
    found = routed(score(90.0), score(80.0, grade="N2"), minimum_severity="critical")
    assert outcomes(found) == {"score_drop": "minor", "grade": "minor"}
    assert why(found, "grade") == "warning is less than critical"


def test_quiet_hours_hold_what_is_raised_and_one_release_is_one_group() -> None:
    schedule = {"quiet_hours": ({"start": "22:00", "end": "07:00"},)}
    first = routed(score(100.0), score(60.8, grade="N3"), schedule=schedule)
    assert outcomes(first) == {"score_drop": "held", "grade": "held"}
    assert first.routed[0].due == datetime(2025, 6, 13, 7, tzinfo=UTC)
    assert first.routed[0].why == "goes out at 2025-06-13T07:00:00Z"
    later = routed(
        assessment(1, score(100.0), vendor="turing"),
        assessment(2, score(70.0), vendor="turing"),
        schedule=schedule,
        now=NOW + timedelta(hours=3),
    )
    assert {one.alert.group for one in (*first.routed, *later.routed)} == {first.routed[0].alert.group}
    other = routed(score(100.0), score(60.8, grade="N3"), schedule=schedule, name="night")
    assert other.routed[0].alert.group != first.routed[0].alert.group


def silence(*matchers: Matcher, lab: str = "google", ends_h: int = 1, identity: str = "si_1") -> Silence:
    ends = NOW + timedelta(hours=ends_h)
    terms = SilenceTerms(matchers=matchers, ends=ends, reason="moving away", by="ada")
    return Silence(identity, lab, terms, NOW - timedelta(hours=1), ends)


@pytest.mark.parametrize(
    ("rule_in_words", "matchers", "mutes"),
    [
        ("the vendor", [Matcher(field="vendor", values=("scale-ai", "turing"))], True),
        ("another vendor", [Matcher(field="vendor", values=("turing",))], False),
        ("all but another vendor", [Matcher(field="vendor", values=("turing",), negate=True)], True),
        ("its category", [Matcher(field="category", values=("data-labelling",))], True),
        ("none of its categories", [Matcher(field="category", values=("data-labelling",), negate=True)], False),
        ("every matcher must match", [Matcher(field="rule", values=("score_drop",)), Matcher(field="severity", values=("info",))], False),
        ("rule and subscription", [Matcher(field="rule", values=("score_drop",)), Matcher(field="subscription", values=("desk",))], True),
    ],
)  # fmt: skip
def test_what_a_silence_mutes(rule_in_words: str, matchers: list[Matcher], mutes: bool) -> None:
    after = replace(assessment(2, score(60.8)), categories=("data-labelling", "evaluation"))
    found = routed(assessment(1, score(100.0)), after, conditions=(BY_RULE["score_drop"],), silences=(silence(*matchers),))
    assert outcomes(found) == {"score_drop": "silenced" if mutes else "sent"}, rule_in_words


def test_a_muted_alert_says_who_muted_it_why_and_until_when() -> None:
    quiet = silence(Matcher(field="vendor", values=("scale-ai",)))
    longer = silence(Matcher(field="rule", values=("score_drop",)), ends_h=5, identity="si_2")
    found: Routed = routed(score(100.0), score(60.8), silences=(quiet, longer)).routed[0]
    assert (found.why, found.due, found.silence) == ("ada: moving away", NOW + timedelta(hours=5), "si_2")


def test_a_silence_is_its_labs_and_has_its_time() -> None:
    alert = routed(score(100.0), score(60.8)).routed[0].alert
    quiet = silence(Matcher(field="vendor", values=("scale-ai",)))
    assert muting([quiet], alert, (), NOW) is quiet
    assert muting([quiet], alert, (), quiet.ends) is None
    assert muting([quiet], alert, (), quiet.starts - timedelta(seconds=1)) is None
    assert muting([replace(quiet, lab="openai")], alert, (), NOW) is None


def sells(vendor: str, value: float, grade: str = "N1", channels: int = 4) -> Assessment:
    known = dict(zip(("ownership", "votes", "governance", "revenue"), [True] * channels + [False] * (4 - channels), strict=True))
    found = assessment(1, score(value, grade=grade), vendor=vendor)
    return replace(found, coverage=known, categories=("data-labelling",))


def test_alternatives_are_ranked_by_neutrality_and_the_unknown_comes_last() -> None:
    vendor = sells("scale-ai", 38.9, "N4")
    others = [
        vendor, sells("worse", 20.0, "N5"), sells("unknown", 100.0, "NR", 0), sells("known", 95.0), sells("half-known", 95.0, channels=2),
        replace(sells("rivals-friend", 99.0), labs={"google": score(30.0, grade="N4")}), sells("better", 60.0, "N3"),
    ]  # fmt: skip
    found = neutral_alternatives(vendor, Market(others).of(["data-labelling"]), "google", bought=("known",))
    assert [(one.vendor, one.grade, len(one.known), one.bought) for one in found] == [
        ("known", "N1", 4, True),
        ("half-known", "N1", 2, False),
        ("better", "N3", 4, False),
        ("unknown", "NR", 0, False),
    ]
    assert neutral_alternatives(vendor, Market(others).of(["data-labelling"]), "openai")[0].vendor == "rivals-friend"


def test_a_market_follows_categories_and_knows_what_is_outdated() -> None:
    market = Market([sells("known", 95.0)])
    moved = replace(sells("known", 95.0), version=2, categories=("evaluation",))
    assert market.outdated({"known": 2, "new": 1}) == ["known", "new"]
    market.take([moved])
    assert market.outdated({"known": 2}) == []
    assert market.of(["data-labelling"]) == []
    assert [one.vendor for one in market.of(["evaluation", "evaluation"])] == ["known"]
    assert market.of(["nothing"]) == []
