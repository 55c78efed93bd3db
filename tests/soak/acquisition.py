"""A kit for an hour on the simulated clock, with faults, and for twenty minutes in real time.

Resident memory must be flat within 5 MB after the first minutes, and every slot must be told: each due reading came
out, and the session's counters say the same as its tracks. Exit status 1 where not. `SECONDS` in the environment
shortens the real-time part.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from firmware_host.clock import SECOND_NS, TICK_HZ, FakeClock, MonotonicClock
from firmware_host.process import WARM_UP_NS, AcquisitionProcess, InlineAcquisition
from firmware_host.schedule import Plan, plan
from firmware_host.simulate import BODY_KIT, ROOM_KIT, Fault, simulated_ports
from firmware_host.simulate.faults import LANE_FAULTS, SENSOR_FAULTS
from firmware_host.spec import Flag, KitConfig
from recorder.camera import H264Encoder
from recorder.demux import read_rows
from recorder.mux import EncodedFrame
from recorder.record import KitRole, LiveKit, PlayedKit, Recorded, record_live, record_played
from recorder.run import sensor_layouts
from recorder.writer import KitLayout, KitWriter
from tests.firmware_host.kitworld import world_of
from tests.soak.memory import Memory

HOUR_S, REAL_S = 3600, 1200
SIZE, FPS = (64, 48), 30
START_NS = 10**12


def main() -> int:
    """Run both; returns how many did not hold."""
    real_s = int(os.environ.get("SECONDS", REAL_S))
    with tempfile.TemporaryDirectory() as folder:
        held = [simulated_hour(Path(folder)), real_time(Path(folder), real_s)]
    return held.count(False)


def simulated_hour(folder: Path) -> bool:
    """The room kit, every fault once on some sensor, as fast as it goes."""
    kit, t0_ns = ROOM_KIT, START_NS + WARM_UP_NS
    world_of(kit, seconds=60).save(folder / "world.npz")
    ports = partial(simulated_ports, kit, stimulus_path=folder / "world.npz", t0_ns=t0_ns, faults=_faults(kit, t0_ns))
    the_plan = plan(kit)
    memory = Memory(after=TICK_HZ * 600)
    acquisition = InlineAcquisition(the_plan, ports, FakeClock(START_NS))
    layout = replace(_layout("hour", the_plan, kit), size=SIZE, fps=FPS)
    played = PlayedKit(layout, KitRole("third"), t0_ns, acquisition, frames=_frames(t0_ns))
    writer = KitWriter(played.layout, folder / "hour.mkv", folder / "hour.jsonl", t0_ns)
    recorded = record_played(played, writer, threading.Event(), HOUR_S * TICK_HZ, memory.on_tick)
    return _told("an hour, simulated", the_plan, recorded, folder / "hour.mkv") & memory.flat(os.getpid())


def _frames(t0_ns: int) -> Iterator[EncodedFrame]:
    """Small grey pictures for an hour. With a picture in it a file's index has a point a second, as is usual."""
    encoder = H264Encoder(*SIZE, FPS, 20_000)
    grey = np.full((SIZE[1] * 3 // 2, SIZE[0]), 90, np.uint8)
    return (encoder.encode(grey, t0_ns + k * SECOND_NS // FPS) for k in range(HOUR_S * FPS))


def real_time(folder: Path, seconds: int) -> bool:
    """The body kit, whose ten lanes are the most that one process runs."""
    kit = BODY_KIT
    world_of(kit, seconds=60).save(folder / "body.npz")
    t0_ns = time.monotonic_ns() + 5 * SECOND_NS
    ports = partial(simulated_ports, kit, stimulus_path=folder / "body.npz", t0_ns=t0_ns, wire_time=True)
    the_plan = plan(kit)
    acquisition = AcquisitionProcess(the_plan, ports, MonotonicClock)
    memory, child = Memory(after=TICK_HZ * 120), Memory(after=TICK_HZ * 120)
    live = LiveKit(_layout("body", the_plan, kit), KitRole("body"), MonotonicClock(), t0_ns, acquisition)
    writer = KitWriter(live.layout, folder / "body.mkv", folder / "body.jsonl", t0_ns)

    def on_tick(now: int) -> None:
        memory.on_tick(now)
        child.on_tick(now, acquisition.pid)

    recorded = record_live(live, writer, threading.Event(), seconds * TICK_HZ, on_tick)
    name = f"{seconds / 60:.0f} minutes, real time"
    return _told(name, the_plan, recorded, folder / "body.mkv") & memory.flat("recorder") & child.flat("acquisition")


def _layout(name: str, the_plan: Plan, kit: KitConfig) -> KitLayout:
    return KitLayout(name, sensor_layouts(the_plan, kit))


def _faults(kit: KitConfig, t0_ns: int) -> list[Fault]:
    """One every minute for ten seconds."""
    names = [s.name for s in kit.sensors if s.lane == "i2c-1"]
    kinds = [*SENSOR_FAULTS, *LANE_FAULTS]
    faults = []
    for minute in range(1, HOUR_S // 60):
        kind = kinds[minute % len(kinds)]
        on = "i2c-1" if kind in LANE_FAULTS else names[minute % len(names)]
        from_ns = t0_ns + minute * 60 * SECOND_NS
        faults.append(Fault(kind, on, from_ns, from_ns + 10 * SECOND_NS))
    return faults


def _told(name: str, the_plan: Plan, recorded: Recorded, media: Path) -> bool:
    """Every due slot is a row of its own, and the counters say the same as the rows."""
    groups = [g for lane in the_plan.lanes for g in lane.groups]
    due = sum(g.due(tick) for g in groups for tick in range(recorded.ticks))
    rows = read_rows(media, [f"{g.sensor}.timing" for g in groups])
    flags: Counter[str] = Counter()
    for g in groups:
        flags.update(Flag(int(f)).name for f in rows[f"{g.sensor}.timing"][:, 2] if f != Flag.HELD)
    counted = Counter({flag.name: 0 for flag in Flag})
    for g in groups:
        counted.update({flag.name: recorded.counters.get(f"{g.sensor}.{flag.name}", 0) for flag in Flag})
    same = +counted == flags
    print(f"{name}: {due} due, {flags.total()} on the tracks, {dict(flags)}; counters agree: {same}", flush=True)
    if not same:
        print(f"  counted {dict(+counted)}")
    return due == flags.total() and same
