"""Renews what is vendored from npm: `make vendored`. docs/vendored.json says which file of which package goes where, under which licence and digest.

`--check` fails if a file is not the one that the list tells of; it needs no network. Another version: change it in the list, and run this.
"""

import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
LIST: Final = Path(__file__).with_name("vendored.json")


def wrong() -> list[str]:
    """Files that are missing or another, each with what to do."""
    found = []
    for package in json.loads(LIST.read_text(encoding="utf-8")):
        for file in package["files"]:
            path = ROOT / file["to"]
            if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != file["sha256"]:
                found.append(f"{file['to']} is not that of {package['name']} {package['version']}; run `make vendored`")
    return found


def renew() -> None:
    """Fetch every package from the npm registry, and write its files and their digests."""
    packages = json.loads(LIST.read_text(encoding="utf-8"))
    for package in packages:
        with tempfile.TemporaryDirectory() as folder:
            name = f"{package['name']}@{package['version']}"
            subprocess.run(["npm", "pack", "--silent", name], cwd=folder, check=True)  # noqa: S603, S607 - names are ours
            with tarfile.open(next(Path(folder).glob("*.tgz"))) as archive:
                for file in package["files"]:
                    member = archive.extractfile(f"package/{file['from']}")
                    if member is None:
                        raise FileNotFoundError(f"{name} has no {file['from']}")
                    path = ROOT / file["to"]
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(member.read())
                    file["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    LIST.write_text(json.dumps(packages, indent=2) + "\n", encoding="utf-8")


def main() -> int:
    """Renew, or check."""
    if sys.argv[1:] != ["--check"]:
        renew()
        return 0
    problems = wrong()
    sys.stderr.write("".join(f"{problem}\n" for problem in problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
