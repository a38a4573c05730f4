"""Opening files of events, telling what is wrong in them, and remembering how far one was published."""

import hashlib
import os
import stat
import sys
from pathlib import Path
from typing import BinaryIO, Final, Self

import orjson
from rich.markup import escape

from neutrality.cli.exits import Exit, end, errors
from neutrality.cli.folders import cache_folder
from neutrality.cli.reading import Bad

_HEAD_BYTES: Final = 64 * 1024
_SAVED_EVERY: Final = 1_000


def open_events(file: str) -> BinaryIO:
    """A file, open for reading; `-` is standard input. Ends the command if it cannot be read."""
    if file == "-":
        return sys.stdin.buffer
    try:
        return Path(file).open("rb")
    except OSError as error:
        end(f"cannot read {file}: {error.strerror}", Exit.USAGE)


def tell_problems(refused: Bad) -> None:
    """Print what is wrong with an event, a line for each field."""
    for problem in refused.problems:
        errors().print(f"[red]{refused.place}[/]  {escape(problem.pointer or '(event)')}: {escape(problem.detail)}")


class Position:
    """How far a file was published to an address; kept between runs until all of it was. Pipes have none that is kept."""

    def __init__(self, kept: Path | None, fingerprint: str, number: int = 0) -> None:
        """See `of`."""
        self._kept, self._fingerprint = kept, fingerprint
        self.number = number
        self._saved = number

    @classmethod
    def of(cls, stream: BinaryIO, file: str, url: str, *, from_start: bool) -> Self:
        """Of a file just opened. A file that begins otherwise than the one that was kept is another."""
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            return cls(None, "")
        head = stream.read(_HEAD_BYTES)
        stream.seek(0)
        name = hashlib.sha256(f"{Path(file).resolve()}\n{url}".encode()).hexdigest()[:32]
        kept = cache_folder("publish") / f"{name}.json"
        try:
            known = orjson.loads(kept.read_bytes())
            before, length, number = str(known["head"]), int(known["length"]), int(known["number"])
        except (OSError, ValueError, KeyError, TypeError):
            before, length, number = "", 0, 0
        same = not from_start and length <= len(head) and hashlib.sha256(head[:length]).hexdigest() == before
        fingerprint = f"{len(head)} {hashlib.sha256(head).hexdigest()}"
        return cls(kept, fingerprint, number if same else 0)

    def passed(self, number: int) -> None:
        """All up to this line, or event of an array, has its result."""
        self.number = number
        if number - self._saved >= _SAVED_EVERY:
            self.save()

    def save(self) -> None:
        """Keep it for the next run."""
        self._saved = self.number
        if self._kept is None:
            return
        length, _, head = self._fingerprint.partition(" ")
        self._kept.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._kept.with_suffix(".new")
        fresh.write_bytes(orjson.dumps({"head": head, "length": int(length), "number": self.number}))
        fresh.replace(self._kept)

    def forget(self) -> None:
        """All was published."""
        if self._kept is not None:
            self._kept.unlink(missing_ok=True)
