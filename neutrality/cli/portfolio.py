"""`neutrality portfolio`: what a lab buys from whom."""

import re
from typing import Annotated, Any, Final

import typer

from neutrality.cli.addresses import DEFAULT_ALERTS_URL, AlertsUrl, AsJson, LabKeyFile
from neutrality.cli.exits import EPILOG, Exit, end
from neutrality.cli.lab_api import Lab, LabApi

portfolio = typer.Typer(
    no_args_is_help=True, help="What a lab buys from whom: it weighs its alerts, and nobody else sees it.", epilog=EPILOG
)

Vendor = Annotated[str, typer.Argument(help="The vendor's id.")]
_SPENDING: Final = re.compile(r"(\d+(?:\.\d+)?)\s+([A-Z]{3})/(month|quarter|year)")


@portfolio.command("set")
def set_(
    vendor: Vendor,
    *,
    lab: Lab,
    buys: Annotated[str, typer.Option(help="In a few words.")] = "",
    categories: Annotated[list[str] | None, typer.Option("--category", help="May be repeated.")] = None,
    data_classes: Annotated[
        list[str] | None, typer.Option("--data-class", help="Shared with the vendor; may be repeated. Not told if left out.")
    ] = None,
    no_data: Annotated[bool, typer.Option("--no-data", help="No data is shared.")] = False,
    spending: Annotated[str | None, typer.Option(help="'150000000 USD/year', or /quarter, /month. Not told if left out.")] = None,
    alerts_url: AlertsUrl = DEFAULT_ALERTS_URL,
    api_key_file: LabKeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Tell what the lab buys from a vendor, anew.

    Example: neutrality portfolio set scale-ai --lab google --category data-labelling --data-class prototype-products --spending '150000000 USD/year'
    """
    if no_data and data_classes:
        end("--no-data and --data-class exclude one another", Exit.USAGE)
    purchase: dict[str, Any] = {
        "buys": buys,
        "categories": categories or [],
        "data_classes": [] if no_data else data_classes or None,
        "spending": None if spending is None else _spending(spending),
    }
    api = LabApi(alerts_url, lab, api_key_file, as_json)
    found = api.ask("PUT", f"/portfolio/{vendor}", json=purchase)
    api.tell(found, _in_words(found))


@portfolio.command("list")
def list_(
    *, lab: Lab, alerts_url: AlertsUrl = DEFAULT_ALERTS_URL, api_key_file: LabKeyFile = None, as_json: AsJson = False
) -> None:
    """Every purchase, with the lab's exposure to the vendor."""
    api = LabApi(alerts_url, lab, api_key_file, as_json)
    found = api.ask("GET", "/portfolio")
    api.tell(found, "\n".join(map(_in_words, found["purchases"])) or f"{lab} has told of no purchase yet")


@portfolio.command()
def remove(vendor: Vendor, *, lab: Lab, alerts_url: AlertsUrl = DEFAULT_ALERTS_URL, api_key_file: LabKeyFile = None) -> None:
    """The lab no longer buys from a vendor."""
    LabApi(alerts_url, lab, api_key_file).ask("DELETE", f"/portfolio/{vendor}")


def _spending(text: str) -> dict[str, str]:
    found = _SPENDING.fullmatch(text.strip())
    if found is None:
        end(f"{text!r} is no spending; say '150000000 USD/year'", Exit.USAGE)
    return {"amount": found[1], "currency": found[2], "period": found[3]}


def _in_words(found: dict[str, Any]) -> str:
    spend, share = found["spending"], found["spending_share"]
    paid = "spending not told" if spend is None else f"{spend['amount']} {spend['currency']}/{spend['period']} ({share:.0%})"
    data = "data not told" if found["data_classes"] is None else ", ".join(found["data_classes"]) or "no data"
    bought = found["buys"] or ", ".join(found["categories"]) or "-"
    return f"{found['vendor']}  exposure {found['exposure']:.2f}  {bought}; {paid}; {data}"
