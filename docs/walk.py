"""Prints the numbers of `docs/walk.md`, one reading on its way from a wire to a gradient: ``python docs/walk.py``.

A forearm turns by 90 degrees a second, and every stage is the code that a real recording takes; the home is not needed.
The page has what this prints, and a test fails where it has not. Run from the repository's root.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from marked import filled

from firmware_host.clock import SECOND_NS, TICK_HZ, FakeClock, tick_ns
from firmware_host.clockmap import ClockMap
from firmware_host.process import WARM_UP_NS, InlineAcquisition
from firmware_host.schedule import plan
from firmware_host.sensors import bno055
from firmware_host.simulate import Stimulus, simulated_ports
from firmware_host.spec import KitConfig, LaneConfig, Reading, SensorConfig
from ingest.targets import GROUPS, STEP_NS, Thirds, movement
from models.muscles import PRESETS, Model
from recorder.demux import read_rows
from recorder.mux import MatroskaWriter, RowTrack
from recorder.pack import SensorPacker
from recorder.samples import samples
from recorder.session import Device, Stream

PAGE = Path(__file__).with_suffix(".md")
KIT = KitConfig((LaneConfig("uart-8", "uart", "/dev/ttyUSB8"),), (SensorConfig("larmd", "bno055", "uart-8"),))
T0_NS = SECOND_NS + WARM_UP_NS
TICK = 33
SECONDS = 2
DEG_S = 90.0
TO_KIT_01 = ClockMap.affine("kit-02", "kit-01", origin_ns=T0_NS, target_ns=1_000_000_000_000, skew_ppm=46.75)
THIRDS = Thirds(low=0.6, high=4.0)
"""Of an upper arm in some training set: degrees in a sixth of a second."""


class Listening:
    """A serial port that remembers what was last said on it, in both directions."""

    def __init__(self, port: Any) -> None:
        self._port = port
        self.asked, self.answered = b"", b""

    def write(self, data: bytes) -> None:
        self.asked, self.answered = data, b""
        self._port.write(data)

    def read(self, timeout_ns: int) -> bytes:
        data: bytes = self._port.read(timeout_ns)
        self.answered += data
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._port, name)


def lines() -> Iterator[str]:
    """What happens to the reading, a line or two for each stage of the page."""
    kit_plan = plan(KIT)
    (group,) = kit_plan.lanes[0].groups
    due_ns = tick_ns(T0_NS, TICK)
    yield f" 1 slot      period {group.period}, phase {group.phase}; tick {TICK} is at t0 + {due_ns - T0_NS:,} ns"
    with tempfile.TemporaryDirectory() as folder:
        asked, answered, readings = recorded(Path(folder), kit_plan)
        reading = next(r for r in readings if r.tick == TICK)
        yield f" 2 wire      > {asked.hex(' ')}"
        yield f"             < {answered[:10].hex(' ')} ... {len(answered)} bytes"
        assert reading.counts is not None
        yield f" 3 reading   quaternion {reading.counts[0]}, {reading.flag.name}"
        rows, timing = packed(readings)
        yield f" 4, 5 rows   tick {TICK}: {row(rows[TICK])}, timing {row(timing[TICK])}"
        yield f"             tick {TICK + 1}: {row(rows[TICK + 1])}, timing {row(timing[TICK + 1])}"
        path = Path(folder) / "kit-02.mkv"
        written_to(path, rows, timing)
        read = read_rows(path, ["larmd.quaternion", "larmd.timing"])
        same = np.array_equal(read["larmd.quaternion"], rows) and np.array_equal(read["larmd.timing"], timing)
        how = "equal" if same else "DIFFERENT"
        yield f" 6 file      {len(rows)} rows of two tracks, read back: {how}"
        series = samples(STREAM, read["larmd.quaternion"], read["larmd.timing"], DEVICE)
    k = int(np.flatnonzero(series.t_ns >= due_ns)[0])
    there = TO_KIT_01.forward(series.t_ns)
    yield f" 7 clock     {series.t_ns[k]:,} ns of kit-02 is {there[k]:,} ns of kit-01"
    yield f" 8 series    {len(series.t_ns)} samples; this one is {', '.join(f'{x:.4f}' for x in series.x[k])}"
    degrees = movement({"larmd": (there, series.x)}, there[k : k + 1])[0, GROUPS.index("larmu")]
    label = int(THIRDS.label(np.array([degrees]))[0])
    thirds = f"{THIRDS.low} and {THIRDS.high}"
    yield f" 9 target    {degrees:.1f} degrees in {STEP_NS / 1e6:.1f} ms; thirds end at {thirds}: {label}"
    yield from learned(label)


def recorded(folder: Path, kit_plan: Any) -> tuple[bytes, bytes, list[Reading]]:
    """What was said on the wire in the slot of `TICK`, and all readings."""
    clock, ports = FakeClock(SECOND_NS), []
    half = np.radians(DEG_S * np.arange(0, SECONDS + 4, 0.01)) / 2
    felt = np.zeros((len(half), 14), np.float32)
    felt[:, 0], felt[:, 3], felt[:, 9], felt[:, 13] = np.cos(half), np.sin(half), 9.81, 31.0
    Stimulus(0, 100.0, {"larmd": felt}).save(folder / "world.npz")

    def open_ports(on: Any) -> dict[str, Any]:
        made = simulated_ports(KIT, on, stimulus_path=folder / "world.npz", t0_ns=T0_NS - WARM_UP_NS, wire_time=True)
        ports.append(Listening(made["uart-8"]))
        return {"uart-8": ports[0]}

    acquisition = InlineAcquisition(kit_plan, open_ports, clock)
    acquisition.open()
    acquisition.start(T0_NS)
    acquisition.run_until(tick_ns(T0_NS, TICK + 1))
    said = ports[0].asked, ports[0].answered
    acquisition.run_until(T0_NS + SECONDS * SECOND_NS)
    acquisition.stop()
    return *said, acquisition.poll()


def packed(readings: list[Reading]) -> tuple[np.ndarray, np.ndarray]:
    """(N, 4) rows of the quaternion and (N, 3) of the timing track."""
    packer = SensorPacker("larmd", bno055.SPEC.make({}).tracks, T0_NS)
    for reading in readings:
        packer.add(reading)
    blocks, timing = packer.rows_until(SECONDS * TICK_HZ)
    return blocks[0], timing


def written_to(path: Path, rows: np.ndarray, timing: np.ndarray) -> None:
    tracks = [RowTrack("larmd.quaternion", TICK_HZ, 4, {}), RowTrack("larmd.timing", TICK_HZ, 3, {})]
    writer = MatroskaWriter(path, tracks)
    writer.rows("larmd.quaternion", rows)
    writer.rows("larmd.timing", timing)
    writer.close()


def learned(label: int) -> Iterator[str]:
    """A clip with that label alone known, and what the smallest model makes of it."""
    torch.manual_seed(0)
    size = {"size": 32, "widths": (4, 4, 8, 8), "channels": 4, "hidden": 16}
    config = dataclasses.replace(PRESETS["tiny"]().net, objectives="move", **size)
    move_valid = torch.zeros(1, 5, len(GROUPS), dtype=torch.bool)
    move_valid[0, 4, GROUPS.index("larmu")] = True
    clip = {
        "frames": torch.randint(0, 255, (1, 5, 3, 32, 32), dtype=torch.uint8),
        "move": torch.full((1, 5, len(GROUPS)), float(label)),
        "move_valid": move_valid,
    }
    known = f"{int(move_valid.sum())} of {move_valid.numel()} labels of movement known"
    yield f"10 clip      frames {tuple(clip['frames'].shape)}; {known}"
    model = Model(config)
    for name, valid in (("known", move_valid), ("in the grey middle", torch.zeros_like(move_valid))):
        model.zero_grad()
        loss = model.loss(clip | {"move_valid": valid})[1]["move"]
        loss.backward()
        first = next(p.grad for p in model.parameters() if p.grad is not None)
        said = f"loss {loss.item():.1f}, the first convolution {'moves' if first.norm() > 0 else 'stays'}"
        yield f"11 gradient  label {name}: {said}"


def row(values: np.ndarray) -> str:
    return str(tuple(values.tolist()))


STREAM = Stream(
    "larmd.quaternion", "sensor", T0_NS, 60.0, "larmd", "bno055", 1, bno055.SPEC.make({}).tracks[0].channels
)
DEVICE = Device("kit-02", "kit", "body", "kit-02", "kit-02.mkv", (STREAM,))


def written(text: str) -> str:
    """The page `text` with the numbers as they should be."""
    shown = "\n".join(lines())
    return filled(text, "walk.py", {"": f"```text\n{shown}\n```\n"})


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
