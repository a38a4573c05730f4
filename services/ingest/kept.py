"""What was received before, on disk: RocksDB through rocksdict. For use in one thread.

Keys: `n` and a name -> content, offset, partition, topic; `p`, a partition's number and its topic -> how far it was read; `i` and a key of the
directory of identities -> its value; `t`: which topics these are. Written without waiting for the disk: what is lost with the machine is
read from the topics again.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from rocksdict import BlockBasedOptions, Cache, Options, Rdict, WriteBatch

from neutrality.broker.port import TopicPartition
from services.ingest.received import Known

_IDENTITY, _NAME, _POSITION, _TOPICS = b"i", b"n", b"p", b"t"  # `t` is the last: the others are forgotten together
# What RocksDB holds in memory is bounded by these, however many events there are: by default it keeps every file open with its
# index and filter outside of the cache, which grows with the number of files.
_BLOCK_CACHE_BYTES: Final = 32 * 1024 * 1024  # blocks, and with them indexes and filters
_WRITE_BUFFER_BYTES: Final = 16 * 1024 * 1024
_WRITE_BUFFERS: Final = 2  # one is filled while the other is written out
_OPEN_FILES: Final = 256  # well below the usual limit of 1,024 a process, which the connections need too
_PLACE: Final = struct.Struct(">16sqi")


class StoreInUse(RuntimeError):  # noqa: N818 - named for what it is
    """The database cannot be opened: another ingest has it, or it is broken. Fate: the operator's."""


class ReceivedOnDisk:
    """A database of its own for each process."""

    def __init__(self, path: Path) -> None:
        """Open the database, or make one.

        Raises:
            StoreInUse: it cannot be opened.
        """
        path.mkdir(parents=True, exist_ok=True)
        options = Options(raw_mode=True)
        options.set_keep_log_file_num(2)
        options.set_write_buffer_size(_WRITE_BUFFER_BYTES)
        options.set_max_write_buffer_number(_WRITE_BUFFERS)
        options.set_max_open_files(_OPEN_FILES)
        blocks = BlockBasedOptions()
        blocks.set_block_cache(Cache(_BLOCK_CACHE_BYTES))
        blocks.set_cache_index_and_filter_blocks(True)
        options.set_block_based_table_factory(blocks)
        try:
            self._db = Rdict(str(path), options)
        except Exception as error:  # rocksdict has no class for it
            raise StoreInUse(f"{path} cannot be opened; does another ingest use it? RocksDB says: {error}") from error

    def look_up(self, names: Sequence[bytes]) -> list[Known | None]:
        """See Received."""
        values: Any = self._db.get([_NAME + name for name in names])
        return [None if value is None else _decode(value) for value in values]

    def keep(self, found: Mapping[bytes, Known], positions: Mapping[TopicPartition, int]) -> None:
        """See Received."""
        changes = WriteBatch(raw_mode=True)
        for (name, known), before in zip(found.items(), self.look_up(list(found)), strict=True):
            if before is None:
                changes.put(_NAME + name, _encode(known))
        for (topic, partition), position in positions.items():
            changes.put(_POSITION + partition.to_bytes(4) + topic.encode(), position.to_bytes(8))
        self._db.write(changes)

    def positions(self) -> dict[TopicPartition, int]:
        """See Received."""
        return dict(self._positions())

    def belongs_to(self, topics: str) -> bool:
        """See Received."""
        if self._db.get(_TOPICS) == topics.encode():
            return False
        self.forget()
        self._db.put(_TOPICS, topics.encode())
        return True

    def forget(self) -> None:
        """See Received."""
        changes = WriteBatch(raw_mode=True)
        changes.delete_range(b"", _TOPICS)
        self._db.write(changes)

    def identities(self) -> "IdentitiesOnDisk":
        """The part of it that keeps what is known of identities."""
        return IdentitiesOnDisk(self._db)

    def close(self) -> None:
        """Close the database; what was written is kept."""
        self._db.close()

    def _positions(self) -> Iterator[tuple[TopicPartition, int]]:
        for key, value in self._db.items(from_key=_POSITION):
            if not isinstance(key, bytes) or not isinstance(value, bytes) or not key.startswith(_POSITION):
                return
            yield (key[5:].decode(), int.from_bytes(key[1:5])), int.from_bytes(value)


class IdentitiesOnDisk:
    """See neutrality.identity.directory.Store."""

    def __init__(self, db: Rdict) -> None:
        """In a database that is another's."""
        self._db = db

    def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """See Store."""
        values: Any = self._db.get([_IDENTITY + key for key in keys])
        return list(values)

    def put(self, changes: Mapping[bytes, bytes]) -> None:
        """See Store."""
        batch = WriteBatch(raw_mode=True)
        for key, value in changes.items():
            batch.put(_IDENTITY + key, value)
        self._db.write(batch)

    def items(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """See Store."""
        for key, value in self._db.items(from_key=_IDENTITY + prefix):
            if not isinstance(key, bytes) or not isinstance(value, bytes) or not key.startswith(_IDENTITY + prefix):
                return
            yield key[len(_IDENTITY) :], value


def _encode(known: Known) -> bytes:
    return _PLACE.pack(known.content, known.offset, known.partition) + known.topic.encode()


def _decode(value: bytes) -> Known:
    content, offset, partition = _PLACE.unpack_from(value)
    return Known(content, value[_PLACE.size :].decode(), partition, offset)
