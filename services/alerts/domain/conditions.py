"""What a lab may want to be told of: one model a rule, told apart by `rule`.

`view` is the score that counts: the confirmed one, or the projected one, which weighs announcements and rumours too. Outlook and watch are about the
difference of the two, and have no view.
"""

from typing import Annotated, Final, Literal

from pydantic import Field

from neutrality.events.assessment import Channel
from neutrality.events.vocabulary import EntityId, Wire

View = Literal["confirmed", "projected"]
Points = Annotated[float, Field(gt=0.0, le=100.0)]
ViewField = Annotated[View, Field(description="Which score counts.")]


class ScoreDrop(Wire):
    """The score has fallen by so many points since the last such alert, or since the highest score after it."""

    rule: Literal["score_drop"] = "score_drop"
    points: Points = 5.0
    view: ViewField = "confirmed"


class ScoreRise(Wire):
    """The score has risen by so many points since the last such alert, or since the lowest score after it; never of a vendor not rated."""

    rule: Literal["score_rise"] = "score_rise"
    points: Points = 5.0
    view: ViewField = "confirmed"


class GradeChange(Wire):
    """The grade is another. A first rating is told only if it is N3 or worse."""

    rule: Literal["grade"] = "grade"
    view: ViewField = "confirmed"


class LevelCrossed(Wire):
    """The score has crossed a level: down once it is under `at`, up once it is at `at + hysteresis` and the vendor is rated."""

    rule: Literal["level"] = "level"
    at: Annotated[float, Field(gt=0.0, lt=100.0, description="The level, in points.")]
    hysteresis: Annotated[
        float, Field(ge=0.0, le=50.0, description="Points above the level at which it counts as crossed upward.")
    ] = 2.0
    direction: Literal["down", "up", "both"] = "both"
    view: ViewField = "confirmed"


class OutlookChange(Wire):
    """The outlook is another."""

    rule: Literal["outlook"] = "outlook"


class WatchChange(Wire):
    """The vendor was put on watch, or taken off."""

    rule: Literal["watch"] = "watch"


class InfluenceOver(Wire):
    """A rival's influence through a channel has come to `above`; anew only after it was under `above - hysteresis`."""

    rule: Literal["influence"] = "influence"
    channel: Channel
    above: Annotated[float, Field(gt=0.0, le=1.0, description="A ratio: 0.25 is a quarter.")]
    hysteresis: Annotated[float, Field(ge=0.0, le=0.5)] = 0.01
    rivals: Annotated[tuple[EntityId, ...], Field(max_length=1000, description="These labs alone; empty: any rival.")] = ()
    view: ViewField = "confirmed"


class CoverageLost(Wire):
    """Of a channel of which something was known nothing is known any more."""

    rule: Literal["coverage"] = "coverage"


class CorrectionMade(Wire):
    """A claim that an earlier alert of this subscription named was withdrawn or denied."""

    rule: Literal["correction"] = "correction"


Condition = Annotated[
    ScoreDrop
    | ScoreRise
    | GradeChange
    | LevelCrossed
    | OutlookChange
    | WatchChange
    | InfluenceOver
    | CoverageLost
    | CorrectionMade,
    Field(discriminator="rule"),
]
MAX_CONDITIONS: Final = 50


ShortRule = Literal["score_drop", "score_rise", "grade", "outlook", "watch", "coverage", "correction"]
USUAL: Final[tuple[ShortRule, ...]] = ("score_drop", "grade", "outlook", "watch", "correction")
# with their defaults; a level and an influence have none
BY_RULE: Final[dict[ShortRule, Condition]] = {
    "score_drop": ScoreDrop(),
    "score_rise": ScoreRise(),
    "grade": GradeChange(),
    "outlook": OutlookChange(),
    "watch": WatchChange(),
    "coverage": CoverageLost(),
    "correction": CorrectionMade(),
}


def condition_key(condition: Condition) -> str:
    """What tells a condition from the others of its subscription, and its alerts from theirs. The rule alone for those that every version has had."""
    key: str = condition.rule
    if isinstance(condition, LevelCrossed):
        key += f":{condition.at:g}"
    if isinstance(condition, InfluenceOver):
        key += f":{condition.channel}:{condition.above:g}"
    if getattr(condition, "view", "confirmed") == "projected":
        key += ":projected"
    return key
