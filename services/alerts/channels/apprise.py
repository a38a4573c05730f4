"""Slack, Teams, PagerDuty and the rest, by Apprise: what an Apprise URL says, and one attempt to send a message there.

An Apprise URL holds the tokens of the service, so it is a secret. Apprise blocks, and brings an HTTP client of its own: it runs in a thread of
its own, off the event loop, within a time limit, and behind a guard that judges each connection's address as webhooks' are (`guarded_sockets`).
Labs choose among schemes that the operator allows, and their URLs may set what concerns the message alone: no local files as templates, no TLS
without verification, no redirects.
"""

import asyncio
import logging
import re
import threading
import time
from collections.abc import Callable, Sequence
from contextvars import Context
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from apprise import Apprise, AppriseAsset, NotifyFormat, NotifyType, OverflowMode
from apprise.plugins import N_MGR, url_to_dict
from apprise.plugins.base import NotifyBase

from neutrality.events.alert import Severity
from services.alerts.channels.guarded_sockets import Guard
from services.alerts.channels.rendering import Message
from services.alerts.domain.addresses import Network
from services.alerts.domain.attempts import Attempt, Fault

AT_ONCE: Final = 32  # messages of all endpoints
# services whose hosts are fixed; of workflows (Teams) and Zulip, whose URLs may name one, `_HOSTS` says which
DEFAULT_SCHEMES: Final = (
    "betterstack",
    "discord",
    "firehydrant",
    "gchat",
    "ilert",
    "incidentio",
    "jira",
    "opsgenie",
    "pagerduty",
    "pagertree",
    "pover",
    "signl4",
    "slack",
    "spike",
    "splunk",
    "squadcast",
    "tgram",
    "webex",
    "workflow",
    "workflows",
    "wxteams",
    "zulip",
)
_MICROSOFT: Final = re.compile(r"([a-z0-9-]+\.)+(logic\.azure\.(com|us|cn)|(power|apps)platform\.(com|us|cn|microsoft\.us))")
_HOSTS: Final = {
    "workflow": _MICROSOFT,
    "workflows": _MICROSOFT,
    "zulip": re.compile(r"[a-z0-9-]+(\.zulipchat\.com)?"),
}
_PARAMETERS: Final = frozenset(
    {
        *("action", "alias", "api-version", "batch", "blocks", "channel", "channels", "class", "component", "content", "dedup"),
        *("entity", "entity_id", "footer", "format", "from", "group", "id", "image", "key", "level", "mode", "pa", "policy"),
        *(
            "powerautomate",
            "preview",
            "priority",
            "region",
            "route",
            "routeid",
            "routing_key",
            "severity",
            "sig",
            "silent",
            "sound",
        ),
        *(
            "source",
            "sp",
            "sv",
            "tags",
            "team",
            "thread",
            "timestamp",
            "to",
            "token",
            "topic",
            "urgency",
            "ver",
            "workspace",
            "wrap",
        ),
    }
)
_TYPES: Final[dict[Severity, NotifyType]] = {
    "info": NotifyType.INFO,
    "warning": NotifyType.WARNING,
    "critical": NotifyType.FAILURE,
}
_STATUS: Final = re.compile(r"\berror=(\d{3})\b")  # as Apprise's services log it

_Result = TypeVar("_Result")


class UnusableUrl(ValueError):  # noqa: N818 - named for what it is
    """No Apprise URL that may be used here; the message says why, and not the URL."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where an Apprise URL leads to. `masked` shows no secret."""

    scheme: str
    service: str
    masked: str


def read(url: str, schemes: Sequence[str]) -> Target:
    """What a URL says; also of one that a service gives out (https://hooks.slack.com/services/…). The first call blocks for seconds.

    Raises:
        UnusableUrl: nothing can, or may, be sent there.
    """
    plugin = _plugin(url, schemes, key=None)
    return Target(_scheme(plugin), str(plugin.service_name), str(plugin.url(privacy=True)).partition("?")[0].rstrip("/"))


def _plugin(url: str, schemes: Sequence[str], *, key: str | None) -> NotifyBase:
    logging.getLogger("apprise").propagate = False  # what it says of URLs is in no log of ours
    asked = urlsplit(url).scheme.lower()
    if asked not in ("http", "https") and asked not in schemes:
        raise UnusableUrl(f"{asked[:40]!r} is none of the services that the operator allows: {', '.join(schemes)}")
    found = url_to_dict(url)
    if found is None or (asked in ("http", "https") and found.get("schema") in ("http", "https", None)):
        raise UnusableUrl("no Apprise URL; see https://appriseit.com/services/")
    # as Apprise reads them: `+`, `-` and `:` mark headers and more
    parameters = {sign + name for sign in ("", "+", "-", ":") for name in found.get("qsd" + sign) or ()}
    if wrong := sorted(parameters - _PARAMETERS):
        raise UnusableUrl(f"the parameter {wrong[0][:40]!r} may not be set here")
    service = N_MGR[found["schema"]]
    if key is not None and "dedup" in service.template_args:
        found.setdefault("dedup", key)  # PagerDuty and others: an attempt that is repeated makes no second incident
    made = Apprise.instantiate(found, asset=_asset())
    if made is None:
        raise UnusableUrl(f"no complete URL for {service.service_name}; see {service.setup_url}")
    scheme = _scheme(made)
    if scheme not in schemes:
        raise UnusableUrl(f"{scheme!r} is none of the services that the operator allows: {', '.join(schemes)}")
    if scheme in _HOSTS and _HOSTS[scheme].fullmatch(urlsplit(str(made.url())).hostname or "") is None:
        raise UnusableUrl(f"no host of {made.service_name}")
    made.overflow_mode = OverflowMode.SPLIT
    return made


def _scheme(plugin: NotifyBase) -> str:
    return urlsplit(str(plugin.url())).scheme


def _asset() -> AppriseAsset:
    return AppriseAsset(
        app_id="Neutrality Watch",
        app_desc="Neutrality Watch",
        app_url="",
        async_mode=False,
        http_redirects=False,
        service_timeout=0,  # the thread has one
        allow_templates=False,
        pgp_autogen=False,
        pem_autogen=False,
    )


class AppriseSender:
    """The messages of one endpoint: one at a time, each in a thread of its own that the end of the process does not wait for.

    `room` bounds those of all endpoints that are within their time; one that overran it holds up its own endpoint alone.
    """

    def __init__(
        self, schemes: Sequence[str], allowed: Sequence[Network], *, timeout_s: float, room: asyncio.Semaphore | None = None
    ) -> None:
        """`allowed`: networks that may be reached besides the public Internet."""
        self._schemes, self._allowed, self._timeout_s = schemes, allowed, timeout_s
        self._room = room or asyncio.Semaphore(AT_ONCE)
        self._running: asyncio.Future[Any] | None = None

    async def send(self, url: str, message: Message) -> Attempt:
        """One attempt; what came of it is told, never raised."""
        async with self._room:
            return await self._send(url, message)

    async def _send(self, url: str, message: Message) -> Attempt:
        started_s = time.monotonic()
        status: int | None = None
        fault: Fault | None = None
        try:
            async with asyncio.timeout(self._timeout_s):
                if self._running is not None:  # an earlier one overran its time, and still has its thread
                    await asyncio.wait([self._running])
                self._running = in_thread(lambda: self._notify(url, message))
                status, fault = await asyncio.shield(self._running)
        except TimeoutError:
            fault = "timeout"
        return Attempt(status, fault, time.monotonic() - started_s)

    def _notify(self, url: str, message: Message) -> tuple[int | None, Fault | None]:
        guard = Guard(self._allowed)
        try:
            plugin = _plugin(url, self._schemes, key=message.key)
        except UnusableUrl:
            return None, "not-allowed"
        sender = Apprise(asset=plugin.asset)
        sender.add(plugin)
        with (
            guard.within(),
            sender.notify(
                body=message.chat,
                title=message.chat_title,
                notify_type=_TYPES[message.severity],
                body_format=NotifyFormat.TEXT,
            ) as result,
        ):
            if result:
                return 200, None
            told = [found for entry in result.logs() if (found := _STATUS.search(entry.message))]
        if guard.has_refused:
            return None, "forbidden-address"
        return (int(told[-1][1]), None) if told else (None, "not-taken")


def in_thread(work: Callable[[], _Result]) -> "asyncio.Future[_Result]":
    """Run something that blocks in a daemon thread, with a context of its own."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[_Result] = loop.create_future()

    def settle(result: _Result | None, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type] # without an error there is one

    def run() -> None:
        try:
            outcome: tuple[Any, BaseException | None] = (Context().run(work), None)
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            outcome = (None, error)
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, *outcome)

    threading.Thread(target=run, name="apprise", daemon=True).start()
    return done
