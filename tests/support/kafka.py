"""The real broker of the test session: one embedded Kafka, started when the first test asks for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from neutrality.broker.embedded import EmbeddedKafka


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedKafka]:
    """A running broker on a free port; tests keep apart by the names of their topics and groups."""
    folder: Path = tmp_path_factory.mktemp("kafka")
    with EmbeddedKafka(data_dir=folder, port=0) as broker:
        yield broker
