"""The `neutrality` command: one file a subcommand, put together here. Nothing else imports this module."""

from importlib.metadata import version
from typing import Annotated

import typer

from neutrality.cli.access import access
from neutrality.cli.alerts import alerts
from neutrality.cli.broker import broker
from neutrality.cli.doctor import doctor
from neutrality.cli.endpoints import endpoints
from neutrality.cli.entities import entities
from neutrality.cli.exits import EPILOG
from neutrality.cli.explain import explain
from neutrality.cli.export import export
from neutrality.cli.history import history
from neutrality.cli.import_ import import_
from neutrality.cli.keys import keys
from neutrality.cli.labs import labs
from neutrality.cli.play import play
from neutrality.cli.portfolio import portfolio
from neutrality.cli.publish import publish
from neutrality.cli.rejected import rejected
from neutrality.cli.replay import replay
from neutrality.cli.scores import scores
from neutrality.cli.silences import silences
from neutrality.cli.subscribe import subscribe
from neutrality.cli.subscriptions import subscriptions
from neutrality.cli.up import up
from neutrality.cli.validate import validate
from neutrality.cli.verify import verify
from neutrality.cli.watch import watch
from neutrality.cli.whatif import whatif

app = typer.Typer(
    name="neutrality",
    help="Neutrality Watch: tells AI labs when a vendor stops being neutral, how far, why and on whose word.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"neutrality {version('neutrality-watch')}")
        raise typer.Exit


@app.callback()
def neutrality(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Neutrality Watch: tells AI labs when a vendor stops being neutral, how far, why and on whose word."""


for command in (up, broker, doctor, play, publish, validate, scores, explain, history, subscribe, whatif, replay, verify, watch):
    app.command(epilog=EPILOG)(command)
app.command(name="import", epilog=EPILOG)(import_)
app.add_typer(access, name="access")
app.add_typer(alerts, name="alerts")
app.add_typer(endpoints, name="endpoints")
app.add_typer(entities, name="entities")
app.add_typer(export, name="export")
app.add_typer(keys, name="keys")
app.add_typer(labs, name="labs")
app.add_typer(portfolio, name="portfolio")
app.add_typer(rejected, name="rejected")
app.add_typer(silences, name="silences")
app.add_typer(subscriptions, name="subscriptions")


def main() -> None:
    """The console script."""
    app()
