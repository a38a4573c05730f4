"""The changelog of the table `vertices`, declared like the other topics: Faust must find it with the right partitions at its first start."""

from dataclasses import dataclass
from typing import Final

from neutrality.topics import Topic

MAX_STATE_BYTES: Final = 8 * 1024 * 1024  # a vertex with tens of thousands of reports; Kafka's default of 1 MiB is some 1,500


@dataclass(frozen=True, slots=True)
class ChangelogTopic(Topic):
    """A topic whose records may be larger than Kafka's default."""

    @property
    def config(self) -> dict[str, str]:
        """Kafka topic settings."""
        return {"cleanup.policy": self.cleanup_policy, "max.message.bytes": str(MAX_STATE_BYTES)}


def changelog_topic(name: str) -> Topic:
    """The compacted topic that holds the newest state of every vertex."""
    description = "The newest state of every vertex; only scoring reads it."
    return ChangelogTopic(name, "entity id", "compact", "-1", ("scoring",), ("scoring",), description)
