"""docs/metrics.md tells of the metrics that there are, and metrics keep to the conventions."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from neutrality.verification.metrics import VerifyMetrics
from services.alerts.metrics import AlertsMetrics
from services.board.metrics import BoardMetrics
from services.ingest.metrics import IngestMetrics
from services.scoring.metrics import ScoringMetrics

ROOT = Path(__file__).parents[2]
MAKERS = {
    "ingest": IngestMetrics,
    "scoring": ScoringMetrics,
    "alerts": AlertsMetrics,
    "board": BoardMetrics,
    "neutrality_verify": VerifyMetrics,
}


def test_the_document_is_what_the_code_says() -> None:
    command = [sys.executable, "docs/metrics_document.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("prefix", MAKERS)
def test_names_begin_with_their_service_and_every_series_is_there_from_the_start(prefix: str) -> None:
    registry = CollectorRegistry()
    MAKERS[prefix](registry)
    metrics = list(registry.collect())
    assert metrics
    for metric in metrics:
        assert re.fullmatch(rf"({prefix}|neutrality)_[a-z0-9_]+", metric.name)
        assert metric.documentation.endswith(".")
        assert metric.samples, f"{metric.name} has no series"
