"""A scenario's events in ordered steps."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

import orjson

from neutrality.events.cloudevent import Event, event_from_document

SCENARIOS: Final = ("scale-ai-2025",)


class UnknownScenario(ValueError):  # noqa: N818 - named for what it is
    """There is no scenario of that name; the message lists those there are."""

    retriable = False

    def __init__(self, name: str) -> None:
        """Say what was asked for and what there is."""
        super().__init__(f"no scenario {name!r}; there is: {', '.join(SCENARIOS)}")


@dataclass(frozen=True, slots=True)
class Step:
    """Events that are told together. `key` is the row's number, with a letter where a row has several phases ("10a")."""

    key: str
    row: int
    phase: str
    heading: str
    documents: tuple[dict[str, Any], ...]

    @property
    def title(self) -> str:
        """The heading of the live view: "Row 10: Meta takes 49 % of Scale AI (announced)"."""
        return f"Row {self.row}: {self.heading}"


@dataclass(frozen=True, slots=True)
class Scenario:
    """All steps, in the order of the story."""

    name: str
    steps: tuple[Step, ...]

    def documents(self) -> Iterator[dict[str, Any]]:
        """Every event as a structured CloudEvent, as `neutrality publish` takes it."""
        for step in self.steps:
            yield from step.documents

    def events(self) -> tuple[Event, ...]:
        """Every event, parsed. Raises InvalidEvent if one is none: the files are held to the models by a test."""
        return tuple(event_from_document(document) for document in self.documents())

    def step(self, key: str) -> Step:
        """The step of that key. Raises KeyError if there is none."""
        for step in self.steps:
            if step.key == key:
                return step
        raise KeyError(key)


def load_scenario(name: str) -> Scenario:
    """A scenario that ships with the package.

    Raises:
        UnknownScenario: there is none of that name.
    """
    if name not in SCENARIOS:
        raise UnknownScenario(name)
    steps: list[Step] = []
    for line in files("neutrality.scenario").joinpath(f"{name}.jsonl").read_bytes().splitlines():
        item = orjson.loads(line)
        if steps and steps[-1].key == item["step"]:
            last = steps.pop()
            steps.append(Step(last.key, last.row, last.phase, last.heading, (*last.documents, item["event"])))
        else:
            steps.append(Step(item["step"], item["row"], item["phase"], item["heading"], (item["event"],)))
    return Scenario(name, tuple(steps))
