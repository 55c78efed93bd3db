"""Simulated lanes: the ports of `firmware_host.ports`, with chips at the other end and a log of what they said."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from firmware_host.clock import Clock
from firmware_host.driver import Transfer, bus_time_ns
from firmware_host.ports import BusFault
from firmware_host.simulate.chip import Chip
from firmware_host.spec import Flag, LaneConfig


class ReadLog:
    """What the chips answered to data reads, in order; written when the last port closes.

    One JSON object a line: ``t_ns`` on the kit's clock at which the bytes were latched, ``sensor``,
    ``register`` of the first byte, ``hex`` of all.
    """

    def __init__(self, path: Path | None, ports: int) -> None:
        self._path = path
        self._open = ports
        self._lines: list[str] = []

    def add(self, t_ns: int, sensor: str, register: int, data: bytes) -> None:
        """One completed read."""
        self._lines.append(json.dumps({"t_ns": t_ns, "sensor": sensor, "register": register, "hex": data.hex()}))

    def close(self) -> None:
        """One port closed."""
        self._open -= 1
        if self._open == 0 and self._path is not None:
            self._path.write_text("".join(line + "\n" for line in self._lines))


class SimulatedI2C:
    """An I2C bus with chips on it, and a TCA9548A where the lane has one.

    With `wire_time` every transfer takes as long as the planner believes it takes.
    """

    def __init__(
        self,
        lane: LaneConfig,
        chips: Mapping[tuple[int | None, int], tuple[str, Chip]],
        stretch_ns: Mapping[str, int],
        clock: Clock,
        log: ReadLog,
        *,
        wire_time: bool,
    ) -> None:
        """`chips`: (mux channel or None, address) -> (sensor name, chip)."""
        self._lane = lane
        self._chips = chips
        self._stretch_ns = stretch_ns
        self._clock = clock
        self._log = log
        self._wire_time = wire_time
        self._channels = 0

    def write(self, address: int, data: bytes) -> None:
        if address == self._lane.mux_address:
            self._channels = data[0]
            return
        name, chip = self._at(address)
        chip.write(data)
        self._pass(name, Transfer(data[0], data[1:]))

    def write_read(self, address: int, data: bytes, n: int) -> bytes:
        name, chip = self._at(address)
        chip.write(data)
        register, t_ns = chip.pointer, self._clock.now_ns()
        answer = chip.read(n)
        if register in chip.data_registers:
            self._log.add(t_ns, name, register, answer)
        self._pass(name, Transfer(data[0], data[1:], n))
        return answer

    def close(self) -> None:
        self._log.close()

    def _at(self, address: int) -> tuple[str, Chip]:
        for (channel, at), (name, chip) in self._chips.items():
            connected = channel is None or self._channels >> channel & 1
            if at == address and connected and chip.acknowledges():
                return name, chip
        raise BusFault(Flag.NACK, f"nobody answers at {address:#04x}")

    def _pass(self, name: str, transfer: Transfer) -> None:
        if self._wire_time:
            duration_ns = bus_time_ns(self._lane, transfer, self._stretch_ns[name])
            self._clock.sleep_until_ns(self._clock.now_ns() + duration_ns)


_REQUEST, _WRITE, _READ = 0xAA, 0x00, 0x01
_WRITTEN, _BAD_LENGTH = b"\xee\x01", b"\xee\x08"


class SimulatedUart:
    """A UART with a BNO055 at the other end. A chip in reset is silent."""

    def __init__(self, lane: LaneConfig, name: str, chip: Chip, clock: Clock, log: ReadLog, *, wire_time: bool) -> None:
        self._lane = lane
        self._name = name
        self._chip = chip
        self._clock = clock
        self._log = log
        self._wire_time = wire_time
        self._received = b""
        self._reply = b""
        self._due_ns = 0

    def write(self, data: bytes) -> None:
        self._received += data
        while len(self._received) >= 4:
            if self._received[0] != _REQUEST:
                self._received = self._received[1:]
                continue
            _, order, register, n = self._received[:4]
            end = 4 + (n if order == _WRITE else 0)
            if len(self._received) < end:
                return
            payload, self._received = self._received[4:end], self._received[end:]
            if self._chip.acknowledges():
                self._answer(order, register, n, payload)

    def _answer(self, order: int, register: int, n: int, payload: bytes) -> None:
        t_ns = self._clock.now_ns()
        if not 1 <= n <= 128:
            self._reply += _BAD_LENGTH
        elif order == _READ:
            self._chip.write(bytes((register,)))
            data = self._chip.read(n)
            if register in self._chip.data_registers:
                self._log.add(t_ns, self._name, register, data)
            self._reply += bytes((0xBB, n)) + data
        else:
            self._chip.write(bytes((register,)) + payload)
            self._reply += _WRITTEN
        transfer = Transfer(register, payload, n if order == _READ else 0)
        self._due_ns = t_ns + (bus_time_ns(self._lane, transfer) if self._wire_time else 0)

    def read(self, timeout_ns: int) -> bytes:
        if self._wire_time:
            until_ns = self._clock.now_ns() + timeout_ns
            self._clock.sleep_until_ns(min(self._due_ns, until_ns) if self._reply else until_ns)
        if self._clock.now_ns() < self._due_ns:
            return b""
        reply, self._reply = self._reply, b""
        return reply

    def reset_input(self) -> None:
        self._reply = b""

    def close(self) -> None:
        self._log.close()
