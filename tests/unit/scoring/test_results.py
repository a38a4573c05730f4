"""Which scores others wrote, by what is known of our own."""

import asyncio
import socket

import pytest
from aiokafka.errors import KafkaError
from faust.types import TP

from neutrality.topics import MESSAGES, SCORES
from services.scoring.results import PIECE_RECORDS, ForeignRanges, KafkaScoresTopic, Range, version_of


def test_what_lies_between_own_records_and_behind_them_is_found_until_it_was_looked_at() -> None:
    ranges = ForeignRanges()
    assert ranges.found({0: 5, 1: 7}) == []
    ranges.wrote({TP(SCORES.name, 0): (5, 6), TP(MESSAGES.name, 1): (90, 99)})
    assert ranges.found({0: 7, 1: 7}) == []
    ranges.wrote({TP(SCORES.name, 0): (9, 9)})
    between, behind = ranges.found({0: 10, 1: 8})
    assert (between, behind) == (Range(0, 7, 9), Range(1, 7, 8))
    ranges.looked_at(between)
    assert ranges.found({0: 10, 1: 8}) == [behind]
    ranges.forget()
    assert ranges.found({0: 20}) == []


def test_a_long_range_comes_in_pieces() -> None:
    ranges = ForeignRanges()
    ranges.found({0: 0})
    pieces = ranges.found({0: 2 * PIECE_RECORDS + 1})
    assert [(piece.start, piece.end) for piece in pieces] == [
        (0, PIECE_RECORDS),
        (PIECE_RECORDS, 2 * PIECE_RECORDS),
        (2 * PIECE_RECORDS, 2 * PIECE_RECORDS + 1),
    ]


@pytest.mark.parametrize(("value", "version"), [(b"scale-ai:12", 12), (b"a:b:3", 3), (b"scale-ai", -1), (b"", -1), (None, -1)])
def test_the_version_is_read_from_the_id(value: bytes | None, version: int) -> None:
    assert version_of([("ce_type", b"x:9"), ("ce_id", value)]) == version


@pytest.mark.filterwarnings("error")
def test_a_look_that_is_cut_off_while_kafka_does_not_answer_leaves_nothing_open() -> None:
    async def look(port: int) -> None:
        topic = KafkaScoresTopic(f"127.0.0.1:{port}")
        with pytest.raises((TimeoutError, KafkaError)):
            async with asyncio.timeout(0.3):
                await topic.ends([0])
        await topic.close()

    with socket.create_server(("127.0.0.1", 0)) as silent:
        asyncio.run(look(silent.getsockname()[1]), debug=False)
