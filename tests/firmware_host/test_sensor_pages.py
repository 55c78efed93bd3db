"""The pages about sensors say what the code does: tables are not behind, kits can be planned, and the how-to works."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from firmware_host.schedule import plan
from firmware_host.spec import KitConfig, LaneConfig, SensorConfig

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
NEW_FILE = re.compile(r"^`([\w/.]+)`, a new file:\n\n```python\n(.*?)^```", re.S | re.M)
EDITED = re.compile(r"`([\w/.]+)`:\n\n((?:```diff\n.*?^```\n\n?)+)", re.S | re.M)
BLOCK = re.compile(r"^```diff\n(.*?)^```", re.S | re.M)
TOML = re.compile(r"^```toml\n(.*?)^```", re.S | re.M)


def test_the_tables_of_the_sensors_page_are_not_behind():
    spec = importlib.util.spec_from_file_location("docs_sensors", DOCS / "sensors.py")
    page = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(page)
    text = page.PAGE.read_text(encoding="utf-8")
    assert page.written(text) == text, "run: python docs/sensors.py"


def test_the_kits_of_the_wiring_page_can_be_planned():
    blocks = TOML.findall((DOCS / "wiring.md").read_text(encoding="utf-8"))
    assert len(blocks) >= 2
    for block in blocks:
        kit = tomllib.loads(block)
        lanes = tuple(LaneConfig(**lane) for lane in kit["lanes"])
        assert plan(KitConfig(lanes, tuple(SensorConfig(**sensor) for sensor in kit["sensors"])))


def follow(page: str, root: Path) -> None:
    """Do to `root` what a page says: new files, and lines that come and go."""
    for path, code in NEW_FILE.findall(page):
        assert not (root / path).exists()
        (root / path).write_text(code, encoding="utf-8")
    for path, blocks in EDITED.findall(page):
        text = (root / path).read_text(encoding="utf-8")
        for block in BLOCK.findall(blocks):
            lines = block.splitlines(keepends=True)
            old = "".join(line[1:] for line in lines if line[0] in " -")
            new = "".join(line[1:] for line in lines if line[0] in " +")
            assert text.count(old) == 1, f"{path} has not, or not once:\n{old}"
            text = text.replace(old, new)
        (root / path).write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def followed(tmp_path_factory) -> Path:
    """A copy of the room and its tests in which somebody has followed the how-to."""
    root = tmp_path_factory.mktemp("eighth")
    for part in ("firmware_host", "tests/firmware_host"):
        shutil.copytree(ROOT / part, root / part, ignore=shutil.ignore_patterns("__pycache__", "peers"))
    for part in ("pyproject.toml", "tests/conftest.py"):
        shutil.copy(ROOT / part, root / part)
    page = (DOCS / "how-to" / "add-a-sensor.md").read_text(encoding="utf-8")
    assert len(NEW_FILE.findall(page)) == 3
    assert sum(len(BLOCK.findall(blocks)) for _, blocks in EDITED.findall(page)) == page.count("```diff") == 1
    follow(page, root)
    return root


def of_the_eighth(root: Path, files: str, only: str) -> int:
    """Run the tests of the new sensor; how many passed."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", only]
    command += [f"tests/firmware_host/test_{name}.py" for name in files.split()]
    result = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120, check=False)
    passed = re.search(r"(\d+) passed", result.stdout)
    assert result.returncode == 0, result.stdout
    return int(passed[1])


def test_an_eighth_sensor_is_what_the_how_to_says(followed):
    """Its own six tests, nine of the contract, the probe's four."""
    assert of_the_eighth(followed, "tmp117 sensors probe", "tmp117 or no_identity or simulated_chip") >= 19


def test_a_wrong_conversion_of_the_eighth_fails_the_contract(followed):
    driver = followed / "firmware_host" / "sensors" / "tmp117.py"
    right = driver.read_text(encoding="utf-8")
    driver.write_text(right.replace("scale=1 / 128", "scale=1 / 64"), encoding="utf-8")
    try:
        with pytest.raises(AssertionError, match="21\\.5 is nowhere in"):
            of_the_eighth(followed, "sensors", "comes_back and tmp117")
    finally:
        driver.write_text(right, encoding="utf-8")


def test_the_pages_get_the_eighth_by_their_scripts(followed):
    shutil.copytree(DOCS, followed / "docs", ignore=shutil.ignore_patterns("pictures", "__pycache__"))
    for script, page in (("sensors.py", "sensors.md"), ("session_format.py", "reference/session-format.md")):
        command = [sys.executable, f"docs/{script}"]
        subprocess.run(command, cwd=followed, env={**os.environ, "PYTHONPATH": str(followed)}, check=True, timeout=120)
        assert "| tmp117 |" in (followed / "docs" / page).read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_eighth_sensor_gets_over_every_fault(followed):
    assert of_the_eighth(followed, "faults", "tmp117") >= 7


def test_the_how_tos_code_keeps_the_houses_style(followed):
    new = [path for path, _ in NEW_FILE.findall((DOCS / "how-to" / "add-a-sensor.md").read_text(encoding="utf-8"))]
    for order in (["check"], ["format", "--check"]):
        result = subprocess.run(
            [sys.executable, "-m", "ruff", *order, *new], cwd=followed, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stdout + result.stderr
