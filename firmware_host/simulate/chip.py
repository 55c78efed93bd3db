"""What every register-level chip has: registers, a pointer that counts up, an oscillator of its own."""

from __future__ import annotations

import random

from firmware_host.clock import Clock
from firmware_host.simulate.stimulus import Environment


class Oscillator:
    """A chip's own idea of time: the kit's clock, a little fast or slow.

    A faulty one runs at another rate, or stops: a conversion that comes late and data that are frozen are both
    nothing but this.
    """

    def __init__(self, clock: Clock, skew_ppm: float) -> None:
        self._clock = clock
        self._nominal = 1 + skew_ppm * 1e-6
        self._rate = self._nominal
        self._kit_ns = self._chip_ns = clock.now_ns()

    def now_ns(self) -> int:
        """The time by this oscillator, ns."""
        return self._chip_ns + round((self._clock.now_ns() - self._kit_ns) * self._rate)

    def kit_ns(self, chip_ns: int) -> int:
        """When it was, or will be, `chip_ns`: ns on the kit's clock, from the rate it has now."""
        return self._kit_ns + (round((chip_ns - self._chip_ns) / self._rate) if self._rate else 0)

    def run_at(self, share: float) -> None:
        """From now on run at `share` of the proper rate: 1 is healthy, 0 stands still."""
        self._chip_ns, self._kit_ns = self.now_ns(), self._clock.now_ns()
        self._rate = share * self._nominal


class Chip:
    """A chip with 256 registers behind one address. All its times are those of its oscillator.

    Attributes:
        addresses: I2C addresses it can be strapped to.
        quiet: what it feels in a quiet room: a row of its stimulus, whose tables are as wide.
        data_registers: a read that begins at one of these is a data read, and is logged.
        tolerance_ppm: how far its oscillator may be off; the seed chooses.
        tears: a long read may begin in one sample and end in the next.
        environment: what it feels at a time of the kit's clock.
        deaf_until_ns: it does not acknowledge before this; so does a chip in reset.
    """

    addresses: tuple[int, ...] = ()
    quiet: tuple[float, ...] = ()
    data_registers: tuple[int, ...] = ()
    tolerance_ppm: float = 0.0
    tears = False

    def __init__(self, clock: Clock, environment: Environment, seed: int) -> None:
        skew_ppm = random.Random(seed).uniform(-self.tolerance_ppm, self.tolerance_ppm)
        self.oscillator = Oscillator(clock, skew_ppm)
        self.environment = environment
        self.seed = seed
        self.registers = bytearray(256)
        self.pointer = 0
        self.deaf_until_ns = -(2**62)
        self.power_up()

    def power_up(self) -> None:
        """Everything as after the power came on: at first, after a brown-out, after being plugged in."""
        self.registers[:] = bytes(256)
        self.pointer = 0

    def feels(self, chip_ns: int) -> list[float]:
        """What the world is like at a time of its own oscillator: one row of its stimulus."""
        return self.environment(self.oscillator.kit_ns(chip_ns))

    def acknowledges(self) -> bool:
        """Whether it answers to its address now."""
        return self.oscillator.now_ns() >= self.deaf_until_ns

    def write(self, data: bytes) -> None:
        """The first byte sets the pointer, the others are written from there on."""
        self.pointer = data[0]
        for value in data[1:]:
            self.written(self.pointer, value)
            self.pointer = (self.pointer + 1) % 256

    def read(self, n: int, byte_ns: int = 0) -> bytes:
        """`n` bytes from the pointer on, each of which takes `byte_ns` on the wire.

        What is read was latched together at the beginning; of a chip that `tears`, each byte is as old as itself.
        """
        now_ns = self.oscillator.now_ns()
        self.refresh(now_ns)
        data = bytearray()
        for i in range(n):
            if self.tears and byte_ns and i:
                self.refresh(now_ns + i * byte_ns)
            data.append(self.registers[(self.pointer + i) % 256])
        self.pointer = (self.pointer + n) % 256
        return bytes(data)

    def written(self, register: int, value: int) -> None:
        """One register was written."""
        self.registers[register] = value

    def refresh(self, now_ns: int) -> None:
        """Bring the registers up to `now_ns`, never back."""
