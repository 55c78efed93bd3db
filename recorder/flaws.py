"""What is wrong with the devices of the simulated home, as it is with real ones; every number can be changed or made 0.

`docs/flaws.toml` is this table with the source of each default.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import numpy as np

from firmware_host.clock import SECOND_NS
from firmware_host.clockmap import FOREVER_NS, ClockMap, Piece
from recorder.imu_flaws import ImuFlaws
from recorder.tomlfile import Place, Wrong, read_table
from recorder.watch import STALL_NS
from recorder.world.acoustics import Acoustics
from recorder.world.optics import Shutter
from recorder.world.tracker import TrackerFlaws

KNOT_S = 10.0
"""A wandering oscillator runs evenly for so long; what it wanders by meanwhile is nanoseconds."""
MARGIN_S = 5.0
MOST_BARREL, FRAME_MS, WORST_CRF = 0.09, 33.0, 51.0


@dataclass(frozen=True)
class ClockFlaws:
    """Of every device's clock.

    Attributes:
        skew_ppm: crystals run wrong by at most this.
        wander_ppm: temperature makes them faster and slower by this,
        wander_period_s: once in this long.
        wall_error_ms: kits' wall clocks are wrong by this, one standard deviation, and do not know.
        restarts_an_hour: how often a worn camera goes off and on again, its parts being joined to one film,
        restart_s: and how long it is off.
    """

    skew_ppm: float = 50.0
    wander_ppm: float = 0.3
    wander_period_s: float = 900.0
    wall_error_ms: float = 1.0
    restarts_an_hour: float = 0.0
    restart_s: float = 8.0


@dataclass(frozen=True)
class MicrophoneFlaws:
    """Of kits' microphones.

    Attributes:
        skew_ppm: sound cards sample wrong by at most this, against their kit's clock.
        gain_db: they are louder or softer by this, one standard deviation.
        noise_dbfs: their own noise, RMS; -200 is none.
        late_ms: blocks are stamped late by this in the mean.
        overflows_an_hour: how often samples are lost,
        overflow_ms: and how long a stretch.
        restarts_an_hour: how often one falls silent until its kit has opened it again,
        restart_s: and for how long.
    """

    skew_ppm: float = 60.0
    gain_db: float = 1.0
    noise_dbfs: float = -91.0
    late_ms: float = 0.3
    overflows_an_hour: float = 0.0
    overflow_ms: float = 85.0
    restarts_an_hour: float = 0.0
    restart_s: float = 3.5


@dataclass(frozen=True)
class CameraFlaws:
    """Of cameras.

    Attributes:
        skew_ppm: kits' cameras make pictures faster or slower than they say by at most this.
        jitter_us: exposures begin unevenly by this, one standard deviation.
        dropped: share of a kit's pictures that never come.
        grain: noise of a picture, one standard deviation in grey values of 8 bits.
        barrel: lenses draw the picture's edge in by this: -k1 of Brown's model.
        decentred: and sit beside their axis by this: p1 and p2 of Brown's model, one standard deviation.
        rolling_ms: the last line is taken so long after the first.
        exposure_ms: each line sees for so long; what turns meanwhile is blurred.
        exposure_stops: cameras brighten or darken by at most this to keep a picture's mean grey, powers of 2.
        crf: H.264's constant rate factor of the worn cameras' films; 0 loses nothing.
        kit_bits: H.264's bit rate of the kits' films, bits a pixel.
        restarts_an_hour: how often a kit's camera gives nothing until its kit has opened it again,
        restart_s: and for how long.
    """

    skew_ppm: float = 30.0
    jitter_us: float = 100.0
    dropped: float = 0.0
    grain: float = 1.5
    barrel: float = 0.01
    decentred: float = 0.001
    rolling_ms: float = 17.0
    exposure_ms: float = 10.0
    exposure_stops: float = 1.0
    crf: float = 22.0
    kit_bits: float = 0.3
    restarts_an_hour: float = 0.0
    restart_s: float = 3.5

    @property
    def shutter(self) -> Shutter:
        """How long a picture takes."""
        return Shutter(self.rolling_ms / 1000, self.exposure_ms / 1000)


@dataclass(frozen=True)
class Flaws:
    """All of them, and what the house does to sound."""

    clock: ClockFlaws = ClockFlaws()
    microphone: MicrophoneFlaws = MicrophoneFlaws()
    camera: CameraFlaws = CameraFlaws()
    imu: ImuFlaws = field(default_factory=ImuFlaws)
    tracker: TrackerFlaws = field(default_factory=TrackerFlaws)
    room: Acoustics = field(default_factory=Acoustics)


def read_flaws(path: Path) -> Flaws:
    """Read and check a table of flaws.

    Raises:
        ConfigError: missing, not TOML, or one line for each thing that is wrong.
    """
    return read_table(Flaws, path, "docs/flaws.toml is an example to start from", judge)


def judge(flaws: Flaws, place: Place = ()) -> Iterator[Wrong]:
    """What no device can be."""
    for group in fields(flaws):
        values = getattr(flaws, group.name)
        for knob in fields(values):
            value = getattr(values, knob.name)
            if knob.name != "noise_dbfs" and not 0 <= value < np.inf:
                yield Wrong((*place, group.name, knob.name), f"{knob.name} is {value:g}; it must be 0 or more")
    if not flaws.camera.dropped < 0.5:
        yield Wrong((*place, "camera", "dropped"), f"dropped is {flaws.camera.dropped:g}; it must be less than 0.5")
    if not flaws.camera.barrel <= MOST_BARREL:
        why = f"barrel is {flaws.camera.barrel:g}; above {MOST_BARREL:g} a lens would fold the picture's corners"
        yield Wrong((*place, "camera", "barrel"), why)
    for name, ms in (("rolling_ms", flaws.camera.rolling_ms), ("exposure_ms", flaws.camera.exposure_ms)):
        if not ms <= FRAME_MS:
            yield Wrong((*place, "camera", name), f"{name} is {ms:g}; a picture takes no longer than {FRAME_MS:g} ms")
    if not flaws.camera.crf <= WORST_CRF:
        yield Wrong((*place, "camera", "crf"), f"crf is {flaws.camera.crf:g}; it must be {WORST_CRF:g} or less")
    if not flaws.camera.kit_bits:
        yield Wrong((*place, "camera", "kit_bits"), "kit_bits is 0; a large one, such as 8, loses hardly anything")
    for name in ("microphone", "camera"):
        device = getattr(flaws, name)
        if device.restarts_an_hour and device.restart_s * SECOND_NS <= STALL_NS:
            least_s = STALL_NS // SECOND_NS
            why = f"restart_s is {device.restart_s:g}; a kit notices what is silent for more than {least_s} s"
            yield Wrong((*place, name, "restart_s"), why)
    if not flaws.clock.wander_period_s:
        yield Wrong((*place, "clock", "wander_period_s"), "wander_period_s is 0; to switch wander off set wander_ppm")


def wandering(clock: ClockMap, flaws: ClockFlaws, phase: float, duration_s: float) -> ClockMap:
    """An affine map whose skew wanders: the same offset at the beginning, and pieces that join.

    Args:
        phase: of the wander when the map begins, radians.
        duration_s: how long it is needed.
    """
    if not flaws.wander_ppm:
        return clock
    (even,) = clock.pieces
    count = max(1, int(np.ceil(duration_s / KNOT_S)))
    origins = [even.origin_ns + round(k * KNOT_S * SECOND_NS) for k in range(count)]
    turns = phase + 2 * np.pi * KNOT_S / flaws.wander_period_s * np.arange(count)
    skews = np.round(even.skew_ppm + flaws.wander_ppm * np.sin(turns), 6).tolist()
    starts, stops = [-FOREVER_NS, *origins[1:]], [*origins[1:], FOREVER_NS]
    pieces: list[Piece] = []
    target_ns = even.target_ns
    for origin_ns, skew, start_ns, stop_ns in zip(origins, skews, starts, stops, strict=True):
        if pieces:
            target_ns = ClockMap("", "", (pieces[-1],)).forward(origin_ns)
        pieces.append(Piece(origin_ns, target_ns, skew, 0.0, start_ns, stop_ns))
    return ClockMap(clock.source, clock.target, tuple(pieces))


def times_of(an_hour: float, duration_s: float, random: np.random.Generator) -> list[float]:
    """When something happens that often, s, ascending; never in the first and last `MARGIN_S`, where tones sound.

    As often as asked in every session, to a whole number, so that a short one that is asked for one has one.
    """
    count = int(an_hour * duration_s / 3600 + random.random())
    return np.sort(random.uniform(MARGIN_S, max(MARGIN_S, duration_s - MARGIN_S), count)).tolist()


def restarted(clock: ClockMap, at_s: Sequence[float], off_s: float) -> ClockMap:
    """The clock of a film that was joined of parts: at each time of the film, s, it goes on `off_s` later."""
    for at in at_s:
        edge_ns = clock.pieces[0].origin_ns + round(at * SECOND_NS)
        cut = [p for p in clock.pieces if p.start_ns < edge_ns < p.stop_ns]
        before = [replace(p, stop_ns=min(p.stop_ns, edge_ns)) for p in clock.pieces if p.start_ns < edge_ns]
        after = [replace(p, start_ns=edge_ns) for p in cut] + [p for p in clock.pieces if p.start_ns >= edge_ns]
        late = [replace(p, target_ns=p.target_ns + round(off_s * SECOND_NS)) for p in after]
        clock = replace(clock, pieces=(*before, *late))
    return clock
