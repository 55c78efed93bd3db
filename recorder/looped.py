"""A simulated kit that goes on for as long as somebody lets it: a few seconds of the simulated home, over and over.

For `syncctl serve --simulate`, where nobody knows beforehand how long a recording will be. The loop leaves out the
seconds in which the simulated home sounds its own tones; a kit's speaker is simulated by mixing its tones into the
sound of its microphone.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from firmware_host.clock import SECOND_NS, MonotonicClock
from firmware_host.process import AcquisitionProcess
from firmware_host.schedule import plan as plan_kit
from firmware_host.simulate import ROOM_KIT, Stimulus, simulated_ports
from recorder.camera import H264Encoder
from recorder.microphone import BLOCK, SoundBlock
from recorder.mux import EncodedFrame
from recorder.paced import Paced
from recorder.record import KitRole, LiveKit
from recorder.run import LEAD_S, sensor_layouts
from recorder.tone import tone
from recorder.writer import KitLayout

FPS, SOUND_HZ = 30, 48_000
LOOP_S = 12
MARGIN_S = 3
"""Left out at either end of the world: the tones of its own speaker."""
STIMULUS_S = 3600
"""The chips' world stands still after this; an hour of one row every tenth of a second is a small file."""
STIMULUS_HZ = 10
BIT_RATE = 2_000_000
TONE_LEVEL = 0.1
READY = "ready"


@dataclass(frozen=True)
class Loop:
    """A prepared loop on disk: pictures, sound and what the chips feel."""

    folder: Path

    def pictures(self) -> np.ndarray:
        """(F, H * 3 / 2, W) uint8, memory-mapped."""
        return np.load(self.folder / "third.npy", mmap_mode="r")

    def sound(self) -> np.ndarray:
        """(N,) int32 counts of 24 bits."""
        return np.load(self.folder / "kit-01.sound.npy", mmap_mode="r")

    @property
    def stimulus(self) -> Path:
        return self.folder / "kit-01.npz"


def prepared_loop(place: Path, *, seed: int, width: int, height: int) -> Loop:
    """The loop in the folder `place`, rendered on first use; that takes about a second for each second of the loop.

    Raises:
        ConfigError: the home cannot be built.
    """
    if not (place / READY).exists():
        from recorder.homeplan import plan_home
        from recorder.simulate import prepare_room
        from recorder.world import WorldPlan

        place.mkdir(parents=True, exist_ok=True)
        world = WorldPlan(duration_s=LOOP_S + 2 * MARGIN_S, seed=seed, width=width, height=height)
        prepare_room(plan_home(world), place)
        _trim(place)
        (place / READY).touch()
    return Loop(place)


def _trim(folder: Path) -> None:
    """Leave the margins out of the rendered world, and let the chips feel the loop for an hour."""
    first, count = MARGIN_S * FPS, LOOP_S * FPS
    pictures = np.load(folder / "third.npy", mmap_mode="r")
    np.save(folder / "loop.npy", pictures[first : first + count])
    (folder / "loop.npy").replace(folder / "third.npy")
    sound = np.load(folder / "kit-01.sound.npy")
    np.save(folder / "kit-01.sound.npy", sound[MARGIN_S * SOUND_HZ : (MARGIN_S + LOOP_S) * SOUND_HZ])
    felt = Stimulus.load(folder / "kit-01.npz", 0)
    save_stimulus(folder, felt)


def save_stimulus(folder: Path, felt: Stimulus) -> None:
    """Write what the chips feel in a loop, repeated for an hour; `felt` covers the loop and its margins."""
    step = round(felt.rate_hz / STIMULUS_HZ)
    low, high = round(MARGIN_S * felt.rate_hz), round((MARGIN_S + LOOP_S) * felt.rate_hz)
    repeat = STIMULUS_S // LOOP_S
    tables = {name: np.tile(table[low:high:step], (repeat, 1)) for name, table in felt.tables.items()}
    Stimulus(0, STIMULUS_HZ, tables).save(folder / "kit-01.npz")


class LoopedCamera:
    """Plays the loop's pictures and encodes them."""

    def __init__(self, pictures: np.ndarray, clock: MonotonicClock) -> None:
        self._pictures, self._clock = pictures, clock
        height, width = pictures.shape[1] * 2 // 3, pictures.shape[2]
        self._encoder = H264Encoder(width, height, FPS, BIT_RATE)
        self._paced: Paced[tuple[np.ndarray, int]] | None = None
        self._last: np.ndarray | None = None

    def start(self, sink: Callable[[EncodedFrame], None]) -> None:
        def show(timed: tuple[np.ndarray, int]) -> None:
            self._last = timed[0]
            sink(self._encoder.encode(*timed))

        self._paced = Paced(self._frames(self._clock.now_ns()), self._clock, "camera")
        self._paced.start(show)

    def stop(self) -> None:
        if self._paced is not None:
            self._paced.stop()

    def preview(self) -> bytes | None:
        """The last picture as JPEG."""
        if self._last is None:
            return None
        from recorder.camera import jpeg

        return jpeg(self._last)

    def _frames(self, t0_ns: int) -> Iterator[tuple[int, tuple[np.ndarray, int]]]:
        index = 0
        while True:
            t_ns = t0_ns + index * SECOND_NS // FPS
            yield t_ns, (np.ascontiguousarray(self._pictures[index % len(self._pictures)]), t_ns)
            index += 1


class LoopedMicrophone:
    """Plays the loop's sound, with the tones of a simulated speaker on top."""

    def __init__(self, sound: np.ndarray, clock: MonotonicClock) -> None:
        self._sound, self._clock = np.asarray(sound), clock
        self._paced: Paced[SoundBlock] | None = None
        self._tone: tuple[int, np.ndarray] | None = None
        self._lock = threading.Lock()

    def start(self, sink: Callable[[SoundBlock], None]) -> None:
        self._paced = Paced(self._blocks(self._clock.now_ns()), self._clock, "microphone")
        self._paced.start(sink)

    def stop(self) -> None:
        if self._paced is not None:
            self._paced.stop()

    def sound(self, kind: str) -> int:
        """A speaker's work: sound a tone from now on; returns when it began."""
        counts = np.rint(tone(kind) * (TONE_LEVEL * 2**23)).astype(np.int32)
        t_ns = self._clock.now_ns() + 2 * BLOCK * SECOND_NS // SOUND_HZ
        with self._lock:
            self._tone = (t_ns, counts)
        self._clock.sleep_until_ns(t_ns + len(counts) * SECOND_NS // SOUND_HZ)
        return t_ns

    def _blocks(self, t0_ns: int) -> Iterator[tuple[int, SoundBlock]]:
        first = 0
        while True:
            t_ns = t0_ns + first * SECOND_NS // SOUND_HZ
            due_ns = t0_ns + (first + BLOCK) * SECOND_NS // SOUND_HZ
            self._clock.sleep_until_ns(due_ns)  # what the speaker sounded until then is in the block
            x = self._sound[np.arange(first, first + BLOCK) % len(self._sound)].copy()
            self._mix(x, t_ns)
            yield due_ns, SoundBlock(first, x, t_ns)
            first += BLOCK

    def _mix(self, x: np.ndarray, t_ns: int) -> None:
        with self._lock:
            sounding = self._tone
        if sounding is None:
            return
        at = round((t_ns - sounding[0]) * SOUND_HZ / SECOND_NS)  # sample of the tone at the block's first sample
        low, high = max(0, -at), min(len(x), len(sounding[1]) - at)
        if low < high:
            x[low:high] += sounding[1][at + low : at + high]


def looped_kit(loop: Loop, name: str, log_folder: Path | None = None) -> LiveKit:
    """A live kit that plays the loop through the real drivers, encoders and muxers; nothing of it opened yet."""
    clock = MonotonicClock()
    plan = plan_kit(ROOM_KIT)
    now_ns = clock.now_ns()
    ports = partial(
        simulated_ports,
        ROOM_KIT,
        stimulus_path=loop.stimulus,
        t0_ns=now_ns,
        log_path=log_folder / f"{name}.{os.getpid()}.chips.jsonl" if log_folder else None,
        seed=0,
        wire_time=True,
    )
    pictures = loop.pictures()
    return LiveKit(
        layout=KitLayout(
            name,
            sensor_layouts(plan, ROOM_KIT),
            size=(pictures.shape[2], pictures.shape[1] * 2 // 3),
            fps=FPS,
            sound_hz=SOUND_HZ,
        ),
        about=KitRole("third", tone_distance_m=0.0),
        clock=clock,
        t0_ns=now_ns + round(LEAD_S * SECOND_NS),
        acquisition=AcquisitionProcess(plan, ports, MonotonicClock),
        camera=LoopedCamera(pictures, clock),
        microphone=LoopedMicrophone(loop.sound(), clock),
    )
