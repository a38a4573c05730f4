"""Schemathesis over alerts' OpenAPI document: what it says of requests and answers is what the running service does, and nothing ends in 5xx.

One check is left out: that whatever fits the schema is accepted. No schema says that a URL must not lead inside, or that an alert of that id exists.
Half of the requests name things that are there, so that more than "not found" is looked at. The stream has no end; its inputs have their own test.
"""

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import allow_header_conformance, positive_data_acceptance

from neutrality.events.vocabulary import ENTITY_ID_PATTERN
from services.alerts.domain.conditions import GradeChange
from services.alerts.domain.subscription import Subscription
from services.alerts.http import openapi_document
from tests.support.alerts import AlertsParts, senders_to
from tests.support.assessments import assessment, score
from tests.support.background import Background
from tests.support.mailbox import mailbox
from tests.unit.alerts.test_http import served

LAB: Final = "google"
KNOWN: Final[dict[str, tuple[str, ...]]] = {
    "lab": (LAB, "openai"),
    "name": ("desk", "hook", "duty", "chat"),
    "vendor": ("v", "w"),
}
ENDLESS: Final = "/stream$"
SHARED: Final = "/labs/{lab}/subscriptions/dry-run"  # also a subscription's, if it is called so: the methods of both are there

schema = schemathesis.openapi.from_dict(json.loads(openapi_document()))


@schemathesis.hook
def map_path_parameters(_context: object, values: Any) -> Any:
    """Every other request names what there is."""
    if not isinstance(values, dict) or sum(len(str(value)) for value in values.values()) % 2:
        return values
    return {name: _known(name, value) for name, value in values.items()}


def _known(name: str, value: Any) -> Any:
    there = KNOWN.get(name)
    if there is None or not re.fullmatch(ENTITY_ID_PATTERN, str(value)):  # what is wrong stays so
        return value
    return there[len(str(value)) // 2 % len(there)]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service with subscriptions, endpoints of every kind and alerts; it reaches this machine alone."""
    resolve = socket.getaddrinfo

    def nowhere_else(host: Any, *rest: Any, **more: Any) -> Any:
        if host not in (None, "127.0.0.1", "localhost"):
            raise socket.gaierror(socket.EAI_NONAME, "not in this test")
        return resolve(host, *rest, **more)

    with pytest.MonkeyPatch.context() as patch, Background() as servers:
        patch.setattr(socket, "getaddrinfo", nowhere_else)
        box = servers.enter(mailbox())
        folder: Path = tmp_path_factory.mktemp("alerts")
        url = f"sqlite+aiosqlite:///{folder / 'alerts.db'}"
        parts, client = servers.enter(served(url, senders=senders_to(box.port, "https://watch.example")))
        servers.run(people(parts, client))
        yield str(client.base_url)


async def people(parts: AlertsParts, client: httpx.AsyncClient) -> None:
    for lab in KNOWN["lab"]:
        await parts.intake.put_subscription(Subscription(lab=lab, name="desk", conditions=(GradeChange(),)))
        for name, terms in {
            "hook": {"url": "http://127.0.0.1:9/"},
            "duty": {"kind": "email", "address": f"{lab}@lab.example"},
            "chat": {"kind": "apprise", "url": "json://127.0.0.1:9/"},
        }.items():
            (await client.put(f"/labs/{lab}/endpoints/{name}", json=terms)).raise_for_status()
    for vendor in KNOWN["vendor"]:
        await parts.take_in(assessment(1, score(20.0, grade="N5"), vendor=vendor))


@schema.exclude(path_regex=ENDLESS).parametrize()
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_operation_keeps_what_the_document_says(case: schemathesis.Case[Any], service: str) -> None:
    response = case.call(base_url=service)
    excluded: list[Any] = [positive_data_acceptance]
    if case.operation.path == SHARED:
        excluded.append(allow_header_conformance)
    case.validate_response(response, excluded_checks=excluded)


@pytest.mark.parametrize(
    ("query", "last", "status"),
    [("?from=never", None, 422), ("", "al_0", 404), ("", "\u00ff" * 200, 404), ("", "'; drop table alerts; --", 404)],
)
def test_a_stream_is_refused_for_what_is_wrong_with_it(service: str, query: str, last: str | None, status: int) -> None:
    headers = {} if last is None else {b"last-event-id": last.encode("latin-1")}
    assert httpx.get(f"{service}/labs/{LAB}/alerts/stream{query}", headers=headers).status_code == status
