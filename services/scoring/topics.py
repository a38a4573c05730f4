"""The changelog of the table `vertices`, declared like the other topics: Faust must find it with the right partitions at its first start."""

from neutrality.topics import LARGE_RECORD_BYTES, Topic


def changelog_topic(name: str) -> Topic:
    """The compacted topic that holds the newest state of every vertex."""
    description = "The newest state of every vertex; only scoring reads it."
    return Topic(name, "entity id", "compact", "-1", ("scoring",), ("scoring",), description, LARGE_RECORD_BYTES)
