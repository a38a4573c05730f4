"""The stored form of a vertex: JSON, whole or in pieces.

Whoever stores vertices may keep the *core* (all but the reports), and the reports beside it in pieces that are written once; a vertex is its core and
the union of its pieces. What follows from a vertex (`reckoned`, `content`) is not stored.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from msgspec import Raw, Struct
from msgspec.json import Decoder, Encoder

from neutrality.events.structs import event_from_json, event_to_json
from neutrality.model.claims import Report
from neutrality.model.dossier import Dossier, settle_report
from neutrality.model.profile import EMPTY_PROFILE, Link, Profile, profile_from_json
from neutrality.model.vertex import NO_PROFILE, Owed, Published, Versioned, Vertex

_NOTHING: Final = Raw()


class _KeptProfile(Struct, frozen=True, gc=False, omit_defaults=True):
    """A `Versioned[Profile]` in a state."""

    version: int
    value: Raw = _NOTHING


_KEPT_NO_PROFILE: Final = _KeptProfile(0, EMPTY_PROFILE.json)


def _kept(profile: Versioned[Profile]) -> _KeptProfile:
    if profile is NO_PROFILE:
        return _KEPT_NO_PROFILE
    return _KeptProfile(profile.version, _NOTHING if profile.value is None else profile.value.json)


def _unkept(kept: _KeptProfile) -> Versioned[Profile]:
    if kept is _KEPT_NO_PROFILE:
        return NO_PROFILE
    return Versioned(kept.version, None if kept.value is _NOTHING else profile_from_json(kept.value))


class _State(Struct, frozen=True, gc=False, omit_defaults=True):
    """A vertex as it goes to the changelog. Events and profiles stay the JSON that they came as.

    `told` is the number of all reports, if they are kept in pieces beside it; None: they are all here.
    """

    entity: str
    version: int = 0
    told: int | None = None
    reports: dict[str, tuple[int, Raw]] = {}
    corrections: dict[str, Raw] = {}
    profiles: dict[str, _KeptProfile] = {}
    held: dict[str, Versioned[Link]] = {}
    links: dict[str, Versioned[Link]] = {}
    profile: _KeptProfile = _KEPT_NO_PROFILE
    published: Published | None = None
    next_change: datetime | None = None
    owed: Owed | None = None
    unsaid: bool = False
    applied: dict[str, int] = {}


_ENCODER: Final = Encoder()
_DECODER: Final = Decoder(_State)
_PIECE_DECODER: Final = Decoder(dict[str, tuple[int, Raw]])


def vertex_to_bytes(vertex: Vertex) -> bytes:
    """The whole state as JSON."""
    return _ENCODER.encode(_state(vertex, None, _reports(vertex.reports)))


def core_to_bytes(vertex: Vertex) -> bytes:
    """The state without its reports, as JSON; how many there are is told."""
    return _ENCODER.encode(_state(vertex, len(vertex.reports), {}))


def reports_to_bytes(reports: Mapping[str, Report]) -> bytes:
    """Some reports, as JSON: a piece of a state."""
    return _ENCODER.encode(_reports(reports))


def _reports(reports: Mapping[str, Report]) -> dict[str, tuple[int, Raw]]:
    return {key: (report.accepted_ms, Raw(report.json)) for key, report in reports.items()}


def _state(vertex: Vertex, told: int | None, reports: dict[str, tuple[int, Raw]]) -> _State:
    dossier = vertex.dossier
    return _State(
        entity=vertex.entity,
        version=vertex.version,
        told=told,
        reports=reports,
        corrections={key: Raw(event_to_json(event)) for key, event in dossier.corrections.items()} if dossier.corrections else {},
        profiles={party: _kept(profile) for party, profile in vertex.profiles.items()},
        held=vertex.held,  # type: ignore[arg-type]  # a mapping that nobody writes to
        links=vertex.links,  # type: ignore[arg-type]
        profile=_kept(vertex.profile),
        published=None if vertex.published is None else vertex.published.json,  # type: ignore[arg-type]
        next_change=vertex.next_change,
        owed=vertex.owed,
        unsaid=vertex.unsaid,
        applied=vertex.applied,  # type: ignore[arg-type]
    )


def vertex_from_bytes(value: bytes, pieces: Iterable[bytes] = ()) -> Vertex:
    """The state from JSON, and its reports from what is there and in pieces. Raises ValueError if it is none.

    `unsaid` if there are other reports than it tells of: whoever wrote them was cut off before the state was written.
    """
    state = _DECODER.decode(value)
    reports = {key: Report(event_from_json(event), accepted_ms) for key, (accepted_ms, event) in state.reports.items()}
    for piece in pieces:
        for key, (accepted_ms, event) in _PIECE_DECODER.decode(piece).items():
            known = reports.get(key)
            if known is None:
                reports[key] = Report(event_from_json(event), accepted_ms, len(bytes(event)))
            else:
                reports[key] = settle_report(known, event_from_json(event), accepted_ms)
    return Vertex(
        entity=state.entity,
        version=state.version,
        dossier=Dossier(
            reports,
            {key: event_from_json(event) for key, event in state.corrections.items()},
        ),
        profiles={party: _unkept(kept) for party, kept in state.profiles.items()},
        held=state.held,
        links=state.links,
        profile=_unkept(state.profile),
        published=state.published,
        next_change=state.next_change,
        owed=state.owed,
        unsaid=state.unsaid or (state.told is not None and state.told != len(reports)),
        applied=state.applied,
    )
