"""A recording as it is now, as data: for a status page, an LED, a neighbour that asks.

The thread that writes is told what it writes and, a few times a second, leaves a `Snapshot` with whoever wants one.
A snapshot is never changed again, so it needs no lock; making one costs the writer a fraction of a millisecond.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from firmware_host.clock import SECOND_NS
from firmware_host.sensors import SENSORS
from firmware_host.spec import COUNT_LIMIT, Flag, Reading
from recorder.microphone import SoundBlock
from recorder.mux import EncodedFrame
from recorder.writer import KitLayout, SensorLayout

EVERY_NS = SECOND_NS // 4
SPARK_EVERY_NS = SECOND_NS // 2
SPARK_POINTS = 60
QUIET_DB = -120.0
HEAT_SENSOR = "amg8833"
SHOWN = {"bno055": "linear", HEAT_SENSOR: "pixels"}
"""The track whose size is shown, where it is not the first track's first channel: a movement, the warmest pixel."""


@dataclass(frozen=True)
class SensorState:
    """One sensor: its last value in SI units, how old that is, and the last half minute.

    Attributes:
        age_s: since its last reading that had a value; None before the first.
        flag: of its last reading, `firmware_host.spec.Flag` by name.
        spark: up to `SPARK_POINTS` values, one every half second, None where there was none.
        heat: an 8x8 thermal image, row by row, degC.
    """

    name: str
    model: str
    rate_hz: float
    age_s: float | None
    flag: str
    readings: int
    missed: int
    channel: str
    value: float | None
    unit: str
    spark: tuple[float | None, ...]
    heat: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Snapshot:
    """A recording at one moment. Ages in seconds, levels in dB of full scale."""

    kit: str
    t_ns: int
    elapsed_s: float
    bytes_written: int
    frames: int
    frame_age_s: float | None
    sound_age_s: float | None
    peak_db: float
    rms_db: float
    missed: int
    counters: dict[str, int]
    sensors: tuple[SensorState, ...]
    has_camera: bool
    has_microphone: bool

    def document(self) -> dict[str, Any]:
        """The snapshot as JSON has it."""
        return asdict(self)


@dataclass
class _Sensor:
    layout: SensorLayout
    readings: int = 0
    missed: int = 0
    last: Reading | None = None
    flag: str = "STARTING"
    spark: deque[float | None] = field(default_factory=lambda: deque(maxlen=SPARK_POINTS))


class LiveStatus:
    """Told by the thread that writes what it writes; tells `sink` how things are. That thread owns it."""

    def __init__(
        self,
        layout: KitLayout,
        t0_ns: int,
        sink: Callable[[Snapshot], None],
        settings: Callable[[], Mapping[str, Mapping[str, Any]]] = dict,
        size: Callable[[], int] = lambda: 0,
    ) -> None:
        """`settings` are the sensors' own, as far as they have started; `size` is that of the file in bytes."""
        self._layout, self._t0_ns = layout, t0_ns
        self._sink, self._settings, self._size = sink, settings, size
        self._sensors = {s.name: _Sensor(s) for s in layout.sensors}
        self._frames = 0
        self._frame_ns: int | None = None
        self._sound_ns: int | None = None
        self._peak, self._power, self._blocks = 0.0, 0.0, 0
        self._due_ns = self._spark_due_ns = t0_ns

    def frame(self, frame: EncodedFrame) -> None:
        """A picture was written."""
        self._frames += 1
        self._frame_ns = frame.t_ns

    def block(self, block: SoundBlock) -> None:
        """A stretch of sound was written."""
        self._sound_ns = block.t_ns
        if len(block.x):
            x = block.x - block.x.mean()  # a cheap microphone has a large constant part
            self._peak = max(self._peak, float(np.abs(x).max()))
            self._power += float(np.square(x).mean())
            self._blocks += 1

    def readings(self, readings: Sequence[Reading]) -> None:
        """Sensors answered, or did not."""
        for reading in readings:
            sensor = self._sensors[reading.sensor]
            sensor.flag = reading.flag.name
            if reading.tick >= 0:
                sensor.readings += reading.counts is not None
                sensor.missed += reading.flag.missed
            if reading.counts is not None:
                sensor.last = reading

    def lost(self, sensor: str, count: int) -> None:
        """`count` readings of `sensor` were due and never came."""
        if count:
            self._sensors[sensor].missed += count
            self._sensors[sensor].flag = Flag.LOST.name

    def tick(self, now_ns: int, counters: Mapping[str, int]) -> None:
        """Time passed; when it is due, leave a snapshot with the sink."""
        if now_ns < self._due_ns:
            return
        self._due_ns = now_ns + EVERY_NS
        spark = now_ns >= self._spark_due_ns
        if spark:
            self._spark_due_ns = max(self._spark_due_ns + SPARK_EVERY_NS, now_ns)
        self._sink(self._snapshot(now_ns, dict(counters), spark))
        self._peak, self._power, self._blocks = 0.0, 0.0, 0

    def _snapshot(self, now_ns: int, counters: dict[str, int], spark: bool) -> Snapshot:
        settings = self._settings()
        sensors = tuple(_state(s, now_ns, settings, spark) for s in self._sensors.values())
        return Snapshot(
            kit=self._layout.name,
            t_ns=now_ns,
            elapsed_s=round(max(0, now_ns - self._t0_ns) / SECOND_NS, 1),
            bytes_written=self._size(),
            frames=self._frames,
            frame_age_s=_age(now_ns, self._frame_ns),
            sound_age_s=_age(now_ns, self._sound_ns),
            peak_db=_db(self._peak),
            rms_db=_db((self._power / self._blocks) ** 0.5 if self._blocks else 0.0),
            missed=sum(s.missed for s in sensors),
            counters=counters,
            sensors=sensors,
            has_camera=self._layout.fps is not None,
            has_microphone=self._layout.sound_hz is not None,
        )


def _state(sensor: _Sensor, now_ns: int, settings: Mapping[str, Mapping[str, Any]], spark: bool) -> SensorState:
    layout, last = sensor.layout, sensor.last
    channel, value, unit, heat = "", None, "", None
    if last is not None and last.counts is not None:
        channel, value, unit, heat = _shown(layout, last.counts, settings.get(layout.name, {}))
    age_s = _age(now_ns, last.t_ns if last else None)
    if spark:
        stale = age_s is None or age_s > 2 / layout.rate_hz + 1
        sensor.spark.append(None if stale else value)
    return SensorState(
        name=layout.name,
        model=layout.model,
        rate_hz=layout.rate_hz,
        age_s=age_s,
        flag=sensor.flag,
        readings=sensor.readings,
        missed=sensor.missed,
        channel=channel,
        value=value,
        unit=unit,
        spark=tuple(sensor.spark),
        heat=heat,
    )


def _shown(
    layout: SensorLayout, counts: tuple[tuple[int, ...], ...], settings: Mapping[str, Any]
) -> tuple[str, float | None, str, tuple[float, ...] | None]:
    """Channel, value, unit and thermal image of a reading; without a value while its settings are not known."""
    spec = SENSORS[layout.model]
    wanted = SHOWN.get(layout.model, layout.tracks[0].name)
    index = next((i for i, t in enumerate(layout.tracks) if t.name == wanted), 0)
    track = layout.tracks[index]
    rows = np.array(counts[index], np.int32).reshape(-1, len(track.channels))
    try:
        si = spec.to_si(track.name, rows, settings)
    except KeyError:  # its calibration has not been read yet
        return "", None, "", None
    first = spec.si_channels(track.name)[0]
    if layout.model == HEAT_SENSOR:
        return "warmest", _rounded(si.max()), first.unit, tuple(round(float(v), 1) for v in si.ravel())
    if layout.model in SHOWN:
        return track.name, _rounded(np.linalg.norm(si[0])), first.unit, None
    return first.name, _rounded(si[0, 0]), first.unit, None


def _rounded(value: Any) -> float | None:
    """Four significant digits; None for what is no number, which JSON has not."""
    return float(f"{value:.4g}") if np.isfinite(value) else None


def _age(now_ns: int, then_ns: int | None) -> float | None:
    return None if then_ns is None else round(max(0, now_ns - then_ns) / SECOND_NS, 2)


def _db(counts: float) -> float:
    return round(20 * float(np.log10(counts / COUNT_LIMIT)), 1) if counts > COUNT_LIMIT * 1e-6 else QUIET_DB
