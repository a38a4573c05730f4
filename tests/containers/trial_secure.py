"""The secure profile: everything over TLS, everybody known, and nobody further than the one list of grants says. `make containers`."""

import json
import ssl
import subprocess
from collections.abc import Iterator
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

import confluent_kafka
import httpx
import pytest
from kafka import KafkaConsumer, KafkaProducer
from kafka.errors import GroupAuthorizationFailedError, KafkaError, TopicAuthorizationFailedError

from neutrality.broker.access import Cluster, read_access
from neutrality.broker.kafka import KafkaReader
from neutrality.broker.port import BrokerUnavailable
from neutrality.scenario import load_scenario
from tests.support.compose import DEPLOY, ROOT, Compose, eventually, running

pytestmark = pytest.mark.timeout(600)
SECURE = DEPLOY / "docker-compose.secure.yml"


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("secure") / "secrets"
    subprocess.run([ROOT / ".venv/bin/neutrality", "access", "init", folder], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def stack(secrets: Path) -> Iterator[Compose]:
    yield from running("neutrality-secure", SECURE, more={"SECRETS": str(secrets)})


class Lab:
    """A lab as it was let in: its API key and its client properties."""

    def __init__(self, stack: Compose, secrets: Path, name: str) -> None:
        self.name = name
        self.key = _token(stack.run("run", "--rm", "-T", "admin", "labs", "create", name, "--json"))
        printed = stack.run("run", "--rm", "-T", "admin", "access", "lab", name, "--servers", stack.kafka)
        file = secrets / f"client-{name}.properties"
        file.write_text(printed.partition("\n\n#")[0])
        self.access = read_access(file)

    def consumer(self, stack: Compose, group: str | None = None) -> KafkaConsumer:
        settings: dict[str, Any] = self.access.kafka_python()
        return KafkaConsumer(bootstrap_servers=stack.kafka, group_id=group, auto_offset_reset="earliest", **settings)


def _token(printed: str) -> str:
    return str(json.loads(printed)["token"])


@pytest.fixture(scope="module")
def labs(stack: Compose, secrets: Path) -> dict[str, Lab]:
    return {name: Lab(stack, secrets, name) for name in ("google", "openai")}


def _https(url: str) -> str:
    return url.replace("http:", "https:")


@pytest.fixture(scope="module")
def client(secrets: Path) -> Iterator[httpx.Client]:
    with httpx.Client(verify=ssl.create_default_context(cafile=secrets / "ca.pem"), timeout=30.0) as client:
        yield client


@pytest.fixture(scope="module")
def told(stack: Compose, labs: dict[str, Lab], client: httpx.Client) -> None:
    """The scenario, published under a key, and the two labs subscribed."""
    events = list(load_scenario("scale-ai-2025").documents())
    sources = [part for source in sorted({event["source"] for event in events}) for part in ("--source", source)]
    publisher = _token(
        stack.run("run", "--rm", "-T", "admin", "keys", "create", "desk", *sources, "--may-retract-claims", "--json")
    )
    for lab in labs.values():
        eventually(partial(_subscribe, stack, client, lab), within_s=20, what="the lab's key is known")
    eventually(partial(_publish, stack, client, publisher, events[0]), within_s=20, what="the publisher's key is known")
    for event in events[1:]:
        assert _publish(stack, client, publisher, event)


def _publish(stack: Compose, client: httpx.Client, key: str, event: dict[str, Any]) -> bool:
    headers = {"authorization": f"Bearer {key}", "content-type": "application/cloudevents+json"}
    return client.post(f"{_https(stack.ingest_url)}/events", json=event, headers=headers).status_code == HTTPStatus.ACCEPTED


def _subscribe(stack: Compose, client: httpx.Client, lab: Lab) -> bool:
    url = f"{_https(stack.alerts_url)}/labs/{lab.name}/subscriptions/desk"
    return client.put(url, json={}, headers={"authorization": f"Bearer {lab.key}"}).is_success


@pytest.mark.usefixtures("told")
def test_a_lab_reads_its_own_alerts_by_a_group_of_its_own(stack: Compose, labs: dict[str, Lab]) -> None:
    consumer = labs["google"].consumer(stack, "google:desk")
    consumer.subscribe(["neutrality.alerts.google"])
    found = eventually(lambda: consumer.poll(timeout_ms=1000), within_s=60, what="alerts in the lab's topic")
    records = [record for batch in found.values() for record in batch]
    assert all(b'"lab":"google"' in record.value for record in records)
    consumer.close()


@pytest.mark.usefixtures("told")
@pytest.mark.parametrize(
    "topic", ["neutrality.alerts.openai", "neutrality.scores", "neutrality.ownership", "neutrality.rejected"]
)
def test_a_lab_is_refused_what_is_anothers(stack: Compose, labs: dict[str, Lab], topic: str) -> None:
    # librdkafka: kafka-python's `poll` of a partition that it may not even see just returns nothing
    settings = {"bootstrap.servers": stack.kafka, "group.id": "google:desk", **labs["google"].access.librdkafka()}
    consumer = confluent_kafka.Consumer(settings)
    own, others = (consumer.list_topics(name, timeout=10).topics[name] for name in ("neutrality.alerts.google", topic))
    consumer.assign([confluent_kafka.TopicPartition(topic, 0, 0)])
    assert consumer.poll(2.0) is None
    consumer.close()
    assert own.error is None
    assert others.error is not None
    assert others.error.code() == confluent_kafka.KafkaError.TOPIC_AUTHORIZATION_FAILED


@pytest.mark.usefixtures("told")
def test_a_lab_is_refused_anothers_group_and_to_write(stack: Compose, labs: dict[str, Lab]) -> None:
    consumer = labs["google"].consumer(stack, "openai:desk")
    consumer.subscribe(["neutrality.alerts.google"])
    with pytest.raises(GroupAuthorizationFailedError):
        consumer.poll(timeout_ms=10_000)
    consumer.close(autocommit=False)
    producer = KafkaProducer(bootstrap_servers=stack.kafka, enable_idempotence=False, **labs["google"].access.kafka_python())
    with pytest.raises(TopicAuthorizationFailedError):
        producer.send("neutrality.alerts.google", b"{}").get(timeout=10)
    producer.close()


@pytest.mark.usefixtures("told")
def test_ingest_is_refused_scores(stack: Compose, secrets: Path) -> None:
    access = read_access(secrets / "ingest.properties")
    with pytest.raises(BrokerUnavailable, match="scores"):
        KafkaReader(Cluster(stack.kafka, access), ["neutrality.scores"], client_id="test")
    producer = KafkaProducer(bootstrap_servers=stack.kafka, enable_idempotence=False, **access.kafka_python())
    with pytest.raises(KafkaError, match=r"(?i)authoriz"):
        producer.send("neutrality.scores", b"{}").get(timeout=10)
    producer.close()


def test_who_is_not_known_or_comes_without_tls_reaches_nothing(stack: Compose, secrets: Path) -> None:
    forged = secrets / "forged.properties"
    forged.write_text((secrets / "ingest.properties").read_text().replace("sasl.password=", "sasl.password=x"))
    for where in (Cluster(stack.kafka), Cluster(stack.kafka, read_access(forged))):
        with pytest.raises(BrokerUnavailable):
            KafkaReader(where, ["neutrality.ownership"], client_id="test")


def test_http_asks_for_a_key_and_answers_over_tls_alone(stack: Compose, client: httpx.Client, labs: dict[str, Lab]) -> None:
    assert client.post(f"{_https(stack.ingest_url)}/events", json={}).status_code == 401
    headers = {"authorization": f"Bearer {labs['google'].key}"}
    assert client.get(f"{_https(stack.alerts_url)}/labs/openai/alerts", headers=headers).status_code == 403
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{stack.ingest_url}/health/live")


def test_the_database_takes_only_tls_and_alerts_role_can_do_no_more_than_its_own(stack: Compose) -> None:
    def psql(statement: str, ssl_mode: str = "require") -> str:
        script = (
            f"PGPASSWORD=$(cat /run/secrets/alerts-database.password) PGSSLMODE={ssl_mode}"
            f' psql -h 127.0.0.1 -U alerts alerts -Atc "{statement}" 2>&1'
        )
        return stack.run("exec", "-T", "postgres", "bash", "-c", script, check=False).strip()

    assert psql("select ssl from pg_stat_ssl where pid = pg_backend_pid()") == "t"
    assert "no pg_hba.conf entry" in psql("select 1", "disable")
    for refused in (
        "create database x",
        "create role x",
        "create table public.x ()",
        "copy pg_class to '/tmp/x'",
        "select * from pg_authid",
    ):
        assert "permission denied" in psql(refused), refused
    assert (
        int(
            psql(
                "select count(*) from pg_stat_ssl s join pg_stat_activity a using (pid) where a.usename = 'alerts' and not s.ssl"
            )
        )
        == 0
    )


@pytest.mark.usefixtures("told")
def test_prometheus_scrapes_every_instance_over_tls(stack: Compose, client: httpx.Client) -> None:
    def all_up() -> bool:
        answer = client.get(f"{_https(stack.prometheus_url)}/api/v1/targets").json()["data"]["activeTargets"]
        assert {target["scrapeUrl"].partition(":")[0] for target in answer} <= {"https"}
        return len(answer) == 8 and {target["health"] for target in answer} == {"up"}

    eventually(all_up, within_s=40, what="every target is up")


def test_applying_the_grants_again_changes_nothing(stack: Compose) -> None:
    command = "neutrality access apply /run/secrets --bootstrap-servers kafka:9091 2>&1"
    again = stack.run("run", "--rm", "-T", "--entrypoint", "sh", "access", "-c", command)
    assert again.count("0 rules added, 0 taken away") == 6
