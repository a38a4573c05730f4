"""What a file says, kept aside until all of it was seen: statements may refer forward, and come in any order.

An SQLite database in a temporary file that is gone when it is closed: memory stays bounded however long the file, and the source need not be
seekable. The disk must hold the file once more.
"""

import sqlite3
from collections.abc import Iterator
from typing import Any, Final

import orjson

from neutrality.registers.connector import Refusal

_TABLES: Final = """
CREATE TABLE statement (number INTEGER PRIMARY KEY, place TEXT, json BLOB, reason TEXT, detail TEXT);
CREATE TABLE record (key TEXT PRIMARY KEY, rank INTEGER, entity TEXT) WITHOUT ROWID;
CREATE TABLE history (key TEXT, declared REAL, published TEXT, id TEXT, number INTEGER);
"""
_REMEMBER: Final = """
INSERT INTO record VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET rank = excluded.rank, entity = excluded.entity
WHERE (excluded.rank, excluded.entity) < (rank, entity)
"""


class Store:
    """One file's statements, the entity id of each record, and each relationship record's statements in order of time."""

    def __init__(self) -> None:
        """Open it; `close` ends it."""
        self._db = sqlite3.connect("", isolation_level=None)  # "": a temporary file of SQLite's own
        self._db.executescript(f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; {_TABLES}")
        self._db.execute("BEGIN")

    def close(self) -> None:
        """Forget everything."""
        self._db.close()

    def add(self, place: str, statement: dict[str, Any] | Refusal) -> int:
        """Keep a statement, or why there is none; its number."""
        row = (
            (place, None, statement.reason, statement.detail)
            if isinstance(statement, Refusal)
            else (place, orjson.dumps(statement), None, None)
        )
        number = self._db.execute("INSERT INTO statement (place, json, reason, detail) VALUES (?, ?, ?, ?)", row).lastrowid
        return number or 0

    def name(self, key: str, rank: int, entity: str) -> None:
        """An entity id of a record; of several the one of the lowest rank stays, whatever the order."""
        self._db.execute(_REMEMBER, (key, rank, entity))

    def happened(self, key: str, declared: float, published: str, statement_id: str, number: int) -> None:
        """A relationship record was told of."""
        self._db.execute("INSERT INTO history VALUES (?, ?, ?, ?, ?)", (key, declared, published, statement_id, number))

    def seal(self) -> None:
        """All was read: make looking up quick."""
        self._db.execute("CREATE INDEX by_key ON history (key, declared, published, id)")

    def entity(self, key: str) -> str | None:
        """The entity id of a record; None if the file does not tell of it."""
        row = self._db.execute("SELECT entity FROM record WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def before(self, key: str, declared: float, published: str, statement_id: str) -> dict[str, Any] | None:
        """The statement on the same record that this one follows."""
        row = self._db.execute(
            "SELECT json FROM statement JOIN history USING (number) WHERE key = ? AND (declared, published, id) < (?, ?, ?)"
            " ORDER BY declared DESC, published DESC, id DESC LIMIT 1",
            (key, declared, published, statement_id),
        ).fetchone()
        return None if row is None else orjson.loads(row[0])

    def told(self, key: str) -> Iterator[dict[str, Any]]:
        """All statements on a relationship record."""
        rows = self._db.execute("SELECT json FROM statement JOIN history USING (number) WHERE key = ? ORDER BY number", (key,))
        for row in rows.fetchall():
            yield orjson.loads(row[0])

    def all(self) -> Iterator[tuple[str, dict[str, Any] | Refusal]]:
        """Everything, in the file's order."""
        for place, json, reason, detail in self._db.execute("SELECT place, json, reason, detail FROM statement ORDER BY number"):
            yield place, (Refusal(reason, detail) if json is None else orjson.loads(json))
