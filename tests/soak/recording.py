"""One kit for twenty minutes in real time, 1280x720 at 30 pictures a second, seven sensors and a microphone.

What the files lack must be what was counted, and under 0.1 %; resident memory must be flat within 5 MB. What each part
costs is printed as a share of a core; the pictures' rendering is over before it begins. `SECONDS` in the environment
shortens it.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections import Counter
from pathlib import Path

from firmware_host.clock import TICK_HZ
from firmware_host.process import AcquisitionProcess
from firmware_host.spec import Flag
from recorder.demux import container_frame_times_ns, read_rows
from recorder.looped import FPS, looped_kit, prepared_loop
from recorder.record import LiveKit, Recorded, record_live
from recorder.writer import KitWriter
from tests.soak.memory import Memory

SECONDS = 1200
WARM_S = 120
LOST_SHARE = 0.001
SIZE = (1280, 720)


def main() -> int:
    """Run and print; returns how many of the promises did not hold."""
    seconds = int(os.environ.get("SECONDS", SECONDS))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        loop = prepared_loop(folder / "loop", seed=0, width=SIZE[0], height=SIZE[1])
        kit = looped_kit(loop, "kit-01")
        assert isinstance(kit.acquisition, AcquisitionProcess)
        writer = KitWriter(kit.layout, folder / "kit-01.mkv", folder / "kit-01.jsonl", kit.t0_ns)
        after = TICK_HZ * min(WARM_S, seconds // 4)
        own, child, cost = Memory(after), Memory(after), Cost(after)

        def on_tick(now: int) -> None:
            own.on_tick(now)
            child.on_tick(now, kit.acquisition.pid)
            cost.on_tick(now, kit.acquisition.pid)

        recorded = record_live(kit, writer, threading.Event(), seconds * TICK_HZ, on_tick)
        kept = [_sensors(kit, recorded, folder / "kit-01.mkv"), _pictures(recorded, folder / "kit-01.mkv")]
    cost.print()
    kept += [own.flat("recorder"), child.flat("acquisition")]
    return kept.count(False)


def _sensors(kit: LiveKit, recorded: Recorded, media: Path) -> bool:
    rows = read_rows(media, [f"{s.name}.timing" for s in kit.layout.sensors])
    flags: Counter[str] = Counter()
    counted: Counter[str] = Counter()
    for s in kit.layout.sensors:
        flags.update(Flag(int(f)).name for f in rows[f"{s.name}.timing"][:, 2] if f != Flag.HELD)
        counted.update({f.name: recorded.counters.get(f"{s.name}.{f.name}", 0) for f in Flag if f != Flag.HELD})
    due = sum(s.due(tick) for s in kit.layout.sensors for tick in range(recorded.ticks))
    lost = due - flags["FRESH"]
    agree = +counted == flags and flags.total() == due
    print(f"readings: {due} due, {lost} lost, {dict(flags)}; counters agree: {agree}", flush=True)
    return agree and lost <= LOST_SHARE * due


def _pictures(recorded: Recorded, media: Path) -> bool:
    times_ns = container_frame_times_ns(media)
    due = round((times_ns[-1] - times_ns[0]) * FPS / 1e9) + 1
    lost, counted = due - len(times_ns), recorded.counters.get("camera.frames", 0)
    gaps, samples = recorded.counters.get("camera.gaps", 0), recorded.counters.get("microphone.lost_samples", 0)
    print(f"pictures: {due} due, {lost} lost, {counted} counted, {gaps} gaps; samples lost: {samples}", flush=True)
    return counted == len(times_ns) and bool(gaps) == bool(lost) and lost <= LOST_SHARE * due


class Cost:
    """Processor time of each part from tick `after` on."""

    def __init__(self, after: int) -> None:
        self._after = after
        self._first: tuple[int, dict[str, float]] | None = None
        self._last: tuple[int, dict[str, float]] = (0, {})

    def on_tick(self, now: int, pid: int | None) -> None:
        """Look about once a second."""
        if now < max(self._after, self._last[0] + TICK_HZ):
            return
        self._last = (now, _cpu_s(pid))
        self._first = self._first or self._last

    def print(self) -> None:
        """Say it, as a share of a core."""
        if self._first is None:
            return
        seconds = (self._last[0] - self._first[0]) / TICK_HZ
        for part, cpu_s in sorted(self._last[1].items()):
            print(f"  {part}: {100 * (cpu_s - self._first[1].get(part, 0.0)) / seconds:.1f} % of a core", flush=True)


def _cpu_s(child: int | None) -> dict[str, float]:
    """Part -> seconds of processor time: this process by its threads' names, the acquisition as a whole."""
    names = {t.native_id: t.name for t in threading.enumerate()}
    found: Counter[str] = Counter()
    for task in Path("/proc/self/task").iterdir():
        found[names.get(int(task.name), "libraries")] += _stat_s(task)
    if child:
        found["acquisition, with its simulated chips"] += _stat_s(Path(f"/proc/{child}"))
    return dict(found)


def _stat_s(task: Path) -> float:
    try:
        fields = (task / "stat").read_text().rpartition(")")[2].split()
    except OSError:  # a thread that has just ended
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
