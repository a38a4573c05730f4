"""Three labs that have everything a lab can have in alerts, all of it marked as theirs, behind keys."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx

from neutrality.api_keys import digest_of, token_of
from neutrality.events.alert import Alert
from neutrality.labs import SCOPES, LabKey, Labs, Scope
from tests.support.alerts import AlertsParts, senders_to
from tests.support.assessments import assessment, score
from tests.support.mailbox import Mailbox, mailbox
from tests.support.receiver import Receiver, receiver
from tests.unit.alerts.test_http import served

LABS: Final = ("anthropic", "google", "openai")
TOKENS: Final = {lab: token_of(str(number).encode() * 32) for number, lab in enumerate(LABS)}
_CODE: Final = re.compile(r"asked you: ([a-z2-7]{32})\b")


def key(token: str, scopes: tuple[Scope, ...] = SCOPES, **fields: Any) -> LabKey:
    since = datetime.now(UTC) - timedelta(days=1)
    return LabKey(**{"id": token[4:12], "sha256": digest_of(token), "not_before": since, "scopes": scopes, **fields})


def write(path: Path, **labs: tuple[LabKey, ...]) -> Path:
    path.write_text(Labs(labs=labs).model_dump_json())
    return path


def of(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def mark(lab: str) -> str:
    """In everything that a lab says of itself, and nowhere else."""
    return f"zz{lab}zz"


@dataclass
class Tenancy:
    """The service, what the labs have there, and where they listen."""

    parts: AlertsParts
    client: httpx.AsyncClient
    hook: Receiver
    box: Mailbox
    raised: dict[str, list[Alert]] = field(default_factory=dict)
    silences: dict[str, str] = field(default_factory=dict)

    def private(self, lab: str) -> list[str]:
        """What no other lab may ever see."""
        return [mark(lab), f"of-{lab}", TOKENS[lab][4:], self.silences[lab], *(alert.id for alert in self.raised[lab])]

    def filled(self, path: str, lab: str, under: str | None = None) -> str:
        """The path of what a lab has, under its own name or another's. Raises KeyError: a route has a parameter that needs a value here."""
        values = {"lab": under or lab, "name": f"of-{lab}", "vendor": "v", "code": "a" * 32, "what": "unsubscribe"}
        return path.format(**values, alert=self.raised[lab][0].id, silence=self.silences[lab])

    def found_of_others(self, lab: str, text: str) -> list[str]:
        """What of others' a text holds."""
        return [secret for other in LABS if other != lab for secret in self.private(other) if secret in text]

    async def ask(self, lab: str, method: str, path: str, **how: Any) -> httpx.Response:
        return await self.client.request(method, path, headers=of(TOKENS[lab]), **how)

    async def have(self, lab: str, path: str, body: dict[str, Any], method: str = "PUT") -> dict[str, Any]:
        answer = await self.ask(lab, method, f"/labs/{lab}{path}", json=body)
        assert answer.is_success, (path, answer.text)
        return dict(answer.json()) if answer.content else {}


@asynccontextmanager
async def tenancy(url: str, keys: Path) -> AsyncIterator[Tenancy]:
    """Every lab has a subscription, an endpoint of each kind, and alerts; a vendor falls for all of them."""
    async with mailbox() as box, receiver() as hook, served(url, keys, senders_to(box.port)) as (parts, client):
        made = Tenancy(parts, client, hook, box)
        for lab in LABS:
            await _settle(made, lab)
        for alert in await parts.take_in(assessment(1, score(20.0, grade="N5"), vendor="v")):
            made.raised.setdefault(alert.lab, []).append(alert)
        assert sorted(made.raised) == sorted(LABS)
        for lab in LABS:
            await made.have(lab, f"/alerts/{made.raised[lab][0].id}/acknowledgement", {"by": mark(lab), "note": mark(lab)})
        yield made


async def _settle(there: Tenancy, lab: str) -> None:
    said = {"description": mark(lab)}
    await there.have(lab, f"/subscriptions/of-{lab}", {"rules": ["grade"]})
    await there.have(lab, "/portfolio/v", {"buys": mark(lab), "categories": [mark(lab)], "data_classes": [mark(lab)]})
    silence = {"matchers": [{"field": "vendor", "values": ["w"]}], "reason": mark(lab), "by": mark(lab)}
    silence |= {"starts": "2998-12-01T00:00:00Z", "ends": "2999-01-01T00:00:00Z"}
    there.silences[lab] = (await there.have(lab, "/silences", silence, "POST"))["id"]
    await there.have(lab, f"/endpoints/of-{lab}", {"url": f"{there.hook.url}/{mark(lab)}", **said})
    await there.have(lab, f"/endpoints/of-{lab}-mail", {"kind": "email", "address": f"{mark(lab)}@lab.example", **said})
    code = _CODE.search((await there.box.until(len(there.box.mails) or 1))[-1].text)
    assert code is not None
    await there.have(lab, f"/endpoints/of-{lab}-mail/confirmed", {"code": code[1]}, "POST")
    url = there.hook.url.replace("http://", f"json://{mark(lab)}:secret@")
    await there.have(lab, f"/endpoints/of-{lab}-chat", {"kind": "apprise", "url": f"{url}/{mark(lab)}", **said})


def routes(document: dict[str, Any]) -> list[tuple[str, str]]:
    """Every operation of an OpenAPI document; what only looks comes first, what removes last."""
    order = ("get", "post", "put", "patch", "delete")
    found = [(method, path) for path, methods in document["paths"].items() for method in methods]
    return [(method.upper(), path) for method, path in sorted(found, key=lambda one: (order.index(one[0]), one[1]))]
