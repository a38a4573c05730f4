"""`neutrality export bods`."""

import io
from pathlib import Path

import orjson
from typer.testing import CliRunner

from neutrality.cli.main import app
from neutrality.events.cloudevent import event_to_json
from neutrality.registers.bods import BodsConnector
from tests.support.bods import ACME_AND_HOLDERS, converted, events_of


def test_a_vendor_is_written_as_statements_that_are_read_back(tmp_path: Path) -> None:
    log, output = tmp_path / "log.jsonl", tmp_path / "acme.json"
    log.write_bytes(b"\n".join(event_to_json(event) for event in events_of(converted(*ACME_AND_HOLDERS))))
    result = CliRunner().invoke(app, ["export", "bods", "gb-coh:09876543", "--log", str(log), "-o", str(output)])
    assert result.exit_code == 0, result.output
    assert len(orjson.loads(output.read_bytes())) == 6
    back = list(BodsConnector().convert(io.BytesIO(output.read_bytes())))
    assert not [refusal for conversion in back for refusal in conversion.refusals]
    assert "gb-coh:09876543" in {event.data.subject for event in events_of(back)}


def test_a_vendor_that_nobody_knows_fails(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_bytes(b"\n".join(event_to_json(event) for event in events_of(converted(*ACME_AND_HOLDERS))))
    assert CliRunner().invoke(app, ["export", "bods", "nobody", "--log", str(log)]).exit_code == 1
