"""The publishers' own sample records, for who has them: REGISTER_SAMPLES=<folder with psc, gleif, sec13> pytest <this>.

They are not kept here: docs/guides/registers.md says where they come from. What the connectors do is tested without them in tests/unit/registers.
"""

import os
from collections import Counter
from pathlib import Path

import pytest

from neutrality.registers.connector import Connector
from neutrality.registers.gleif import GleifConnector
from neutrality.registers.psc import PscConnector
from neutrality.registers.sec13 import Sec13Connector

SAMPLES = Path(os.environ.get("REGISTER_SAMPLES", "no-such-folder"))
pytestmark = pytest.mark.skipif(not SAMPLES.is_dir(), reason="REGISTER_SAMPLES names no folder")
CONNECTORS: dict[str, type[Connector]] = {"psc": PscConnector, "gleif": GleifConnector, "sec13": Sec13Connector}

# records, events, refusals by reason
FIGURES: dict[str, tuple[int, int, dict[str, int]]] = {
    "psc/snapshot_lines.jsonl": (20, 71, {"absence-told": 1, "protected-owner": 1, "held-also-through": 1, "totals-differ": 1}),
    "psc/stream_events.jsonl": (4, 17, {"held-also-through": 1}),
    "psc/statement_and_exemptions.jsonl": (2, 0, {"absence-told": 1, "exempt": 1}),
    "gleif/relationships.xml": (10, 2, {"no-interest": 8}),
    "gleif/relationships.json": (10, 2, {"no-interest": 8}),
    "gleif/relationships-delta.xml": (10, 5, {"no-interest": 5}),
    "gleif/relationship-with-quantifier.xml": (1, 1, {}),
    "gleif/exceptions.xml": (10, 0, {"parent-not-told": 10}),
    "gleif/api-direct-parent-relationship.json": (1, 1, {}),
    "gleif/api-ultimate-parent-relationship.json": (1, 1, {}),
    "gleif/api-ultimate-parent-reporting-exception.json": (1, 0, {"parent-not-told": 1}),
    "gleif/api-direct-children.json": (2, 2, {}),
    "sec13/specification-13g.xml": (3, 7, {}),
    "sec13/13d.xml": (3, 7, {"may-be-nested": 1}),
    "sec13/amendment-13g.xml": (3, 7, {"joint-total-repeated": 1}),
    "sec13/exit-13d.xml": (2, 4, {}),
    "sec13/joint-2-13g.xml": (3, 7, {"joint-total-repeated": 1}),
    "sec13/joint-5-13d.xml": (6, 16, {"joint-total-repeated": 4}),
    "sec13/joint-7-13d.xml": (8, 22, {"joint-total-repeated": 6}),
    "sec13/nested-totals-13d.xml": (3, 7, {}),
}


@pytest.mark.parametrize("file", FIGURES)
def test_every_record_is_events_or_a_counted_refusal(file: str) -> None:
    with (SAMPLES / file).open("rb") as source:
        found = list(CONNECTORS[file.partition("/")[0]]().convert(source, "snapshot-2024-11-22"))
    counted = Counter(refusal.reason for one in found for refusal in one.refusals)
    assert (len(found), sum(len(one.events) for one in found), dict(counted)) == FIGURES[file]
    names = [(one.source, one.id) for conversion in found for one in conversion.events]
    assert len(names) == len(set(names))
