"""`neutrality history`: the steps of a vendor's score, with their reasons."""

from datetime import datetime
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console
from rich.markup import escape

from neutrality.cli.addresses import DEFAULT_ALERTS_URL, AlertsUrl, AsJson, LabKeyFile, authorization, read_key
from neutrality.cli.documents import print_json
from neutrality.cli.exits import Exit, end
from neutrality.cli.lab_api import refusal

_PAGE = 500


def history(
    vendor: Annotated[str, typer.Argument(help="The vendor's entity id.")],
    lab: Annotated[str | None, typer.Option("--for", metavar="LAB", help="Towards this lab; the headline if left out.")] = None,
    since: Annotated[datetime | None, typer.Option(help="From then on (UTC), beginning with the step that held.")] = None,
    until: Annotated[datetime | None, typer.Option(help="Up to then (UTC).")] = None,
    alerts_url: AlertsUrl = DEFAULT_ALERTS_URL,
    api_key_file: LabKeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Show when a vendor's score moved, how far, and by which claims.

    Example: neutrality history scale-ai --for google --since 2025-06-01
    """
    query: dict[str, Any] = {"limit": _PAGE}
    query |= {} if lab is None else {"for": lab}
    query |= {name: f"{at.isoformat()}Z" for name, at in (("since", since), ("until", until)) if at is not None}
    console = Console(highlight=False, soft_wrap=True)
    before: dict[str, Any] | None = None
    following: int | None = None
    while True:
        page = _page(alerts_url, vendor, query | ({} if following is None else {"after": following}), read_key(api_key_file))
        for step in page["steps"]:
            if as_json:
                print_json(step)
            else:
                _show(step, before, console)
            before = step
        following = page["next"]
        if following is None:
            return


def _page(url: str, vendor: str, query: dict[str, Any], key: str | None) -> dict[str, Any]:
    try:
        answer = httpx.get(f"{url.rstrip('/')}/vendors/{vendor}/history", params=query, headers=authorization(key), timeout=30.0)
    except httpx.TransportError as error:
        end(f"alerts at {url} does not answer ({error}); is `neutrality up` running?", Exit.UNREACHABLE)
    if not answer.is_success:
        end(refusal(answer), Exit.FAILED)
    found: dict[str, Any] = answer.json()
    return found


def _show(step: dict[str, Any], before: dict[str, Any] | None, console: Console) -> None:
    score = step["score"]
    moved = "" if before is None else f" ({score['confirmed'] - before['score']['confirmed']:+.1f})"
    projected = "" if score["projected"] == score["confirmed"] else f", projected {score['projected']:.1f}"
    watch = "" if score["watch"] is None else f", watch {score['watch']}"
    console.print(f"{step['at'][:19]}  [bold]{score['confirmed']:5.1f} {score['grade']}[/]{moved}{projected}{watch}")
    for reason in step["reasons"]["confirmed"] or step["reasons"]["projected"]:
        colour = "red" if reason["points"] > 0 else "green"
        console.print(f"    [{colour}]{-reason['points']:+6.1f}[/]  {reason['channel']:<10}  {escape(reason['summary'])}")
