"""Kits without hardware: the real drivers and loop, with register-level chips where the bus would be.

Chips are told what the world is like by a `Stimulus`, and everything they answer to a data read is logged,
so that a recording can be checked against what the chips really said.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from firmware_host.clock import Clock
from firmware_host.errors import ConfigError, unknown_name
from firmware_host.ports import I2CPort, SerialPort
from firmware_host.schedule import address_of
from firmware_host.sensors import SENSORS
from firmware_host.simulate.bus import ReadLog, SimulatedI2C, SimulatedUart
from firmware_host.simulate.chip import Chip
from firmware_host.simulate.faults import Fault, Faults
from firmware_host.simulate.stimulus import Environment, Stimulus
from firmware_host.spec import KitConfig, LaneConfig, SensorConfig

CHIPS: dict[str, type[Chip]] = {model: import_module(f"{__name__}.{model}").CHIP for model in SENSORS}
"""For every sensor the `CHIP` of the module of its name here."""

__all__ = ["BODY_KIT", "BODY_SEGMENTS", "ROOM_KIT", "Environment", "Fault", "Stimulus", "simulated_ports"]

BODY_SEGMENTS = (
    *("llegu", "neck", "larmu", "body", "rarmu"),
    *("llegd", "rlegd", "rarmd", "larmd", "rlegu"),
)
"""Left and right, arm and leg, upper and lower; neck and body."""

ROOM_KIT = KitConfig(
    lanes=(LaneConfig("i2c-1", "i2c", "/dev/i2c-1"), LaneConfig("uart-0", "uart", "/dev/ttyAMA0")),
    sensors=(
        *(SensorConfig(model, model, "i2c-1") for model in ("bme680", "amg8833", "tsl2591", "ak9753")),
        *(SensorConfig(model, model, "i2c-1") for model in ("mlx90393", "isl29125")),
        SensorConfig("bno055", "bno055", "uart-0", options={"raw": True}),
    ),
)
"""All seven at their default rates: six on one I2C bus; the BNO055, which stretches clocks, on a line of its own,
where there is room for all that it measures."""

BODY_KIT = KitConfig(
    lanes=tuple(LaneConfig(f"uart-{i}", "uart", f"/dev/ttyUSB{i}") for i in range(len(BODY_SEGMENTS))),
    sensors=tuple(SensorConfig(name, "bno055", f"uart-{i}") for i, name in enumerate(BODY_SEGMENTS)),
)
"""Ten BNO055 on the segments of a body, each on a line of its own, at 20 Hz."""


def simulated_ports(
    kit: KitConfig,
    clock: Clock,
    *,
    stimulus_path: Path,
    t0_ns: int,
    log_path: Path | None = None,
    seed: int = 0,
    wire_time: bool = False,
    faults: Sequence[Fault] = (),
) -> dict[str, I2CPort | SerialPort]:
    """Every lane of a kit that has a sensor, simulated. Stands where `firmware_host.ports.open_ports` would.

    Args:
        kit: lanes and sensors.
        clock: the kit's clock.
        stimulus_path: what the sensors feel, as `Stimulus.save` wrote it.
        t0_ns: kit-clock time of the stimulus's row 0.
        log_path: where to write what the chips answered, when all ports are closed; see `ReadLog`.
        seed: of the sensors' noise.
        wire_time: let transfers take their time on `clock`; for real time, so that its figures mean something.
        faults: what goes wrong, and when.

    Raises:
        SessionError: the stimulus cannot be read.
        ConfigError: it has no table for a sensor, or one with the wrong number of columns.
    """
    stimulus = Stimulus.load(stimulus_path, t0_ns)
    chips = {s.name: _chip(s, stimulus, clock, seed) for s in kit.sensors}
    stretch_ns = {s.name: SENSORS[s.model].stretch_ns for s in kit.sensors}
    lanes = [lane for lane in kit.lanes if kit.on(lane)]
    log = ReadLog(log_path, ports=len(lanes))
    ports: dict[str, I2CPort | SerialPort] = {}
    for lane in lanes:
        sensors = kit.on(lane)
        wrong = Faults(faults, lane.name, {s.name: chips[s.name] for s in sensors}, clock)
        if lane.bus == "uart":
            (sensor,) = sensors
            chip = chips[sensor.name]
            ports[lane.name] = SimulatedUart(lane, sensor.name, chip, clock, log, wrong, wire_time=wire_time)
        else:
            at = {(s.mux_channel, address_of(s)): (s.name, chips[s.name]) for s in sensors}
            ports[lane.name] = SimulatedI2C(lane, at, stretch_ns, clock, log, wrong, wire_time=wire_time)
    return ports


def _chip(sensor: SensorConfig, stimulus: Stimulus, clock: Clock, seed: int) -> Chip:
    if sensor.name not in stimulus.tables:
        raise ConfigError(f"the stimulus: {unknown_name('sensor', sensor.name, stimulus.tables)}")
    columns = stimulus.tables[sensor.name].shape[1]
    chip = CHIPS[sensor.model]
    if columns != len(chip.quiet):
        raise ConfigError(
            f"the stimulus gives {sensor.name} {columns} columns; a {sensor.model} feels {len(chip.quiet)}"
        )
    environment = stimulus.environment(sensor.name, quaternion=sensor.model == "bno055")
    return chip(clock, environment, seed ^ zlib.crc32(sensor.name.encode()))
