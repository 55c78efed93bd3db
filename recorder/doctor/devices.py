"""Camera and microphone: two seconds of each, judged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from firmware_host.errors import PortError
from recorder.camera import Camera
from recorder.config import CameraConfig, MicrophoneConfig
from recorder.doctor.check import FAIL, OK, WARN, Check
from recorder.microphone import Microphone, SoundBlock
from recorder.mux import EncodedFrame

CAPTURE_S = 2.0
RATE_MARGIN = 0.05
SILENT_DBFS, CLIPPED = -80.0, 2**23 * 0.99
CLIPPED_SHARE = 1e-4


def _capture(device: Camera | Microphone, sleep: Callable[[float], None]) -> list[Any]:
    """What a device hands over in `CAPTURE_S`. Raises PortError."""
    items: list[Any] = []
    device.start(items.append)
    try:
        sleep(CAPTURE_S)
    finally:
        device.stop()
    return items


def check_camera(config: CameraConfig, camera: Camera, sleep: Callable[[float], None]) -> Check:
    """Frames, their rate, and whether some are missing."""
    try:
        frames = [i for i in _capture(camera, sleep) if isinstance(i, EncodedFrame)]
    except PortError as error:
        return Check("camera", FAIL, str(error), "")
    if len(frames) < 2:
        return Check("camera", FAIL, f"{len(frames)} frames in {CAPTURE_S:g} s", "check its cable; is it in use?")
    t_ns = np.array([f.t_ns for f in frames])
    periods = np.diff(t_ns) * config.fps / 1e9
    lost = int(np.maximum(np.rint(periods) - 1, 0).sum())
    fps = 1e9 / float(np.median(np.diff(t_ns)))
    rate = sum(len(f.data) for f in frames) * 8 / max((t_ns[-1] - t_ns[0]) / 1e9, 1e-9)
    text = f"{config.width}x{config.height}, {fps:.2f} frames/s, {lost} lost, {rate / 1e6:.1f} Mbit/s"
    if not frames[0].keyframe:
        return Check("camera", FAIL, f"{text}; the first frame is no keyframe", "report it with the camera's model")
    if abs(fps / config.fps - 1) > RATE_MARGIN:
        return Check(
            "camera", WARN, f"{text}; {config.fps} are configured", "set `fps` to what it gives, or more light"
        )
    if lost:
        return Check("camera", WARN, text, "lower the size or the rate, and look at the processor's load")
    return Check("camera", OK, text)


def check_microphone(config: MicrophoneConfig, microphone: Microphone, sleep: Callable[[float], None]) -> Check:
    """Level, silence, clipping, overflows."""
    try:
        blocks = [i for i in _capture(microphone, sleep) if isinstance(i, SoundBlock)]
    except PortError as error:
        return Check("microphone", FAIL, str(error), "")
    if not blocks:
        return Check("microphone", FAIL, f"no sound in {CAPTURE_S:g} s", "is it in use? `python -m sounddevice` lists")
    x = np.concatenate([b.x for b in blocks]).astype(np.float64)
    loud = float(np.sqrt(np.mean((x - x.mean()) ** 2))) / 2**23
    dbfs = 20 * np.log10(max(loud, 1e-9))
    text = f"{config.rate_hz} Hz, {dbfs:.0f} dBFS"
    if dbfs < SILENT_DBFS:
        return Check("microphone", WARN, f"{text}: silence", "is it muted, or on the other channel? `alsamixer` shows")
    if np.mean(np.abs(x) >= CLIPPED) > CLIPPED_SHARE:
        return Check("microphone", WARN, f"{text}, clipping", "lower its gain in `alsamixer`")
    if any(b.overflowed for b in blocks):
        return Check("microphone", WARN, f"{text}, samples lost", "look at the processor's load; use the hw: device")
    return Check("microphone", OK, text)
