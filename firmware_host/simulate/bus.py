"""Simulated lanes: the ports of `firmware_host.ports`, with chips at the other end and a log of what they said.

What goes wrong on a wire goes wrong here; what goes wrong in a chip, in the chip.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from firmware_host.clock import Clock
from firmware_host.driver import Transfer, bus_time_ns
from firmware_host.ports import BusFault
from firmware_host.simulate.chip import Chip
from firmware_host.simulate.faults import Faults
from firmware_host.spec import Flag, LaneConfig


class ReadLog:
    """What the chips answered to data reads, in order, written as it comes.

    One JSON object a line: ``t_ns`` on the kit's clock at which the bytes were latched, ``sensor``,
    ``register`` of the first byte, ``hex`` of all.
    """

    def __init__(self, path: Path | None, ports: int) -> None:
        """`ports`: how many will be closed before the log is. Without a `path` nothing is kept."""
        self._file = path.open("wb") if path is not None and ports else None
        self._open = ports

    def add(self, t_ns: int, sensor: str, register: int, data: bytes) -> None:
        """One completed read."""
        if self._file is not None:
            entry = {"t_ns": t_ns, "sensor": sensor, "register": register, "hex": data.hex()}
            self._file.write(json.dumps(entry).encode() + b"\n")  # a binary file may be written by several threads

    def close(self) -> None:
        """One port closed."""
        self._open -= 1
        if self._open == 0 and self._file is not None:
            self._file.close()


ADAPTER_TIMEOUT_NS = 20_000_000
"""How long the kernel waits for a bus that is held, as `firmware_host.ports` sets it."""
_RECOVERY_NS = 500_000


class SimulatedI2C:
    """An I2C bus with chips on it, and a TCA9548A where the lane has one.

    With `wire_time` every transfer takes as long as the planner believes it takes; a held bus always takes the
    adapter's timeout.
    """

    def __init__(
        self,
        lane: LaneConfig,
        chips: Mapping[tuple[int | None, int], tuple[str, Chip]],
        stretch_ns: Mapping[str, int],
        clock: Clock,
        log: ReadLog,
        faults: Faults,
        *,
        wire_time: bool,
    ) -> None:
        """`chips`: (mux channel or None, address) -> (sensor name, chip)."""
        self._lane = lane
        self._chips = chips
        self._stretch_ns = stretch_ns
        self._clock = clock
        self._log = log
        self._faults = faults
        self._wire_time = wire_time
        self._channels = 0

    def write(self, address: int, data: bytes) -> None:
        self._check_bus()
        if address == self._lane.mux_address:
            self._channels = data[0]
            return
        name, chip = self._at(address)
        chip.write(data)
        self._pass(name, Transfer(data[0], data[1:]))

    def write_read(self, address: int, data: bytes, n: int) -> bytes:
        self._check_bus()
        name, chip = self._at(address)
        chip.write(data)
        transfer = Transfer(data[0], data[1:], n)
        register, t_ns = chip.pointer, self._clock.now_ns()
        byte_ns = self._duration_ns(name, transfer) // n if self._wire_time else 0
        answer = damaged(chip.read(n, byte_ns), name, self._faults)
        if register in chip.data_registers:
            self._log.add(t_ns, name, register, answer)
        self._pass(name, transfer)
        return answer

    def recover(self) -> str:
        self._clock.sleep_until_ns(self._clock.now_ns() + _RECOVERY_NS)
        self._faults.tell()
        self._faults.clock_out()
        return "nine clocks and a stop were given"

    def close(self) -> None:
        self._log.close()

    def _check_bus(self) -> None:
        self._faults.tell()
        if self._faults.held():
            self._clock.sleep_until_ns(self._clock.now_ns() + ADAPTER_TIMEOUT_NS)
            raise BusFault(Flag.TIMEOUT, "the data line is held low")

    def _at(self, address: int) -> tuple[str, Chip]:
        for (channel, at), (name, chip) in self._chips.items():
            connected = channel is None or self._channels >> channel & 1
            if at == address and connected and self._acknowledges(name, chip):
                return name, chip
        raise BusFault(Flag.NACK, f"nobody answers at {address:#04x}")

    def _acknowledges(self, name: str, chip: Chip) -> bool:
        gone = self._faults.active("unplug", name) or self._faults.active("nack", name)
        return not gone and chip.acknowledges()

    def _duration_ns(self, name: str, transfer: Transfer) -> int:
        return bus_time_ns(self._lane, transfer, self._stretch_ns[name])

    def _pass(self, name: str, transfer: Transfer) -> None:
        if self._wire_time:
            self._clock.sleep_until_ns(self._clock.now_ns() + self._duration_ns(name, transfer))


def damaged(data: bytes, name: str, faults: Faults) -> bytes:
    """What arrives of what a chip said."""
    if faults.active("impostor", name):
        return bytes(byte ^ 0xFF for byte in data)
    if faults.active("flip", name):  # bit 7, as on a Pi that missed a stretched clock
        at = min(1, len(data) - 1)
        return data[:at] + bytes((data[at] ^ 0x80,)) + data[at + 1 :]
    return data


_REQUEST, _WRITE, _READ = 0xAA, 0x00, 0x01
_WRITTEN, _BUSY, _BAD_LENGTH = b"\xee\x01", b"\xee\x07", b"\xee\x08"


class SimulatedUart:
    """A UART with a BNO055 at the other end. A chip in reset is silent."""

    def __init__(
        self, lane: LaneConfig, name: str, chip: Chip, clock: Clock, log: ReadLog, faults: Faults, *, wire_time: bool
    ) -> None:
        self._lane = lane
        self._name = name
        self._chip = chip
        self._clock = clock
        self._log = log
        self._faults = faults
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
            self._faults.tell()
            if self._chip.acknowledges() and not self._faults.active("unplug", self._name):
                self._answer(order, register, n, payload)

    def _answer(self, order: int, register: int, n: int, payload: bytes) -> None:
        t_ns = self._clock.now_ns()
        if self._faults.active("busy", self._name):
            self._reply += _BUSY
        elif not 1 <= n <= 128:
            self._reply += _BAD_LENGTH
        elif order == _READ:
            self._chip.write(bytes((register,)))
            data = damaged(self._chip.read(n), self._name, self._faults)
            self._reply += self._arriving(bytes((0xBB, n)) + data)
            if register in self._chip.data_registers:
                self._log.add(t_ns, self._name, register, data)
        else:
            self._chip.write(bytes((register,)) + payload)
            self._reply += self._arriving(_WRITTEN)
        transfer = Transfer(register, payload, n if order == _READ else 0)
        self._due_ns = t_ns + (bus_time_ns(self._lane, transfer) if self._wire_time else 0)

    def _arriving(self, reply: bytes) -> bytes:
        if self._faults.active("partial", self._name):
            return reply[: len(reply) // 2]
        if self._faults.active("garbage", self._name):
            return bytes(byte ^ 0x5A for byte in reply)
        return b"" if self._faults.active("silence", self._name) else reply

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
