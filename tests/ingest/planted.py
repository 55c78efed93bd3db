"""Small sessions whose every frame and rotation is known.

Each frame of a video has its number painted in as black and white blocks that survive compression and scaling,
and each body sensor turns about a fixed axis of its own by an angle that is a function of time.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from firmware_host.clockmap import ClockMap
from firmware_host.spec import Channel, Flag
from ingest.targets import MEMBERS
from recorder.mux import EncodedFrame, MatroskaWriter, RowTrack, write_mp4
from recorder.pack import frame_row
from recorder.session import Device, Session, Stream
from sync.alignment import Alignment, GazeMap

SECOND = 1_000_000_000
T0 = 5_000 * SECOND
"""Start of kit-01 on its own clock, the reference."""
BODY = ClockMap.affine("kit-02", "kit-01", origin_ns=77 * SECOND, target_ns=T0 + 12_345_678, skew_ppm=40.0)
HEAD = ClockMap.affine("head", "kit-01", origin_ns=0, target_ns=T0 + 250_000_000, skew_ppm=-25.0)
SIZE = (192, 108)
FPS = 30
SENSORS = sorted({name for members in MEMBERS.values() for name in members})
QUATERNION = tuple(Channel(axis, "1", 1 / 16384) for axis in "wxyz")
MIDPOINT_US = 1_700
LOUD_S = 1.5
GUEST = "guest00"


@dataclass(frozen=True)
class Turning:
    """How the sensors of one person turn: amplitude (degrees) and frequency (Hz) of each."""

    amplitude: np.ndarray
    frequency: np.ndarray
    axis: np.ndarray

    @classmethod
    def of(cls, seed: int) -> Turning:
        random = np.random.default_rng(seed)
        axis = random.normal(size=(len(SENSORS), 3))
        axis /= np.linalg.norm(axis, axis=1, keepdims=True)
        return cls(random.uniform(10, 80, len(SENSORS)), random.uniform(0.1, 0.9, len(SENSORS)), axis)

    def angle(self, sensor: str, t_ns: np.ndarray) -> np.ndarray:
        """(N,) degrees."""
        i = SENSORS.index(sensor)
        return self.amplitude[i] * np.sin(2 * np.pi * self.frequency[i] * ((t_ns - T0) / SECOND))

    def quaternion(self, sensor: str, t_ns: np.ndarray) -> np.ndarray:
        """(N, 4) w, x, y, z."""
        half = np.radians(self.angle(sensor, t_ns)) / 2
        axis = self.axis[SENSORS.index(sensor)]
        return np.column_stack([np.cos(half), np.sin(half)[:, None] * axis])


def painted(number: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """(H, W, 3) uint8: ten bits of `number` in two rows of five blocks."""
    bits = [(number >> bit) & 1 for bit in range(10)]
    blocks = np.array(bits, np.uint8).reshape(2, 5) * 200 + 25
    rows = np.linspace(0, 2, size[1], endpoint=False).astype(int)
    columns = np.linspace(0, 5, size[0], endpoint=False).astype(int)
    return np.repeat(blocks[rows][:, columns, None], 3, axis=2)


def number_in(image: np.ndarray) -> int:
    """The number painted into (H, W, 3) pixels of any size."""
    h, w = image.shape[:2]
    means = [
        image[h * r // 2 + h // 8 : h * (r + 1) // 2 - h // 8, w * c // 5 + w // 20 : w * (c + 1) // 5 - w // 20].mean()
        for r in range(2)
        for c in range(5)
    ]
    return sum(1 << bit for bit, mean in enumerate(means) if mean > 125)


def encoded(count: int, fps: int, t0_ns: int) -> Iterator[EncodedFrame]:
    """H.264 access units of `count` painted frames, a keyframe a second, no B-frames."""
    codec = av.CodecContext.create("libx264", "w")
    codec.width, codec.height, codec.pix_fmt = *SIZE, "yuv420p"
    codec.time_base, codec.framerate, codec.thread_count = Fraction(1, fps), Fraction(fps), 1
    codec.options = {"preset": "ultrafast", "tune": "zerolatency", "x264-params": f"keyint={fps}:scenecut=0:bframes=0"}
    for number in range(count):
        picture = av.VideoFrame.from_ndarray(painted(number), format="rgb24")
        picture.pts = number
        for packet in codec.encode(picture):
            yield EncodedFrame(bytes(packet), t0_ns + number * SECOND // fps, packet.is_keyframe)


def write_camera_kit(path: Path, seconds: int, fps: int = 15) -> tuple[Stream, ...]:
    """A kit with a camera, its timing and one AMG8833."""
    frames = list(encoded(seconds * fps, fps, T0))
    tracks = [
        RowTrack("camera.timing", fps, 3, {}),
        RowTrack("thermal.pixels", 480, 8, {}),
        RowTrack("thermal.timing", 60, 3, {}),
    ]
    writer = MatroskaWriter(path, tracks, first_frame=frames[0], fps=fps)
    ticks = seconds * 60
    fresh = np.arange(ticks) % 6 == 0
    image = np.arange(64).reshape(8, 8) + (np.arange(ticks) // 6)[:, None, None]
    for frame in frames:
        writer.video(frame, frame.t_ns - T0)
        writer.rows("camera.timing", np.array([frame_row(frame.t_ns - T0)], np.int32))
        first, last = (int((frame.t_ns - T0) * 60 // SECOND), int((frame.t_ns - T0) * 60 // SECOND) + 60 // fps)
        writer.rows("thermal.pixels", image[first:last].reshape(-1, 8).astype(np.int32))
        writer.rows("thermal.timing", _timing(fresh[first:last]))
    writer.close()
    pixels = tuple(Channel(f"column{i}", "degC", 0.25) for i in range(8))
    return (
        Stream("camera", "video", T0, fps, size=SIZE),
        Stream("camera.timing", "timing", T0, fps),
        Stream("thermal.pixels", "sensor", T0, 480, "thermal", "amg8833", 8, pixels, 10),
        Stream("thermal.timing", "timing", T0, 60, "thermal", "amg8833"),
    )


def write_body_kit(path: Path, seconds: int, turning: Turning, silent: str | None = None) -> tuple[Stream, ...]:
    """Ten BNO055, each read every third tick; `silent` does not answer in the second half."""
    tracks, streams = [], []
    t0_ns = 77 * SECOND
    for name in SENSORS:
        tracks += [RowTrack(f"{name}.quaternion", 60, 4, {}), RowTrack(f"{name}.timing", 60, 3, {})]
        streams.append(Stream(f"{name}.quaternion", "sensor", t0_ns, 60, name, "bno055", 1, QUATERNION, 20))
        streams.append(Stream(f"{name}.timing", "timing", t0_ns, 60, name, "bno055"))
    writer = MatroskaWriter(path, tracks)
    tick = np.arange(seconds * 60)
    rows: dict[str, np.ndarray] = {}
    for i, name in enumerate(SENSORS):
        fresh = tick % 3 == i % 3
        read = np.maximum.accumulate(np.where(fresh, tick, -1))
        at_ns = BODY.forward(t0_ns + read * SECOND // 60 + MIDPOINT_US * 1000)
        counts = np.rint(turning.quaternion(name, at_ns) * 16384).astype(np.int32)
        counts[read < 0] = 0
        timing = _timing(fresh)
        if name == silent:
            timing[(tick > tick[-1] // 2) & fresh, 2] = Flag.NACK
        rows[f"{name}.quaternion"], rows[f"{name}.timing"] = counts, timing
    for k in range(0, len(tick), 12):
        for title, whole in rows.items():
            writer.rows(title, whole[k : k + 12])
    writer.close()
    return tuple(streams)


def _timing(fresh: np.ndarray) -> np.ndarray:
    timing = np.zeros((len(fresh), 3), np.int32)
    timing[:, 0] = np.where(fresh, MIDPOINT_US, 0)
    timing[:, 2] = np.where(fresh, Flag.FRESH, Flag.HELD)
    return timing


def gaze_px(frame: np.ndarray) -> np.ndarray:
    """(N, 2) where the eyes were at each head-camera frame, pixels."""
    return np.column_stack([20 + frame % 150, 10 + frame % 80]).astype(float)


def make_session(
    folder: Path,
    *,
    participant: str,
    seconds: int = 4,
    seed: int = 0,
    aligned: bool = True,
    silent: str | None = None,
    truth: bool = False,
    guest: str | None = GUEST,
) -> Path:
    """Write a session as `record --simulate` and `align` leave it; with `truth`, the guest is there as well."""
    folder.mkdir(parents=True)
    (folder / "labels").mkdir()
    room = write_camera_kit(folder / "kit-01.mkv", seconds)
    body = write_body_kit(folder / "kit-02.mkv", seconds, Turning.of(seed), silent)
    frames = (painted(n) for n in range(seconds * FPS - 20))
    write_mp4(folder / "head.mp4", frames, fps=FPS, size=SIZE, sound=loud_from(LOUD_S, seconds))
    head = (Stream("camera", "video", 0, FPS, size=SIZE), Stream("microphone", "audio", 0, 48_000))
    devices = (
        Device("kit-01", "kit", "third", "kit-01", "kit-01.mkv", room),
        Device("kit-02", "kit", "body", "kit-02", "kit-02.mkv", body, wearer=participant),
        Device("head", "gopro", "ego", "head", "head.mp4", head, wearer=participant),
    )
    Session(folder, folder.name, devices, (participant,), "kitchen", "tea", "2026-11-21", True).save()
    labels = [
        "tier,t0_ns,t1_ns,value,actor",
        f"activity,{T0},{T0 + SECOND},tea,{participant}",
        f"action,{T0},{T0 + SECOND // 2},pour,{participant}",
    ]
    if truth:
        labels += [f"atomic,{T0 + a},{T0 + b},{value},{who}" for value, who, a, b in acts(participant, guest)]
        _write_truth(folder, participant, seconds, guest)
    (folder / "labels" / "truth.csv").write_text("\n".join(labels) + "\n")
    _write_gaze(folder / "gaze_head.csv", seconds * FPS - 20)
    if aligned:
        gaze = GazeMap("eye", "head", "gaze_head.csv", {})
        Alignment("kit-01", (BODY, HEAD), (), (), gaze=(gaze,)).save(folder)
    return folder


def loud_from(start_s: float, seconds: int) -> np.ndarray:
    """(N,) float32 at 48 kHz: silence, then a tone of 1 kHz."""
    t = np.arange(seconds * 48_000 - 40_000) / 48_000
    return np.where(t >= start_s, 0.5 * np.sin(2 * np.pi * 1000 * t), 0).astype(np.float32)


def acts(participant: str, guest: str | None = GUEST) -> list[tuple[str, str, int, int]]:
    """Atomic actions: value, actor, from and to, ns after T0."""
    own = [("pour", participant, 0, SECOND), ("hold", participant, SECOND // 2, 2 * SECOND)]
    return own + ([("sit", guest, SECOND, 4 * SECOND)] if guest else [])


def box_px(who: str, k: int) -> tuple[float, float, float, float]:
    """Where somebody is in the room camera's picture at the k-th moment that has boxes (5 a second), pixels."""
    left = 9.5 + k if who != GUEST else 99.5 + k
    return left, 19.5, left + 40, 99.5


def smpl(who: str, k: int) -> np.ndarray:
    """(85,) body at the k-th moment that has one (10 a second)."""
    body = np.zeros(85)
    body[:3] = 0, 0.01 * k, 0
    body[3 * 18 : 3 * 18 + 3] = (0.5, 0.1, -0.2) if who != GUEST else (0, 0, 0)  # the left elbow
    body[82:] = k / 10, 0.9, 1.0
    return body


def _write_truth(folder: Path, participant: str, seconds: int, guest: str | None) -> None:
    """As the simulated home does, with world time 0 at T0 of kit-01."""
    people = [participant, *([guest] if guest else [])]
    moments = [k * SECOND // 5 for k in range(5 * seconds)]
    shown = [
        [[w, "person", *box_px(w, k)] for w in people if w != GUEST or k % 2] + [["cup", "object", 1, 1, 9, 9]]
        for k in range(len(moments))
    ]
    document = {
        "clock_maps": [ClockMap.affine("kit-01", "world", origin_ns=T0).to_json()],
        "people": people,
        "boxes": {"t_ns": moments, "third": shown, "head": [[] for _ in moments]},
        "relations": [
            [participant, "holding", "cup", 0, 2 * SECOND],
            *([[participant, "left_of", guest, SECOND, 3 * SECOND]] if guest else []),
            ["cup", "on", "table", 0, 4 * SECOND],
        ],
    }
    (folder / "truth.json").write_text(json.dumps(document))
    t_ns = np.arange(10 * seconds) * (SECOND // 10)
    bodies = {f"{w}.smpl": np.stack([smpl(w, k) for k in range(len(t_ns))]) for w in people}
    np.savez_compressed(folder / "truth.npz", t_ns=t_ns, **bodies)


def _write_gaze(path: Path, frames: int) -> None:
    """Every fifth frame; in each run of seven rows one is missing, one is refused and one lies outside."""
    lines = ["t_s,x_px,y_px,sigma_px,verdict"]
    for row, frame in enumerate(range(0, frames, 5)):
        x, y = gaze_px(np.array([frame]))[0]
        verdict = {2: "missing", 4: "refused"}.get(row % 7, "homography" if row % 2 else "ok")
        x = SIZE[0] + 30 if row % 7 == 6 else x
        values = ",," if verdict == "missing" else f"{x:.3f},{y:.3f},2.0"
        lines.append(f"{frame / FPS:.6f},{values},{verdict}")
    path.write_text("\n".join(lines) + "\n")


def cut(source: Path, target: Path, share: float) -> Path:
    """The first part of a file, as a power cut leaves it."""
    data = source.read_bytes()
    target.write_bytes(data[: int(len(data) * share)])
    return target


def all_frames(source: Path | bytes, size: tuple[int, int]) -> np.ndarray:
    """Decode a whole video from its start by nothing but PyAV: (N, H, W, 3) uint8 RGB."""
    images = []
    with av.open(io.BytesIO(source) if isinstance(source, bytes) else os.fspath(source)) as container:
        try:
            for picture in container.decode(video=0):
                images.append(picture.reformat(*size, "rgb24", interpolation="AREA").to_ndarray())
        except av.error.FFmpegError:
            pass  # a cut file ends in the middle of a packet
    return np.stack(images)


def change_json(path: Path, **fields: object) -> None:
    """Set fields of a JSON document."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))
