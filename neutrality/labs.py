"""Labs and their API keys: the file as the command writes it and alerts reads it. Pure."""

from collections.abc import Mapping
from typing import Annotated, Final, Literal, get_args

from pydantic import Field, StringConstraints

from neutrality.api_keys import ApiKey, Strict

Scope = Literal["read", "manage"]
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)


class LabKey(ApiKey):
    """One of a lab's keys. `read`: see what is the lab's, and its streams; `manage`: change it too."""

    scopes: Annotated[tuple[Scope, ...], Field(min_length=1)] = SCOPES


class Labs(Strict):
    """The whole file, by the lab's entity id."""

    labs: Mapping[Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,127}$")], tuple[LabKey, ...]] = {}

    def by_digest(self) -> dict[str, tuple[str, LabKey]]:
        """Every key with its lab, by its digest."""
        return {key.sha256: (lab, key) for lab, keys in self.labs.items() for key in keys}
