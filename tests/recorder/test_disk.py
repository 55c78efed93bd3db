"""The disk: how long it lasts, a clean end before it is full, and what is left when it is full all the same."""

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_record import SENSOR, T0, Acquisition, Playing, SteppingClock, blocks, frames

from firmware_host.errors import SessionError
from recorder.config import DiskConfig
from recorder.demux import container_frame_times_ns, read_rows
from recorder.disk import RESERVE, RESERVE_BYTES, DiskGuard, DiskWatch, expected_bytes_per_s, reserved
from recorder.inspect import inspect_session
from recorder.log import read_log
from recorder.record import KitRole, LiveKit
from recorder.run import record_all, seal
from recorder.session import Session, open_session
from recorder.writer import KitLayout

MB = 10**6


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recorder.record.POLL_S", 0)


def kit(**more) -> LiveKit:
    """Two minutes of picture and sound, handed over at once, on a clock that runs when it is read."""
    layout = KitLayout("kit-01", (SENSOR,), size=(64, 48), fps=30, sound_hz=48_000)
    camera, microphone = Playing(frames(300)), Playing(blocks(100))
    acquisition = Acquisition()
    return LiveKit(layout, KitRole("third"), SteppingClock(T0), T0, acquisition, camera, microphone, **more)


def session(root: Path) -> Session:
    return Session(root, "s", ())


def test_before_the_files_have_grown_the_configuration_is_believed():
    guard = DiskGuard(60, 2, expected_bytes_per_s=1 * MB)
    assert guard.look(0, 0, 6000 * MB).minutes == pytest.approx(100)
    assert guard.look(5, 50 * MB, 6000 * MB).minutes == pytest.approx(100)


def test_then_the_growth_of_the_last_minute_counts():
    guard = DiskGuard(60, 2, expected_bytes_per_s=1 * MB)
    for second in range(30):
        room = guard.look(second, second * 2 * MB, 6000 * MB)
    assert room.minutes == pytest.approx(50)
    assert room.state == "warn"
    for second in range(30, 200):
        room = guard.look(second, 60 * MB + (second - 30) * MB // 2, 6000 * MB)
    assert room.minutes == pytest.approx(200)
    assert room.state == "ok"


@pytest.mark.parametrize(
    ("free_mb", "state"), [(4000, "ok"), (3000, "warn"), (121, "warn"), (119, "stop"), (0, "stop")]
)
def test_the_limits_are_in_minutes(free_mb: int, state: str):
    assert DiskGuard(60, 2, 1 * MB).look(0, 0, free_mb * MB).state == state


def test_the_configured_rate_is_that_of_a_simulated_kit(recorded_home: Path):
    """Without picture, whose rate is configured: what the body kit wrote, within a factor of two."""
    opened = open_session(recorded_home)
    device = opened.device("kit-02")
    from firmware_host.schedule import plan
    from firmware_host.simulate import BODY_KIT
    from recorder.run import sensor_layouts

    layout = KitLayout("kit-02", sensor_layouts(plan(BODY_KIT), BODY_KIT), sound_hz=48_000)
    written = (recorded_home / device.file).stat().st_size / (opened.counters["kit-02"]["ticks"] / 60)
    assert 0.5 < expected_bytes_per_s(layout, 0) / written < 2


def test_a_watch_tells_each_worsening_once(tmp_path: Path, monkeypatch):
    free = [10_000 * MB]
    monkeypatch.setattr("recorder.disk.shutil.disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, free[0]))
    watch = DiskWatch(tmp_path, DiskGuard(60, 2, 1 * MB))
    told = []
    for second, left in ((0, 10_000), (1, 3000), (1.5, 0), (2, 3000), (3, 100), (4, 100)):
        free[0] = left * MB
        told.append(watch.check(second))
    assert [room and room.state for room in told] == [None, "warn", None, None, "stop", None]


def test_a_recording_ends_before_the_disk_is_full_and_says_so(tmp_path: Path, monkeypatch, capsys):
    looks = iter([5 * 60, 5 * 60, 5 * 60, 60])
    rate = expected_bytes_per_s(kit().layout, 2_000_000)
    usage = lambda _: shutil._ntuple_diskusage(0, 0, int(next(looks, 60) * rate))  # noqa: E731
    monkeypatch.setattr("recorder.disk.shutil.disk_usage", usage)
    done = seal(session(tmp_path / "s"), record_all(session(tmp_path / "s"), [kit()], {"kit-01": 600}))
    opened = open_session(tmp_path / "s")
    assert opened.sealed
    assert inspect_session(opened).complete
    assert 60 < opened.counters["kit-01"]["ticks"] < 300
    assert any("ended while it can be sealed" in text for text in done.notes)
    assert [e["state"] for e in read_log(tmp_path / "s" / "kit-01.log.jsonl") if e["type"] == "disk"] == [
        "warn",
        "stop",
    ]
    assert "5.0 more minutes" in capsys.readouterr().err
    assert not (tmp_path / "s" / RESERVE).exists()


def test_a_disk_without_room_is_refused_before_anything_is_made(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("recorder.disk.shutil.disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, MB))
    with pytest.raises(SessionError, match="lower stop_minutes under"):
        record_all(session(tmp_path / "s"), [kit()], {"kit-01": 600})
    assert not (tmp_path / "s").exists()


def test_the_reserve_is_real_space_and_is_given_back(tmp_path: Path):
    with reserved(tmp_path):
        assert (tmp_path / RESERVE).stat().st_blocks * 512 >= RESERVE_BYTES
    assert not (tmp_path / RESERVE).exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 5 MB. Root alone can make one; CI is root."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=5m", "none", str(disk)], capture_output=True, check=False
    )
    if mount.returncode:
        if os.environ.get("CI") == "true":
            pytest.fail(f"no small file system could be mounted: {mount.stderr.decode()}")
        pytest.skip("mounting a small file system needs root")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_full_disk_leaves_a_sealed_and_readable_session_and_one_sentence(small_disk: Path):
    """The guard is off: what fills the disk comes from elsewhere, faster than anybody looks."""
    root = small_disk / "s"
    filling = kit(disk=DiskConfig(0, 0))
    rng = np.random.default_rng(0)
    noise = [replace(b, x=rng.integers(-(2**22), 2**22, len(b.x), np.int32)) for b in blocks(100)]
    filling.camera, filling.microphone = Playing([]), Playing(sorted([*frames(300), *noise], key=lambda i: i.t_ns))
    with pytest.raises(SessionError, match=r"the disk is full.*sealed and readable; free space"):
        seal(session(root), record_all(session(root), [filling], {"kit-01": 600}))
    opened = open_session(root)
    report = inspect_session(opened)
    assert opened.sealed
    assert (report.complete, report.recovered) == (False, True)
    frames_left = len(container_frame_times_ns(root / "kit-01.mkv"))
    assert frames_left > 10
    assert len(read_rows(root / "kit-01.mkv", ["microphone"])["microphone"]) > 48_000
    assert not (root / RESERVE).exists()


def test_a_disk_that_has_not_even_the_reserve_is_refused(small_disk: Path):
    (small_disk / "other").write_bytes(bytes(4 * MB))
    with pytest.raises(SessionError, match="has no 4 MB left to record into"):
        record_all(session(small_disk / "s"), [kit(disk=DiskConfig(0, 0))], {"kit-01": 600})
    assert not (small_disk / "s").exists()


def test_a_pulled_card_is_one_sentence_that_says_what_to_run(tmp_path: Path, monkeypatch):
    """EIO from the mux, and a manifest that cannot be written either."""
    real = Session.save
    saves = iter([True, False])

    def save(self: Session) -> None:
        if not next(saves):
            raise OSError(5, "Input/output error")
        real(self)

    monkeypatch.setattr(Session, "save", save)
    monkeypatch.setattr("recorder.log.KitLog.flush", _failing_after(3))
    root = tmp_path / "s"
    with pytest.raises(SessionError, match=r"disk failed \(Input/output error\).*could not be sealed.*syncctl recover"):
        seal(session(root), record_all(session(root), [kit()], {"kit-01": 600}))


def _failing_after(n: int):
    from recorder.log import KitLog

    real, left = KitLog.flush, [n]

    def flush(self: KitLog) -> None:
        left[0] -= 1
        if left[0] < 0:
            self.fault = OSError(5, "Input/output error")
        real(self)

    return flush


def test_a_neighbour_ends_with_the_kit_whose_disk_failed(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("recorder.log.KitLog.flush", _failing_after(3))
    stop = threading.Event()
    recorded = record_all(session(tmp_path / "s"), [kit()], {"kit-01": 6000}, stop)
    assert stop.is_set()
    assert recorded[0].fault is not None
    assert recorded[0].ticks < 600
