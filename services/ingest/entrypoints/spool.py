"""A queue of bytes between one writer and one reader on the same event loop; what the reader is behind lies on disk.

Most HTTP clients send all of a body before they read any of the answer. If the answer then waited for its reader, both sides would wait for ever.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Final, Self

MEMORY_BYTES: Final = 256 * 1024
PIECE_BYTES: Final = 64 * 1024


class Spool:
    """Holds up to MEMORY_BYTES in memory, the rest in a file without a name."""

    def __init__(self) -> None:
        """Empty and open."""
        self._file = tempfile.SpooledTemporaryFile(MEMORY_BYTES)  # noqa: SIM115 - closed by __exit__
        self._written = self._read = 0
        self._ended = False
        self._news = asyncio.Event()

    @property
    def waiting_bytes(self) -> int:
        """Written and not yet read."""
        return self._written - self._read

    def write(self, data: bytes) -> None:
        """Add to the end."""
        self._file.seek(self._written)
        self._file.write(data)
        self._written += len(data)
        self._news.set()

    def end(self) -> None:
        """Nothing more is written."""
        self._ended = True
        self._news.set()

    async def pieces(self) -> AsyncIterator[bytes]:
        """What was written, as it comes, until the end."""
        while self.waiting_bytes or not self._ended:
            if not self.waiting_bytes:
                self._news.clear()
                await self._news.wait()
                continue
            self._file.seek(self._read)
            piece = self._file.read(PIECE_BYTES)
            self._read += len(piece)
            if not self.waiting_bytes:  # begin anew, so that the file is as long as the reader is behind
                self._file.seek(0)
                self._file.truncate()
                self._written = self._read = 0
            yield piece

    def __enter__(self) -> Self:
        """Ready."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Forget what is left."""
        self._file.close()
