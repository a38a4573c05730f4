"""docs/guides/producing.md: each of its examples, run against a real Kafka, writes an event that scoring can use."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from neutrality.broker.embedded import EmbeddedKafka
from neutrality.broker.kafka import KafkaReader, ensure_topics
from neutrality.events.cloudevent import event_from_kafka, topic_kind
from neutrality.topics import CONTRACTS, OWNERSHIP
from neutrality.verification.log import read_to_end

GUIDE: Final = Path(__file__).parents[2] / "docs" / "guides" / "producing.md"
EXAMPLES: Final = re.findall(r"^## (\S+)\n\n```(\w+)\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
RUN: Final = {"python": [sys.executable, "-c"], "sh": ["sh", "-c"]}


@pytest.mark.parametrize(("client", "language", "code"), EXAMPLES, ids=[client for client, _, _ in EXAMPLES])
def test_an_example_of_the_guide_writes_an_event_that_can_be_used(
    kafka: EmbeddedKafka, client: str, language: str, code: str
) -> None:
    if language == "sh" and shutil.which(client) is None:
        pytest.skip(f"{client} is not installed")
    ensure_topics(kafka.bootstrap_servers, (OWNERSHIP, CONTRACTS))
    reader = KafkaReader(kafka.bootstrap_servers, (OWNERSHIP.name, CONTRACTS.name), client_id="guide", start="end")
    command = [*RUN[language], code.replace("127.0.0.1:29092", kafka.bootstrap_servers)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    [record] = read_to_end(reader)
    reader.close()
    event = event_from_kafka(record.headers, record.value)
    assert record.key == event.data.subject.encode()
    assert record.topic == f"neutrality.{topic_kind(event)}"


def test_the_guide_has_an_example_for_each_client() -> None:
    assert [client for client, _, _ in EXAMPLES] == ["kafka-python", "confluent-kafka", "kcat"]
