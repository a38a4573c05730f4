"""`python -m neutrality.telemetry.probe SERVICE`: whether the service beside it says that it is ready. What containers' health checks run.

Only the standard library, since it is started every few seconds. Exit codes: 0 ready, 1 not, 2 wrong usage.
"""

import os
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

TIMEOUT_S: Final = 4.0


@dataclass(frozen=True, slots=True)
class Probe:
    """Where a service tells that it is ready, and what its answer must have in it. Its variables are those of its settings."""

    port_variable: str
    port: int
    path: str
    needed: bytes = b""
    certificate_variable: str = ""


PROBES: Final[Mapping[str, Probe]] = {
    "ingest": Probe("INGEST_PORT", 8801, "/health/ready", certificate_variable="INGEST_TLS_CERT_FILE"),
    "alerts": Probe("ALERTS_PORT", 8802, "/health/ready", certificate_variable="ALERTS_TLS_CERT_FILE"),
    "board": Probe("BOARD_PORT", 8800, "/health/ready", certificate_variable="BOARD_TLS_CERT_FILE"),
    # its exporter answers every path; the gauge tells when it holds its partitions
    "scoring": Probe(
        "SCORING_METRICS_PORT", 8803, "/metrics", b"\nscoring_ready 1.0", certificate_variable="SCORING_TLS_CERT_FILE"
    ),
}


def url_of(probe: Probe, environment: Mapping[str, str]) -> str:
    """Where to ask, on loopback."""
    scheme = "https" if environment.get(probe.certificate_variable) else "http"
    return f"{scheme}://127.0.0.1:{environment.get(probe.port_variable) or probe.port}{probe.path}"


def is_ready(url: str, needed: bytes) -> bool:
    """Whether it answers with success, and with the needed bytes in it. A certificate is not looked at: it is this host's own."""
    context = ssl._create_unverified_context() if url.startswith("https:") else None  # noqa: S323, SLF001 - loopback
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S, context=context) as answer:  # noqa: S310 - http or https, see url_of
            return needed in answer.read()
    except (OSError, urllib.error.HTTPError):
        return False


def main(arguments: list[str]) -> int:
    """Returns the exit code."""
    if len(arguments) != 1 or arguments[0] not in PROBES:
        sys.stderr.write(f"probe: name one of {', '.join(PROBES)}\n")
        return 2
    probe = PROBES[arguments[0]]
    return 0 if is_ready(url_of(probe, os.environ), probe.needed) else 1  # noqa: TID251 - as the services' own settings do


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
