"""The changelog of the table `vertices`, declared like the other topics: Faust must find it with the right partitions at its first start."""

from datetime import timedelta
from typing import Final

from neutrality.topics import LARGE_RECORD_BYTES, Topic

NOT_COMPACTED_FOR: Final = timedelta(hours=1)  # a stale state is noticed within minutes, and until then hides no valid one
TOMBSTONES_FOR: Final = timedelta(hours=24)


def changelog_topic(name: str) -> Topic:
    """The compacted topic that holds the newest state of every vertex."""
    description = "The newest state of every vertex; only scoring reads it."
    further = (
        ("min.compaction.lag.ms", _ms(NOT_COMPACTED_FOR)),
        ("message.timestamp.type", "LogAppendTime"),  # so that the lag of a late record counts from when it was written
        ("delete.retention.ms", _ms(TOMBSTONES_FOR)),
    )
    return Topic(name, "entity id", "compact", "-1", ("scoring",), ("scoring",), description, LARGE_RECORD_BYTES, further)


def _ms(time: timedelta) -> str:
    return str(time // timedelta(milliseconds=1))
