"""A real Apache Kafka on this machine, without Docker and without a system Java: one KRaft node, broker and controller in one.

`EmbeddedKafka` is the door. Whoever wants a broker creates it (`neutrality up`, `neutrality broker`, tests, benchmarks) and ends
it; it serves one data folder, and any number of them run side by side. Needs the extra `embedded`, and Linux or macOS.

Order of a start:

1. the jars are verified, and fetched if this is the first start (`jars`, which `jars.toml` pins and `pin` writes);
2. the data folder is locked (`data_lock`): a living holder is an error that names it, a dead one never is in the way;
3. room on the disk and the ports are checked (`ports`), the settings written (`settings`), a new folder formatted;
4. the JVM runs in its own session (Ctrl-C in the terminal is ours to handle, in order) and dies with us (`jvm`, `become_jvm`);
5. `start` returns when the log says that the broker is up and its port takes connections. Anything else ends the JVM, frees
   the lock and raises one of `errors`; `diagnosis` reads the cause from the log.

In the data folder: `broker.lock` while it runs; `server.properties`, `log4j2.properties` and `java.args`, written anew at every
start; `kafka.log`, of which a start puts 5 MB or more aside as `kafka.log.1`; `kafka-data/`, the one thing to keep; `tmp/`.
"""

from neutrality.broker.embedded.errors import (
    BrokerCrashed,
    ChecksumMismatch,
    DataDirInUse,
    DiskFull,
    DownloadFailed,
    EmbeddedKafkaError,
    PortTaken,
    StartTimedOut,
)
from neutrality.broker.embedded.node import EmbeddedKafka

__all__ = [
    "BrokerCrashed",
    "ChecksumMismatch",
    "DataDirInUse",
    "DiskFull",
    "DownloadFailed",
    "EmbeddedKafka",
    "EmbeddedKafkaError",
    "PortTaken",
    "StartTimedOut",
]
