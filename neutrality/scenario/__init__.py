"""Scenarios: facts as events, shipped with the package, and what the watch must make of them.

`NAME.jsonl` holds one event a line, wrapped with what a live view needs to narrate it: the row of the scenario's table, the step that the
event belongs to, how far the fact has come, and a heading. `NAME.expected.json` says what must hold after a step: scores and alerts.
The order of the lines is the order in which the story is told; the scores do not depend on it.
"""

from neutrality.scenario.expectations import Expectations, ExpectedAlert, ExpectedScores, load_expectations
from neutrality.scenario.steps import SCENARIOS, Scenario, Step, UnknownScenario, load_scenario

__all__ = [
    "SCENARIOS",
    "Expectations",
    "ExpectedAlert",
    "ExpectedScores",
    "Scenario",
    "Step",
    "UnknownScenario",
    "load_expectations",
    "load_scenario",
]
