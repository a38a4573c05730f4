"""All that `make bench` measures, in one run on one machine: `python -m benchmarks --output FILE`."""

import sys
from collections.abc import Sequence

from benchmarks import ingest, recovery
from benchmarks.market import __main__ as market
from benchmarks.report import Report, parser_of, publish
from benchmarks.throughput import __main__ as throughput


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables; 0 if everything in them came out right."""
    options = parser_of("Scoring on the real model, one keyed job beside its peers, recovery, ingest.").parse_args(arguments)
    form = ["--quick"] if options.quick else []
    reports: list[Report] = []
    for part in (market, throughput, recovery, ingest):
        reports.append(part.run(part.parser().parse_args(form)))
        if options.output is not None:  # so that what fails later takes nothing with it
            options.output.parent.mkdir(parents=True, exist_ok=True)
            options.output.write_text(_together(reports).text, encoding="utf-8")
    return publish(_together(reports), options.output)


def _together(reports: Sequence[Report]) -> Report:
    text = "# Benchmarks\n\n" + "\n".join(report.text for report in reports)
    return Report(text, all(report.right for report in reports))


if __name__ == "__main__":
    sys.exit(main())
