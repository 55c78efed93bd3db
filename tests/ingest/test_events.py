"""What a room's sensors say happened, from samples to labels, and from a simulated home to a batch."""

from dataclasses import replace

import numpy as np
import pytest

from ingest.ask import KINDS, Ask, shapes
from ingest.build import build
from ingest.dataset import Clips
from ingest.events import room_labels
from recorder.home import record_home
from recorder.series import Series
from recorder.session import Device, Stream

SECOND = 1_000_000_000
T_NS = np.arange(240, dtype=np.int64) * SECOND // 2


def kit(model: str, track: str) -> Device:
    return Device(
        "kit-01", "kit", "third", "kit-01", "k.mkv", (Stream(f"{model}.{track}", "sensor", 0, 60, model, model),)
    )


def series(names: str, *columns: np.ndarray) -> Series:
    x = np.stack(columns, axis=1).astype(np.float32)
    return Series(T_NS, x, np.ones(len(T_NS), bool), tuple(names.split()), "kit-01")


LUX = np.where(T_NS < 60 * SECOND, 3.0, 200.0)
BRIGHT = series("illuminance infrared_share", LUX, LUX)
DAMP = series("temperature pressure humidity gas", 0 * LUX + 21, LUX, np.where(T_NS < 80 * SECOND, 40.0, 47.0), LUX)
WARM = np.where((T_NS >= 30 * SECOND) & (T_NS < 50 * SECOND), 300.0, 0.0)
NEAR = series("ir1 ir2 ir3 ir4 temperature", WARM, 0 * WARM, 0 * WARM, 0 * WARM, WARM)


def said(device: Device, found: Series) -> list[tuple]:
    rows = room_labels("s", [device], {(device.name, device.streams[0].name): found})
    return [(r["tier"], r["value"], r["t0_ns"] / SECOND, r["t1_ns"] / SECOND, r["source"]) for r in rows]


@pytest.mark.parametrize(
    ("device", "found", "expected"),
    [
        (kit("tsl2591", "light"), BRIGHT, ("environment", "light on", 60, 60, "kit-01.tsl2591")),
        (kit("bme680", "field"), DAMP, ("environment", "humidity up", 80, 80, "kit-01.bme680")),
        (kit("ak9753", "warmth"), NEAR, ("presence", "somebody", 30, 50, "kit-01.ak9753")),
    ],
)
def test_what_happened_is_a_label_with_its_sensor_as_source(device, found, expected):
    assert said(device, found) == [expected]
    assert said(replace(device, role="body"), found) == []  # of a room, not of a body


def test_somebody_who_does_not_leave_is_there_to_the_last_reading():
    ever = series("ir1 ir2 ir3 ir4", *[np.where(T_NS < 30 * SECOND, 0.0, 300.0)] * 4)
    assert said(kit("ak9753", "warmth"), ever) == [("presence", "somebody", 30, 119.5, "kit-01.ak9753")]


@pytest.mark.slow
def test_every_documented_key_arrives_from_a_simulated_session(tmp_path, inline, run_syncctl):
    folder = tmp_path / "s"
    record_home(folder, duration_s=10, fast=True, seed=1, width=64, height=48, workers=1)
    assert run_syncctl("align", folder).returncode == 0
    out = build([folder], tmp_path / "out", inline).out
    ask = Ask(tuple(k for k in KINDS if k != "features"), frames=5, size=32, audio_rows=50, stride_ns=SECOND)
    clips = Clips(out, "train", ask)
    item = clips[len(clips) // 2]
    expected = shapes(ask, clips.dataset.info)
    assert {k: (tuple(item[k].shape), str(item[k].dtype)[6:]) for k in expected} == expected
    masks = (
        "ego_valid",
        "third_valid",
        "audio_valid",
        "environment_valid",
        "thermal_valid",
        "imu_valid",
        "presence_valid",
    )
    for mask in (*masks, "tracks_valid", "tracks_joints", "box_valid", "atomic_valid", "events_valid"):
        assert item[mask].any(), mask
    for key in ("ego", "third", "audio", "environment", "thermal", "imu", "boxes", "tracks", "graph"):
        assert item[key].any(), key
    assert int(item["activity"]) >= 0
