"""A lab's side of alerts over HTTP: its subscriptions, and its alerts as server-sent events.

The stream is at least once and each alert has one id: whoever reads it takes an id once. After a break it goes on behind the last id seen
(`Last-Event-ID`), so nothing is missed.
"""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import httpx
import httpx_sse
from pydantic import ValidationError

from neutrality.cli.addresses import authorization
from neutrality.events.alert import Alert, Rule, parse_alert

_RECONNECT_PAUSE_S: Final = 0.5
_PAGE: Final = 500
_LONGEST_SILENCE_S: Final = 60.0  # the service sends a comment every 15 s or so; after four missed ones it is gone


class AlertsError(Exception):
    """Alerts refused a request, or did not answer (`unreachable`)."""

    retriable = False

    def __init__(self, message: str, *, unreachable: bool = False) -> None:
        """Keep what kind it is."""
        super().__init__(message)
        self.unreachable = unreachable


def put_subscription(
    url: str,
    lab: str,
    name: str,
    *,
    vendors: Sequence[str] = (),
    rules: Sequence[Rule] = (),
    drop_points: float | None = None,
    key: str | None = None,
) -> dict[str, Any]:
    """Create the subscription, or set it anew; the same request twice changes nothing.

    No vendors means all; no rules, those that alerts takes by default.

    Raises:
        AlertsError: it was refused, or alerts does not answer.
    """
    wanted: dict[str, Any] = {"vendors": list(vendors)}
    if rules:
        wanted["rules"] = list(rules)
    if drop_points is not None:
        wanted["drop_points"] = drop_points
    try:
        response = httpx.put(
            f"{url.rstrip('/')}/labs/{lab}/subscriptions/{name}", json=wanted, headers=authorization(key), timeout=30.0
        )
    except httpx.TransportError as error:
        raise AlertsError(f"alerts at {url} does not answer ({error}); is `neutrality up` running?", unreachable=True) from error
    if not response.is_success:
        raise AlertsError(
            f"alerts answered {response.status_code}: {response.text[:500]}", unreachable=response.status_code == 503
        )
    document: dict[str, Any] = response.json()
    return document


def last_alert_id(url: str, lab: str, key: str | None = None) -> str | None:
    """The id of the newest alert to a lab, from which a stream may go on; None if there was none yet.

    Raises:
        AlertsError: it was refused, or alerts does not answer.
    """
    last: str | None = None
    while True:
        after = {"after": last} if last is not None else {}
        try:
            response = httpx.get(
                f"{url.rstrip('/')}/labs/{lab}/alerts", params={"limit": _PAGE, **after}, headers=authorization(key), timeout=30.0
            )
        except httpx.TransportError as error:
            raise AlertsError(f"alerts at {url} does not answer ({error})", unreachable=True) from error
        if not response.is_success:
            raise AlertsError(f"alerts answered {response.status_code}: {response.text[:500]}")
        page: list[dict[str, Any]] = response.json()["alerts"]
        if not page:
            return last
        last = str(page[-1]["id"])


def stream_alerts(
    url: str, lab: str, *, after: str | None, stopped: Callable[[], bool], noticed: Callable[[str], None], key: str | None = None
) -> Iterator[Alert]:
    """Every alert to a lab behind the alert id `after`, or from the first on; each id once. Connects again until `stopped`.

    Raises:
        AlertsError: the request is refused for good (4xx).
    """
    last, seen = after, set[str]()
    pause = threading.Event()
    while not stopped():
        headers = authorization(key) | ({"Last-Event-ID": last} if last is not None else {})
        try:
            with (
                httpx.Client(timeout=httpx.Timeout(10.0, read=_LONGEST_SILENCE_S)) as client,
                httpx_sse.connect_sse(
                    client, "GET", f"{url.rstrip('/')}/labs/{lab}/alerts/stream?from=beginning", headers=headers
                ) as source,
            ):
                if source.response.is_client_error:
                    source.response.read()
                    raise AlertsError(f"alerts answered {source.response.status_code}: {source.response.text[:500]}")
                for event in source.iter_sse():
                    if event.event == "endpoint-disabled":
                        noticed(f"{lab}: {_told(event.data)}")
                        continue
                    alert = _parse(event.data)
                    if alert is None:
                        continue
                    last = event.id or alert.id
                    if alert.id not in seen:
                        seen.add(alert.id)
                        yield alert
        except (httpx.TransportError, httpx_sse.SSEError) as error:
            if not stopped():
                noticed(f"the stream of {lab} broke off ({type(error).__name__}); it is taken up again behind the last alert")
        pause.wait(_RECONNECT_PAUSE_S)


def _told(data: str) -> str:
    found = json.loads(data)
    return f"the endpoint {found['endpoint']} ({found['kind']}) is disabled: {found['reason']}"


def _parse(data: str) -> Alert | None:
    try:
        return parse_alert(data.encode())
    except ValidationError:
        return None  # a heartbeat, or a newer kind of event that this version does not know
