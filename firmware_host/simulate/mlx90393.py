"""An MLX90393 in commands: modes, conversions that take their time, and a status byte that alone tells.

A command is executed when its bytes have come, and what it answers is kept until it is read: a status byte, after
which the data bits of a read follow. Where sources are silent this chip does what public drivers rely on: bits 1:0
of the status are 3 where they mean nothing (Adafruit's driver waits for ever for a status that is not 0), and
a mode that runs is only left by EX.
"""

from __future__ import annotations

import struct

import numpy as np

from firmware_host.simulate.chip import Chip

_BURST, _WAKE, _SINGLE, _READ, _READ_REGISTER = 0x1, 0x2, 0x3, 0x4, 0x5
_WRITE_REGISTER, _EXIT, _RECALL, _STORE, _RESET = 0x6, 0x8, 0xD, 0xE, 0xF
_STATUS_OF = {_BURST: 0x80, _WAKE: 0x40, _SINGLE: 0x20}
_ERROR, _CORRECTED, _WAS_RESET, _NO_LENGTH = 0x10, 0x08, 0x04, 0x03

_RESET_NS = 1_500_000
_STANDBY_NS, _BEGIN_NS, _OVERHEAD_NS = 510_000, 8_000, 67_000
_BURST_STEP_NS = 20_000_000
_CUSTOMER_REGISTERS, _TEMPERATURE_REFERENCE, _WAKE_THRESHOLDS = 0x20, 0x24, (0x07, 0x07, 0x08)
_GAIN = (5, 4, 3, 2.5, 2, 5 / 3, 4 / 3, 1)
_UT_PER_COUNT = (0.150, 0.150, 0.242)
_NOISE_UT = 6.0
"""Of one reading of the Hall plates; it averages (2 + 2^DIG_FILT) * 2^OSR of them. An order of magnitude."""


def _factory() -> bytes:
    memory = bytearray(2 * 64)
    for register, value in ((0x00, 0x407C), (0x02, 0x0000), (_TEMPERATURE_REFERENCE, 46244 + 452)):
        memory[2 * register : 2 * register + 2] = value.to_bytes(2, "big")
    return bytes(memory)


class Mlx90393Chip(Chip):
    """The chip. `environment` gives x, y, z uT in its frame, and degC.

    Register n is bytes 2n and 2n + 1 of `registers`.

    Attributes:
        memory_errors: flipped bits in its non-volatile memory: 1 is corrected and told, with 2 only RT is obeyed.
    """

    addresses = (0x0C, 0x0D, 0x0E, 0x0F, 0x18, 0x19, 0x1A, 0x1B)
    quiet = (20.0, 0.0, -44.0, 25.0)
    data_registers = tuple(range(0x40, 0x50))
    tolerance_ppm = 100_000  # 5 % trim, 5 % drift
    memory_errors = 0
    _memory = _factory()

    def power_up(self) -> None:
        super().power_up()
        self.registers[: len(self._memory)] = self._memory
        self._mode: int | None = None
        self._axes = 0
        self._started_ns = 0
        self._taken = -1
        self._was_reset = self._first = True
        self._unheard = self._spoilt = False
        self._reference: list[int] | None = None
        self._reply = b""

    def register(self, n: int) -> int:
        """A 16-bit register."""
        return int.from_bytes(self.registers[2 * n : 2 * n + 2], "big")

    def write(self, data: bytes) -> None:
        """One command. What it answers waits to be read."""
        self.pointer = data[0]
        if self._unheard:  # the first order's status was not read
            self._unheard, self._spoilt = False, True
        self.refresh(self.oscillator.now_ns())
        command = data[0] >> 4
        payload = self._execute(command, data[0] & 0x0F, data[1:])
        running = _STATUS_OF.get(self._mode or 0, 0)
        status = running | (_ERROR if payload is None else 0) | (_CORRECTED if self.memory_errors == 1 else 0)
        reads = payload is not None and command in (_READ, _READ_REGISTER)
        length = (len(payload) - 2) // 2 if reads and payload else _NO_LENGTH
        if self._was_reset and command != _RESET:
            status |= _WAS_RESET
        self._reply = bytes((status | length,)) + (payload or b"")

    def read(self, n: int, byte_ns: int = 0) -> bytes:  # noqa: ARG002  it does not tear
        """The answer to the last command; ones after its end, as an idle bus has them."""
        if self._reply and self._reply[0] & _WAS_RESET:
            self._was_reset = False
        self._unheard = False
        answer, self._reply = self._reply[:n].ljust(n, b"\xff"), self._reply[n:]
        return answer

    def refresh(self, now_ns: int) -> None:
        """A single measurement ends by itself."""
        if self._mode == _SINGLE and now_ns >= self._started_ns + self._duration_ns():
            self._mode = None

    def _execute(self, command: int, axes: int, data: bytes) -> bytes | None:
        """What the command answers after its status; None where it is rejected."""
        if self.memory_errors >= 2 and command != _RESET:
            return None
        if command == _READ:
            return self._result(axes)
        if command == _READ_REGISTER and len(data) == 1:
            return self.register(data[0] >> 2).to_bytes(2, "big")
        if command == _EXIT:
            self._mode, self._taken = None, 0
            return b""
        if command == 0:
            return b""
        if self._mode is not None:
            return None
        return self._execute_idle(command, axes, data)

    def _execute_idle(self, command: int, axes: int, data: bytes) -> bytes | None:
        """What is only done in no mode."""
        if command in _STATUS_OF:
            self._mode, self._axes = command, axes or self.register(1) >> 6 & 0x0F
            self._started_ns, self._taken, self._reference = self.oscillator.now_ns(), -1, None
            self._spoilt, self._unheard, self._first = False, self._first, False
        elif command == _WRITE_REGISTER and len(data) == 3 and data[2] >> 2 < _CUSTOMER_REGISTERS:
            n = data[2] >> 2
            self.registers[2 * n : 2 * n + 2] = data[:2]
        elif command == _RECALL:
            self.registers[: len(self._memory)] = self._memory
        elif command == _STORE:
            self._memory = bytes(self.registers[: len(self._memory)])
        elif command == _RESET:
            self.power_up()
            self.deaf_until_ns = self.oscillator.now_ns() + _RESET_NS
        else:
            return None
        return b""

    def _conversions_ns(self) -> list[int]:
        """How long each of temperature, x, y and z takes; 0 where it is not asked for."""
        control = self.register(2)
        temperature = _OVERHEAD_NS + 192_000 * 2 ** (control >> 11 & 3)
        axis = _OVERHEAD_NS + 64_000 * 2 ** (control & 3) * (2 + 2 ** (control >> 2 & 7))
        return [(axis if i else temperature) * (self._axes >> i & 1) for i in range(4)]

    def _duration_ns(self) -> int:
        return _STANDBY_NS + _BEGIN_NS + sum(self._conversions_ns())

    def _result(self, axes: int) -> bytes | None:
        """The measurement that is ready, None where none is: DRDY rises with its end and falls when it is read."""
        now_ns, duration_ns = self.oscillator.now_ns(), self._duration_ns()
        pause_ns = (self.register(1) & 0x3F) * _BURST_STEP_NS
        last = (now_ns - self._started_ns - duration_ns) // (duration_ns + pause_ns)
        if self._mode not in (_BURST, _WAKE):
            last = min(last, 0)
        if last <= self._taken or not self._axes:
            return None
        counts = self._measured(self._started_ns + last * (duration_ns + pause_ns))
        if self._mode == _WAKE and not self._woken(counts):
            return None
        self._taken = last
        wanted = [i for i in range(4) if (axes or self._axes) >> i & 1]
        words = [counts[i] if self._axes >> i & 1 and not self._spoilt else 0 for i in wanted]
        return struct.pack(f">{len(words)}H", *words) if words else None

    def _measured(self, started_ns: int) -> list[int]:
        """The four words of a measurement: each as the world was in the middle of its own conversion."""
        gain, control = _GAIN[self.register(0) >> 4 & 7], self.register(2)
        compensated = self.register(1) >> 10 & 1
        readings = (2 + 2 ** (control >> 2 & 7)) * 2 ** (control & 3)
        noise = np.random.default_rng((self.seed, started_ns)).normal(0, _NOISE_UT / readings**0.5, 3).tolist()
        begin_ns, words = started_ns + _STANDBY_NS + _BEGIN_NS, []
        for i, conversion_ns in enumerate(self._conversions_ns()):
            world = self.feels(begin_ns + conversion_ns // 2)
            begin_ns += conversion_ns
            if i == 0:
                words.append(min(max(round(46244 + (world[3] - 25) * 45.2), 0), 0xFFFF))
                continue
            res = control >> (3 + 2 * i) & 3
            count = (world[i - 1] + noise[i - 1]) / (_UT_PER_COUNT[i - 1] * gain * 2**res)
            zero = 0x8000 if compensated or res == 2 else 0x4000 if res == 3 else 0
            low = -zero if zero else -0x8000
            words.append(min(max(round(count), low), low + 0xFFFF) + zero & 0xFFFF)
        return words

    def _woken(self, counts: list[int]) -> bool:
        """Wake on change: has an axis moved further than its threshold from the reference?"""
        if self._reference is None:
            self._reference = counts
            return False
        moved = [abs((a - b + 0x8000 & 0xFFFF) - 0x8000) for a, b in zip(counts, self._reference, strict=True)]
        woken = any(
            self._axes >> i & 1 and moved[i] > self.register(threshold)
            for i, threshold in enumerate(_WAKE_THRESHOLDS, start=1)
        )
        if woken and self.register(1) >> 12 & 1:  # compare with the last that woke, not with the first
            self._reference = counts
        return woken


CHIP = Mlx90393Chip
