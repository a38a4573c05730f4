"""What containers' health checks ask, and where."""

import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from neutrality.telemetry.probe import PROBES, main, url_of
from neutrality.telemetry.settings import ServiceSettings
from services.alerts.settings import AlertsSettings
from services.board.settings import BoardSettings
from services.ingest.settings import IngestSettings
from services.scoring.settings import ScoringSettings

SETTINGS: dict[str, type[ServiceSettings]] = {
    "ingest": IngestSettings,
    "alerts": AlertsSettings,
    "board": BoardSettings,
    "scoring": ScoringSettings,
}


class Answering(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"# HELP\nscoring_ready 0.0\n")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        pass


@pytest.fixture
def port() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.mark.parametrize("service", PROBES)
def test_a_service_is_asked_where_its_settings_say(service: str) -> None:
    probe = PROBES[service]
    prefix = str(SETTINGS[service].model_config["env_prefix"])
    names = {prefix + name.upper(): field.default for name, field in SETTINGS[service].model_fields.items()}
    assert names[probe.port_variable] == probe.port
    assert url_of(probe, {probe.port_variable: "9"}) == f"http://127.0.0.1:9{probe.path}"


@pytest.mark.parametrize(("service", "variable", "code"), [("ingest", "INGEST_PORT", 0), ("scoring", "SCORING_METRICS_PORT", 1)])
def test_the_probe_ends_with_what_the_service_says(port: int, service: str, variable: str, code: int) -> None:
    command = [sys.executable, "-m", "neutrality.telemetry.probe", service]
    assert subprocess.run(command, env={variable: str(port)}, check=False).returncode == code


def test_nobody_there_is_not_ready_and_an_unknown_service_is_misuse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INGEST_PORT", "1")
    assert main(["ingest"]) == 1
    assert main(["billing"]) == 2
