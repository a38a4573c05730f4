"""Who may do what on a secured Kafka: one list, which contracts/acls.json shows and `neutrality access` grants. What is not here is denied.

Principals are users of SCRAM. The administrator is none of them: it comes with a certificate and may do everything.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from neutrality.topics import ALERTS_PREFIX, CONTRACTS, MESSAGES, OWNERSHIP, REJECTED, SCORES, alerts_topic

Resource = Literal["topic", "group", "cluster"]
Pattern = Literal["literal", "prefixed"]
Operation = Literal["read", "write", "create", "describe", "describe_configs"]

SCORING_GROUP: Final = "neutrality-scoring"  # its default; another one needs its own grants
CHANGELOG: Final = f"{SCORING_GROUP}-vertices-changelog"
GROUP_MARK: Final = ":"  # no entity id has it: so no lab's prefix is the beginning of another's


@dataclass(frozen=True, slots=True, order=True)
class Grant:
    """A principal may do some operations on what has this name, or a name that begins so."""

    principal: str
    resource: Resource
    name: str
    pattern: Pattern
    operations: tuple[Operation, ...]


_READ: Final[tuple[Operation, ...]] = ("describe", "read")
_MAKE: Final[tuple[Operation, ...]] = (
    "create",
    "describe",
    "describe_configs",
)  # each service makes the topics it needs, and checks those there


def _topics(principal: str, names: Iterable[str], *operations: Operation, pattern: Pattern = "literal") -> tuple[Grant, ...]:
    return tuple(Grant(principal, "topic", name, pattern, tuple(sorted(set(operations)))) for name in names)


_INPUTS: Final = (OWNERSHIP.name, CONTRACTS.name)

GRANTS: Final[tuple[Grant, ...]] = (
    # what was received before is read again after a start
    *_topics("ingest", _INPUTS, "write", "read", *_MAKE),
    *_topics("ingest", (REJECTED.name,), "write", *_MAKE),
    *_topics("scoring", _INPUTS, "read", *_MAKE),
    *_topics("scoring", (MESSAGES.name, SCORES.name, CHANGELOG), "read", "write", *_MAKE),
    *_topics("scoring", (REJECTED.name,), "write", *_MAKE),
    Grant("scoring", "group", SCORING_GROUP, "literal", ("describe", "read")),
    *_topics("alerts", (SCORES.name,), "read", *_MAKE),
    *_topics("alerts", (ALERTS_PREFIX,), "write", *_MAKE, pattern="prefixed"),
    *_topics("board", (*_INPUTS, SCORES.name), *_READ),
    *_topics("verify", (*_INPUTS, SCORES.name), *_READ),
    # what operators run by hand: it looks at everything and changes nothing
    *_topics("operator", ("neutrality.",), "describe_configs", *_READ, pattern="prefixed"),
    *_topics("operator", (CHANGELOG,), "describe", "describe_configs"),
    Grant("operator", "group", SCORING_GROUP, "literal", ("describe",)),
    Grant("operator", "cluster", "kafka-cluster", "literal", ("describe",)),  # disks and grants
)
SERVICES: Final = ("ingest", "scoring", "alerts", "board", "verify", "operator")


def principal_of(lab: str) -> str:
    """A lab's user."""
    return f"lab-{lab}"


def grants_of_lab(lab: str) -> tuple[Grant, ...]:
    """A lab reads its own alerts, and nothing else; its consumer groups begin with `LAB:`."""
    principal = principal_of(lab)
    return (
        *_topics(principal, (alerts_topic(lab).name,), *_READ),
        Grant(principal, "group", f"{lab}{GROUP_MARK}", "prefixed", ("read",)),
    )
