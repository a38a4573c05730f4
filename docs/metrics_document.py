"""Writes docs/metrics.md from the metrics that the code defines: `make generate`. With `--check`, fails if the file is another."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry, Metric

from neutrality.verification.metrics import VerifyMetrics
from services.alerts.metrics import AlertsMetrics
from services.alerts.survey import ShownScores
from services.board.metrics import BoardMetrics
from services.ingest.metrics import IngestMetrics
from services.scoring.metrics import ScoringMetrics

TARGET: Final = Path(__file__).with_name("metrics.md")
PARTS: Final = {
    "ingest": (IngestMetrics,),
    "scoring": (ScoringMetrics,),
    "alerts": (AlertsMetrics, ShownScores),
    "board": (BoardMetrics,),
    "verify": (VerifyMetrics,),
}
WHERE: Final = {
    "ingest": "`/metrics` of its HTTP port (8801).",
    "scoring": "`/metrics` on `SCORING_METRICS_PORT` (8803); each worker tells of the partitions that it holds.",
    "alerts": "`/metrics` of its HTTP port (8802).",
    "board": "`/metrics` of its HTTP port (8800).",
    "verify": "`neutrality verify --follow --metrics-port`; in compose on 8804.",
}
HEAD: Final = """# Metrics

Generated from the code by `make generate`; a test holds it to it. Every series is there from the start, with the value 0; units are base units.
No label names a lab's own things: its subscriptions, endpoints or keys. What to watch: [the runbook](runbook.md); the rules and dashboards that use
them: [deploy/prometheus](../deploy/prometheus), [deploy/grafana](../deploy/grafana). Histograms carry the trace of an event that had one
(`traceparent`) as exemplars, for scrapers that ask for OpenMetrics.
"""


def document() -> str:
    """The whole file."""
    return HEAD + "".join(_section(name, makers) for name, makers in PARTS.items())


def _section(name: str, makers: Sequence[Any]) -> str:
    registry = CollectorRegistry()
    for make in makers:
        make(registry)
    rows = "".join(sorted(_row(metric, labels) for metric, labels in _metrics(registry)))
    return f"\n## {name}\n\n{WHERE[name]}\n\n| metric | type | labels | meaning |\n|---|---|---|---|\n{rows}"


def _metrics(registry: CollectorRegistry) -> Iterator[tuple[Metric, tuple[str, ...]]]:
    for collector in registry._collector_to_names:  # noqa: SLF001 - the only list of what is registered
        labels = getattr(collector, "LABELS", {})
        for metric in collector.collect():
            yield metric, tuple(labels.get(metric.name) or getattr(collector, "_labelnames", ()))


def _row(metric: Metric, labels: tuple[str, ...]) -> str:
    name = f"{metric.name}_total" if metric.type == "counter" else metric.name
    told = ", ".join(f"`{label}`{_values(metric, label)}" for label in labels)
    return f"| `{name}` | {metric.type} | {told} | {metric.documentation} |\n"


def _values(metric: Metric, label: str) -> str:
    known = sorted({sample.labels[label] for sample in metric.samples if label in sample.labels})
    return f": {', '.join(known)}" if known else ""


def main(arguments: list[str]) -> int:
    """Write, or check."""
    if arguments == ["--check"]:
        if TARGET.read_text(encoding="utf-8") == document():
            return 0
        sys.stderr.write("docs/metrics.md is not what the code says; run `make generate`\n")
        return 1
    TARGET.write_text(document(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
