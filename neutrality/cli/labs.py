"""`neutrality labs`: labs' API keys, and all that is kept of a lab.

Keys are in the file that alerts reads; alerts takes a change in within seconds. The rest is asked of alerts.
"""

import sys
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import httpx
import orjson
import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from neutrality.cli.addresses import DEFAULT_ALERTS_URL, AlertsUrl, AsJson, LabKeyFile, authorization, read_key
from neutrality.cli.documents import print_json
from neutrality.cli.exits import EPILOG, Exit, end, errors
from neutrality.cli.keys import Days, new_key, now, tell_token, write_private
from neutrality.cli.lab_api import LabApi, refusal
from neutrality.labs import SCOPES, LabKey, Labs, Scope

labs = typer.Typer(help="Labs' API keys, and all that is kept of a lab.", no_args_is_help=True, epilog=EPILOG)

LabsFile = Annotated[
    Path, typer.Option("--file", envvar="ALERTS_API_KEYS_FILE", help="The file of labs; alerts' ALERTS_API_KEYS_FILE.")
]
DEFAULT_FILE = Path("labs.json")
Lab = Annotated[str, typer.Argument(metavar="LAB", help="The lab's entity id.")]
Scopes = Annotated[
    list[str] | None,
    typer.Option("--scope", help=f"What the key may: {', '.join(SCOPES)}; several times for more, all if left out."),
]


@labs.command(epilog=EPILOG)
def create(lab: Lab, scope: Scopes = None, days: Days = None, file: LabsFile = DEFAULT_FILE, as_json: AsJson = False) -> None:
    """Give a lab a key, and print it: it cannot be shown again. A lab may have several keys at once.

    Example: neutrality labs create google --scope read --days 90
    """
    known = _load(file)
    token, key = _new(scope, days)
    _save(file, known, lab, (*known.labs.get(lab, ()), key))
    tell_token(token, key, as_json=as_json)


@labs.command(epilog=EPILOG)
def rotate(
    lab: Lab,
    grace_hours: Annotated[
        float, typer.Option("--grace-hours", min=0.0, help="For how long the old keys are still taken.")
    ] = 24.0,
    scope: Scopes = None,
    days: Days = None,
    file: LabsFile = DEFAULT_FILE,
    as_json: AsJson = False,
) -> None:
    """Give a lab a new key and let its old ones expire after a while: nothing is refused meanwhile.

    Example: neutrality labs rotate google --grace-hours 48
    """
    known = _load(file)
    until = now() + timedelta(hours=grace_hours)
    old = [key.model_copy(update={"expires": min(key.expires or until, until)}) for key in _keys(known, lab)]
    token, key = _new(scope, days)
    _save(file, known, lab, (*old, key))
    tell_token(token, key, as_json=as_json)


@labs.command(epilog=EPILOG)
def revoke(
    lab: Lab,
    key_id: Annotated[str, typer.Argument(metavar="KEY", help="The key's id, as `neutrality labs list` shows it.")],
    file: LabsFile = DEFAULT_FILE,
) -> None:
    """Take a key away: within seconds it is refused, and streams that are open under it end.

    Example: neutrality labs revoke google 20261124-3f2a90b1
    """
    known = _load(file)
    left = tuple(key for key in _keys(known, lab) if key.id != key_id)
    if len(left) == len(known.labs[lab]):
        end(f"{lab} has no key {key_id}", Exit.FAILED)
    _save(file, known, lab, left)
    errors().print(f"{key_id} of {lab} is revoked")


@labs.command(name="list", epilog=EPILOG)
def list_(file: LabsFile = DEFAULT_FILE, as_json: AsJson = False) -> None:
    """Show labs and their keys.

    Example: neutrality labs list --json
    """
    known = _load(file)
    if as_json:
        for lab, keys in known.labs.items():
            print_json({"lab": lab, "keys": [key.model_dump(mode="json", exclude={"sha256"}) for key in keys]})
        return
    table = Table("lab", "key", "may", "expires")
    for lab, keys in known.labs.items():
        for key in keys:
            until = "never" if key.expires is None else f"{key.expires:%Y-%m-%d %H:%M}"
            table.add_row(lab, key.id, ", ".join(key.scopes), until if key.is_valid(now()) else f"{until} (not valid now)")
    Console(highlight=False).print(table)


@labs.command(epilog=EPILOG)
def export(
    lab: Lab,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A file to write; standard output if left out.")] = None,
    alerts_url: AlertsUrl = DEFAULT_ALERTS_URL,
    api_key_file: LabKeyFile = None,
) -> None:
    """Write all that alerts keeps of a lab as one JSON document: subscriptions, portfolio, alerts, endpoints (without secrets), logs.

    Example: neutrality labs export google -o google.json
    """
    headers = authorization(read_key(api_key_file))
    try:
        with (
            httpx.stream("GET", f"{alerts_url.rstrip('/')}/labs/{lab}/export", headers=headers, timeout=90.0) as answer,
            nullcontext(sys.stdout.buffer) if output is None else output.open("wb") as file,
        ):
            if not answer.is_success:
                answer.read()
                end(refusal(answer), Exit.FAILED)
            for piece in answer.iter_bytes():
                file.write(piece)
    except httpx.TransportError as error:
        end(f"alerts at {alerts_url} does not answer, or broke off ({error}); nothing whole was written", Exit.UNREACHABLE)
    except OSError as error:
        end(f"cannot write {output}: {error.strerror}", Exit.USAGE)


@labs.command(epilog=EPILOG)
def delete(
    lab: Lab,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    file: LabsFile = DEFAULT_FILE,
    alerts_url: AlertsUrl = DEFAULT_ALERTS_URL,
    api_key_file: LabKeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Remove all that alerts keeps of a lab, for good: its rows, its topic in Kafka, and its API keys if the file of labs is here.

    Example: neutrality labs delete google --yes
    """
    if not yes:
        typer.confirm(f"Remove all of {lab}, for good? `neutrality labs export {lab}` first, if it may be wanted.", abort=True)
    api = LabApi(alerts_url, lab, api_key_file, as_json)
    found = api.ask("DELETE", "")
    known = _load(file)
    if lab in known.labs:
        _write(file, Labs(labs={name: keys for name, keys in known.labs.items() if name != lab}))
        keys = "removed"
    else:
        keys = f"none in {file}"
    api.tell({**found, "keys": keys}, f"{found['rows']} rows of {lab} are removed\ntopic: {found['topic']}\nAPI keys: {keys}")
    if found["topic"] != "removed":
        raise typer.Exit(Exit.FAILED)


def _new(scopes: list[str] | None, days: float | None) -> tuple[str, LabKey]:
    wrong = sorted(set(scopes or ()) - set(SCOPES))
    if wrong:
        end(f"no scope {', '.join(wrong)}; there are {', '.join(SCOPES)}", Exit.USAGE)
    chosen: tuple[Scope, ...] = tuple(one for one in SCOPES if not scopes or one in scopes)
    token, key = new_key(days)
    return token, LabKey(**key.model_dump(), scopes=chosen)


def _keys(known: Labs, lab: str) -> tuple[LabKey, ...]:
    if lab not in known.labs:
        end(f"no lab {lab!r} has a key; there are {', '.join(sorted(known.labs)) or 'none'}", Exit.FAILED)
    return known.labs[lab]


def _load(file: Path) -> Labs:
    try:
        return Labs.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return Labs()
    except (OSError, ValidationError) as error:
        end(f"{file} cannot be read: {error}", Exit.USAGE)


def _save(file: Path, known: Labs, lab: str, keys: tuple[LabKey, ...]) -> None:
    try:
        changed = Labs(labs={**known.labs, lab: keys})
    except ValidationError as error:
        end(str(error), Exit.USAGE)
    _write(file, changed)


def _write(file: Path, changed: Labs) -> None:
    write_private(file, orjson.dumps(changed.model_dump(mode="json"), option=orjson.OPT_INDENT_2))
