"""A session of two small kits, made without waiting: one with picture, sound and a sensor, one without picture."""

from pathlib import Path

import numpy as np

from firmware_host.clock import tick_ns
from firmware_host.spec import Channel, Flag, Reading, TrackSpec
from recorder.camera import H264Encoder
from recorder.microphone import SoundBlock
from recorder.session import Device, Session, open_session
from recorder.writer import KitLayout, KitWriter, SensorLayout

T0 = 50_000_000_000
LIGHT = SensorLayout("light", "tsl2591", (TrackSpec("value", (Channel("v", "lux"), Channel("w", "lux"))),), period=6)
WARM = SensorLayout("warm", "amg8833", (TrackSpec("pixels", tuple(Channel(f"c{i}", "degC") for i in range(8)), 8),), 6)
SETTINGS = {"light": {"gain": 25}}


def recorded(folder: Path, seconds: float = 5, *, sealed: bool = False) -> Session:
    """Record into `folder`; not sealed: as a kill leaves it."""
    devices, ticks = [], round(seconds * 60)
    for name, size in (("kit-01", (64, 48)), ("kit-02", None)):
        layout = KitLayout(name, (LIGHT, WARM), size=size, fps=30 if size else None, sound_hz=48_000)
        writer = KitWriter(layout, folder / f"{name}.mkv", folder / f"{name}.log.jsonl", T0)
        writer.settings(SETTINGS)
        play(writer, ticks)
        fit = writer.close() if sealed else None
        streams, log = writer.streams(fit), f"{name}.log.jsonl"
        settings = SETTINGS if sealed else {}
        devices.append(Device(name, "kit", "third", name, f"{name}.mkv", streams, log=log, settings=settings))
        if not sealed:
            abandon(writer)
    receipt = {"devices": {d.name: {"ticks": ticks} for d in devices}} if sealed else {}
    Session(folder, "small", tuple(devices), sealed=sealed, receipt=receipt).save()
    return open_session(folder)


def play(writer: KitWriter, ticks: int) -> None:
    """Give a writer everything of `ticks` ticks, noisy enough to fill the file."""
    rng = np.random.default_rng(1)
    encoder = H264Encoder(64, 48, 30, 400_000)
    pictures = rng.integers(0, 255, (8, 72, 64), np.uint8)
    for tick in range(0, ticks, 6):
        t_ns = tick_ns(T0, tick)
        for sensor, width in (("light", 2), ("warm", 64)):
            counts = (tuple(int(v) for v in rng.integers(-4000, 4000, width)),)
            writer.readings([Reading(sensor, tick, t_ns + 90_000, t_ns, t_ns + 50_000, counts, Flag.FRESH)])
        if writer.layout.fps:
            for k in range(tick // 2, tick // 2 + 3):
                writer.video(encoder.encode(pictures[k % 8], T0 + 3_000_001 + k * 33_333_337))
        for first in range(tick * 800, (tick + 6) * 800, 960):
            x = rng.integers(-(2**20), 2**20, 960, np.int32)
            writer.sound(SoundBlock(first, x, T0 + 7_000_000 + first * 125_000 // 6))
        writer.advance(tick + 6)


def abandon(writer: KitWriter) -> None:
    """What a kill does: nothing is flushed that was not, and the lock is gone."""
    writer._log.flush()
    writer._log._file.close()
