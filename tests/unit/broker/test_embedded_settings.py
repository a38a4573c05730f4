"""What the broker and its JVM are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from neutrality.broker.embedded import EmbeddedKafka
from neutrality.broker.embedded.settings import java_arguments_file, server_properties


def _settings(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines())


def test_nothing_listens_beyond_this_machine() -> None:
    settings = _settings(server_properties(port=1111, controller_port=2222))
    assert settings["listeners"] == "PLAINTEXT://127.0.0.1:1111,CONTROLLER://127.0.0.1:2222"
    assert settings["advertised.listeners"] == "PLAINTEXT://127.0.0.1:1111"
    assert settings["controller.quorum.voters"] == "1@127.0.0.1:2222"


def test_one_node_never_needs_a_second_replica() -> None:
    settings = _settings(server_properties(port=1, controller_port=2))
    replication = {name: value for name, value in settings.items() if name.endswith(("replication.factor", "min.isr"))}
    assert len(replication) == 5
    assert set(replication.values()) == {"1"}


def test_the_same_arguments_give_the_same_settings() -> None:
    assert server_properties(port=1, controller_port=2) == server_properties(port=1, controller_port=2)


def test_paths_with_spaces_and_quotes_reach_java_whole() -> None:
    text = java_arguments_file([Path('/a b/"c"/x.jar'), Path("/a b/y.jar")], heap_mb=200, temporary_dir=Path("/t m\\p"))
    lines = text.splitlines()
    assert lines[0] == '"-Xmx200m"'
    assert lines[-1] == '"/a b/\\"c\\"/x.jar:/a b/y.jar"'
    assert '"-Djava.io.tmpdir=/t m\\\\p"' in lines


def test_a_path_that_java_cannot_be_told_is_refused() -> None:
    with pytest.raises(ValueError, match="cache folder"):
        java_arguments_file([Path("/a:b/x.jar")], heap_mb=200, temporary_dir=Path("/t"))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"port": 65536}, "port=65536"),
        ({"port": -1}, "port=-1"),
        ({"controller_port": 70000}, "controller_port=70000"),
        ({"port": 5000, "controller_port": 5000}, "both 5000"),
        ({"heap_mb": 64}, "heap_mb=64"),
    ],
)
def test_impossible_arguments_are_refused_at_once(tmp_path: Path, arguments: dict[str, int], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        EmbeddedKafka(data_dir=tmp_path, **arguments)  # type: ignore[arg-type]  # all are ints


def test_before_a_start_nothing_is_there(tmp_path: Path) -> None:
    kafka = EmbeddedKafka(data_dir=tmp_path / "data")
    assert (kafka.bootstrap_servers, kafka.pid, kafka.returncode(), kafka.wait()) == ("127.0.0.1:29092", None, None, None)
    kafka.check()
    kafka.stop()
    assert not (tmp_path / "data").exists()
