"""The command lines of the README and of the first pages are run, in their order, on a small simulated session.

A block under ``<!-- hardware -->`` needs what no test has (a Pi, a GoPro, a clone); one under ``<!-- server -->`` does
not end. Their lines are parsed by `docs/check.py`, as all are.
"""

from __future__ import annotations

import json
import re
import runpy
import shlex
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/start/simulated.md")
BLOCK = re.compile(r"^(?P<mark><!-- (?:hardware|server) -->\n)?```[a-z]*\n(?P<body>.*?)^```", re.S | re.M)
SHORTER = {"--steps 200": "--steps 2", "--steps 20": "--steps 2"}
NOT_RUN = {
    "view": "serves until Ctrl-C; tests/sync/view",
    "serve": "serves until Ctrl-C; tests/recorder/test_serve_api.py",
    "simulate": "takes minutes; tests/recorder/test_many.py",
}


def lines(page: str) -> list[str]:
    """The command lines of a page that can be run here, without `syncctl`."""
    check = runpy.run_path(str(ROOT / "docs" / "check.py"))
    bodies = [b["body"] for b in BLOCK.finditer((ROOT / page).read_text(encoding="utf-8")) if not b["mark"]]
    return [line for body in bodies for line in check["command_lines"](body)]


@pytest.fixture(scope="module")
def aligned(recorded_home: Path, tmp_path_factory: pytest.TempPathFactory, run_syncctl) -> Path:
    """What `record` and `align` make, once for all pages."""
    folder = tmp_path_factory.mktemp("aligned") / "first"
    shutil.copytree(recorded_home, folder)
    result = run_syncctl("align", folder, timeout=230)
    assert result.returncode == 0, result.stderr
    return folder


def recorded_by(aligned: Path, words: list[str], here: Path) -> None:
    """The small session, aligned as a plain `align` does, by the name and person of a line that would record one."""
    folder = here / words[1]
    shutil.copytree(aligned, folder)
    person = words[words.index("--participant") + 1] if "--participant" in words else "p01"
    for path in (folder / "session.json", *(folder / "labels").glob("*.csv")):
        path.write_text(path.read_text().replace('"p01"', f'"{person}"').replace(",p01", f",{person}"))
    for truth in folder.glob("truth.*") if person != "p01" else ():
        truth.unlink()  # it speaks of somebody else
    manifest = json.loads((folder / "session.json").read_text())
    (folder / "session.json").write_text(json.dumps(manifest | {"id": folder.name}))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", PAGES)
def test_every_line_can_be_typed_as_it_stands(page: str, aligned: Path, tmp_path, monkeypatch, run_syncctl):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    done = []
    for line in lines(page):
        words = shlex.split(line, comments=True)
        if words[0] == "record":
            recorded_by(aligned, words, tmp_path)
        elif words[0] not in NOT_RUN and (words[0], len(words)) != ("align", 2):
            for long, short in SHORTER.items():
                line = line.replace(long, short) if re.search(rf"{long}\b", line) else line
            result = run_syncctl(*shlex.split(line, comments=True))
            assert result.returncode == 0, f"syncctl {line}\n{result.stdout}{result.stderr}"
        done.append(line)
    assert len(done) > 5


@pytest.mark.parametrize("page", PAGES)
def test_lines_are_found_and_marked_blocks_are_not_among_them(page: str):
    found = lines(page)
    assert any(line.startswith("record sessions/first --simulate") for line in found)
    assert any(line.startswith("train muscles") for line in found)
    assert not any(line.startswith(("add", "calibrate")) for line in found)
