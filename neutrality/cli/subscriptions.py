"""`neutrality subscriptions`: what a lab wants to be told, and what that would have been."""

from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from neutrality.cli.addresses import DEFAULT_ALERTS_URL, AlertsUrl, AsJson, LabKeyFile
from neutrality.cli.exits import EPILOG, Exit, end
from neutrality.cli.lab_api import Lab, LabApi
from neutrality.cli.spans import condition, quiet_hours, seconds

subscriptions = typer.Typer(no_args_is_help=True, help="What a lab wants to be told, when, and where.", epilog=EPILOG)

Name = Annotated[str, typer.Argument(help="The subscription's name.")]
Days = Annotated[int, typer.Option(min=1, max=3650, help="How many days a dry run looks back.")]


@subscriptions.command("set")
def set_(
    name: Name,
    *,
    lab: Lab,
    vendors: Annotated[list[str] | None, typer.Option("--vendor", help="This vendor; may be repeated.")] = None,
    categories: Annotated[list[str] | None, typer.Option("--category", help="Vendors of this category; may be repeated.")] = None,
    portfolio: Annotated[bool, typer.Option("--portfolio", help="Vendors in the lab's portfolio.")] = False,
    conditions: Annotated[
        list[str] | None,
        typer.Option(
            "--on",
            help="grade, outlook, watch, coverage, correction, score_drop:5, score_rise:5, level:50, influence:ownership:0.25; "
            "with :projected for the projected score; may be repeated. The usual ones if left out.",
        ),
    ] = None,
    minimum_severity: Annotated[
        str, typer.Option("--least", help="info, warning or critical; lesser ones stay in the inbox.")
    ] = "info",
    settling: Annotated[str, typer.Option(help="How long a condition must hold before it is told: 0s, 5m.")] = "0s",
    deliver: Annotated[str, typer.Option(help="at_once, hourly or daily.")] = "at_once",
    daily_at: Annotated[str, typer.Option(help="When a daily digest goes out.")] = "09:00",
    time_zone: Annotated[str, typer.Option(help="IANA name, such as America/Los_Angeles.")] = "UTC",
    quiet: Annotated[
        list[str] | None, typer.Option("--quiet", help="22:00-07:00, or 'sat,sun 00:00-24:00'; may be repeated.")
    ] = None,
    break_through: Annotated[str | None, typer.Option(help="From this severity on alerts go at once, whatever the hour.")] = None,
    endpoints: Annotated[
        list[str] | None, typer.Option("--endpoint", help="Only this endpoint; may be repeated. All if left out.")
    ] = None,
    remind_every: Annotated[str | None, typer.Option(help="Tell it again until it is acknowledged: 4h.")] = None,
    escalate_after: Annotated[str | None, typer.Option(help="Then tell others, if nobody has acknowledged it: 30m.")] = None,
    escalate_to: Annotated[list[str] | None, typer.Option(help="These endpoints; may be repeated.")] = None,
    file: Annotated[Path | None, typer.Option(help="The terms as JSON instead; - reads standard input.", allow_dash=True)] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Keep nothing: show what it would have sent.")] = False,
    days: Days = 90,
    alerts_url: AlertsUrl = DEFAULT_ALERTS_URL,
    api_key_file: LabKeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Make a subscription, or give it new terms.

    Example: neutrality subscriptions set desk --lab google --portfolio --on score_drop:10 --on level:50 --settling 10m --remind-every 4h
    """
    if file is not None:
        terms = _read(file)
    else:
        if (escalate_after is None) != (not escalate_to):
            end("an escalation needs both --escalate-after and --escalate-to", Exit.USAGE)
        terms = {
            "vendors": vendors,
            "categories": categories or [],
            "portfolio": portfolio,
            "minimum_severity": minimum_severity,
            "settling_s": seconds(settling),
            "schedule": {
                "deliver": deliver,
                "daily_at": daily_at,
                "time_zone": time_zone,
                "quiet_hours": [quiet_hours(one) for one in quiet or ()],
                "break_through": break_through,
            },
            "endpoints": endpoints,
            "remind_every_s": None if remind_every is None else seconds(remind_every),
            "escalation": None if escalate_after is None else {"after_s": seconds(escalate_after), "endpoints": escalate_to},
        }
        if conditions:
            terms["conditions"] = [condition(one) for one in conditions]
    api = LabApi(alerts_url, lab, api_key_file, as_json)
    if dry_run:
        _tell_dry_run(api, terms, days)
        return
    found = api.ask("PUT", f"/subscriptions/{name}", json=terms)
    api.tell(found, _in_words(found))


@subscriptions.command("list")
def list_(
    *, lab: Lab, alerts_url: AlertsUrl = DEFAULT_ALERTS_URL, api_key_file: LabKeyFile = None, as_json: AsJson = False
) -> None:
    """A lab's subscriptions."""
    api = LabApi(alerts_url, lab, api_key_file, as_json)
    found = api.ask("GET", "/subscriptions")
    api.tell(found, "\n".join(map(_in_words, found["subscriptions"])) or f"{lab} has no subscription yet")


@subscriptions.command()
def show(
    name: Name, *, lab: Lab, alerts_url: AlertsUrl = DEFAULT_ALERTS_URL, api_key_file: LabKeyFile = None, as_json: AsJson = False
) -> None:
    """One subscription, as `set --file` reads it."""
    api = LabApi(alerts_url, lab, api_key_file, as_json)
    found = api.ask("GET", f"/subscriptions/{name}")
    terms = {field: value for field, value in found.items() if field not in ("lab", "name")}
    api.tell(found, orjson.dumps(terms, option=orjson.OPT_INDENT_2).decode())


@subscriptions.command()
def remove(name: Name, *, lab: Lab, alerts_url: AlertsUrl = DEFAULT_ALERTS_URL, api_key_file: LabKeyFile = None) -> None:
    """End a subscription; what waits is not sent any more."""
    LabApi(alerts_url, lab, api_key_file).ask("DELETE", f"/subscriptions/{name}")


@subscriptions.command("dry-run")
def dry_run_(
    name: Name,
    *,
    lab: Lab,
    days: Days = 90,
    alerts_url: AlertsUrl = DEFAULT_ALERTS_URL,
    api_key_file: LabKeyFile = None,
    as_json: AsJson = False,
) -> None:
    """What a subscription would have sent. For one that is not made yet: `set --dry-run`."""
    api = LabApi(alerts_url, lab, api_key_file, as_json)
    found = api.ask("GET", f"/subscriptions/{name}")
    _tell_dry_run(api, {field: value for field, value in found.items() if field not in ("lab", "name")}, days)


def _tell_dry_run(api: LabApi, terms: dict[str, Any], days: int) -> None:
    found = api.ask("POST", f"/subscriptions/dry-run?days={days}", json=terms)
    counts = ", ".join(f"{count:,} {outcome}" for outcome, count in found["counts"].items()) or "nothing"
    lines = [f"{found['from']} to {found['until']}: {counts}, in {found['messages']:,} messages"]
    for one in found["alerts"]:
        alert = one["alert"]
        when = one["due"] if one["outcome"] == "held" else alert["raised_at"]
        lines.append(
            f"{when}  {alert['severity']:<8}  {one['outcome']:<9}  {alert['title']}" + (f" ({one['why']})" if one["why"] else "")
        )
    api.tell(found, "\n".join(lines))


def _in_words(found: dict[str, Any]) -> str:
    watched = [*(found["vendors"] or ()), *found["categories"], *(["the portfolio"] if found["portfolio"] else [])]
    rules = ", ".join(_condition_in_words(one) for one in found["conditions"])
    return f"{found['name']}  {', '.join(watched) or 'every vendor'}: {rules}; {found['schedule']['deliver'].replace('_', ' ')}"


def _condition_in_words(found: dict[str, Any]) -> str:
    values = [str(value) for field, value in found.items() if field in ("points", "at", "channel", "above")]
    return ":".join([found["rule"], *values, *(["projected"] if found.get("view") == "projected" else [])])


def _read(file: Path) -> dict[str, Any]:
    try:
        text = typer.get_text_stream("stdin").read() if str(file) == "-" else file.read_text(encoding="utf-8")
        found: dict[str, Any] = orjson.loads(text)
    except OSError as error:
        end(f"cannot read {file}: {error.strerror}", Exit.USAGE)
    except orjson.JSONDecodeError as error:
        end(f"{file} is no JSON: {error}", Exit.USAGE)
    return found
