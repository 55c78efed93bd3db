"""Recordings that nobody here made, of every kind that is at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recorder.session import open_session
from sync.add import SETTINGS, add_file
from sync.gaze import read_gaze
from sync.importers import kind_of
from sync.importers.found import place, read_events, read_series

DATA = Path(__file__).parents[3].parent / "shared" / "data"
NEON, XDF = DATA / "neon" / "demo_recording", DATA / "xdf"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the shared recordings are not here")


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("neon/demo_recording", "neon"),
        ("xdf/clock_resets.xdf", "xdf"),
        ("gopro/karma.mp4", "gopro"),
        ("gopro/max-heromode.mp4", "gopro"),
    ],
)
def test_each_is_seen_for_what_it_is(path, kind):
    assert kind_of(DATA / path) == kind


def test_neon(tmp_path):
    """By a second reading with NumPy alone: 1788 points at 200 Hz."""
    device = add_file(tmp_path / "s", NEON, name="eye")
    session = open_session(tmp_path / "s")
    gaze = read_gaze(session.path(device.gaze or ""))
    xy = np.fromfile(NEON / "gaze_200hz.raw", "<f4").reshape(-1, 2)
    t = np.fromfile(NEON / "gaze_200hz.time", "<i8")
    np.testing.assert_allclose(gaze.xy_px, xy, atol=6e-4)
    np.testing.assert_array_equal(np.diff(gaze.t_ns), np.diff(t))
    first_picture = np.fromfile(NEON / "Neon Scene Camera v1 ps1.time", "<i8")[0]
    assert gaze.t_ns[0] == t[0] - first_picture
    imu = read_series(session, device, device.stream("imu"))
    assert len(imu.t_ns) == 969
    gravity = np.linalg.norm(imu.x[:, 3:6], axis=1)
    assert 9 < np.median(gravity) < 11, "the head was all but still, so it feels the earth alone"
    told = read_events(session, device, device.stream("events"))
    assert [e.value for e in told] == ["recording.begin", "blink", "blink", "recording.end"]


def test_xdf_with_clock_resets(tmp_path):
    """Readers disagree about this file (-0.03 and 92.9 Hz). Its source was started again and was away for 274 s."""
    device = add_file(tmp_path / "s", XDF / "clock_resets.xdf", name="lab")
    session = open_session(tmp_path / "s")
    eeg = read_series(session, device, device.stream("biosemi"))
    assert len(eeg.t_ns) == 27815
    steps = np.diff(eeg.t_ns) * 1e-9
    assert (steps >= 0).all()
    assert (steps > 0.1).sum() == 1
    assert steps.max() == pytest.approx(273.556, abs=0.001)
    assert [a["answers"] for a in device.settings["biosemi"]["applied"]] == [82, 33]
    with np.load(session.path(place("lab", "biosemi"))) as table:
        assert (np.diff(table["recorded_s"]) < -600_000).sum() == 1, "as recorded its clock fell back"


def test_xdf_streams_without_samples_are_said(tmp_path):
    device = add_file(tmp_path / "s", XDF / "empty_streams.xdf", name="lab")
    assert len(device.streams) == 2
    assert sum("is empty" in n for n in device.settings[SETTINGS]["notes"]) == 2


def test_the_smallest_xdf(tmp_path):
    device = add_file(tmp_path / "s", XDF / "minimal.xdf", name="lab")
    series = read_series(open_session(tmp_path / "s"), device, device.stream("senddatac"))
    np.testing.assert_allclose(series.t_ns * 1e-9, 5.0 + 0.1 * np.arange(9), atol=1e-6)
    assert series.x.shape == (9, 3)
