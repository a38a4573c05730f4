"""Who holds what in a vendor, directly and through others, as far up as it is known. Pure; runs in a worker."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from neutrality.events.structs import AnyEvent, Interest, InterestType, Status, event_from_json
from neutrality.model.claims import Standing
from neutrality.model.dossier import Dossier
from neutrality.model.explanation import share_text
from neutrality.model.methodology import Methodology, load_methodology
from neutrality.model.picture import Picture
from services.board.domain.log import Told

MOST_NODES: Final = 250  # more cannot be read; what is left out is told
Aspect = Literal["equity", "votes", "control"]
_ASPECTS: Final[dict[InterestType, Aspect]] = {
    InterestType.SHAREHOLDING: "equity",
    InterestType.VOTING_RIGHTS: "votes",
    InterestType.APPOINTMENT_OF_BOARD: "control",
    InterestType.OTHER_INFLUENCE_OR_CONTROL: "control",
}
_HAVE_SHARES: Final = (InterestType.SHAREHOLDING, InterestType.VOTING_RIGHTS)


@dataclass(frozen=True, slots=True)
class Node:
    """An entity. `level`: over how many steps it reaches the vendor, at least."""

    entity: str
    name: str
    kind: Literal["vendor", "lab", "entity"]
    level: int


@dataclass(frozen=True, slots=True)
class Edge:
    """What `holder` has in `held`: a share in words, and how certain it is."""

    holder: str
    held: str
    aspect: Aspect
    share: str
    status: str
    credibility: float
    is_pending: bool


@dataclass(frozen=True, slots=True)
class Ownership:
    """The graph above a vendor. `left_out`: entities beyond MOST_NODES."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    left_out: int

    @property
    def names(self) -> dict[str, str]:
        """What the entities are called."""
        return {node.entity: node.name for node in self.nodes}


def ownership_of(told: Sequence[Told], vendor: str, at: datetime) -> Ownership:
    """Breadth first, from the vendor upwards."""
    methodology = load_methodology()
    pictures = pictures_of(told, at, methodology)
    level = {vendor: 0}
    edges: list[Edge] = []
    waiting = [vendor]
    while waiting:
        held = waiting.pop(0)
        picture = pictures.get(held)
        for edge in () if picture is None else _edges(picture):
            if edge.holder not in level:
                level[edge.holder] = level[held] + 1
                waiting.append(edge.holder)
            edges.append(edge)
    shown = set(list(level)[:MOST_NODES])
    nodes = tuple(_node(entity, pictures.get(entity), vendor, level[entity]) for entity in level if entity in shown)
    kept = tuple(edge for edge in edges if edge.holder in shown and edge.held in shown)
    return Ownership(nodes, kept, len(level) - len(shown))


def pictures_of(told: Sequence[Told], at: datetime, methodology: Methodology) -> dict[str, Picture]:
    """What each entity's own claims say at a time, by what had been recorded by then."""
    events: dict[str, list[tuple[AnyEvent, int]]] = {}
    for json, accepted_ms in told:
        event = event_from_json(json)
        if event.time <= at:
            events.setdefault(event.data.subject, []).append((event, accepted_ms))
    return {entity: Dossier().add(found).picture(entity, at, methodology) for entity, found in events.items()}


def _edges(picture: Picture) -> list[Edge]:
    found = []
    for standing in picture.interests:
        data = standing.active or standing.expected
        if isinstance(data, Interest) and data.interest_type in _ASPECTS:
            found.append(_edge(standing, data))
    return found


def _edge(standing: Standing, data: Interest) -> Edge:
    pending = standing.active is None
    share = "" if data.share is None and data.interest_type not in _HAVE_SHARES else share_text(data.share)
    if (expected := standing.expected) is not None and not pending and isinstance(expected, Interest):
        share = f"{share}, then {share_text(expected.share)}"
    status = (standing.pending if pending else standing.confirmed or standing.newest) or standing.newest
    return Edge(
        data.interested_party,
        data.subject,
        _ASPECTS[data.interest_type],
        share,
        Status(status.data.status).value,
        standing.credibility,
        pending,
    )


def _node(entity: str, picture: Picture | None, vendor: str, level: int) -> Node:
    attributes = None if picture is None else picture.attributes
    name = entity if attributes is None or attributes.name is None else attributes.name
    kind: Literal["vendor", "lab", "entity"] = "entity"
    if entity == vendor:
        kind = "vendor"
    elif picture is not None and picture.lab is not None:
        kind = "lab"
    return Node(entity, name, kind, level)
