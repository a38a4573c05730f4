"""`neutrality subscribe`: a lab's subscription, and its alerts as they come."""

import signal
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.markup import escape

from neutrality.cli import words
from neutrality.cli.addresses import DEFAULT_ALERTS_URL, AlertsUrl, AsJson, LabKeyFile, read_key
from neutrality.cli.alert_stream import AlertsError, last_alert_id, put_subscription, stream_alerts
from neutrality.cli.documents import print_json
from neutrality.cli.exits import Exit, end, errors
from neutrality.cli.signals import StopSignal
from neutrality.events.alert import RULES, Alert, Rule

_RULES: Final = tuple(rule for rule in RULES if rule not in ("level", "influence"))  # those that need nothing more


def subscribe(
    *,
    lab: Annotated[str, typer.Option(help="The lab that subscribes.")],
    vendors: Annotated[
        list[str] | None, typer.Option("--vendor", help="Only this vendor; may be repeated. All if left out.")
    ] = None,
    rules: Annotated[
        list[str] | None,
        typer.Option("--rule", help=f"Only this rule of {', '.join(_RULES)}; may be repeated. The usual ones if left out."),
    ] = None,
    drop_points: Annotated[float | None, typer.Option(min=0.0, max=100.0, help="Least fall of the score that is told.")] = None,
    name: Annotated[str, typer.Option(help="The subscription's name; the same name again sets it anew.")] = "default",
    follow: Annotated[bool, typer.Option("--follow/--no-follow", help="Show alerts until Ctrl-C, or only subscribe.")] = True,
    most: Annotated[int | None, typer.Option("--max", min=1, help="End after this many alerts.")] = None,
    after: Annotated[str | None, typer.Option(metavar="ALERT_ID", help="Show what came after this alert too.")] = None,
    alerts_url: AlertsUrl = DEFAULT_ALERTS_URL,
    api_key_file: LabKeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Subscribe a lab to alerts, and show them as they come, each with its reason and source.

    Example: neutrality subscribe --lab google --vendor scale-ai --rule watch --rule grade
    """
    stop = StopSignal.install(signal.SIGTERM)
    chosen, key = _rules(rules), read_key(api_key_file)
    try:
        subscription = put_subscription(
            alerts_url, lab, name, vendors=vendors or (), rules=chosen, drop_points=drop_points, key=key
        )
        if not follow:
            if as_json:
                print_json(subscription)
            else:
                Console(highlight=False).print(
                    f"{lab} is subscribed as {name!r} to {', '.join(one['rule'] for one in subscription['conditions'])}"
                )
            return
        if not as_json:
            errors().print(f"{escape(lab)} is subscribed; alerts follow, Ctrl-C ends", style="dim")
        after = after or last_alert_id(alerts_url, lab, key)
        stream = stream_alerts(alerts_url, lab, after=after, stopped=lambda: stop.is_set, noticed=_notice, key=key)
        for count, alert in enumerate(stream, start=1):
            _show(alert, as_json=as_json)
            if count == most:
                return
    except AlertsError as error:
        end(str(error), Exit.UNREACHABLE if error.unreachable else Exit.FAILED)
    except KeyboardInterrupt:
        return


def _rules(given: list[str] | None) -> tuple[Rule, ...]:
    unknown = [rule for rule in given or () if rule not in _RULES]
    if unknown:
        end(f"unknown rule {unknown[0]!r}; there are {', '.join(_RULES)}; for more: neutrality subscriptions set", Exit.USAGE)
    return tuple(rule for rule in _RULES if given and rule in given)


def _show(alert: Alert, *, as_json: bool) -> None:
    if as_json:
        print_json(alert)
        return
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"[dim]{alert.raised_at}[/] {alert.severity} [yellow]{alert.rule}[/] {words.alert_title(alert)}")
    for line in words.reason_lines(alert):
        console.print(f"    {line}")
    if alert.stake is not None and alert.stake.summary:
        console.print(f"    at stake: {escape(alert.stake.summary)}")


def _notice(text: str) -> None:
    errors().print(f"· {escape(text)}", style="dim")
