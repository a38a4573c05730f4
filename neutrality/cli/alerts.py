"""`neutrality alerts`: a lab's inbox."""

import getpass
from typing import Annotated, Any

import typer

from neutrality.cli.addresses import DEFAULT_ALERTS_URL, AlertsUrl, AsJson, LabKeyFile
from neutrality.cli.documents import print_json
from neutrality.cli.exits import EPILOG
from neutrality.cli.lab_api import Lab, LabApi

alerts = typer.Typer(no_args_is_help=True, help="A lab's alerts, what became of them, and who has seen to them.", epilog=EPILOG)


@alerts.command("list")
def list_(
    *,
    lab: Lab,
    box: Annotated[
        str, typer.Option(help="open, acknowledged, over; or not sent: held, silenced, inhibited, minor, cancelled.")
    ] = "open",
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many.")] = 50,
    alerts_url: AlertsUrl = DEFAULT_ALERTS_URL,
    api_key_file: LabKeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Alerts by what became of them, newest first; without more those that nobody has acknowledged."""
    api = LabApi(alerts_url, lab, api_key_file, as_json)
    found = api.ask("GET", "/inbox", params={"box": box, "limit": limit})
    api.tell(found, "\n".join(map(_in_words, found["alerts"])) or f"{lab} has none that are {box}")


@alerts.command()
def show(
    alert: Annotated[str, typer.Argument(metavar="ID", help="The alert's id.")],
    *,
    lab: Lab,
    alerts_url: AlertsUrl = DEFAULT_ALERTS_URL,
    api_key_file: LabKeyFile = None,
    as_json: AsJson = False,
) -> None:
    """One alert: what it says, what the lab has at stake, who else sells the same, and what became of it."""
    api = LabApi(alerts_url, lab, api_key_file, as_json)
    found = api.ask("GET", f"/alerts/{alert}")
    told = found["alert"]
    lines = [_in_words(found)]
    if told["stake"] and told["stake"]["summary"]:
        lines.append(f"at stake: {told['stake']['summary']} (exposure {told['stake']['exposure']:.2f})")
    lines += [f"because {one['summary']} ({one['points']:.1f} points, {one['channel']})" for one in told["reasons"]]
    lines += [f"instead: {_alternative(one)}" for one in told["alternatives"]]
    lines += [f"corrects {one}" for one in told["corrects"]]
    api.tell(found, "\n".join(lines))


@alerts.command()
def ack(
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="The alerts' ids.")],
    *,
    lab: Lab,
    by: Annotated[str | None, typer.Option(help="Who has seen to them; you, if left out.")] = None,
    note: Annotated[str, typer.Option(help="What was done.")] = "",
    alerts_url: AlertsUrl = DEFAULT_ALERTS_URL,
    api_key_file: LabKeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Say that somebody has seen to alerts: their reminders and escalations end."""
    api = LabApi(alerts_url, lab, api_key_file, as_json)
    for alert in ids:
        found = api.ask("PUT", f"/alerts/{alert}/acknowledgement", json={"by": by or getpass.getuser(), "note": note})
        if as_json:
            print_json(found)
        else:
            api.tell(found, _in_words(found))


def _in_words(found: dict[str, Any]) -> str:
    told, seen = found["alert"], found["acknowledged"]
    what = found["state"] if seen is None else f"acknowledged by {seen['by']} at {seen['at']}"
    note = f": {seen['note']}" if seen is not None and seen["note"] else ""
    why = f" ({found['why']})" if found["why"] else ""
    reminders = f", {found['reminders']} reminders" if found["reminders"] else ""
    return f"{told['id']}  {told['raised_at']}  {told['severity']:<8}  {told['title']}  [{what}{note}{reminders}]{why}"


def _alternative(found: dict[str, Any]) -> str:
    known = ", ".join(found["known"]) or "nothing"
    score = "not rated" if found["grade"] == "NR" else f"{found['confirmed']:.1f} ({found['grade']})"
    return f"{found['name']}, {score}; known: {known}" + ("; bought already" if found["bought"] else "")
