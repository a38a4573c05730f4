"""What stands on `neutrality.scores`: of each vendor the newest version, and what a reader finds after compaction."""

from dataclasses import dataclass

from neutrality.broker.port import ConsumedRecord, RecordReader
from neutrality.events.assessment import Assessment, parse_assessment
from neutrality.verification.log import read_to_end


@dataclass(frozen=True, slots=True)
class Standing:
    """`newest` has the highest version (of several records of one version the last counts); `last_version` is that of the last record."""

    newest: Assessment
    last_version: int


class ScoreLog:
    """The topic, read further and further. `unreadable` counts records that are no assessment of the vendor that keys them."""

    def __init__(self, reader: RecordReader) -> None:
        """Read from where the reader is; `close` closes it."""
        self._reader = reader
        self.standing: dict[str, Standing] = {}
        self.unreadable = 0

    def read_new(self) -> int:
        """Take in what was published since the last time; how many records. Raises BrokerUnavailable."""
        count = 0
        for record in read_to_end(self._reader):
            count += 1
            self._take(record)
        return count

    def close(self) -> None:
        """Let go of the connection."""
        self._reader.close()

    def _take(self, record: ConsumedRecord) -> None:
        if record.value is None:
            if record.key is not None:  # a tombstone: after compaction nothing stands
                self.standing.pop(record.key.decode(errors="replace"), None)
            return
        found = parse_assessment(record.value)
        if not isinstance(found, Assessment) or record.key != found.vendor.encode():
            self.unreadable += 1
            return
        known = self.standing.get(found.vendor)
        newest = found if known is None or found.version >= known.newest.version else known.newest
        self.standing[found.vendor] = Standing(newest, found.version)
