"""What the images are made of: every package has a licence that may be shipped, and the list of them is true."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "deploy/bill_of_materials.py"


def test_the_list_of_licences_is_true_and_none_is_one_that_is_not_shipped() -> None:
    done = subprocess.run([sys.executable, SCRIPT, "--check"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_each_image_has_a_bill_of_materials_with_versions_hashes_and_licences() -> None:
    subprocess.run([sys.executable, SCRIPT], cwd=ROOT, capture_output=True, check=True)
    for service in ("ingest", "scoring", "alerts", "board", "tools"):
        document = json.loads((ROOT / f".local/sbom/{service}.cdx.json").read_bytes())
        assert document["bomFormat"] == "CycloneDX"
        assert {"kafka-python", "pydantic"} <= {component["name"] for component in document["components"]}
        for component in document["components"]:
            assert component["purl"].endswith(f"@{component['version']}")
            assert component["licenses"]
            assert all(item["hashes"] for item in component["externalReferences"] if item["type"] == "distribution")


def test_licences_that_are_not_shipped_are_told_from_those_that_are() -> None:
    code = (
        "import runpy, sys; refused = runpy.run_path(sys.argv[1])['NOT_SHIPPED'];"
        "assert all(map(refused.search, ['AGPL-3.0-only', 'GPL-2.0-or-later', 'GNU Affero General Public License v3', 'SSPL-1.0']));"
        "assert not any(map(refused.search, ['LGPL-2.1-or-later', 'MIT', 'MPL-2.0']))"
    )
    subprocess.run([sys.executable, "-c", code, SCRIPT], cwd=ROOT, check=True)
