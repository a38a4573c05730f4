"""What is written comes out in order; what the reader is behind does not stay in memory."""

import asyncio

from services.ingest.entrypoints.spool import MEMORY_BYTES, PIECE_BYTES, Spool


async def read_all(spool: Spool) -> bytes:
    return b"".join([piece async for piece in spool.pieces()])


def test_a_reader_that_waits_gets_what_comes_until_the_end() -> None:
    async def work() -> None:
        with Spool() as spool:
            reading = asyncio.create_task(read_all(spool))
            for number in range(5):
                await asyncio.sleep(0)
                spool.write(b"%d," % number)
            spool.end()
            assert await reading == b"0,1,2,3,4,"

    asyncio.run(work())


def test_what_a_reader_is_behind_lies_on_disk_and_is_given_back_once_it_has_caught_up() -> None:
    async def work() -> None:
        with Spool() as spool:
            for _ in range(8):
                spool.write(b"x" * MEMORY_BYTES)
            assert spool.waiting_bytes == 8 * MEMORY_BYTES
            assert spool._file._rolled  # type: ignore[attr-defined]
            pieces = spool.pieces()
            for _ in range(8 * MEMORY_BYTES // PIECE_BYTES):
                assert len(await anext(pieces)) == PIECE_BYTES
            assert spool.waiting_bytes == 0
            assert spool._file.seek(0, 2) == 0
            spool.write(b"after")
            spool.end()
            assert await anext(pieces) == b"after"

    asyncio.run(work())


def test_writes_between_two_reads_keep_their_place() -> None:
    async def work() -> None:
        with Spool() as spool:
            spool.write(b"a" * (PIECE_BYTES + 1))
            pieces = spool.pieces()
            assert await anext(pieces) == b"a" * PIECE_BYTES
            spool.write(b"b")
            assert await anext(pieces) == b"ab"

    asyncio.run(work())
