"""Events on their way to Kafka, idempotently and with acks=all. What fails is sent again: an event counts once, however often it comes."""

import threading
import time
from collections.abc import Iterable, Sequence
from typing import Any, Final, Self

from kafka import KafkaProducer
from kafka.errors import KafkaError

from tests.support.market import Headers

Record = tuple[str, bytes, Headers, bytes]  # topic, key, headers, value

ATTEMPTS: Final = 5
ANSWERED_WITHIN_S: Final = 120.0


class NotWritten(RuntimeError):  # noqa: N818 - named for what it is
    """Kafka did not take some events, however often they were sent."""


def write(servers: str, records: Iterable[Record], *, per_s: float | None = None, ended: threading.Event | None = None) -> int:
    """Return when Kafka has all, or `ended` is set; how many were sent more than once.

    Raises:
        NotWritten: it does not take some.
    """
    again = 0
    left = _write_once(servers, records, per_s, ended or threading.Event())
    for _ in range(ATTEMPTS):
        if not left:
            return again
        again += len(left)
        left = _write_once(servers, left, None, ended or threading.Event())
    raise NotWritten(f"{len(left)} events were not taken in {ATTEMPTS} attempts")


def _write_once(servers: str, records: Iterable[Record], per_s: float | None, ended: threading.Event) -> Sequence[Record]:
    """Those of which it is not known that Kafka has them."""
    producer = KafkaProducer(
        bootstrap_servers=servers,
        acks="all",
        enable_idempotence=True,
        linger_ms=10,
        batch_size=64 * 1024,
        allow_auto_create_topics=False,
        reconnect_backoff_max_ms=1_000,
        delivery_timeout_ms=int(ANSWERED_WITHIN_S * 1000),
        metrics_enabled=False,
    )
    began_s, sent, failed = time.monotonic(), [], []
    for number, record in enumerate(records):
        if per_s is not None:
            _wait(began_s + number / per_s)
        if ended.is_set():
            break
        topic, key, headers, value = record
        try:
            sent.append((record, producer.send(topic, key=key, value=value, headers=headers)))
        except KafkaError:
            failed.append(record)
    _close(producer)
    return failed + [record for record, future in sent if not future.succeeded()]


def _wait(until_s: float) -> None:
    if (pause_s := until_s - time.monotonic()) > 0.005:
        time.sleep(pause_s)


def _close(producer: Any) -> None:
    try:
        producer.flush(timeout=ANSWERED_WITHIN_S)
        producer.close(timeout=5)
    except KafkaError:
        # kafka-python has no public way to give up what is buffered
        producer._sender.force_close()
        producer._sender.join()
        producer.close(timeout=0)


class Flow:
    """Writes evenly over a time, from a thread of its own. Use as a context manager."""

    def __init__(self, servers: str, records: Iterable[Record], *, count: int, over_s: float) -> None:
        self.sent_again = 0
        self.failure: Exception | None = None
        self._servers, self._records, self._per_s = servers, records, count / over_s
        self._begun = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="flow", daemon=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._begun:
            self._thread.join()

    @property
    def done(self) -> bool:
        """Whether Kafka has all events, or will not get them."""
        return self._begun and not self._thread.is_alive()

    def begin(self) -> None:
        """Start to write. May be repeated."""
        if not self._begun:
            self._begun = True
            self._thread.start()

    def _run(self) -> None:
        try:
            self.sent_again = write(self._servers, self._records, per_s=self._per_s, ended=self._ended)
        except Exception as error:  # noqa: BLE001 - told by the trial
            self.failure = error
