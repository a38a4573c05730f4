"""Settings of a service, from environment variables with its prefix.

pydantic-settings' `extra="forbid"` does not see misspelt variables, since it only looks for names that it knows; so they are looked for here.
"""

import os
from difflib import get_close_matches
from typing import Annotated, Any, Final

from pydantic import StringConstraints, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
Servers = Annotated[str, StringConstraints(pattern=r"^[^\s,]+:\d+(,[^\s,]+:\d+)*$")]


def wrong_settings(error: ValidationError, prefix: str) -> str:
    """What is wrong, a line a variable, each under its environment name."""
    lines = []
    for item in error.errors(include_url=False, include_input=False):
        name = prefix + "_".join(str(step) for step in item["loc"]).upper() if item["loc"] else "settings"
        lines.append(f"{name}: {item['msg'].removeprefix('Value error, ')}")
    return "\n".join(lines)


class ServiceSettings(BaseSettings):
    """Base of each service's settings: frozen, ranges checked, an unknown variable with the service's prefix is refused at start."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", validate_default=True)

    @model_validator(mode="before")
    @classmethod
    def _no_unknown_variable(cls, values: Any) -> Any:
        """Refuse a variable with our prefix that is no setting, and name the one that was meant."""
        prefix = cls.model_config.get("env_prefix", "").upper()
        known = {prefix + name.upper() for name in cls.model_fields}
        names = {name.upper() for name in os.environ}  # noqa: TID251 - the one place that may look
        unknown = sorted(name for name in names if prefix and name.startswith(prefix) and name not in known)
        if unknown:
            meant = get_close_matches(unknown[0], known, n=1)
            hint = f"; did you mean {meant[0]}?" if meant else f"; known are {', '.join(sorted(known))}"
            raise ValueError(f"unknown environment variable {unknown[0]}{hint}")
        return values
