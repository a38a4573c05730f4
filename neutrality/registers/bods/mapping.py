"""`mapping.toml`, read once."""

import tomllib
from functools import cache
from importlib.resources import files
from typing import Final

from neutrality.events.vocabulary import EvidenceKind

_STRONGEST_FIRST: Final = tuple(EvidenceKind)


@cache
def mapping() -> dict[str, dict[str, str]]:
    """Each table of the file."""
    return tomllib.loads(files(__package__).joinpath("mapping.toml").read_text("utf-8"))


def evidence_kind(source_types: list[str]) -> EvidenceKind:
    """The strongest kind that the source types of a statement stand for."""
    table = mapping()["evidence"]
    kinds = [EvidenceKind(table[name]) for name in source_types if name in table]
    return min(kinds or [EvidenceKind(table["unstated"])], key=_STRONGEST_FIRST.index)
