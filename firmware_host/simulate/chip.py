"""What every register-level chip has: registers, a pointer that counts up, and moments of deafness."""

from __future__ import annotations

from firmware_host.clock import Clock


class Chip:
    """A chip with 256 registers behind one address.

    Attributes:
        addresses: I2C addresses it can be strapped to.
        data_registers: a read that begins at one of these is a data read, and is logged.
        deaf_until_ns: it does not acknowledge before this; so does a chip in reset.
    """

    addresses: tuple[int, ...] = ()
    data_registers: tuple[int, ...] = ()

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.registers = bytearray(256)
        self.pointer = 0
        self.deaf_until_ns = -(2**62)

    def acknowledges(self) -> bool:
        """Whether it answers to its address now."""
        return self.clock.now_ns() >= self.deaf_until_ns

    def write(self, data: bytes) -> None:
        """The first byte sets the pointer, the others are written from there on."""
        self.pointer = data[0]
        for value in data[1:]:
            self.written(self.pointer, value)
            self.pointer = (self.pointer + 1) % 256

    def read(self, n: int) -> bytes:
        """`n` bytes from the pointer on. What is read was latched together, at the beginning."""
        self.refresh()
        data = bytes(self.registers[(self.pointer + i) % 256] for i in range(n))
        self.pointer = (self.pointer + n) % 256
        return data

    def written(self, register: int, value: int) -> None:
        """One register was written."""
        self.registers[register] = value

    def refresh(self) -> None:
        """Bring the registers up to date with the clock."""
