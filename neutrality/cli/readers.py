"""What `neutrality up` sees: scores from Kafka, and alerts as each lab gets them, in one queue.

Made once the services run; closing it ends all threads. `known` is what the kept data said before anything new was read.
"""

import threading
from collections.abc import Callable, Sequence
from queue import Queue
from types import TracebackType
from typing import Self

from neutrality.broker.access import Where
from neutrality.broker.kafka import KafkaReader
from neutrality.broker.port import ConsumedRecord
from neutrality.cli.alert_stream import AlertsError, last_alert_id, stream_alerts
from neutrality.cli.score_log import TopicFollower, keep_newest, read_to_end
from neutrality.cli.story import Happening, Stir
from neutrality.topics import MESSAGES, SCORES


class Readers:
    """Threads that read, each as a subscriber outside the product would."""

    def __init__(self, bootstrap_servers: Where, alerts_url: str, labs: Sequence[str], noticed: Callable[[str], None]) -> None:
        """Read what is kept, then follow.

        Raises:
            BrokerError: Kafka cannot be read.
        """
        self.happenings: Queue[Happening] = Queue()
        self._closed = threading.Event()
        self._noticed = noticed
        scores = KafkaReader(bootstrap_servers, (SCORES.name,), client_id="neutrality-up-scores")
        self.known = read_to_end(scores)
        self._newest = dict(self.known)
        messages = KafkaReader(bootstrap_servers, (MESSAGES.name,), client_id="neutrality-up-messages", start="end")
        self._followers = (
            TopicFollower(scores, self._take_score, "scores"),
            TopicFollower(messages, lambda _: self.happenings.put(Stir()), "messages"),
        )
        for lab in labs:
            after = last_alert_id(alerts_url, lab)
            threading.Thread(target=self._follow_alerts, args=(alerts_url, lab, after), name=f"alerts-{lab}", daemon=True).start()

    def __enter__(self) -> Self:
        """Already reading."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End the threads; those of the streams end with their connection."""
        self._closed.set()
        for follower in self._followers:
            follower.close()

    def _take_score(self, record: ConsumedRecord) -> None:
        newer = keep_newest(self._newest, record)
        self.happenings.put(Stir() if newer is None else newer)

    def _follow_alerts(self, url: str, lab: str, after: str | None) -> None:
        try:
            for alert in stream_alerts(url, lab, after=after, stopped=self._closed.is_set, noticed=self._noticed):
                self.happenings.put(alert)
        except AlertsError as error:
            self._noticed(str(error))
