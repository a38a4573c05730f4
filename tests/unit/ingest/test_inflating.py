"""Undoing Content-Encodings: what comes out, what is refused, and how little is held at a time."""

import gzip
import zlib
from collections.abc import Callable, Iterable
from random import Random

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.inflating import PIECE_BYTES, BadCompression, InflatesTooFar, UnknownEncoding, inflater

Compress = Callable[[bytes], bytes]
ENCODINGS: list[tuple[str, Compress]] = [("gzip", gzip.compress), ("zstd", zstd.compress)]
both = pytest.mark.parametrize(("encoding", "compress"), ENCODINGS)


def inflate(encoding: str | None, chunks: Iterable[bytes]) -> bytes:
    found = inflater(encoding)
    pieces = []
    for chunk in chunks:
        for piece in found.feed(chunk):
            assert len(piece) <= max(PIECE_BYTES, len(chunk))
            pieces.append(piece)
    found.finish()
    return b"".join(pieces)


@both
@given(text=st.binary(max_size=2000), size=st.integers(1, 700), parts=st.integers(1, 3))
def test_what_was_compressed_comes_back_however_it_is_cut_and_in_however_many_parts(
    encoding: str, compress: Compress, text: bytes, size: int, parts: int
) -> None:
    sent = compress(text) * parts
    assert inflate(encoding, [sent[start : start + size] for start in range(0, len(sent), size)]) == text * parts


@both
def test_a_large_body_comes_back_in_small_pieces(encoding: str, compress: Compress) -> None:
    text = b"".join(b'{"id":"%d"}\n' % Random(1).randrange(10**9) + b"%d" % number for number in range(200_000))
    assert inflate(encoding, [compress(text)]) == text


@pytest.mark.parametrize("size", [PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES])
@both
def test_what_fills_a_piece_exactly_is_not_left_behind(encoding: str, compress: Compress, size: int) -> None:
    text = Random(size).randbytes(size // 2) * 2
    assert len(inflate(encoding, [compress(text)])) == size // 2 * 2


@both
def test_a_bomb_is_noticed_long_before_it_has_gone_off(encoding: str, compress: Compress) -> None:
    bomb = compress(bytes(300 * 1024 * 1024))
    found = inflater(encoding)
    inflated = 0

    def inflate_all() -> None:
        nonlocal inflated
        for start in range(0, len(bomb), 1024):
            for piece in found.feed(bomb[start : start + 1024]):
                inflated += len(piece)

    with pytest.raises(InflatesTooFar, match="200 times"):
        inflate_all()
    assert inflated <= 8 * 1024 * 1024


@pytest.mark.parametrize(("window_log", "is_taken"), [(23, True), (27, False)])
def test_a_zstd_frame_that_asks_for_much_memory_is_refused(window_log: int, is_taken: bool) -> None:
    empty_frame = b"\x28\xb5\x2f\xfd" + bytes([0, window_log - 10 << 3]) + b"\x01\x00\x00"  # RFC 8878, section 3.1.1
    if is_taken:
        assert inflate("zstd", [empty_frame]) == b""
    else:
        with pytest.raises(BadCompression, match="memory"):
            inflate("zstd", [empty_frame])


@both
def test_a_body_that_ends_in_the_middle_is_refused(encoding: str, compress: Compress) -> None:
    with pytest.raises(BadCompression, match="middle"):
        inflate(encoding, [compress(b"events")[:-1]])


@both
def test_what_is_not_compressed_is_refused(encoding: str, compress: Compress) -> None:
    with pytest.raises(BadCompression):
        inflate(encoding, [b'{"specversion":"1.0"}'])
    with pytest.raises(BadCompression):
        inflate(encoding, [compress(b"events") + b"garbage after it"])


@both
def test_an_empty_body_is_empty(encoding: str, compress: Compress) -> None:
    assert inflate(encoding, []) == b""
    assert inflate(encoding, [compress(b"")]) == b""


def test_without_an_encoding_everything_stays_as_it_is() -> None:
    assert inflate(None, [b"a", b"b"]) == inflate("identity", [b"ab"]) == b"ab"


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip", "\x00"])
def test_an_unknown_encoding_is_told_which_are_known(encoding: str) -> None:
    with pytest.raises(UnknownEncoding, match="gzip, zstd"):
        inflater(encoding)


def test_raw_deflate_is_no_gzip() -> None:
    with pytest.raises(BadCompression):
        inflate("gzip", [zlib.compress(b"events")])
