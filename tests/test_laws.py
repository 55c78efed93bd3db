"""The laws of the house are checked, and the check can fail."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

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
