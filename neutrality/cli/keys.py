"""`neutrality keys`: who may publish what, and with which key. Works on the file that ingest reads; ingest takes a change in within seconds."""

import os
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from neutrality.api_keys import TOKEN_BYTES, ApiKey, digest_of, token_of
from neutrality.cli.addresses import AsJson
from neutrality.cli.documents import print_json
from neutrality.cli.exits import EPILOG, Exit, end, errors
from neutrality.events.cloudevent import event_to_document
from neutrality.events.signature import sign
from neutrality.identity.references import read_document
from neutrality.publishers import TYPES, Publisher, Publishers, SigningKey

keys = typer.Typer(help="Publishers, their API keys and their signing keys.", no_args_is_help=True, epilog=EPILOG)

KeysFile = Annotated[
    Path, typer.Option("--file", envvar="INGEST_API_KEYS_FILE", help="The file of publishers; ingest's INGEST_API_KEYS_FILE.")
]
DEFAULT_FILE = Path("publishers.json")
Name = Annotated[str, typer.Argument(metavar="PUBLISHER", help="The publisher's name: lower-case letters, digits and -.")]
Days = Annotated[float | None, typer.Option("--days", min=0.0, help="For how long the key is taken; for ever if left out.")]


@keys.command(epilog=EPILOG)
def create(
    publisher: Name,
    source: Annotated[
        list[str] | None, typer.Option(help="A CloudEvents source that it speaks under; several times for more.")
    ] = None,
    kind: Annotated[list[str] | None, typer.Option("--type", help=f"An event type: {', '.join(TYPES)}; all if left out.")] = None,
    rate: Annotated[int | None, typer.Option("--rate", min=1, help="Events a second, over ten seconds.")] = None,
    may_retract_claims: Annotated[
        bool, typer.Option(help="May take back whole claims, which others may have reported too.")
    ] = False,
    days: Days = None,
    file: KeysFile = DEFAULT_FILE,
    as_json: AsJson = False,
) -> None:
    """Give a publisher a key, and print it: it cannot be shown again. A new publisher needs a --source.

    A publisher may have several keys at once. What is told of it here replaces what was before; what is not told stays.

    Example: neutrality keys create desk --source https://example.com/desk --type interest --type entity
    """
    known = _load(file)
    before = known.publishers.get(publisher)
    if before is None and not source:
        end("a new publisher needs a --source under which it may speak", Exit.USAGE)
    token, key = new_key(days)
    told = {"sources": source, "types": kind, "events_per_s": rate, "may_retract_claims": may_retract_claims or None}
    fields = (before.model_dump() if before is not None else {}) | {name: value for name, value in told.items() if value}
    _save(file, known, publisher, fields | {"keys": [*fields.get("keys", ()), key.model_dump()]})
    tell_token(token, key, as_json=as_json)


@keys.command(epilog=EPILOG)
def rotate(
    publisher: Name,
    grace_hours: Annotated[
        float, typer.Option("--grace-hours", min=0.0, help="For how long the old keys are still taken.")
    ] = 24.0,
    days: Days = None,
    file: KeysFile = DEFAULT_FILE,
    as_json: AsJson = False,
) -> None:
    """Give a publisher a new key and let its old ones expire after a while: nothing is refused meanwhile.

    Example: neutrality keys rotate desk --grace-hours 48
    """
    known = _load(file)
    fields = _fields(known, publisher)
    until = now() + timedelta(hours=grace_hours)
    old = [key | {"expires": min(key["expires"] or until, until)} for key in fields["keys"]]
    token, key = new_key(days)
    _save(file, known, publisher, fields | {"keys": [*old, key.model_dump()]})
    tell_token(token, key, as_json=as_json)


@keys.command(epilog=EPILOG)
def revoke(
    publisher: Name,
    key_id: Annotated[str, typer.Argument(metavar="KEY", help="The key's id, as `neutrality keys list` shows it.")],
    file: KeysFile = DEFAULT_FILE,
) -> None:
    """Take a key away: within seconds it is refused.

    Example: neutrality keys revoke desk 20261124-3f2a
    """
    known = _load(file)
    fields = _fields(known, publisher)
    left = [key for key in fields["keys"] if key["id"] != key_id]
    if len(left) == len(fields["keys"]):
        end(f"{publisher} has no key {key_id}", Exit.FAILED)
    _save(file, known, publisher, fields | {"keys": left})
    errors().print(f"{key_id} of {publisher} is revoked")


@keys.command(name="list", epilog=EPILOG)
def list_(file: KeysFile = DEFAULT_FILE, as_json: AsJson = False) -> None:
    """Show publishers, what they may, and their keys.

    Example: neutrality keys list --json
    """
    known = _load(file)
    if as_json:
        for name, publisher in known.publishers.items():
            print_json({"publisher": name, **publisher.model_dump(mode="json", exclude={"keys": {"__all__": {"sha256"}}})})
        return
    table = Table("publisher", "sources", "types", "events/s", "keys")
    for name, publisher in known.publishers.items():
        own = [f"{key.id}{'' if key.is_valid(now()) else ' (not valid now)'}" for key in publisher.keys]
        own += [f"{key.kid} (signs)" for key in publisher.signing_keys]
        kinds = "all" if set(publisher.types) == set(TYPES) else ", ".join(publisher.types)
        table.add_row(name, "\n".join(publisher.sources), kinds, str(publisher.events_per_s or "-"), "\n".join(own))
    Console(highlight=False).print(table)


@keys.command(name="signing-key", epilog=EPILOG)
def signing_key(
    publisher: Name,
    output: Annotated[Path, typer.Option("--output", "-o", help="Write the private key here; nobody else may read it.")],
    require: Annotated[bool, typer.Option("--require", help="Refuse this publisher's events that are not signed.")] = False,
    file: KeysFile = DEFAULT_FILE,
) -> None:
    """Make a key that signs a publisher's events (Ed25519), and register its public part.

    Example: neutrality keys signing-key desk -o desk.key
    """
    known = _load(file)
    fields = _fields(known, publisher)
    key = OKPKey.generate_key("Ed25519")
    kid = f"{now():%Y%m%d}-{secrets.token_hex(4)}"
    private = dict(key.as_dict(private=True)) | {"kid": kid}
    write_private(output, orjson.dumps(private))
    own = [*fields["signing_keys"], SigningKey(kid=kid, x=str(private["x"])).model_dump()]
    _save(file, known, publisher, fields | {"signing_keys": own, "require_signature": require or fields["require_signature"]})
    errors().print(f"{kid}: the private key is in {output}; publish with --sign-with {output}")


def signer(file: Path) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """What signs an event, given in structured JSON form, with the private key in a file. Ends the command if there is none."""
    try:
        private = orjson.loads(file.read_bytes())
        key, kid = OKPKey.import_key(private), str(private["kid"])
    except (OSError, ValueError, KeyError, TypeError, JoseError) as error:
        end(f"{file} is no signing key of `neutrality keys signing-key`: {error}", Exit.USAGE)
    return lambda document: event_to_document(sign(read_document(document), key, kid))


def new_key(days: float | None) -> tuple[str, ApiKey]:
    """A token, and what is kept of it."""
    made = now()
    token = token_of(secrets.token_bytes(TOKEN_BYTES))
    expires = None if days is None else made + timedelta(days=days)
    return token, ApiKey(id=f"{made:%Y%m%d}-{secrets.token_hex(4)}", sha256=digest_of(token), not_before=made, expires=expires)


def tell_token(token: str, key: ApiKey, *, as_json: bool) -> None:
    """Show a token, this once."""
    if as_json:
        print_json({"id": key.id, "token": token, "expires": key.expires})
    else:
        typer.echo(token)
        errors().print(f"key {key.id}; it is not shown again")


def _load(file: Path) -> Publishers:
    try:
        return Publishers.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return Publishers()
    except (OSError, ValidationError) as error:
        end(f"{file} cannot be read: {error}", Exit.USAGE)


def _fields(known: Publishers, publisher: str) -> dict[str, Any]:
    if publisher not in known.publishers:
        end(f"no publisher {publisher!r}; there are {', '.join(sorted(known.publishers)) or 'none'}", Exit.FAILED)
    return known.publishers[publisher].model_dump()


def _save(file: Path, known: Publishers, name: str, fields: dict[str, Any]) -> None:
    wrong = sorted(set(fields.get("types", ())) - set(TYPES))
    if wrong:
        end(f"no event type {', '.join(wrong)}; there are {', '.join(TYPES)}", Exit.USAGE)
    try:
        changed = Publishers(publishers={**known.publishers, name: Publisher.model_validate(fields)})
    except ValidationError as error:
        end(str(error), Exit.USAGE)
    write_private(file, orjson.dumps(changed.model_dump(mode="json"), option=orjson.OPT_INDENT_2))


def write_private(file: Path, content: bytes) -> None:
    """As a whole or not at all, for the owner's eyes."""
    fresh = file.with_name(f".{file.name}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    fresh.replace(file)


def now() -> datetime:
    """In whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)
