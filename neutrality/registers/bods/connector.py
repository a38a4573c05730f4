"""The connector: all statements are read and kept aside, then each is converted with what the others say of its records."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from jsonschema import Draft202012Validator

from neutrality.registers.bods.conversion import convert_statement, declared_at, published_on, why
from neutrality.registers.bods.naming import best_name, identifiers_of, provisional_id, record_key
from neutrality.registers.bods.reading import read_statements
from neutrality.registers.bods.store import Store
from neutrality.registers.bods.validation import refusal_of, standard_schema
from neutrality.registers.connector import Conversion, Refusal

_PROVISIONAL = 1_000  # after every identifier


class BodsConnector:
    """Reads BODS 0.4: a JSON array, one object or JSON lines."""

    def __init__(self, schema: Path | None = None) -> None:
        """`schema`: the folder of the standard's own schema, to which every statement is held besides ours. Raises SchemaUnusable."""
        self._standard = None if schema is None else standard_schema(schema)

    def convert(self, source: BinaryIO, name: str = "") -> Iterator[Conversion]:  # noqa: ARG002  it tells nothing here
        """The statements of a file, in its order. See `Connector.convert`."""
        store = Store()
        try:
            for place, value in read_statements(source):
                _keep(store, place, value, self._standard)
            store.seal()
            for place, statement in store.all():
                if isinstance(statement, Refusal):
                    yield Conversion(place, refusals=(statement,))
                else:
                    yield _converted(place, statement, store)
        finally:
            store.close()


def _converted(place: str, statement: dict[str, Any], store: Store) -> Conversion:
    place = f"{place} ({statement['statementId']})"
    try:
        events, refusals = convert_statement(statement, store)
    except ValueError as error:  # valid BODS, yet beyond what an event can say: a leap second, an address of 600 letters
        return Conversion(place, refusals=(Refusal("not-expressible", why(error)),))
    return Conversion(place, tuple(events), tuple(refusals))


def _keep(store: Store, place: str, value: object, standard: Draft202012Validator | None) -> None:
    refused = value if isinstance(value, Refusal) else refusal_of(value, standard)
    if refused is not None or not isinstance(value, dict):
        store.add(place, refused or Refusal("not-a-statement", "a statement is a JSON object"))
        return
    try:
        declared, published = declared_at(value).timestamp(), published_on(value).isoformat()
        number = store.add(place, value)
    except (ValueError, TypeError) as error:  # a leap second; a text that is no Unicode
        store.add(place, Refusal("not-expressible", why(error)))
        return
    key = record_key(value, value["recordId"])
    if value["recordType"] == "relationship":
        store.happened(key, declared, published, value["statementId"], number)
        return
    store.name(key, _PROVISIONAL, provisional_id(key))
    known = best_name(identifiers_of(value)[0])
    if known is not None:
        store.name(key, *known)
