"""Undoes a body's Content-Encoding (gzip, zstd) piece by piece, with a bound on how far it may inflate. Pure.

No call hands out, or holds, more than PIECE_BYTES of inflated data: a bomb is noticed before it has gone off.
"""

import zlib
from collections.abc import Iterator
from typing import Final, Protocol

from backports import zstd

PIECE_BYTES: Final = 64 * 1024
MAX_RATIO: Final = 200  # inflated to sent; events of one kind compress 20 to 50 times, zeros 1,000 times (gzip) or more (zstd)
FREE_BYTES: Final = 1024 * 1024  # inflated, before the ratio is looked at
_MAX_ZSTD_WINDOW_LOG: Final = 23  # 8 MiB, what RFC 8878 asks every decoder to bear; a frame may ask for gigabytes
_GZIP: Final = 31  # zlib's wbits: a gzip header and trailer, window of 32 KiB
ENCODINGS: Final = ("gzip", "zstd")


class UnknownEncoding(ValueError):  # noqa: N818 - named for what it is
    """The Content-Encoding is none that we undo."""


class BadCompression(ValueError):  # noqa: N818 - named for what it is
    """The body is not in the encoding that it claims, or ends in the middle of it."""


class InflatesTooFar(ValueError):  # noqa: N818 - named for what it is
    """The body inflates to more than MAX_RATIO times what was sent."""


class Inflater(Protocol):
    """Undoes an encoding."""

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """What this chunk inflates to, in pieces. Raises BadCompression, InflatesTooFar."""

    def finish(self) -> None:
        """The body is at its end. Raises BadCompression if the encoding is not."""


def inflater(content_encoding: str | None) -> Inflater:
    """For a Content-Encoding header; None is `identity`.

    Raises:
        UnknownEncoding: it is none of ENCODINGS.
    """
    match (content_encoding or "identity").strip().lower():
        case "identity" | "":
            return _Identity()
        case "gzip" | "x-gzip":  # the same (RFC 9110, section 8.4.1.3)
            return _Bounded(_Gzip)
        case "zstd":
            return _Bounded(_Zstd)
        case other:
            raise UnknownEncoding(f"{other[:40]!r} is not undone here; use one of {', '.join(ENCODINGS)}, or none")


class _Identity:
    def feed(self, chunk: bytes) -> Iterator[bytes]:
        yield chunk

    def finish(self) -> None:
        pass


class _Gzip:
    """One gzip member; `waits`: it hands out no more before it gets more."""

    def __init__(self) -> None:
        self._inside = zlib.decompressobj(_GZIP)
        self._full = False

    @property
    def eof(self) -> bool:
        return self._inside.eof

    @property
    def waits(self) -> bool:
        return not self._full and not self._inside.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inside.unused_data

    def inflate(self, chunk: bytes) -> bytes:
        piece = self._inside.decompress(self._inside.unconsumed_tail + chunk, PIECE_BYTES)
        self._full = len(piece) == PIECE_BYTES
        return piece


class _Zstd:
    """One zstd frame; `waits`: it hands out no more before it gets more."""

    def __init__(self) -> None:
        limit = {int(zstd.DecompressionParameter.window_log_max): _MAX_ZSTD_WINDOW_LOG}
        self._inside = zstd.ZstdDecompressor(options=limit)

    @property
    def eof(self) -> bool:
        return self._inside.eof

    @property
    def waits(self) -> bool:
        return self._inside.needs_input

    @property
    def unused_data(self) -> bytes:
        return self._inside.unused_data

    def inflate(self, chunk: bytes) -> bytes:
        return self._inside.decompress(chunk, PIECE_BYTES)


class _Bounded:
    """A body may hold several members or frames, one after another."""

    def __init__(self, make: type[_Gzip] | type[_Zstd]) -> None:
        self._make = make
        self._member: _Gzip | _Zstd | None = None
        self._sent = self._inflated = 0

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        self._sent += len(chunk)
        while chunk:
            member = self._member = self._member or self._make()
            piece = self._inflate(member, chunk)
            while piece or not (member.eof or member.waits):
                self._count(piece)
                yield piece
                piece = b"" if member.eof else self._inflate(member, b"")
            chunk = member.unused_data if member.eof else b""
            if member.eof:
                self._member = None

    def finish(self) -> None:
        if self._member is not None:
            raise BadCompression("the body ends in the middle of its compression")

    def _inflate(self, member: _Gzip | _Zstd, chunk: bytes) -> bytes:
        try:
            return member.inflate(chunk)
        except (zlib.error, zstd.ZstdError) as error:
            raise BadCompression(str(error)) from error

    def _count(self, piece: bytes) -> None:
        self._inflated += len(piece)
        if self._inflated > max(FREE_BYTES, MAX_RATIO * self._sent):
            raise InflatesTooFar(
                f"the body inflates to more than {MAX_RATIO} times its size; send it in smaller parts or as it is"
            )
