"""What a user meets around a recording: a plan, a bus that is not there, Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from recorder.run import forget
from recorder.session import Device, Session

KIT = """
name = "kit-01"
role = "third"
[[lanes]]
name = "uart"
bus = "uart"
device = "DEVICE"
[[sensors]]
name = "bno055"
model = "bno055"
lane = "uart"
"""


@pytest.fixture
def kit(tmp_path: Path) -> Path:
    path = tmp_path / "kit.toml"
    path.write_text(KIT.replace("DEVICE", str(tmp_path / "ttyMissing")))
    return path


def test_a_dry_run_shows_the_slots_and_writes_nothing(kit: Path, tmp_path: Path, run_syncctl):
    result = run_syncctl("record", tmp_path / "session", "--config", kit, "--dry-run")
    assert result.returncode == 0, result.stderr
    assert "bno055" in result.stdout
    assert "20 Hz" in result.stdout
    assert not (tmp_path / "session").exists()


def test_a_bus_that_is_not_there_is_one_sentence_and_leaves_nothing(kit: Path, tmp_path: Path, run_syncctl):
    result = run_syncctl("record", tmp_path / "session", "--config", kit, "--duration", 5)
    assert result.returncode == 1
    assert len(result.stderr.strip().splitlines()) == 1
    assert "ttyMissing" in result.stderr
    assert not (tmp_path / "session").exists(), "a second try must find the way free"


def test_a_folder_of_something_else_is_refused_and_left_as_it_is(kit: Path, tmp_path: Path, run_syncctl):
    earlier = tmp_path / "sessions" / "earlier"
    earlier.mkdir(parents=True)
    (earlier / "kit-01.mkv").write_bytes(b"dear")
    result = run_syncctl("record", earlier.parent, "--config", kit, "--duration", 5)
    assert result.returncode == 1
    assert f"{earlier.parent} is not empty" in result.stderr
    assert (earlier / "kit-01.mkv").read_bytes() == b"dear"


def test_only_what_a_recording_wrote_is_forgotten(tmp_path: Path):
    device = Device("kit-01", "kit", "third", "kit-01", "kit-01.mkv", (), log="kit-01.log.jsonl")
    session = Session(tmp_path, "s", (device,))
    for name in ("session.json", "kit-01.mkv", "kit-01.log.jsonl", "mine.txt"):
        (tmp_path / name).touch()
    forget(session, session.devices)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_an_activity_that_does_not_exist_leaves_nothing(tmp_path: Path, run_syncctl):
    result = run_syncctl("record", tmp_path / "session", "--simulate", "--activity", "make_tee")
    assert result.returncode == 1
    assert "did you mean 'make_tea'" in result.stderr
    assert not (tmp_path / "session").exists()


def test_ctrl_c_seals_what_was_recorded(tmp_path: Path):
    folder = tmp_path / "session"
    command = [sys.executable, "-m", "syncctl", "record", str(folder), "--simulate", "--duration", "15"]
    process = subprocess.Popen(
        [*command, "--size", "160x96", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    log = folder / "kit-02.log.jsonl"
    deadline = time.monotonic() + 120
    while not (log.exists() and '"tick"' in log.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert json.loads(printed)["counters"]["kit-01"]["ticks"] < 15 * 60
    assert json.loads((folder / "session.json").read_text())["sealed"]
