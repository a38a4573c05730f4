"""Jars: pinned, fetched once, verified at every start."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from neutrality.broker.embedded.errors import ChecksumMismatch, DiskFull, DownloadFailed
from neutrality.broker.embedded.jars import (
    KafkaPins,
    PinnedJar,
    fetch_from_maven_central,
    install_kafka,
    load_pins,
    parse_pins,
    require_free_space,
)
from neutrality.broker.embedded.pin import KAFKA_VERSION, SCALA_VERSION
from neutrality.broker.embedded.ports import pick_free_port

if TYPE_CHECKING:
    from collections.abc import Sequence


def _content(jar: PinnedJar) -> bytes:
    return f"the classes of {jar.coordinate}".encode()


def _pinned(artifact_id: str, size_bytes: int = 100) -> PinnedJar:
    jar = PinnedJar("org.example", artifact_id, "1.0", size_bytes=size_bytes, sha256="")
    return PinnedJar("org.example", artifact_id, "1.0", size_bytes=size_bytes, sha256=hashlib.sha256(_content(jar)).hexdigest())


PINS = KafkaPins(kafka_version="4.3.1", jars=(_pinned("broker"), _pinned("clients")))


class MavenCentral:
    """Serves what it is asked for; `damaged` names files that arrive broken, `absent` those that do not arrive."""

    def __init__(self, *, damaged: frozenset[str] = frozenset(), absent: frozenset[str] = frozenset()) -> None:
        self.damaged = damaged
        self.absent = absent
        self.asked_for: list[str] = []

    def fetch(self, jars: Sequence[PinnedJar], folder: Path) -> None:
        for jar in jars:
            self.asked_for.append(jar.artifact_id)
            if jar.artifact_id in self.absent:
                raise DownloadFailed("no network", where="here", remedy="plug it in")
            content = b"an error page" if jar.artifact_id in self.damaged else _content(jar)
            (folder / jar.file_name).write_bytes(content)


def test_a_second_install_does_not_touch_the_network(tmp_path: Path) -> None:
    central = MavenCentral()
    first = install_kafka(tmp_path, pins=PINS, fetch=central.fetch)
    second = install_kafka(tmp_path, pins=PINS, fetch=central.fetch)
    assert central.asked_for == ["broker", "clients"]
    assert first == second
    assert [path.name for path in first] == ["broker-1.0.jar", "clients-1.0.jar"]
    assert sorted(path.name for path in first[0].parent.iterdir()) == ["broker-1.0.jar", "clients-1.0.jar"]


def test_a_damaged_jar_in_the_cache_is_named_removed_and_fetched_by_the_next_start(tmp_path: Path) -> None:
    central = MavenCentral()
    broker, clients = install_kafka(tmp_path, pins=PINS, fetch=central.fetch)
    clients.write_bytes(b"x" * clients.stat().st_size)
    with pytest.raises(ChecksumMismatch, match=r"clients-1\.0\.jar is not the file that is pinned") as error:
        install_kafka(tmp_path, pins=PINS, fetch=central.fetch)
    assert str(broker.parent) in error.value.where
    assert not clients.exists()
    install_kafka(tmp_path, pins=PINS, fetch=central.fetch)
    assert central.asked_for == ["broker", "clients", "clients"]


def test_a_jar_that_arrives_damaged_never_reaches_the_cache(tmp_path: Path) -> None:
    with pytest.raises(ChecksumMismatch, match=r"broker-1\.0\.jar"):
        install_kafka(tmp_path, pins=PINS, fetch=MavenCentral(damaged=frozenset({"broker"})).fetch)
    assert not list(tmp_path.rglob("broker-1.0.jar"))


def test_what_arrived_before_a_failure_is_kept(tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed):
        install_kafka(tmp_path, pins=PINS, fetch=MavenCentral(absent=frozenset({"clients"})).fetch)
    central = MavenCentral()
    install_kafka(tmp_path, pins=PINS, fetch=central.fetch)
    assert central.asked_for == ["clients"]


def test_without_a_network_the_first_start_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A proxy that nobody runs: to the download, the network is gone.
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{pick_free_port()}")
    with pytest.raises(DownloadFailed, match=r"Cannot fetch broker-1\.0\.jar") as error:
        fetch_from_maven_central([_pinned("broker")], tmp_path)
    assert error.value.where == "Maven Central, org.example:broker:1.0"
    assert "Check the network" in error.value.remedy
    assert error.value.retriable


def test_a_full_disk_is_told_before_the_download(tmp_path: Path) -> None:
    pins = KafkaPins(kafka_version="4.3.1", jars=(_pinned("broker", size_bytes=10**18),))
    central = MavenCentral()
    with pytest.raises(DiskFull, match="The disk is too full for Apache Kafka's jars"):
        install_kafka(tmp_path, pins=pins, fetch=central.fetch)
    assert central.asked_for == []


def test_enough_room_is_no_error(tmp_path: Path) -> None:
    require_free_space(tmp_path, 1, purpose="a test")


def test_another_pin_has_another_folder(tmp_path: Path) -> None:
    central = MavenCentral()
    old = install_kafka(tmp_path, pins=PINS, fetch=central.fetch)
    new = install_kafka(tmp_path, pins=KafkaPins("4.3.1", (PINS.jars[0],)), fetch=central.fetch)
    assert old[0].parent != new[0].parent


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("a checksum is not optional", '[[jar]]\ncoordinate = "a:b:1"\nsize = 1\nsha256 = ""'),
        ("a checksum is hexadecimal", f'[[jar]]\ncoordinate = "a:b:1"\nsize = 1\nsha256 = "{"z" * 64}"'),
        ("a version is pinned", f'[[jar]]\ncoordinate = "a:b"\nsize = 1\nsha256 = "{"a" * 64}"'),
        ("something is pinned", "jar = []"),
    ],
)
def test_a_lock_file_that_pins_nothing_is_refused(rule: str, text: str) -> None:
    with pytest.raises(ValueError, match="pin"):
        parse_pins(f'kafka = "4.3.1"\n{text}')
    assert rule


def test_the_committed_lock_is_of_the_kafka_we_name_and_has_a_logger_that_fits() -> None:
    pins = load_pins()
    versions = {jar.artifact_id: jar.version for jar in pins.jars}
    assert pins.kafka_version == KAFKA_VERSION
    assert versions[f"kafka_{SCALA_VERSION}"] == KAFKA_VERSION
    assert versions["log4j-slf4j-impl"] == versions["log4j-core"]
    assert len(versions) == len(pins.jars), "an artifact is pinned twice"
    # The resolver once mixed kafka-clients 3.9.1 in (see `pin`).
    assert {version for name, version in versions.items() if name.startswith("kafka")} == {KAFKA_VERSION}
