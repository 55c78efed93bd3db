"""What the pages say can be typed, found and read without the network."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def check() -> dict:
    return runpy.run_path(str(ROOT / "docs" / "check.py"))


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("syncctl align sessions/first --stricter", "--stricter"),
        ("syncctl record", "DIR"),
        ("syncctl kits begin", "begin"),
        ("syncctl tone middle", "middle"),
        ("torchrun -m syncctl train ccau", "--out"),
    ],
)
def test_a_line_that_no_command_would_take_is_found(check: dict, line: str, why: str):
    (said,) = check["command_lines"](line)
    assert why in check["refused"](said.split())


@pytest.mark.parametrize(
    "line",
    ["syncctl view sessions/first", "syncctl tone end --out end.wav", "syncctl redact a --from 1 --to 2 --out b"],
)
def test_a_line_that_is_right_is_taken_and_not_run(check: dict, line: str, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (said,) = check["command_lines"](f"```\n{line}\n```")
    assert check["refused"](said.split()) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_fetches_nothing(tmp_path):
    pytest.importorskip("mkdocs")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    result = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    )
    assert result.returncode == 0, result.stdout + result.stderr
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) > 30
    fetched = (
        r'<(?:script|img|iframe)[^>]+src="https?:[^"]*|<link[^>]+rel="(?:stylesheet|preload)"[^>]+href="https?:[^"]*'
    )
    for page in pages:
        assert re.findall(fetched, page.read_text(encoding="utf-8")) == [], page.name
