"""The embedded Kafka as users meet it: the real broker, its data over restarts, and each way it can fail.

Starting takes 3 s (6 s on new data, or after a kill), so one data folder goes through one story, `test_records_survive...`, and
the failures that need no running broker, or only a failing one, have tests of their own.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer

from neutrality.broker.embedded import (
    BrokerCrashed,
    ChecksumMismatch,
    DataDirInUse,
    EmbeddedKafka,
    EmbeddedKafkaError,
    PortTaken,
    StartTimedOut,
)
from neutrality.broker.embedded.jars import default_cache_dir, install_kafka, load_pins

TOPIC = "embedded.test"


def _produce(bootstrap_servers: str, *values: bytes) -> None:
    producer = KafkaProducer(bootstrap_servers=bootstrap_servers, acks="all")
    try:
        for value in values:
            producer.send(TOPIC, value=value).get(timeout=20)
    finally:
        producer.close()


def _consume(bootstrap_servers: str, *, group_id: str, count: int) -> list[bytes]:
    consumer = KafkaConsumer(
        TOPIC,
        bootstrap_servers=bootstrap_servers,
        group_id=group_id,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        consumer_timeout_ms=15_000,
    )
    try:
        values = []
        for record in consumer:
            values.append(record.value)
            if len(values) == count:
                break
        consumer.commit()
        return values
    finally:
        consumer.close()


def _nothing_is_left(kafka: EmbeddedKafka, pid: int) -> bool:
    with socket.socket() as probe:
        nobody_answers = probe.connect_ex(("127.0.0.1", kafka.port)) != 0
    return nobody_answers and not psutil.pid_exists(pid) and not (kafka.data_dir / "broker.lock").exists()


@pytest.mark.timeout(180)
def test_records_survive_a_stop_another_port_a_kill_and_a_crash(tmp_path: Path) -> None:
    # A comma and a space: the first is a separator in Kafka's log.dirs, the second in Java's arguments.
    data_dir = tmp_path / "data, kept"
    kafka = EmbeddedKafka(data_dir=data_dir, port=0)
    # Started by a thread that ends: the JVM must stay (see `jvm`).
    with ThreadPoolExecutor(1) as pool:
        pool.submit(kafka.start).result()
    first_port, first_pid = kafka.port, kafka.pid
    assert first_pid is not None
    try:
        admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
        admin.create_topics({TOPIC: {"num_partitions": 1}}, wait_for_metadata=True)
        admin.close()
        _produce(kafka.bootstrap_servers, b"one", b"two")
        assert _consume(kafka.bootstrap_servers, group_id="resumes", count=1) == [b"one"]
        kafka.check()

        with pytest.raises(DataDirInUse, match=rf"Kafka is process {first_pid} on port {first_port}"):
            EmbeddedKafka(data_dir=data_dir, port=0).start()
        with pytest.raises(PortTaken, match=rf"Port {first_port} is taken by process {first_pid} \(java\)"):
            EmbeddedKafka(data_dir=tmp_path / "other", port=first_port).start()
        with pytest.raises(EmbeddedKafkaError, match="runs already"):
            kafka.start()
        # Neither attempt has harmed the one that runs.
        assert kafka.pid == first_pid
    finally:
        kafka.stop()
    kafka.check()
    assert kafka.returncode() == 128 + signal.SIGTERM
    assert _nothing_is_left(kafka, first_pid)

    with EmbeddedKafka(data_dir=data_dir, port=0) as again:
        assert again.port != first_port
        # The group goes on where it was, and what was written is there.
        assert _consume(again.bootstrap_servers, group_id="resumes", count=1) == [b"two"]
        _produce(again.bootstrap_servers, b"three")
        pid, port = again.pid, again.port
        assert pid is not None

        os.kill(pid, signal.SIGKILL)
        assert again.wait(timedelta(seconds=10)) == -signal.SIGKILL
        with pytest.raises(BrokerCrashed, match="ended while it ran, by signal SIGKILL"):
            again.check()

        again.start()
        assert again.port == port
        again.check()
        assert _consume(again.bootstrap_servers, group_id="reads all", count=3) == [b"one", b"two", b"three"]
        pid = again.pid
        assert pid is not None
        again.kill()
        again.check()  # We asked for it.
        assert _nothing_is_left(again, pid)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
@pytest.mark.timeout(90)
def test_the_broker_ends_with_its_owner_even_if_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import pathlib, time; from neutrality.broker.embedded import EmbeddedKafka\n"
        f"kafka = EmbeddedKafka(data_dir=pathlib.Path({str(tmp_path)!r}), port=0)\n"
        "kafka.start(); print(kafka.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        jvm = psutil.Process(int(owner.stdout.readline()))
        owner.kill()
    jvm.wait(timeout=10)


@pytest.mark.timeout(60)
def test_a_broker_that_cannot_start_tells_why_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "kafka-data").mkdir()
    # The data of another node: Kafka refuses it.
    (tmp_path / "kafka-data" / "meta.properties").write_text("version=1\nnode.id=7\ncluster.id=x\n", encoding="utf-8")
    kafka = EmbeddedKafka(data_dir=tmp_path, port=0)
    with pytest.raises(BrokerCrashed) as error:
        kafka.start()
    assert "Kafka ended while it started, exit status 1" in str(error.value)
    assert "Stored node id 7 doesn't match" in str(error.value)
    assert str(kafka.log_file) in error.value.where
    assert kafka.pid is None
    assert not (tmp_path / "broker.lock").exists()


@pytest.mark.timeout(60)
def test_a_broker_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    kafka = EmbeddedKafka(data_dir=tmp_path, port=0, start_timeout=timedelta(milliseconds=200))
    with pytest.raises(StartTimedOut, match=r"not up after 0\.2 s and was ended"):
        kafka.start()
    assert kafka.pid is None
    assert kafka.returncode() is not None
    assert not (tmp_path / "broker.lock").exists()


@pytest.mark.timeout(60)
def test_a_corrupted_jar_is_found_before_java_meets_it(tmp_path: Path) -> None:
    jars = install_kafka(default_cache_dir())
    folder = tmp_path / "cache" / jars[0].parent.relative_to(default_cache_dir())
    folder.mkdir(parents=True)
    for jar in jars:
        (folder / jar.name).symlink_to(jar)
    victim = folder / f"kafka_2.13-{load_pins().kafka_version}.jar"
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.unlink()
    victim.write_bytes(content)
    with pytest.raises(ChecksumMismatch, match=victim.name):
        EmbeddedKafka(data_dir=tmp_path / "data", port=0, cache_dir=tmp_path / "cache").start()
    assert not victim.exists()
    assert not (tmp_path / "data").exists()
