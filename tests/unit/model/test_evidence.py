from datetime import UTC, datetime

import msgspec
import pytest

from neutrality.events import vocabulary
from neutrality.events.structs import Evidence, EvidenceKind
from neutrality.model.evidence import evidence_document

FILED = datetime(2025, 6, 12, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "evidence",
    [
        Evidence(kind=EvidenceKind.RUMOUR, publisher="A forum"),
        Evidence(
            kind=EvidenceKind.FILING,
            publisher="Companies Registry",
            independent_sources=3,
            url="https://example.org/1",
            published=FILED,
            quote="49 %",
        ),
    ],
)
def test_evidence_reads_as_it_came(evidence: Evidence) -> None:
    contract = vocabulary.Evidence.model_validate_json(msgspec.json.encode(evidence))
    assert evidence_document(evidence) == contract.model_dump(mode="json", exclude_none=True)
