"""Recordings as other makers' devices write them, with times and values that a test knows."""

from __future__ import annotations

import gzip
import json
import struct
import tempfile
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from recorder.mux import write_mp4

SIZE = (64, 48)
FPS = 10
FRAMES = 30
START_NS = 1_760_676_788_219_000_000


def film(path: Path) -> Path:
    """A short film with sound."""
    path.write_bytes(_film())
    return path


@cache
def _film() -> bytes:
    rng = np.random.default_rng(0)
    pictures = (np.full((SIZE[1], SIZE[0], 3), 8 * k % 256, np.uint8) for k in range(FRAMES))
    sound = 0.1 * rng.standard_normal(FRAMES * 48_000 // FPS).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        write_mp4(path, pictures, fps=FPS, size=SIZE, sound=sound)
        return path.read_bytes()


# XDF


def chunk(tag: int, body: bytes, stream: int | None = None) -> bytes:
    """A chunk with a length of four bytes."""
    inside = struct.pack("<H", tag) + (b"" if stream is None else struct.pack("<I", stream)) + body
    return struct.pack("<BI", 4, len(inside)) + inside


def header(name: str, kind: str, rate_hz: float, channels: Sequence[str]) -> bytes:
    """A stream's header."""
    told = "".join(f"<channel><label>{c}</label><unit>V</unit></channel>" for c in channels)
    return (
        f'<?xml version="1.0"?><info><name>{name}</name><channel_count>{len(channels)}</channel_count>'
        f"<nominal_srate>{rate_hz}</nominal_srate><channel_format>{kind}</channel_format>"
        f"<desc><channels>{told}</channels></desc></info>"
    ).encode()


def samples(times: Sequence[float | None], values: np.ndarray) -> bytes:
    """A chunk of numbers; a time of None is left to the reader."""
    rows = (_stamp(t) + v.tobytes() for t, v in zip(times, values, strict=True))
    return struct.pack("<BI", 4, len(times)) + b"".join(rows)


def texts(rows: Iterable[tuple[float, str]]) -> bytes:
    """A chunk of texts of one channel."""
    made = [(_stamp(t), v.encode()) for t, v in rows]
    return struct.pack("<BB", 1, len(made)) + b"".join(s + struct.pack("<BB", 1, len(v)) + v for s, v in made)


def xdf_file(path: Path, chunks: Iterable[bytes]) -> Path:
    """A file of these chunks, with a boundary after each."""
    boundary = chunk(5, bytes.fromhex("43a546dccbf5410fb30ed5467383cbe4"))
    path.write_bytes(b"XDF:" + chunk(1, b"<info/>") + b"".join(c + boundary for c in chunks))
    return path


def _stamp(t: float | None) -> bytes:
    return b"\0" if t is None else struct.pack("<Bd", 8, t)


def lab(path: Path) -> Path:
    """A source at 100 Hz whose clock is 1000.25 s behind the recorder's, and markers; ten seconds."""
    t = 50 + np.arange(1000) / 100
    x = np.column_stack([np.sin(t), np.cos(t)]).astype("<f4")
    made = [chunk(2, header("Force plate", "float32", 100, ["left", "right"]), 1)]
    made.append(chunk(2, header("Markers", "string", 0, ["text"]), 2))
    for k in range(10):
        made.append(chunk(4, struct.pack("<dd", 50.0 + k, 1000.25), 1))
        made.append(chunk(3, samples(t[100 * k : 100 * k + 100].tolist(), x[100 * k : 100 * k + 100]), 1))
    made.append(chunk(4, struct.pack("<dd", 50.0, 1000.25), 2))
    made.append(chunk(3, texts([(52.5, "begin"), (57.5, "end")]), 2))
    return xdf_file(path, made)


# Neon


def neon(folder: Path, *, scene: bool = True) -> Path:
    """What the Companion app writes: gaze at 200 Hz that moves right by a pixel a sample, an IMU, blinks, events."""
    folder.mkdir()
    (folder / "info.json").write_text(json.dumps({"start_time": START_NS, "module_serial_number": "1"}))
    frames_ns = START_NS + 500_000_000 + np.arange(FRAMES) * 100_000_000 + np.arange(FRAMES) % 3 * 1_000_000
    if scene:
        film(folder / "Neon Scene Camera v1 ps1.mp4")
        frames_ns.astype("<i8").tofile(folder / "Neon Scene Camera v1 ps1.time")
    t = START_NS + 500_000_000 + np.arange(600) * 5_000_000
    gaze = np.column_stack([np.arange(600), np.full(600, 24)]).astype("<f4")
    worn = np.full(600, 255, np.uint8)
    worn[100:110] = 0
    (folder / "gaze.dtype").write_text('[\n("x", "float32"),\n("y", "float32"),\n]')
    _parts(folder, "gaze", t, gaze.view("<f4"), 400)
    _parts(folder, "worn", None, worn, 400)
    imu = np.zeros(300, [("timestamp_ns", "<i8"), ("gyro_x", "<f4"), ("accel_z", "<f4")])
    imu["timestamp_ns"] = t[::2]
    imu["gyro_x"], imu["accel_z"] = 180.0, 1.0
    (folder / "imu.dtype").write_text('[("timestamp_ns", "int64"), ("gyro_x", "float32"), ("accel_z", "float32"),]')
    _parts(folder, "imu", t[::2], imu, 300)
    blinks = np.zeros(1, [("event_type", "<i4"), ("start_timestamp_ns", "<i8"), ("end_timestamp_ns", "<i8")])
    blinks["start_timestamp_ns"], blinks["end_timestamp_ns"] = t[100], t[110]
    fields = '("event_type", "int32"), ("start_timestamp_ns", "int64"), ("end_timestamp_ns", "int64")'
    (folder / "blinks.dtype").write_text(f"[{fields}]")
    _parts(folder, "blinks", t[110:111], blinks, 1)
    (folder / "event.txt").write_text("recording.begin\n")
    np.array([START_NS], "<i8").tofile(folder / "event.time")
    return folder


def _parts(folder: Path, stem: str, t_ns: np.ndarray | None, records: np.ndarray, each: int) -> None:
    for k, start in enumerate(range(0, len(records), each), 1):
        records[start : start + each].tofile(folder / f"{stem} ps{k}.raw")
        if t_ns is not None:
            t_ns[start : start + each].astype("<i8").tofile(folder / f"{stem} ps{k}.time")


def neon_export(folder: Path) -> Path:
    """The same as Pupil Cloud exports it."""
    folder.mkdir()
    (folder / "info.json").write_text(json.dumps({"start_time": START_NS}))
    film(folder / "scene.mp4")
    frames = [START_NS + 500_000_000 + k * 100_000_000 for k in range(FRAMES)]
    (folder / "world_timestamps.csv").write_text("timestamp [ns]\n" + "".join(f"{t}\n" for t in frames))
    rows = [(START_NS + 500_000_000 + k * 5_000_000, k) for k in range(600)]
    head = "section id,timestamp [ns],gaze x [px],gaze y [px]\n"
    (folder / "gaze.csv").write_text(head + "".join(f"s,{t},{k}.5,{'' if k == 7 else 24}\n" for t, k in rows))
    (folder / "events.csv").write_text(f"recording id,timestamp [ns],name,type\nr,{frames[5]},clap,recording\n")
    return folder


# Tobii


def glasses3(folder: Path) -> Path:
    """Glasses 3: gaze at 50 Hz that goes from left to right, and an IMU."""
    folder.mkdir()
    about = {"scenecamera": {"file": "scenevideo.mp4"}, "gaze": {"file": "gazedata.gz"}, "imu": {"file": "imudata.gz"}}
    (folder / "recording.g3").write_text(json.dumps(about))
    film(folder / "scenevideo.mp4")
    gaze = [
        {"type": "gaze", "timestamp": k / 50, "data": {"gaze2d": [k / 150, 0.5]} if k != 9 else {}} for k in range(150)
    ]
    _lines(folder / "gazedata.gz", gaze)
    imu: list[dict] = [
        {"type": "imu", "timestamp": k / 100, "data": {"accelerometer": [0, -9.8, 0], "gyroscope": [90, 0, 0]}}
        for k in range(300)
    ]
    imu += [{"type": "imu", "timestamp": k / 10, "data": {"magnetometer": [50, 0, 0]}} for k in range(30)]
    _lines(folder / "imudata.gz", imu)
    return folder


def glasses2(folder: Path, segments: int = 1) -> Path:
    """Glasses 2: the clock of `ts` is 7 s ahead of the video's, and 1000 ppm fast."""
    for s in range(1, segments + 1):
        segment = folder / "segments" / str(s)
        segment.mkdir(parents=True)
        film(segment / "fullstream.mp4")
        ts = [7_000_000 + round(k * 20_000 * 1.001) for k in range(150)]
        rows: list[dict] = [{"ts": ts[0], "s": 0, "vts": 0}, {"ts": 7_000_000 + 2_002_000, "s": 0, "vts": 2_000_000}]
        for k, t in enumerate(ts):
            rows.append({"ts": t, "s": int(k == 9), "gidx": k, "l": 1, "gp": [k / 150, 0.5]})
            rows.append({"ts": t, "s": 0, "gy": [90.0, 0, 0]})
            rows.append({"ts": t, "s": 0, "pd": 3.1, "eye": "left"})
        _lines(segment / "livedata.json.gz", rows)
    return folder


def _lines(path: Path, rows: Iterable[dict]) -> None:
    path.write_bytes(gzip.compress("".join(json.dumps(r) + "\n" for r in rows).encode(), mtime=0))
