"""What an endpoint is told besides alerts: that another of the lab's was disabled, or that this is a trial."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import orjson

from services.alerts.domain.endpoint import Kind

NOTICE_TYPE: Final = "watch.neutrality.endpoint-disabled.v1"
TRIAL_TYPE: Final = "watch.neutrality.test.v1"


@dataclass(frozen=True, slots=True)
class Notice:
    """An endpoint of the lab was disabled. `id` is the same however often this is told."""

    id: str
    lab: str
    endpoint: str
    kind: Kind
    reason: str
    raised_at: str


@dataclass(frozen=True, slots=True)
class Trial:
    """A test message."""

    id: str
    lab: str
    endpoint: str
    raised_at: str


def notice_of(lab: str, endpoint: str, kind: Kind, reason: str, raised_at: str) -> Notice:
    """The notice of what happened then."""
    return Notice(f"no_{_digest(lab, endpoint, raised_at)}", lab, endpoint, kind, reason, raised_at)


def trial_of(lab: str, endpoint: str, raised_at: str) -> Trial:
    """A trial now."""
    return Trial(f"test_{_digest(lab, endpoint, raised_at)}", lab, endpoint, raised_at)


def parse_notice(document: bytes) -> Notice:
    """A notice as it was stored."""
    return Notice(**orjson.loads(document))


def _digest(*parts: str) -> str:
    return sha256("\x1f".join(parts).encode()).hexdigest()[:32]
