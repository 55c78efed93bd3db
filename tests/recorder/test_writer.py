"""A kit's file and log, from hand-made frames, sound and readings."""

from pathlib import Path

import numpy as np
import pytest
from probing import probe

from firmware_host.clock import tick_ns
from firmware_host.spec import Channel, Flag, Reading, TrackSpec
from recorder.camera import H264Encoder
from recorder.demux import read_rows
from recorder.inspect import inspect_session, table
from recorder.log import read_log
from recorder.microphone import SoundBlock
from recorder.mux import EncodedFrame
from recorder.samples import frame_times_ns, read_sound
from recorder.session import Device, Session, open_session
from recorder.writer import KitLayout, KitWriter, SensorLayout

T0 = 50_000_000_000
VALUE = TrackSpec("value", (Channel("v", "lux"),))
LAYOUT = KitLayout(
    "kit-01", (SensorLayout("light", "tsl2591", (VALUE,), period=6),), size=(64, 48), fps=30, sound_hz=48_000
)
SECONDS = 8


def frames(n: int, start_ns: int = T0) -> list[EncodedFrame]:
    encoder = H264Encoder(64, 48, 30, 100_000)
    grey = np.full((72, 64), 128, np.uint8)
    return [encoder.encode(grey, start_ns + k * 33_333_337) for k in range(n)]


def record(folder: Path, *, close: bool = True, skip_frames: range = range(0)) -> Session:
    writer = KitWriter(LAYOUT, folder / "kit-01.mkv", folder / "kit-01.log.jsonl", T0)
    encoded = frames(30 * SECONDS, T0 + 3_000_001)
    for tick in range(0, SECONDS * 60, 6):
        planned = tick_ns(T0, tick)
        flag = Flag.NACK if tick == 60 else Flag.FRESH
        counts = None if flag is Flag.NACK else ((tick,),)
        writer.readings([Reading("light", tick, planned + 90_000, planned, planned + 50_000, counts, flag)])
        for k in range(tick // 2, tick // 2 + 3):
            if k not in skip_frames:
                writer.video(encoded[k])
        rate = 48_000 * (1 + 30e-6)
        for first in range(tick * 800, (tick + 6) * 800, 960):
            writer.sound(SoundBlock(first, np.full(960, first, np.int32), T0 + 7_000_000 + round(first * 1e9 / rate)))
        writer.advance(tick + 6)
    if writer.waiting_for_camera:
        writer.open_without_camera()
        writer.advance(SECONDS * 60)
    fit = writer.close() if close else None
    device = Device("kit-01", "kit", "third", "kit-01", "kit-01.mkv", writer.streams(fit), log="kit-01.log.jsonl")
    receipt = {"devices": {"kit-01": {"ticks": writer.ticks}}}
    session = Session(folder, "s", (device,), sealed=close, counters={"kit-01": dict(writer.counters)}, receipt=receipt)
    session.save()
    return open_session(folder)


def test_each_stream_comes_back_with_its_times(tmp_path: Path):
    session = record(tmp_path)
    kit = session.device("kit-01")
    rows = read_rows(tmp_path / "kit-01.mkv", ["light.value", "light.timing"])
    assert rows["light.value"][::6, 0].tolist()[:10] == [0, 6, 12, 18, 24, 30, 36, 42, 48, 54]
    assert rows["light.value"][60, 0] == 54, "the NACK at tick 60 holds the value before it"
    assert rows["light.timing"][6].tolist() == [90, 50, Flag.FRESH]
    times = frame_times_ns(session, kit)
    assert len(times) == 30 * SECONDS
    assert np.abs(times - (T0 + 3_000_001 + np.arange(30 * SECONDS) * 33_333_337)).max() < 1_000
    sound = read_sound(session, kit)
    assert abs(sound.t0_ns - (T0 + 7_000_000)) < 1_000
    assert sound.rate_hz == pytest.approx(48_000 * (1 + 30e-6), abs=1e-3)


def test_each_timing_track_says_in_the_file_what_its_columns_are(tmp_path: Path):
    record(tmp_path)
    path = tmp_path / "kit-01.mkv"
    named = {s["tags"]["title"]: s["tags"]["CHANNELS"].split(",") for s in probe(path) if "CHANNELS" in s["tags"]}
    rows = read_rows(path, ["light.timing", "camera.timing"])
    reading = dict(zip(named["light.timing"], rows["light.timing"][6].tolist(), strict=True))
    assert reading == {"midpoint": 90, "deviation": 50, "flag": Flag.FRESH}
    frame = dict(zip(named["camera.timing"], rows["camera.timing"][45].tolist(), strict=True))
    assert frame == {"seconds": 1, "microseconds": 500_000, "flag": Flag.FRESH}


def test_inspect_counts_what_was_missed_and_how_late(tmp_path: Path):
    report = inspect_session(record(tmp_path, skip_frames=range(40, 45)))
    assert report.complete
    assert report.lost_s == 0
    light = next(s for s in report.streams if s.name == "light.timing")
    assert (light.missed, light.flags["NACK"], light.flags["FRESH"]) == (1, 1, 79)
    assert light.held == SECONDS * 60 - 80
    assert light.deviation_ms == {"mean_abs": 0.05, "p99": 0.05, "p999": 0.05, "max": 0.05}
    camera = next(s for s in report.streams if s.kind == "video")
    assert camera.missed == 5
    gaps = [e for e in read_log(tmp_path / "kit-01.log.jsonl") if e["type"] == "gap"]
    assert len(gaps) == 1


def test_an_interrupted_recording_is_read_and_said_to_be_one(tmp_path: Path):
    session = record(tmp_path, close=False)
    report = inspect_session(session)
    assert not report.complete
    assert "interrupted" in report.warnings[0]
    assert 0 < report.lost_s < 1
    sound = read_sound(session, session.device("kit-01"))
    assert sound.rate_hz == pytest.approx(48_000 * (1 + 30e-6), abs=0.05), "the log knows the microphone's rate"
    assert abs(frame_times_ns(session, session.device("kit-01"))[0] - (T0 + 3_000_001)) < 1_000


def test_a_kit_whose_camera_gave_nothing_is_still_told_stream_by_stream(tmp_path: Path):
    report = inspect_session(record(tmp_path, skip_frames=range(30 * SECONDS)))
    assert not report.complete
    assert any("camera recorded nothing" in w for w in report.warnings)
    light = next(s for s in report.streams if s.name == "light.timing")
    assert light.flags["FRESH"] == 79


def test_frames_before_the_first_keyframe_are_passed_over_and_readings_wait(tmp_path: Path):
    writer = KitWriter(LAYOUT, tmp_path / "k.mkv", tmp_path / "k.jsonl", T0)
    writer.readings([Reading("light", 0, T0, T0, T0, ((42,),), Flag.FRESH)])
    writer.advance(30)
    early = frames(45, T0 - 500_000_000)  # begins half a second before tick 0; next keyframe at frame 30
    for frame in early:
        writer.video(frame)
    writer.advance(32)
    writer.close()
    rows = read_rows(tmp_path / "k.mkv", ["light.value", "camera.timing"])
    assert len(rows["camera.timing"]) == 15
    assert rows["light.value"][:, 0].tolist() == [42] * 32


def test_a_reading_that_comes_after_its_tick_was_packed_is_counted(tmp_path: Path):
    layout = KitLayout("kit-02", LAYOUT.sensors)
    writer = KitWriter(layout, tmp_path / "k.mkv", tmp_path / "k.jsonl", T0)
    writer.readings([Reading("light", 0, T0, T0, T0, ((1,),), Flag.FRESH)])
    writer.advance(8)
    writer.readings([Reading("light", 6, T0, T0, T0, ((1,),), Flag.FRESH)])
    assert writer.counters["readings.too_late"] == 1
    assert writer.counters["light.LOST"] == 1
    writer.close()
    timing = read_rows(tmp_path / "k.mkv", ["light.timing"])["light.timing"]
    assert timing[6].tolist() == [0, 0, Flag.LOST]


def test_the_constant_of_a_microphone_stays_in_the_file_and_is_taken_off_in_reading(tmp_path: Path):
    layout = KitLayout("kit-01", (), sound_hz=48_000)
    writer = KitWriter(layout, tmp_path / "kit-01.mkv", tmp_path / "kit-01.log.jsonl", T0)
    wave = np.rint(400_000 + 50_000 * np.sin(np.arange(96_000) * 0.1)).astype(np.int32)
    wave[30_000:40_000] = 0  # lost
    for first in range(0, 96_000, 960):
        writer.sound(SoundBlock(first, wave[first : first + 960], T0 + first * 10**9 // 48_000))
    fit = writer.close()
    kit = Device("kit-01", "kit", "third", "kit-01", "kit-01.mkv", writer.streams(fit))
    session = Session(tmp_path, "s", (kit,), sealed=True)
    assert read_rows(tmp_path / "kit-01.mkv", ["microphone"])["microphone"][:, 0].tolist() == wave.tolist()
    x = read_sound(session, kit).x
    assert abs(x[x != 0].mean()) < 1e-4
    assert not x[30_000:40_000].any(), "silence has no constant to take off"
    assert np.abs(x).max() == pytest.approx(50_000 / 2**23, rel=0.01)


def test_inspect_says_what_became_of_the_cameras_pictures(tmp_path: Path):
    session = record(tmp_path)
    session.counters["kit-01"] |= {"camera.made": 262, "camera.encoded": 260, "camera.passed_over": 20}
    lines = table(session, inspect_session(session))
    assert lines[-1].startswith("kit-01 camera: 262 pictures made, 260 encoded, 240 in the file, 20 passed over")
    assert lines[-1].endswith("2 lost")


def test_a_keyframe_without_headers_does_not_begin_the_file(tmp_path: Path):
    writer = KitWriter(LAYOUT, tmp_path / "k.mkv", tmp_path / "k.jsonl", T0)
    encoded = frames(61)
    bare = EncodedFrame(b"\0\0\0\1\x65" + encoded[0].data[-200:], encoded[0].t_ns, keyframe=True)
    for frame in [bare, *encoded[1:]]:
        writer.video(frame)
    writer.close()
    assert writer.counters["camera.passed_over"] == 30
    assert len(read_rows(tmp_path / "k.mkv", ["camera.timing"])["camera.timing"]) == 31
