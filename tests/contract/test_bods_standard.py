"""The standard's own examples, for who has them: BODS_STANDARD=<checkout of the standard's repository, tag 0.4.0> pytest <this>.

They are not kept here. What the connector does is tested without them in tests/unit/registers; this holds our reading to the standard's.
"""

import io
import os
from collections import Counter
from pathlib import Path

import pytest

from neutrality.registers.bods import BodsConnector
from tests.support.bods import events_of, reasons

STANDARD = Path(os.environ.get("BODS_STANDARD", "no-such-folder"))
pytestmark = pytest.mark.skipif(not STANDARD.is_dir(), reason="BODS_STANDARD names no checkout of the standard")

# statements, entity events, interest events, role events, refusals by reason
EXAMPLES: dict[str, tuple[int, int, int, int, dict[str, int]]] = {
    "bods-package-annotations.json": (3, 2, 0, 0, {"no-interests": 1}),
    "bods-package-entity-owning-entity.json": (3, 2, 1, 0, {}),
    "bods-package-fi-soe.json": (9, 4, 5, 0, {}),
    "bods-package-linking-annotations.json": (3, 2, 1, 0, {}),
    "bods-package.json": (3, 2, 1, 0, {"identifier": 1}),
    "fermcat.json": (23, 13, 10, 7, {"personal-identifier": 10}),
    "full-pep-declaration.json": (3, 2, 2, 0, {"identifier": 1}),
    "indirect-ownership.json": (6, 3, 2, 0, {"identifier": 2, "interest-without-type": 1}),
    "joint-ownership.json": (7, 4, 3, 0, {}),
    "levent.json": (7, 4, 4, 0, {}),
    "listed-company-exempt-from-disclosure.json": (2, 1, 0, 0, {"unspecified-party": 1}),
    "mixed-direct-and-indirect-ownership.json": (6, 3, 3, 0, {"identifier": 2, "interest-without-type": 1}),
    "multiple-indirect-ownership.json": (9, 4, 3, 0, {"identifier": 2, "interest-without-type": 2}),
    "multiple-tax-residencies.json": (3, 2, 1, 0, {"identifier": 1}),
    "mutilple-indirect-ownership-2.json": (9, 4, 3, 0, {"identifier": 3, "interest-without-type": 2}),
    "nomination.json": (8, 4, 3, 1, {}),
    "plc-entity-statement.json": (1, 1, 0, 0, {}),
    "simple-pep-declaration.json": (3, 2, 2, 0, {"identifier": 1}),
    "tecido.json": (11, 4, 14, 4, {"identifier": 2}),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_statement_of_an_official_example_is_an_event_or_a_refusal(name: str) -> None:
    found = list(BodsConnector(STANDARD / "schema").convert(io.BytesIO((STANDARD / "examples" / name).read_bytes())))
    kinds = Counter(type(event).__name__ for event in events_of(found))
    counts = (len(found), kinds["EntityEvent"], kinds["InterestEvent"], kinds["RoleEvent"], dict(Counter(reasons(found))))
    assert counts == EXAMPLES[name]


def test_no_example_is_left_out() -> None:
    assert {path.name for path in (STANDARD / "examples").glob("*.json")} == EXAMPLES.keys()
