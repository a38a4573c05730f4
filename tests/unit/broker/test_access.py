"""The file that says how Kafka is talked to: what it means to each client library, and what is wrong with a bad one."""

import subprocess
import sys
from pathlib import Path

import pytest

from neutrality.broker.access import PLAIN, Access, AccessUnusable, Cluster, cluster_at, read_access
from neutrality.cli.pki import Authority

GOOD = (
    "security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\nsasl.username=ingest\nsasl.password=a=b\nssl.ca.location=ca.pem\n"
)


def written(folder: Path, text: str) -> Path:
    file = folder / "client.properties"
    file.write_text(text)
    return file


def test_one_file_serves_every_client_library(tmp_path: Path) -> None:
    Authority(tmp_path)
    access = read_access(written(tmp_path, "# ours\n\n" + GOOD))
    assert access == Access("SASL_SSL", "SCRAM-SHA-512", "ingest", "a=b", tmp_path / "ca.pem")
    assert access.kafka_python()["ssl_cafile"] == str(tmp_path / "ca.pem")
    assert access.librdkafka() == {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "ingest",
        "sasl.password": "a=b",
        "ssl.ca.location": str(tmp_path / "ca.pem"),
    }
    aiokafka = Cluster("kafka:9092", access).aiokafka()
    assert (aiokafka["bootstrap_servers"], aiokafka["sasl_plain_password"]) == ("kafka:9092", "a=b")
    assert len(aiokafka["ssl_context"].get_ca_certs()) == 1


def test_no_message_shows_a_password(tmp_path: Path) -> None:
    Authority(tmp_path)
    cluster = Cluster("kafka:9092", read_access(written(tmp_path, GOOD)))
    assert "a=b" not in f"{cluster} {cluster!r}"
    assert str(cluster) == "kafka:9092"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("security.protocol=TLS", "security.protocol is one of"),
        ("security.protocol=SASL_SSL\nsasl.mechanism=GSSAPI", "sasl.mechanism is one of"),
        ("security.protocol=SASL_SSL\nsasl.mechanism=PLAIN\nsasl.username=x", "needs sasl.password"),
        ("security.protocol=SSL\nsasl.mechanism=PLAIN", "sasl.mechanism is for"),
        ("security.protocol=SSL\nssl.ca.location=missing.pem", "which is no file"),
        ("security.protokol=SSL", "line 1"),
        ("security.protocol", "line 1"),
    ],
)
def test_what_is_wrong_is_told_by_its_property(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(AccessUnusable, match=told):
        read_access(written(tmp_path, text))


def test_a_file_that_is_not_there_is_told() -> None:
    with pytest.raises(AccessUnusable, match="cannot be read"):
        read_access(Path("nowhere.properties"))


def test_text_is_a_kafka_that_is_talked_to_plainly() -> None:
    assert cluster_at("kafka:9092") == Cluster("kafka:9092", PLAIN)
    assert PLAIN.ssl_context() is None


@pytest.mark.parametrize("service", ["ingest", "scoring", "alerts"])
def test_a_service_names_the_setting_and_the_property_and_does_not_start(tmp_path: Path, service: str) -> None:
    file = written(tmp_path, "security.protocol=TLS")
    done = subprocess.run(
        [sys.executable, "-m", f"services.{service}"],
        env={f"{service.upper()}_KAFKA_CONFIG_FILE": str(file)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "security.protocol is one of" in done.stderr
