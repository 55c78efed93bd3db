"""Sensors on their buses: who answers, and is it the one that the kit file says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from firmware_host.clock import Clock
from firmware_host.driver import fetch
from firmware_host.errors import PortError
from firmware_host.link import I2CLink, UartLink
from firmware_host.ports import BusFault, I2CPort, Mux, SerialPort
from firmware_host.probe import identify
from firmware_host.schedule import address_of
from firmware_host.sensors import SENSORS
from firmware_host.spec import KitConfig, LaneConfig, SensorConfig
from recorder.doctor.check import FAIL, OK, WARN, Check

OpenLane = Callable[[LaneConfig], I2CPort | SerialPort]
ADDRESSES = tuple(sorted({a for spec in SENSORS.values() for a in spec.addresses}))
"""Where a chip of ours can be. Nobody else is spoken to."""
_WIRING = "check its power and its wires, and that `address` is the one its jumper says"


@dataclass(frozen=True)
class Found:
    """A sensor that answered and said what it is."""

    lane: LaneConfig
    model: str
    address: int | None = None


def scan(lane: LaneConfig, open_lane: OpenLane, clock: Clock) -> tuple[list[Found], Check]:
    """Ask a bus who is there, without a kit file."""
    try:
        port = open_lane(lane)
    except PortError as error:
        return [], Check(lane.device, FAIL, str(error), "")
    try:
        found = _who(lane, port, clock)
    finally:
        port.close()
    names = ", ".join(f.model if f.address is None else f"{f.model} at {f.address:#04x}" for f in found)
    return found, Check(lane.device, OK, names or "nobody answers there whom syncctl knows")


def check_lane(kit: KitConfig, lane: LaneConfig, open_lane: OpenLane, clock: Clock) -> list[Check]:
    """One check for each configured sensor of a lane, or one for a lane that cannot be opened."""
    try:
        port = open_lane(lane)
    except PortError as error:
        return [Check(lane.name, FAIL, str(error), "")]
    try:
        if lane.bus == "uart":
            return [_check_uart(s, cast(SerialPort, port), lane, clock) for s in kit.on(lane)]
        return [_check_i2c(s, cast(I2CPort, port), lane) for s in kit.on(lane)]
    finally:
        port.close()


def _check_i2c(sensor: SensorConfig, port: I2CPort, lane: LaneConfig) -> Check:
    if sensor.mux_channel is not None and lane.mux_address is not None:
        port = Mux(port, lane.mux_address).channel(sensor.mux_channel)
    address = address_of(sensor)
    model = identify(I2CLink(port, address), address)
    where = f"{address:#04x} on {lane.name}"
    if model == sensor.model:
        return Check(sensor.name, OK, f"a {model} at {where}")
    if model is not None:
        return Check(sensor.name, FAIL, f"there is a {model} at {where}, not a {sensor.model}", "correct `model`")
    elsewhere = [a for a in SENSORS[sensor.model].addresses if a != address]
    for other in elsewhere:
        if identify(I2CLink(port, other), other) == sensor.model:
            text = f"no {sensor.model} at {where}, but one at {other:#04x}"
            return Check(sensor.name, FAIL, text, f"set `address = {other:#04x}`")
    return Check(sensor.name, FAIL, f"no {sensor.model} answers at {where}", _WIRING)


def _check_uart(sensor: SensorConfig, port: SerialPort, lane: LaneConfig, clock: Clock) -> Check:
    if _is_bno055(port, clock):
        return Check(sensor.name, OK, f"a bno055 on {lane.device}")
    return Check(
        sensor.name,
        FAIL,
        f"no bno055 answers on {lane.device}",
        "check that PS1 is high and PS0 low, that RX and TX are crossed, and that no console uses the line",
    )


def _who(lane: LaneConfig, port: I2CPort | SerialPort, clock: Clock) -> list[Found]:
    if lane.bus == "uart":
        return [Found(lane, "bno055")] if _is_bno055(cast(SerialPort, port), clock) else []
    i2c = cast(I2CPort, port)
    asked = ((address, identify(I2CLink(i2c, address), address)) for address in ADDRESSES)
    return [Found(lane, model, address) for address, model in asked if model is not None]


def _is_bno055(port: SerialPort, clock: Clock) -> bool:
    try:
        return UartLink(port, clock)(fetch(0x00, 1)) == b"\xa0"
    except BusFault:
        return False


def check_found(found: list[Found]) -> Check:
    """Whether a scan found anything at all."""
    if found:
        return Check("sensors", OK, f"{len(found)} found")
    return Check("sensors", WARN, "none found on any bus", "enable I2C with raspi-config and check power and wires")
