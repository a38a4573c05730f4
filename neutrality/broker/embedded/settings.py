"""What the broker and its JVM are told: three files, the same text for the same arguments.

Choices that would be traps otherwise:

- The voters are static (`controller.quorum.voters`). With dynamic ones the controller's port becomes part of the data, and a
  restart on another port looks for a leader that is gone. So both ports are free to change between runs.
- All paths are relative to the data folder, the JVM's working directory: it can be moved, and may have a comma in its name
  (`log.dirs` is a list).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

HOST = "127.0.0.1"
KAFKA_DATA = "kafka-data"
# Always the same: an id that differs between data folders would tell nothing, and make the settings hard to compare.
CLUSTER_ID = "NeutralityWatch-KafkaA"

_TEN_YEARS_IN_MINUTES = 10 * 365 * 24 * 60
_MEBIBYTE = 1024 * 1024


def server_properties(*, port: int, controller_port: int) -> str:
    """The broker's settings. What a topic needs is set on the topic; here is what one small node needs."""
    settings = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
        "inter.broker.listener.name": "PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "controller.quorum.voters": f"1@{HOST}:{controller_port}",
        "log.dirs": KAFKA_DATA,
        # One node: it can hold one replica, and no more partitions of the inner topics than are worth opening.
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 3,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 3,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "share.coordinator.state.topic.num.partitions": 3,
        # Topics are declared in code; a misspelt one must be an error and not a new topic.
        "auto.create.topics.enable": "false",
        # Members of a group join one after the other; waiting 3 s for more of them only delays tests and `up`.
        "group.initial.rebalance.delay.ms": 0,
        # Kafka forgets the offsets of an idle group after 7 days. A second `make up` weeks later must resume.
        "offsets.retention.minutes": _TEN_YEARS_IN_MINUTES,
        # After a SIGKILL the controller, as dead as the broker was, waits out the old session before the broker may register.
        # Measured: 14 s until such a start is through with the default of 9 s, 6 s with this.
        "broker.session.timeout.ms": 3000,
        "broker.heartbeat.interval.ms": 500,
        # The controller writes an empty record this often; at the default of 500 ms 17 MB a day.
        "metadata.max.idle.interval.ms": 5000,
        # The cleaner takes this from the heap at once; the default of 128 MB is a third of ours. 16 MB do for 600,000 keys a pass.
        "log.cleaner.dedupe.buffer.size": 16 * _MEBIBYTE,
        "num.network.threads": 2,
        "num.io.threads": 4,
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def log4j2_properties() -> str:
    """Everything to standard output, which is our log file, with the JVM's own last words. Times in UTC."""
    return """\
status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{yyyy-MM-dd'T'HH:mm:ss.SSS'Z'}{UTC} %-5p %m (%c{1.})%n
rootLogger.level = info
rootLogger.appenderRef.out.ref = out
# Dumps of all settings, hundreds of lines at each start.
logger.config.name = org.apache.kafka.common.config
logger.config.level = warn
"""


def java_arguments_file(jars: Sequence[Path], *, heap_mb: int, temporary_dir: Path) -> str:
    """Java's options for an `@file`, which keeps 46 jars out of `ps`.

    Raises:
        ValueError: The path of a jar has a separator of paths in it, and Java knows no escape for one.
    """
    if bad := [str(jar) for jar in jars if os.pathsep in str(jar)]:
        raise ValueError(f"the cache folder may not have {os.pathsep!r} in its name: {bad[0]}")
    options = [
        f"-Xmx{heap_mb}m",
        "-XX:+UseSerialGC",
        # C1 alone. Measured on two cores against C1 and C2: up on new data in 5.6 s, not 8.5 s; 120,000 records from a Python
        # producer for 3.5 s of CPU, not 5.1 s; 30 MB smaller. What runs for days under load is not an embedded broker.
        "-XX:TieredStopAtLevel=1",
        "-XX:+ExitOnOutOfMemoryError",
        "-XX:ErrorFile=hs_err_%p.log",
        # Else every JVM maps a file in /tmp, and a full or foreign /tmp is one more way to fail.
        "-XX:-UsePerfData",
        "-Djava.awt.headless=true",
        f"-Djava.io.tmpdir={temporary_dir}",
        "-Dlog4j2.configurationFile=log4j2.properties",
        "-cp",
        os.pathsep.join(str(jar) for jar in jars),
    ]
    return "".join(f"{_quoted(option)}\n" for option in options)


def _quoted(option: str) -> str:
    escaped = option.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
