"""What can go wrong with a broker, and what to do about it (`retriable`).

BrokerError
├── BrokerUnavailable  retriable: no answer within the deadline; the record may have been written, so its effect must be idempotent
├── Overloaded         retriable: too many records are on their way; nothing was sent
├── RecordTooLarge     not retriable: Kafka will never take it
└── TopicMismatch      not retriable: a topic is there with other settings than declared; an operator must decide
"""


class BrokerError(Exception):
    """Base of all errors of the broker ports."""

    retriable = False


class BrokerUnavailable(BrokerError):  # noqa: N818 - named for what it is
    """Kafka did not answer in time."""

    retriable = True


class Overloaded(BrokerError):  # noqa: N818 - named for what it is
    """The bound on records in flight is reached; nothing was sent."""

    retriable = True


class RecordTooLarge(BrokerError):  # noqa: N818 - named for what it is
    """The record is larger than Kafka takes."""


class TopicMismatch(BrokerError):  # noqa: N818 - named for what it is
    """A topic exists with other settings than declared."""
