"""`neutrality import` and `neutrality watch`: every record told of, nothing twice, nothing lost."""

import gzip
import json
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from typer.testing import CliRunner, Result

from neutrality.broker.memory import MemoryBroker
from neutrality.cli.exits import Exit
from neutrality.cli.main import app
from neutrality.events.cloudevent import event_from_kafka
from tests.support.ingest import served_ingest, wait_for

TOPIC = "neutrality.ownership"


def record(psc: str, *natures: str, timepoint: int | None = None) -> str:
    data = {
        "etag": f"e-{psc}",
        "kind": "individual-person-with-significant-control",
        "links": {"self": f"/company/01234567/persons-with-significant-control/individual/{psc}"},
        "name": f"Ms {psc}",
        "natures_of_control": natures or ["ownership-of-shares-25-to-50-percent"],
        "notified_on": "2020-01-01",
    }
    if timepoint is None:
        return json.dumps({"company_number": "01234567", "data": data})
    event = {"timepoint": timepoint, "published_at": "2026-01-01T00:00:00", "type": "changed"}
    return json.dumps({"resource_uri": data["links"]["self"], "data": data, "event": event})  # type: ignore[index]


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker()


@pytest.fixture
def url(broker: MemoryBroker) -> Iterator[str]:
    with served_ingest(broker) as found:
        yield found


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["import", *map(str, arguments)], env={"COLUMNS": "200"})


def names(broker: MemoryBroker) -> list[str]:
    return [event_from_kafka(one.headers, one.value).id for one in broker.records(TOPIC)]


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    file = tmp_path / "psc-snapshot-2026-01-01.txt"
    file.write_text("\n".join([record("a"), record("b", "juggling"), "nonsense", record("c")]) + "\n")
    return file


def test_every_record_is_published_or_told_of_and_again_counts_nothing_twice(
    snapshot: Path, broker: MemoryBroker, url: str, tmp_path: Path
) -> None:
    told = tmp_path / "refusals.jsonl"
    first = json.loads(run("psc", snapshot, "--ingest-url", url, "--json", "--refusals", told).output)
    assert (first["records"], first["accepted"], first["duplicates"]) == (4, 12, 0)
    assert first["refusals"] == {"unknown-nature": 1, "not-json": 1}
    assert [json.loads(line)["reason"] for line in told.read_text().splitlines()] == ["unknown-nature", "not-json"]
    again = json.loads(run("psc", snapshot, "--ingest-url", url, "--json").output)
    assert (again["accepted"], again["duplicates"]) == (0, 12)
    assert len(names(broker)) == len(set(names(broker))) == 12


def test_a_dry_run_needs_no_server_and_says_what_would_be(snapshot: Path) -> None:
    result = run("psc", snapshot, "--dry-run")
    assert result.exit_code == Exit.OK
    assert "4 records: 12 events accepted" in result.output
    assert "1 not represented, unknown-nature: line 2 (01234567 b): juggling" in result.output


@pytest.mark.parametrize("kind", ["gz", "zip"])
def test_compressed_files_are_read(snapshot: Path, kind: str, tmp_path: Path) -> None:
    packed = tmp_path / f"{snapshot.name}.{kind}"
    if kind == "gz":
        packed.write_bytes(gzip.compress(snapshot.read_bytes()))
    else:
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(snapshot, snapshot.name)
            archive.writestr("second-2026-01-01.txt", record("d"))
    found = json.loads(run("psc", packed, "--dry-run", "--json").output)
    assert found["records"] == (4 if kind == "gz" else 5)


def test_a_file_that_cannot_be_read_does_not_stop_the_others(snapshot: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken-2026-01-01.zip"
    broken.write_bytes(b"PK\x03\x04 no")
    cut = tmp_path / "cut-2026-01-01.gz"
    cut.write_bytes(gzip.compress(snapshot.read_bytes())[:-20])
    undated = tmp_path / "undated.txt"
    undated.write_text(record("a"))
    result = run("psc", broken, cut, tmp_path / "none", undated, snapshot, "--dry-run", "--json")
    assert result.exit_code == Exit.FAILED
    document = json.loads(result.stdout)
    assert (document["unreadable"], document["records"] >= 4) == (4, True)
    assert "date" in result.stderr


def test_wrong_usage_is_told(snapshot: Path) -> None:
    assert run("club", snapshot, "--dry-run").exit_code == Exit.USAGE
    assert run("psc", snapshot, "--ingest-url", "http://127.0.0.1:1", "--patience", "0").exit_code == Exit.UNREACHABLE


def start(*arguments: object, **environment: str) -> subprocess.Popen[bytes]:
    code = "from neutrality.cli.main import main; main()"
    command = [sys.executable, "-c", code, "watch", *map(str, arguments)]
    return subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


@contextmanager
def watching(*arguments: object, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    process = start(*arguments, **environment)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_what_comes_to_a_folder_is_imported_once_and_again_if_it_changes(broker: MemoryBroker, url: str, tmp_path: Path) -> None:
    folder = tmp_path / "incoming"
    folder.mkdir()
    (folder / "a-2026-01-01.txt").write_text(record("a") + "\n")
    (folder / ".hidden").write_text("no")
    arguments = ("psc", folder, "--ingest-url", url, "--settle", "0.2")
    with watching(*arguments) as process:
        wait_for(lambda: len(names(broker)) == 4, 20)
        (folder / "bad.txt").write_text(record("x"))
        (folder / "b-2026-01-01.txt").write_text(record("b") + "\n")
        wait_for(lambda: len(names(broker)) == 8, 20)
        with (folder / "a-2026-01-01.txt").open("a") as file:
            file.write(record("c") + "\n")
        wait_for(lambda: len(names(broker)) == 12, 20)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == Exit.OK
    with watching(*arguments, "--once") as process:
        assert process.wait(20) == Exit.OK
        assert b"file_imported" not in (process.stdout.read() if process.stdout else b"")
    assert len(set(names(broker))) == 12


class Register:
    """A streaming API: heartbeats, connections that end, and whatever a test asks for."""

    def __init__(self) -> None:
        self.lines = [record(f"p{number}", timepoint=number) for number in range(1, 41)]
        self.asked: list[tuple[str | None, str | None]] = []
        self.answers: list[Callable[[BaseHTTPRequestHandler], bool]] = []

    @contextmanager
    def served(self) -> Iterator[str]:
        register = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked = parse_qs(urlsplit(self.path).query).get("timepoint", [None])[0]
                register.asked.append((asked, self.headers.get("authorization")))
                if register.answers and register.answers.pop(0)(self):
                    return
                self.send_response(200)
                self.end_headers()
                since = int(asked or 0)
                try:
                    # each connection gives ten lines, a heartbeat, and breaks off in the middle of another line
                    for line in register.lines[max(0, since - 1) : since + 10]:
                        self.wfile.write(line.encode() + b"\n\n")
                    self.wfile.write(b'{"resource_uri": "/comp')
                except OSError:
                    pass

            def log_message(self, *_: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/stream"
        finally:
            server.shutdown()
            server.server_close()


def answer(status: int, **headers: str) -> Callable[[BaseHTTPRequestHandler], bool]:
    def send(handler: BaseHTTPRequestHandler) -> bool:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        return True

    return send


def persons(broker: MemoryBroker) -> set[str]:
    return {name.split("/")[1] for name in names(broker) if name.startswith("01234567/")}


def test_a_stream_is_read_on_over_every_break_and_crash(broker: MemoryBroker, url: str, tmp_path: Path) -> None:
    register = Register()
    register.answers = [answer(503), answer(429, Retry_After="0.2")]
    later, register.lines = register.lines[20:], register.lines[:20]
    key = tmp_path / "key"
    key.write_text("secret\n")
    with register.served() as stream:
        arguments = ("psc", stream, "--ingest-url", url, "--state", tmp_path / "position", "--key-file", key)
        with watching(*arguments) as process:
            wait_for(lambda: len(persons(broker)) >= 15, 30)
            process.kill()
            register.lines += later
        with watching(*arguments) as process:
            wait_for(lambda: len(persons(broker)) == 40, 30)
            wait_for(lambda: (tmp_path / "position").read_text() == "40", 10)
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == Exit.OK
            assert b"secret" not in (process.stdout.read() if process.stdout else b"")
    assert len(names(broker)) == len(set(names(broker)))
    assert {authorization for _, authorization in register.asked} == {"Basic c2VjcmV0Og=="}
    assert register.asked[0][0] is None
    assert "40" in {asked for asked, _ in register.asked}


def test_a_gap_and_a_closed_door_end_it_with_what_to_do(url: str, tmp_path: Path) -> None:
    for status, code, word in ((416, Exit.FAILED, b"--from-now"), (401, Exit.USAGE, b"--key-file")):
        register = Register()
        register.answers = [answer(status)] * 9
        (tmp_path / "position").write_text("7")
        with (
            register.served() as stream,
            watching("psc", stream, "--ingest-url", url, "--state", tmp_path / "position") as process,
        ):
            assert process.wait(20) == code
            assert word in (process.stdout.read() if process.stdout else b"")
        assert register.asked == [("7", None)]


def test_nothing_is_lost_while_ingest_is_away(broker: MemoryBroker, tmp_path: Path) -> None:
    register = Register()
    with register.served() as stream:
        with watching("psc", stream, "--ingest-url", "http://127.0.0.1:1", "--state", tmp_path / "position") as process:
            time.sleep(2.0)
            assert process.poll() is None
        assert not (tmp_path / "position").exists()
        with served_ingest(broker) as url, watching("psc", stream, "--ingest-url", url, "--state", tmp_path / "position"):
            wait_for(lambda: len(persons(broker)) == 40, 30)


def test_a_register_without_a_stream_says_so(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["watch", "bods", "http://127.0.0.1:1/", "--state", str(tmp_path / "p")])
    assert result.exit_code == Exit.USAGE
    assert CliRunner().invoke(app, ["watch", "psc", str(tmp_path / "none")]).exit_code == Exit.USAGE
