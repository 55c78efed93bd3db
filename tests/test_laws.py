"""The laws of the house are checked, and the check can fail."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from models import MODELS
from sync.align import METHODS

ROOT = Path(__file__).parents[1]
ROOMS = ("firmware_host", "recorder", "sync", "ingest", "models")


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-c",
        "import sys; from importlinter.cli import lint_imports_command as c; sys.exit(c())",
    ]
    environment = {"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin", "HOME": str(folder)}
    return subprocess.run(
        [*command, "--no-cache"], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def house(tmp_path: Path) -> Path:
    for room in ROOMS:
        shutil.copytree(ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_house_keeps_its_laws(house: Path):
    result = lint(house)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("module", "line", "law"),
    [
        ("firmware_host/clock.py", "import recorder.session", "Law 1"),
        ("recorder/session.py", "import smbus2", "Law 2"),
        ("sync/alignment.py", "import av", "Law 2"),
        ("recorder/pack.py", "import torch", "Law 2"),
        ("firmware_host/sensors/bme680.py", "import firmware_host.sensors.bno055", "Law 3"),
        ("sync/tones.py", "import sync.correlate", "Law 3"),
    ],
)
def test_a_planted_violation_fails(house: Path, module: str, line: str, law: str):
    with (house / module).open("a") as file:
        file.write(f"\n{line}\n")
    result = lint(house)
    assert result.returncode != 0
    assert any(law in text and "BROKEN" in text for text in result.stdout.splitlines()), result.stdout


def test_no_model_and_no_method_is_forgotten_in_its_contract():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    listed = {contract["name"]: set(contract["modules"]) for contract in contracts if "modules" in contract}
    theirs = {"transfer": "it learns on what another model learned"}
    named = {".".join(path.split(".")[:2]) for name, path in MODELS.items() if name not in theirs}
    assert named <= listed["Law 3: models do not know each other"]
    methods = {".".join(match.__module__.split(".")[:2]) for match in METHODS.values()} - {"sync.align"}
    assert methods <= listed["Law 3: methods of synchronisation do not know each other"]


def test_every_model_is_on_the_page_for_users():
    page = (ROOT / "docs" / "how-to" / "train-a-model.md").read_text()
    assert not [name for name in MODELS if f"| `{name}` |" not in page]
