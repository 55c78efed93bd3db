"""Writes the tables of `docs/sensors.md` from the drivers: ``python docs/sensors.py``.

What a reading costs is not looked up but watched: every driver reads its simulated chip for three seconds. A test fails
while the page is behind. Run from the repository's root.
"""

from __future__ import annotations

import tempfile
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from marked import filled

from firmware_host.clock import SECOND_NS, TICK_HZ, FakeClock
from firmware_host.driver import SensorSpec, Transfer, bus_time_ns
from firmware_host.process import WARM_UP_NS, InlineAcquisition
from firmware_host.schedule import plan
from firmware_host.sensors import SENSORS
from firmware_host.simulate import CHIPS, ROOM_KIT, Stimulus, simulated_ports
from firmware_host.spec import Channel, KitConfig, LaneConfig, SensorConfig

PAGE = Path(__file__).with_suffix(".md")

BUS = LaneConfig("i2c-1", "i2c", "/dev/i2c-1")
LINE = LaneConfig("uart", "uart", "/dev/ttyAMA0")


class Watched:
    """A simulated bus that writes down every transfer: (address, time) -> transfers."""

    def __init__(self, port: Any, clock: Any) -> None:
        self._port = port
        self._clock = clock
        self.slots: dict[tuple[int, int], list[Transfer]] = defaultdict(list)

    def write(self, address: int, data: bytes) -> None:
        self._watch(address, data, 0)
        self._port.write(address, data)

    def write_read(self, address: int, data: bytes, n: int) -> bytes:
        self._watch(address, data, n)
        answer: bytes = self._port.write_read(address, data, n)
        return answer

    def recover(self) -> str:
        return str(self._port.recover())

    def close(self) -> None:
        self._port.close()

    def _watch(self, address: int, data: bytes, n: int) -> None:
        self.slots[address, self._clock.now_ns()].append(Transfer(data[0], bytes(data[1:]), n))


def readings() -> dict[str, tuple[Transfer, ...]]:
    """Model -> the transfers of its usual reading."""
    kit = KitConfig((BUS,), tuple(SensorConfig(model, model, BUS.name) for model in SENSORS))
    clock, t0_ns = FakeClock(SECOND_NS), SECOND_NS + WARM_UP_NS
    with tempfile.TemporaryDirectory() as folder:
        world = Path(folder) / "world.npz"
        Stimulus(0, 1.0, {model: np.array([chip.quiet], dtype=np.float32) for model, chip in CHIPS.items()}).save(world)
        watched: list[Watched] = []

        def open_ports(clock: Any) -> dict[str, Any]:
            ports = simulated_ports(kit, clock, stimulus_path=world, t0_ns=t0_ns)
            watched.append(Watched(ports[BUS.name], clock))
            return {BUS.name: watched[0]}

        acquisition = InlineAcquisition(plan(kit), open_ports, clock)
        acquisition.open()
        acquisition.start(t0_ns)
        acquisition.run_until(t0_ns + 5 * SECOND_NS)
        acquisition.stop()
    seen: dict[int, Counter[tuple[Transfer, ...]]] = defaultdict(Counter)
    for (address, t_ns), transfers in watched[0].slots.items():
        if t_ns > t0_ns + 2 * SECOND_NS:
            seen[address][tuple(transfers)] += 1
    return {model: seen[spec.addresses[0]].most_common(1)[0][0] for model, spec in SENSORS.items()}


def tables() -> str:
    """Everything between the marks."""
    cost = readings()
    return "\n".join(
        (
            "| sensor | gives | range | rate, at most | address | bus |",
            "|---|---|---|---|---|---|",
            *(_what(spec) for spec in SENSORS.values()),
            "",
            "| sensor | transfers of a reading | bytes read | at 400 kHz | at 100 kHz | at 115200 baud |",
            "|---|---|---|---|---|---|",
            *(_cost(spec, cost[model]) for model, spec in SENSORS.items()),
            "",
            "| sensor | track on disk | channels | scale, offset |",
            "|---|---|---|---|",
            *(line for spec in SENSORS.values() for line in _tracks(spec)),
            "",
            "The seven of the simulated room at their default rates, as `syncctl record --dry-run` prints the plan:",
            "",
            "```",
            plan(ROOM_KIT).table(),
            "```",
            "",
        )
    )


def _what(spec: SensorSpec) -> str:
    sensor = spec.make({})
    gives = [
        _channels(track.name, spec.si_channels(track.name)) for track in sensor.tracks if spec.si_channels(track.name)
    ]
    most = max(r for r in range(1, TICK_HZ + 1) if TICK_HZ % r == 0 and SECOND_NS // r >= sensor.shortest_period_ns)
    addresses = ", ".join(f"{a:#04x}" for a in spec.addresses)
    buses = " or ".join({"i2c": "I2C", "uart": "UART"}[bus] for bus in spec.buses)
    cells = (spec.model, "; ".join(gives), spec.ranges, f"{spec.rate_hz} Hz, {most} Hz", addresses, buses)
    return f"| {' | '.join(cells)} |"


def _channels(track: str, channels: tuple[Channel, ...]) -> str:
    """``linear x, y, z (m/s^2)``; a unit is said once for neighbours that share it."""
    parts: list[tuple[str, list[str]]] = []
    for channel in channels:
        if not parts or parts[-1][0] != channel.unit:
            parts.append((channel.unit, []))
        parts[-1][1].append(channel.name)
    said = [f"{_run(names)}{'' if unit == '1' else f' ({unit})'}" for unit, names in parts]
    return f"{track}: {', '.join(said)}"


def _run(names: list[str]) -> str:
    alike = len(names) > 2 and len({name.rstrip("0123456789") for name in names}) == 1
    return f"{names[0]} to {names[-1]}" if alike else ", ".join(names)


def _cost(spec: SensorSpec, transfers: tuple[Transfer, ...]) -> str:
    at = [sum(bus_time_ns(lane, t, spec.stretch_ns) for t in transfers) for lane in (BUS, _slow(BUS), LINE)]
    said = [f"{t_ns / 1e6:.2f} ms" for t_ns in at]
    if "uart" not in spec.buses:
        said[2] = "–"
    fetched = sum(t.read for t in transfers)
    return f"| {spec.model} | {len(transfers)} | {fetched} | {' | '.join(said)} |"


def _slow(lane: LaneConfig) -> LaneConfig:
    return LaneConfig(lane.name, lane.bus, lane.device, scl_hz=100_000)


def _tracks(spec: SensorSpec) -> list[str]:
    lines = []
    for track in spec.make(_ALL_TRACKS.get(spec.model, {})).tracks:
        rows = f", {track.rows_per_tick} rows a tick" if track.rows_per_tick > 1 else ""
        meanings = dict.fromkeys(_meaning(c) for c in track.channels)
        names = _run([c.name for c in track.channels])
        lines.append(f"| {spec.model} | {track.name}{rows} | {names} | {'; '.join(meanings)} |")
    return lines


_ALL_TRACKS: Mapping[str, Mapping[str, Any]] = {"bno055": {"raw": True}}


def _meaning(channel: Channel) -> str:
    if channel.scale == 1 and channel.unit in ("count", "1"):
        return "counts"
    shift = f" + {channel.offset:g}" if channel.offset else ""
    return f"{channel.scale:.4g}{shift} {'' if channel.unit == '1' else channel.unit}".strip()


def written(text: str) -> str:
    """The page `text` with the tables as they should be."""
    return filled(text, "sensors.py", {"": tables()})


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
