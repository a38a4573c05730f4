import pytest
from kafka.partitioner.default import murmur2

from services.scoring.partitions import partition_of


@pytest.mark.parametrize("key", [b"scale-ai", b"meta", b"a", b"x" * 128, b""])
def test_an_entity_lives_where_the_default_partitioner_of_producers_puts_its_key(key: bytes) -> None:
    assert partition_of(12)(key) == (murmur2(key) & 0x7FFFFFFF) % 12
