"""`neutrality silences`: a lab mutes some of its alerts for a time."""

import getpass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from neutrality.cli.addresses import DEFAULT_ALERTS_URL, AlertsUrl, AsJson, LabKeyFile
from neutrality.cli.exits import EPILOG, Exit, end
from neutrality.cli.lab_api import Lab, LabApi
from neutrality.cli.spans import seconds

silences = typer.Typer(no_args_is_help=True, help="Mute some alerts for a time; the inbox keeps them.", epilog=EPILOG)


@silences.command()
def add(
    *,
    lab: Lab,
    vendors: Annotated[list[str] | None, typer.Option("--vendor", help="Of this vendor; may be repeated.")] = None,
    categories: Annotated[list[str] | None, typer.Option("--category", help="Of this category; may be repeated.")] = None,
    rules: Annotated[list[str] | None, typer.Option("--rule", help="Of this rule; may be repeated.")] = None,
    subscriptions: Annotated[list[str] | None, typer.Option("--subscription", help="Of this one; may be repeated.")] = None,
    severities: Annotated[list[str] | None, typer.Option("--severity", help="Of this severity; may be repeated.")] = None,
    span: Annotated[str, typer.Option("--for", help="How long: 90s, 15m, 2h, 3d.")],
    reason: Annotated[str, typer.Option(help="Why.")],
    by: Annotated[str | None, typer.Option(help="Who says so; you, if left out.")] = None,
    alerts_url: AlertsUrl = DEFAULT_ALERTS_URL,
    api_key_file: LabKeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Mute alerts that are all of what is given. What still holds at the end is sent then.

    Example: neutrality silences add --lab google --vendor scale-ai --rule outlook --for 3d --reason 'we are leaving'
    """
    given = {"vendor": vendors, "category": categories, "rule": rules, "subscription": subscriptions, "severity": severities}
    matchers = [{"field": field, "values": values} for field, values in given.items() if values]
    if not matchers:
        end("say which alerts: --vendor, --category, --rule, --subscription or --severity", Exit.USAGE)
    ends = datetime.now(UTC) + timedelta(seconds=seconds(span))
    api = LabApi(alerts_url, lab, api_key_file, as_json)
    wanted = {"matchers": matchers, "ends": ends.isoformat(), "reason": reason, "by": by or getpass.getuser()}
    found = api.ask("POST", "/silences", json=wanted)
    api.tell(found, _in_words(found))


@silences.command("list")
def list_(
    *,
    lab: Lab,
    ended: Annotated[bool, typer.Option("--ended", help="Those that have ended too.")] = False,
    alerts_url: AlertsUrl = DEFAULT_ALERTS_URL,
    api_key_file: LabKeyFile = None,
    as_json: AsJson = False,
) -> None:
    """A lab's silences, the next to end first."""
    api = LabApi(alerts_url, lab, api_key_file, as_json)
    found = api.ask("GET", f"/silences?ended={'true' if ended else 'false'}")
    api.tell(found, "\n".join(map(_in_words, found["silences"])) or f"{lab} has no silence")


@silences.command("end")
def end_(
    silence: Annotated[str, typer.Argument(metavar="ID", help="The silence's id.")],
    *,
    lab: Lab,
    alerts_url: AlertsUrl = DEFAULT_ALERTS_URL,
    api_key_file: LabKeyFile = None,
) -> None:
    """End a silence now; what it muted and still holds is sent."""
    LabApi(alerts_url, lab, api_key_file).ask("DELETE", f"/silences/{silence}")


def _in_words(found: dict[str, Any]) -> str:
    which = "; ".join(f"{'not ' if one['negate'] else ''}{one['field']} {', '.join(one['values'])}" for one in found["matchers"])
    return f"{found['id']}  {found['state']} until {found['ends']}  {which}  ({found['by']}: {found['reason']})"
