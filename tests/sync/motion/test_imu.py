"""Where turning is recorded: a BNO055's rows, with raw values or without; an eye tracker's IMU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from firmware_host.spec import Channel, Flag
from recorder import samples
from recorder.session import Device, Session, Stream, open_session
from sync.add import add_file
from sync.filmed import filmed
from sync.motion import imu
from tests.sync.importers.made_recordings import neon

NEON = Path(__file__).parents[3].parent / "shared" / "data" / "neon" / "demo_recording"
RATE = np.array([0.4, -0.9, 0.3])
TICKS = 240


def stream(track: str) -> Stream:
    return Stream(f"head.{track}", "sensor", 7_000_000_000, 60.0, "head", "bno055", channels=(Channel("x", "1"),))


def kit(*tracks: str) -> Device:
    timing = Stream("head.timing", "timing", 7_000_000_000, 60.0, "head")
    return Device("kit-02", "kit", "body", "kit-02", "kit-02.mkv", (*map(stream, tracks), timing))


@pytest.fixture
def rows(monkeypatch):
    """What the file of a kit holds: a BNO055 read at every third tick, 2 ms after it, turning evenly."""
    fresh = np.arange(TICKS) % 3 == 0
    timing = np.zeros((TICKS, 3), np.int32)
    timing[:, 2] = np.where(fresh, Flag.FRESH, Flag.STALE)
    timing[fresh, 0] = 2000
    at_s = (np.arange(TICKS) // 3 * 3 / 60)[:, None] * RATE
    quaternion = np.rint(Rotation.from_rotvec(at_s).as_quat(scalar_first=True) * 2**14).astype(np.int32)
    rotation = np.tile(np.rint(np.degrees(RATE) * 16).astype(np.int32), (TICKS, 1))
    held = {"head.timing": timing, "head.quaternion": quaternion, "head.rotation": rotation}
    monkeypatch.setattr(samples, "read_rows", lambda _, names: {n: held[n] for n in names if n in held})
    return held


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize("tracks", [("quaternion",), ("quaternion", "rotation")])
def test_a_kit_s_imu_turns_as_it_did(tracks, tmp_path):
    session = Session(tmp_path, "s", (kit(*tracks),))
    ((name, found),) = imu.turnings(session, session.devices[0]).items()
    assert name == f"head.{tracks[-1]}", "the gyroscope itself, where it was asked for"
    assert found.rate_rad_s == pytest.approx(np.tile(RATE, (len(found.t_ns), 1)), abs=0.01)
    assert found.clock == "kit-02"
    assert found.t_ns[1] - found.t_ns[0] == 50_000_000
    middle_ns = 25_000_000 if tracks[-1] == "quaternion" else 0
    assert found.t_ns[0] == 7_000_000_000 + 2_000_000 - imu.AGE_NS + middle_ns
    assert found.late[0][1] == imu.AGE_SIGMA_NS


def test_a_file_that_lacks_the_track_or_its_timing_knows_nothing(rows, tmp_path):
    session = Session(tmp_path, "s", (kit("quaternion"),))
    del rows["head.timing"]
    assert imu.turnings(session, session.devices[0]) == {}


def test_an_eye_tracker_s_scene_camera_is_a_film_and_one_axis_is_no_turning(tmp_path):
    add_file(tmp_path / "s", neon(tmp_path / "recording"), "neon", name="eye")
    session = open_session(tmp_path / "s")
    device = session.device("eye")
    assert imu.turnings(session, device) == {}, "its IMU has a gyro_x alone"
    seen = filmed(session, device)
    assert (seen.clock, seen.first_row) == ("eye", True)
    assert sum(1 for _ in seen.pictures(64)) == len(seen.t_ns)


@pytest.mark.skipif(not NEON.is_dir(), reason="the shared recordings are not here")
def test_a_real_eye_tracker_s_imu(tmp_path):
    device = add_file(tmp_path / "s", NEON, "neon", name="eye")
    (found,) = imu.turnings(open_session(tmp_path / "s"), device).values()
    assert np.median(np.diff(found.t_ns)) == pytest.approx(9e6, rel=0.2)
    assert 0.02 < np.linalg.norm(found.rate_rad_s.std(axis=0)) < 2


@pytest.mark.parametrize("latency_ns", [None, 12_000_000])
def test_a_measured_latency_is_taken_off_once(monkeypatch, tmp_path, latency_ns):
    rows = np.array([[0, 0, Flag.FRESH], [0, 33_000, Flag.FRESH]])
    monkeypatch.setattr(samples, "read_rows", lambda _, names: dict.fromkeys(names, rows))
    camera = Stream("camera", "video", 5_000_000_000, 30.0, latency_ns=latency_ns, latency_sigma_ns=1_000_000)
    device = Device("kit-01", "kit", "third", "kit-01", "kit-01.mkv", (camera,))
    found = filmed(Session(tmp_path, "s", (device,)), device)
    assert found.t_ns.tolist() == [5_000_000_000 - (latency_ns or 0), 5_033_000_000 - (latency_ns or 0)]
    assert found.first_row == (latency_ns is None)
    assert found.sigma_ns == (1e6 if latency_ns else 0.0)
