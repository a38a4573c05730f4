"""The committed OpenAPI document of alerts is what the code says."""

from pathlib import Path

from services.alerts.http import openapi_document

COMMITTED = Path(__file__).parents[2] / "contracts" / "openapi" / "alerts.json"


def test_the_committed_document_has_not_drifted() -> None:
    assert COMMITTED.read_text(encoding="utf-8") == openapi_document(), "run `make generate`"
