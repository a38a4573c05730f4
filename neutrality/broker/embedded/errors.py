"""What can go wrong with the embedded Kafka, each said as what, where and what to do.

The tree, with the fate of each::

    EmbeddedKafkaError
    ├── DownloadFailed      retry    no network at the first start, or Maven Central answers badly
    ├── ChecksumMismatch    retry    a jar is not the one we pinned; it is already removed
    ├── DiskFull            stop     until there is room
    ├── PortTaken           stop     until the port is free, or another one is given
    ├── DataDirInUse        stop     until the broker that holds the data has ended
    ├── BrokerCrashed       stop     the JVM ended by itself; the end of its log is in the message
    └── StartTimedOut       retry    the JVM lives but does not answer

`retriable` says whether the same call may succeed without anybody changing anything on the machine.
"""

# ruff: noqa: N818 - each name is the condition itself, and the base says that it is an error

from __future__ import annotations

from typing import ClassVar


class EmbeddedKafkaError(Exception):
    """The base of all errors of the embedded Kafka.

    Args:
        problem: What happened, in one sentence.
        where: The file, folder, port or address that it is about.
        remedy: What the reader can do now.
    """

    retriable: ClassVar[bool] = False

    def __init__(self, problem: str, *, where: str, remedy: str) -> None:
        """Keep the three parts, and join them for `str()`."""
        super().__init__(f"{problem}\n  where:      {where}\n  what to do: {remedy}")
        self.problem = problem
        self.where = where
        self.remedy = remedy


class DownloadFailed(EmbeddedKafkaError):
    """A jar could not be fetched. Only a first start, or one after a change of version, needs the network."""

    retriable = True


class ChecksumMismatch(EmbeddedKafkaError):
    """A jar differs from the one that the lock file pins. The file is removed before this is raised."""

    retriable = True


class DiskFull(EmbeddedKafkaError):
    """Too little room for the jars or for the broker's data, foreseen by us or met by the broker."""


class PortTaken(EmbeddedKafkaError):
    """Something else listens on the port, or this user may not use it."""


class DataDirInUse(EmbeddedKafkaError):
    """A living process holds the data folder. One that has died never leads here: its lock is taken over."""


class BrokerCrashed(EmbeddedKafkaError):
    """The JVM ended without being asked to, at start or later."""

    def __init__(self, problem: str, *, where: str, remedy: str, returncode: int) -> None:
        """Keep the exit status too: negative is the number of the signal, as in `subprocess`."""
        super().__init__(problem, where=where, remedy=remedy)
        self.returncode = returncode


class StartTimedOut(EmbeddedKafkaError):
    """The broker did not answer in time. It has been ended before this is raised."""

    retriable = True
