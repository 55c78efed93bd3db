"""Everything one kit records, into its file and its log. One thread owns a writer.

The writer knows nothing of threads, pacing or hardware: it is given frames, blocks and readings in the order they
came, live or simulated, and is the same code for both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from firmware_host.clock import TICK_HZ, tick_ns
from firmware_host.spec import Flag, Reading, TrackSpec
from recorder import wall
from recorder.annexb import parameter_sets
from recorder.camera import FrameReceipt
from recorder.log import KitLog
from recorder.microphone import SoundBlock
from recorder.mux import EncodedFrame, MatroskaWriter, RowTrack, sensor_metadata
from recorder.pack import FRAME_CHANNELS, TIMING_CHANNELS, SensorPacker, frame_row
from recorder.samplerate import RateFit
from recorder.session import Stream
from recorder.timeline import SoundTimeline
from recorder.wall import WallReading
from recorder.watch import Notice

GAP_FRAMES = 1.5
"""Two frames further apart than this many periods have a gap between them."""
SILENCE_LAG_TICKS = 2 * TICK_HZ
"""A silent microphone's track is filled up to this long ago: what it gives when it comes back has its place free."""


@dataclass(frozen=True)
class SensorLayout:
    """What the writer must know of one sensor of the kit: it is read at ticks k with ``k % period == phase``."""

    name: str
    model: str
    tracks: tuple[TrackSpec, ...]
    period: int
    phase: int = 0

    @property
    def rate_hz(self) -> float:
        """Readings per second."""
        return TICK_HZ / self.period

    def due(self, tick: int) -> bool:
        """Whether a reading is planned at `tick`."""
        return tick % self.period == self.phase


@dataclass(frozen=True)
class Latency:
    """How much later the camera stamps an event than the microphone does, as `recorder.clap` measures it."""

    ns: int
    sigma_ns: int


@dataclass(frozen=True)
class KitLayout:
    """What a kit's file holds. `size` and `fps` are None without a camera, `sound_hz` without a microphone.

    `camera_latency` is None where nobody measured it.
    """

    name: str
    sensors: tuple[SensorLayout, ...]
    size: tuple[int, int] | None = None
    fps: int | None = None
    sound_hz: int | None = None
    warm_up_s: float = 0.0
    camera_latency: Latency | None = None


class KitWriter:
    """One kit's file and log."""

    def __init__(
        self, layout: KitLayout, media: Path, log: Path, t0_ns: int, clocks: Callable[[], WallReading] = wall.read
    ) -> None:
        """`t0_ns` is tick 0, and time 0 of the file, on the kit's clock, which `clocks` reads beside the wall clock."""
        self.layout = layout
        self.t0_ns = t0_ns
        self.counters: Counter[str] = Counter()
        self._media = media
        self._clocks = clocks
        self._log = KitLog(log)
        self._mux: MatroskaWriter | None = None
        self._packers = [SensorPacker(s.name, s.tracks, t0_ns, s.due) for s in layout.sensors]
        self._by_name = {p.sensor: p for p in self._packers}
        self._ticks = 0
        self._timeline = SoundTimeline(layout.sound_hz or 1, layout.warm_up_s)
        self._logged_seconds = 0
        self._first_frame_ns: int | None = None
        self._last_frame_ns = 0
        self._headers: tuple[bytes, bytes] | None = None
        self._need_keyframe = self._changed = False
        self._first_block: SoundBlock | None = None
        self._waiting: list[SoundBlock] = []
        self._settings: dict[str, dict[str, Any]] = {}
        if layout.fps is None:
            self._open(None)

    @property
    def ticks(self) -> int:
        """Ticks packed so far."""
        return self._ticks

    @property
    def waiting_for_camera(self) -> bool:
        """True until the first keyframe: the file's header needs its SPS and PPS."""
        return self._mux is None

    @property
    def fault(self) -> OSError | None:
        """Why the disk takes nothing more, None while it does."""
        return (self._mux and self._mux.fault) or self._log.fault

    def video(self, frame: EncodedFrame) -> None:
        """Add a frame; those before tick 0, or before the first keyframe after it, are passed over, and counted."""
        early = frame.t_ns < self.t0_ns or not frame.keyframe
        if self._mux is None and not early and (headers := parameter_sets(frame.data)):
            self._headers = headers
            self._open(frame)
        if self._mux is None or not self._fits(frame):
            self.counters["camera.passed_over"] += 1
            return
        if self._first_frame_ns is None:
            self._first_frame_ns = frame.t_ns
            self._log.write("stream", name="camera", t0_ns=frame.t_ns)
        elif frame.t_ns - self._last_frame_ns > GAP_FRAMES * 1e9 / (self.layout.fps or 1):
            self.counters["camera.gaps"] += 1
            self._log.write("gap", stream="camera", from_ns=self._last_frame_ns, to_ns=frame.t_ns)
        self._last_frame_ns = frame.t_ns
        self.counters["camera.frames"] += 1
        self._mux.video(frame, frame.t_ns - self.t0_ns)
        self._mux.rows("camera.timing", np.array([frame_row(frame.t_ns - self._first_frame_ns)], np.int32))

    def _fits(self, frame: EncodedFrame) -> bool:
        """Whether a frame can follow those before it. A file has one SPS and PPS; others would spoil what is there."""
        if self._headers is None:  # the file was opened without a camera
            return False
        if frame.keyframe and (headers := parameter_sets(frame.data)):
            if headers != self._headers and not self._changed:
                self.counters["camera.changed"] += 1
                text = "the camera came back with other settings (SPS, PPS), which this file cannot hold"
                self._log.write("changed", stream="camera", t_ns=frame.t_ns, text=text)
            self._need_keyframe = self._changed = headers != self._headers
        return not self._need_keyframe

    def sound(self, block: SoundBlock) -> None:
        """Add a block; one that began before tick 0 is passed over."""
        if block.overflowed:
            self.counters["microphone.overflows"] += 1
            self._log.write("overflow", stream="microphone", t_ns=block.t_ns)
        self._hear(self._timeline.add(block))

    def receipt(self, receipt: FrameReceipt) -> None:
        """Keep what the camera says of the frames it made, to be compared with those in the file."""
        self.counters["camera.made"], self.counters["camera.encoded"] = receipt.made, receipt.encoded

    def notice(self, notice: Notice) -> None:
        """Log what happened to the camera or the microphone, and make room for what is missing."""
        self.counters[f"{notice.stream}.{notice.kind}"] += 1
        self._log.write(notice.kind, stream=notice.stream, t_ns=notice.t_ns, text=notice.text)
        if notice.stream == "microphone" and notice.kind == "stalled":
            self._hear(self._timeline.fall_silent())
        elif notice.stream == "camera" and notice.kind == "reopened":
            self._need_keyframe = True

    def _hear(self, blocks: Sequence[SoundBlock]) -> None:
        """Mux blocks that have their place on the microphone's count of samples."""
        for block in blocks:
            if block.t_ns < self.t0_ns and self._first_block is None:
                continue
            if self._mux is None:
                self._waiting.append(block)
                continue
            if self._first_block is None:
                self._first_block = block
                self._log.write("stream", name="microphone", t0_ns=block.t_ns)
            self.counters["microphone.samples"] += len(block.x)
            self._mux.sound(block.x, block.t_ns - self.t0_ns)
        for gap in self._timeline.take_gaps():
            self.counters["microphone.gaps"] += 1
            self.counters["microphone.lost_samples"] += gap.samples
            sample = gap.first - (self._first_block.first if self._first_block else 0)
            self._log.write(
                "gap", stream="microphone", from_ns=gap.from_ns, to_ns=gap.to_ns, sample=sample, samples=gap.samples
            )

    def readings(self, readings: Sequence[Reading]) -> None:
        """Keep readings until `advance` packs their ticks."""
        for reading in readings:
            if reading.tick < 0:
                continue
            if reading.tick < self._ticks:
                self.counters["readings.too_late"] += 1
                continue
            self._by_name[reading.sensor].add(reading)

    def advance(self, tick: int) -> None:
        """Pack every tick before `tick`; readings for them that come later are lost, and counted."""
        if tick <= self._ticks or self._mux is None:
            return
        for packer in self._packers:
            tracks, timing = packer.rows_until(tick)
            for spec, rows in zip(packer.tracks, tracks, strict=True):
                self._mux.rows(f"{packer.sensor}.{spec.name}", rows)
            self._mux.rows(f"{packer.sensor}.timing", timing)
            for flag, n in Counter(timing[:, 2].tolist()).items():
                if flag != Flag.HELD:
                    self.counters[f"{packer.sensor}.{Flag(flag).name}"] += n
        self._hear(self._timeline.fill(tick_ns(self.t0_ns, tick - SILENCE_LAG_TICKS)))
        self._mux.settle()
        if tick // TICK_HZ > self._ticks // TICK_HZ:
            self._each_second()
        if tick * 2 // TICK_HZ > self._ticks * 2 // TICK_HZ:
            self._log.write("tick", tick=tick)
            self._log.flush()
        self._ticks = tick

    def event(self, kind: str, **fields: Any) -> None:
        """Append something that happened to the log."""
        self._log.write(kind, **fields)

    def settings(self, settings: Mapping[str, Mapping[str, Any]]) -> None:
        """Log what sensors' conversions need as soon as it is known: a cut recording has it from nowhere else."""
        for sensor, values in settings.items():
            if self._settings.get(sensor) != values:
                self._settings[sensor] = dict(values)
                self._log.write("settings", sensor=sensor, values=self._settings[sensor])
                self._log.flush()

    def open_without_camera(self) -> None:
        """Give up waiting for the first keyframe and record the rest."""
        self._log.write("missing", stream="camera")
        self.counters["camera.missing"] += 1
        self._open(None)

    def close(self) -> RateFit | None:
        """Finish the file; returns how fast the microphone ran, where that could be judged."""
        if self._mux is None:
            self._open(None)
        assert self._mux is not None
        self._hear(self._timeline.finish())
        self._mux.close()
        fit = self._timeline.rate.fit() if self._first_block is not None else None
        if fit and self._first_block:
            fit = replace(fit, t0_ns=fit.time_ns(self._first_block.first))
        self._log.write("counters", **self.counters)
        self._log.close()
        return fit

    def streams(self, fit: RateFit | None = None) -> tuple[Stream, ...]:
        """The manifest's entries for this file, as far as they are known."""
        layout, streams = self.layout, []
        if layout.fps:
            t0_ns = self._first_frame_ns or self.t0_ns
            camera = Stream("camera", "video", t0_ns, layout.fps, size=layout.size)
            if late := layout.camera_latency:
                camera = replace(camera, latency_ns=late.ns, latency_sigma_ns=late.sigma_ns)
            streams.append(camera)
        if layout.sound_hz:
            begun_ns = self._first_block.t_ns if self._first_block else self.t0_ns
            t0_ns, rate = (fit.t0_ns, fit.rate_hz) if fit else (begun_ns, float(layout.sound_hz))
            streams.append(Stream("microphone", "audio", t0_ns, rate))
        if layout.fps:
            streams.append(Stream("camera.timing", "timing", self._first_frame_ns or self.t0_ns, layout.fps))
        for sensor in layout.sensors:
            streams += [_sensor_stream(sensor, t, self.t0_ns) for t in sensor.tracks]
            timing = Stream(f"{sensor.name}.timing", "timing", self.t0_ns, TICK_HZ, sensor.name, sensor.model)
            streams.append(timing)
        return tuple(streams)

    def _open(self, first: EncodedFrame | None) -> None:
        layout = self.layout
        tracks = [_timing_track("camera", layout.fps, FRAME_CHANNELS)] if layout.fps and first else []
        for sensor in layout.sensors:
            tracks += [_row_track(sensor, t) for t in sensor.tracks]
            tracks.append(_timing_track(sensor.name, TICK_HZ, TIMING_CHANNELS))
        self._mux = MatroskaWriter(
            self._media, tracks, first_frame=first, fps=layout.fps or 30, sound_rate_hz=layout.sound_hz
        )
        waiting, self._waiting = self._waiting, []
        self._hear(waiting)

    def _each_second(self) -> None:
        self._log.clocks(self._clocks())
        if self._first_block is None:
            return
        pairs = self._timeline.rate.pairs()
        for sample, t_ns in pairs[self._logged_seconds : -1]:  # the last second may still improve
            self._log.write("sound", sample=sample - self._first_block.first, t_ns=t_ns)
        self._logged_seconds = max(self._logged_seconds, len(pairs) - 1)


def _row_track(sensor: SensorLayout, track: TrackSpec) -> RowTrack:
    metadata = sensor_metadata(sensor.name, sensor.model, track.channels, sensor.rate_hz)
    return RowTrack(f"{sensor.name}.{track.name}", TICK_HZ * track.rows_per_tick, len(track.channels), metadata)


def _timing_track(of: str, rate_hz: int, columns: Sequence[str]) -> RowTrack:
    return RowTrack(f"{of}.timing", rate_hz, len(columns), {"SENSOR": of, "CHANNELS": ",".join(columns)})


def _sensor_stream(sensor: SensorLayout, track: TrackSpec, t0_ns: int) -> Stream:
    return Stream(
        name=f"{sensor.name}.{track.name}",
        kind="sensor",
        t0_ns=t0_ns,
        rate_hz=TICK_HZ * track.rows_per_tick,
        sensor=sensor.name,
        model=sensor.model,
        rows_per_tick=track.rows_per_tick,
        channels=track.channels,
        native_hz=sensor.rate_hz,
    )
