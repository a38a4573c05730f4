"""`neutrality endpoints`: where a lab's alerts go: webhooks, e-mail, and chats by Apprise."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from neutrality.cli.addresses import DEFAULT_ALERTS_URL, AlertsUrl, AsJson, LabKeyFile
from neutrality.cli.exits import EPILOG, Exit, end
from neutrality.cli.lab_api import Lab, LabApi, tell

endpoints = typer.Typer(
    no_args_is_help=True,
    help="Where a lab's alerts go: webhooks (Standard Webhooks), e-mail addresses, and Slack, Teams, PagerDuty and others (Apprise).",
    epilog=EPILOG,
)


class Kind(StrEnum):
    """What an endpoint is."""

    WEBHOOK = "webhook"
    EMAIL = "email"
    APPRISE = "apprise"


Name = Annotated[str, typer.Argument(help="The endpoint's name.")]


@endpoints.command("set")
def set_(
    name: Name,
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="TARGET",
            help="A webhook's https://…, an e-mail address, or an Apprise URL (slack://…). Read from --target-file if left out.",
        ),
    ] = None,
    *,
    lab: Lab,
    kind: Annotated[Kind | None, typer.Option(help="What the target is, if it does not show.")] = None,
    target_file: Annotated[
        Path | None, typer.Option(help="A file that holds the target: an Apprise URL is a secret, and others see command lines.")
    ] = None,
    subscriptions: Annotated[
        list[str] | None, typer.Option("--subscription", help="Only alerts of this one; may be repeated. All if left out.")
    ] = None,
    description: Annotated[str, typer.Option(help="For your own people.")] = "",
    alerts_url: AlertsUrl = DEFAULT_ALERTS_URL,
    api_key_file: LabKeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Make an endpoint, or give it new terms. A new webhook's secret is shown now and never again; a new address is mailed a code for `confirm`.

    Examples: neutrality endpoints set soc https://hooks.example.com/neutrality --lab google
              neutrality endpoints set duty soc@google.example --lab google
              neutrality endpoints set chat --target-file slack-url.txt --lab google
    """
    where = _target(target, target_file)
    kind = kind or _kind_of(where)
    terms = {
        "kind": kind,
        "address" if kind == "email" else "url": where,
        "subscriptions": subscriptions or None,
        "description": description,
    }
    found = _ask("PUT", alerts_url, api_key_file, lab, f"/{name}", json=terms)
    words = f"{name} sends to {_where(found)}" + (f"\nsecret: {found['secret']}" if "secret" in found else "")
    if (asked := found.get("confirmation")) is not None:
        words += "\nnothing is sent until it is confirmed: "
        words += f"a code was mailed, see `neutrality endpoints confirm {name}`" if asked["succeeded"] else _outcome(asked)
    _tell(found, as_json, words)


@endpoints.command("list")
def list_(
    *, lab: Lab, alerts_url: AlertsUrl = DEFAULT_ALERTS_URL, api_key_file: LabKeyFile = None, as_json: AsJson = False
) -> None:
    """A lab's endpoints."""
    found = _ask("GET", alerts_url, api_key_file, lab)
    lines = [f"{one['name']}  {_where(one)}  {_state(one)}" for one in found["endpoints"]]
    _tell(found, as_json, "\n".join(lines) or f"{lab} has no endpoint yet")


@endpoints.command()
def show(
    name: Name, *, lab: Lab, alerts_url: AlertsUrl = DEFAULT_ALERTS_URL, api_key_file: LabKeyFile = None, as_json: AsJson = False
) -> None:
    """One endpoint, and what became of its deliveries."""
    found = _ask("GET", alerts_url, api_key_file, lab, f"/{name}")
    counts = ", ".join(f"{count:,} {state}" for state, count in found["deliveries"].items())
    _tell(found, as_json, f"{name}  {_where(found)}  {_state(found)}\n{counts}")


@endpoints.command()
def remove(name: Name, *, lab: Lab, alerts_url: AlertsUrl = DEFAULT_ALERTS_URL, api_key_file: LabKeyFile = None) -> None:
    """Remove an endpoint, with its log."""
    _ask("DELETE", alerts_url, api_key_file, lab, f"/{name}")


@endpoints.command("test")
def send_test(
    name: Name, *, lab: Lab, alerts_url: AlertsUrl = DEFAULT_ALERTS_URL, api_key_file: LabKeyFile = None, as_json: AsJson = False
) -> None:
    """Send a test message now; exit code 1 if it does not arrive."""
    found = _ask("POST", alerts_url, api_key_file, lab, f"/{name}/test")
    _tell(found, as_json, _outcome(found))
    if not found["succeeded"]:
        raise typer.Exit(Exit.FAILED)


@endpoints.command()
def confirm(
    name: Name,
    code: Annotated[str | None, typer.Argument(help="The code that was mailed to the address; left out: mail a new one.")] = None,
    *,
    lab: Lab,
    alerts_url: AlertsUrl = DEFAULT_ALERTS_URL,
    api_key_file: LabKeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Confirm an e-mail address: nothing is sent there before."""
    if code is None:
        found = _ask("POST", alerts_url, api_key_file, lab, f"/{name}/confirmation")
        _tell(found, as_json, "a new code was mailed" if found["succeeded"] else _outcome(found))
        if not found["succeeded"]:
            raise typer.Exit(Exit.FAILED)
        return
    found = _ask("POST", alerts_url, api_key_file, lab, f"/{name}/confirmed", json={"code": code})
    _tell(found, as_json, f"{name}  {_where(found)}  {_state(found)}")


@endpoints.command()
def rotate(
    name: Name, *, lab: Lab, alerts_url: AlertsUrl = DEFAULT_ALERTS_URL, api_key_file: LabKeyFile = None, as_json: AsJson = False
) -> None:
    """A webhook's new secret, shown now and never again; the old one signs too for a day."""
    found = _ask("POST", alerts_url, api_key_file, lab, f"/{name}/secret")
    _tell(found, as_json, f"secret: {found['secret']}\nthe old one signs too until {found['old_until']}")


@endpoints.command()
def enable(
    name: Name, *, lab: Lab, alerts_url: AlertsUrl = DEFAULT_ALERTS_URL, api_key_file: LabKeyFile = None, as_json: AsJson = False
) -> None:
    """Send to a disabled endpoint again, what waited first."""
    found = _ask("POST", alerts_url, api_key_file, lab, f"/{name}/enabled")
    _tell(found, as_json, f"{name}  {_state(found)}")


@endpoints.command()
def replay(
    name: Name,
    first: Annotated[str, typer.Argument(metavar="ALERT_ID", help="The first alert.")],
    last: Annotated[
        str | None, typer.Argument(metavar="[ALERT_ID]", help="The last one, included; left out: the first alone.")
    ] = None,
    *,
    lab: Lab,
    alerts_url: AlertsUrl = DEFAULT_ALERTS_URL,
    api_key_file: LabKeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Send alerts again, under the ids that they had."""
    found = _ask("POST", alerts_url, api_key_file, lab, f"/{name}/replay", json={"first": first, "last": last})
    _tell(found, as_json, f"{found['alerts']:,} alerts are sent again")


@endpoints.command()
def log(
    name: Name,
    *,
    lab: Lab,
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many attempts.")] = 50,
    alerts_url: AlertsUrl = DEFAULT_ALERTS_URL,
    api_key_file: LabKeyFile = None,
    as_json: AsJson = False,
) -> None:
    """The attempts at an endpoint, newest first."""
    found = _ask("GET", alerts_url, api_key_file, lab, f"/{name}/attempts?limit={limit}")
    lines = [
        f"{one['at']}  {one['alert']}  {one['status'] or one['fault']}  {one['duration_ms']} ms  {one['delivery']}"
        + (f", again at {one['next_attempt']}" if one["next_attempt"] else "")
        for one in found["attempts"]
    ]
    _tell(found, as_json, "\n".join(lines) or "nothing was sent yet")


def _target(target: str | None, file: Path | None) -> str:
    if (target is None) == (file is None):
        end("name the target, or --target-file, and not both", Exit.USAGE)
    if file is None:
        return target or ""
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError as error:
        end(f"{file} cannot be read: {error.strerror}", Exit.USAGE)


def _kind_of(target: str) -> Kind:
    """An https URL is a webhook; Slack's and Teams' own URLs need `--kind apprise`, since webhooks go there too."""
    if target.startswith(("https://", "http://")):
        return Kind.WEBHOOK
    return Kind.EMAIL if "@" in target and "://" not in target else Kind.APPRISE


def _where(found: dict[str, Any]) -> str:
    return str(found["address"] if found["kind"] == "email" else found["url"])


def _outcome(found: dict[str, Any]) -> str:
    arrived = "arrived" if found["succeeded"] else "did not arrive"
    return f"{arrived}: {found['status'] or found['fault']}, {found['duration_ms']} ms"


def _state(found: dict[str, Any]) -> str:
    return f"disabled: {found['disabled']}" if found["disabled"] else "enabled"


def _tell(found: dict[str, Any], as_json: bool, words: str) -> None:
    tell(found, words, as_json=as_json)


def _ask(method: str, url: str, key: Path | None, lab: str, path: str = "", **how: Any) -> dict[str, Any]:
    """The answer. Ends the command if alerts refuses, or does not answer."""
    return LabApi(url, lab, key).ask(method, f"/endpoints{path}", **how)
