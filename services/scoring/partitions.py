"""Which partition an entity lives in: the Java client's default (murmur2 of the raw key), in every topic with the same number of partitions."""

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from aiokafka.partitioner import murmur2

_MURMUR2: Final[Callable[[bytes], int]] = murmur2
CACHED_KEYS: Final = 200_000  # murmur2 in Python costs 5 µs a key; the entities of a large graph fit


def partition_of(partitions: int) -> Callable[[bytes], int]:
    """The function from a key to its partition among so many."""

    @lru_cache(maxsize=CACHED_KEYS)
    def home(key: bytes) -> int:
        return (_MURMUR2(key) & 0x7FFFFFFF) % partitions

    return home
