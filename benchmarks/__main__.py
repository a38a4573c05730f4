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
    reports = [part.run(part.parser().parse_args(form)) for part in (market, throughput, recovery, ingest)]
    found = Report("# Benchmarks\n\n" + "\n".join(report.text for report in reports), all(report.right for report in reports))
    return publish(found, options.output)


if __name__ == "__main__":
    sys.exit(main())
