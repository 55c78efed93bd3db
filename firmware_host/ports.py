"""The one door to I2C and serial hardware. Everything else in the project sees two small protocols.

A bus that misbehaves is daily life, so a port raises `BusFault`, which carries the flag that the loop writes
into the timing track; a bus that cannot be *opened* is the user's to mend and raises PortError.

The kernel driver of a Raspberry Pi 0 to 4 accepts a single read message per ioctl, and only as the last one.
`I2CPort.write_read` is exactly that: one write, one read. smbus2's block reads stop at 32 bytes; `i2c_rdwr`
does not, and a thermal image must come in one transfer of 128 or be torn.
"""

from __future__ import annotations

import errno
import fcntl
import select
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol, cast

from firmware_host.clock import Clock
from firmware_host.errors import PortError
from firmware_host.recovery import clock_out
from firmware_host.spec import Flag, KitConfig, LaneConfig

_I2C_RETRIES, _I2C_TIMEOUT = 0x0701, 0x0702
_TIMEOUT_UNITS = 2
"""Of 10 ms: a hung transfer blocks its lane, uninterruptibly, for this long; the kernel's default is 1 s."""

_NACK = frozenset({errno.EREMOTEIO, errno.ENXIO, errno.ENODEV})


class BusFault(Exception):  # noqa: N818  the bus's fault, not an error of ours
    """A transfer that failed. Caught by whoever runs the transfer, and recorded as `flag`."""

    def __init__(self, flag: Flag, why: str) -> None:
        super().__init__(why)
        self.flag = flag


_MEANING = {
    **dict.fromkeys(_NACK, "nobody acknowledges; check power, wiring and the address"),
    errno.ETIMEDOUT: "the bus does not finish; a chip may hold it low, or pull-ups are missing",
    errno.EIO: "the transfer broke off; a chip stretched the clock for too long, or the wires are too long for 400 kHz",
    errno.EAGAIN: "arbitration was lost; something else drives the bus",
    errno.EBADF: "the bus is closed",
    errno.EOPNOTSUPP: "the adapter refuses this kind of transfer; it must do plain I2C, not SMBus alone",
}


def bus_fault(error: OSError) -> BusFault:
    """What a failed transfer means: nobody acknowledged (NACK), or the bus did not finish (TIMEOUT)."""
    flag = Flag.NACK if error.errno in _NACK else Flag.TIMEOUT
    name = errno.errorcode.get(error.errno or 0, "unknown error")
    return BusFault(flag, f"{_MEANING.get(error.errno or 0, error.strerror or str(error))} ({name})")


class Port(Protocol):
    """Something open that must be closed."""

    def close(self) -> None: ...


class I2CPort(Port, Protocol):
    """An I2C adapter. Both calls raise BusFault."""

    def write(self, address: int, data: bytes) -> None:
        """Write `data` to the chip at the 7-bit `address`."""

    def write_read(self, address: int, data: bytes, n: int) -> bytes:
        """Write `data`, then read `n` bytes after a repeated start."""

    def recover(self) -> str:
        """Try to free a bus that is held; returns what was done, in a few words. Never raises."""


class SerialPort(Port, Protocol):
    """A UART. Every call raises BusFault where the device is gone."""

    def write(self, data: bytes) -> None:
        """Send `data`."""

    def read(self, timeout_ns: int) -> bytes:
        """What has come, as soon as anything has; empty after `timeout_ns`."""

    def reset_input(self) -> None:
        """Forget what has come and was not read."""


class I2CBus:
    """A kernel I2C adapter, through smbus2."""

    def __init__(self, device: str) -> None:
        """Raises PortError."""
        try:
            import smbus2
        except ImportError as error:
            raise PortError(f"I2C on {device} needs the package smbus2: pip install smbus2") from error
        self._message = smbus2.i2c_msg
        self._device = device
        self._bus = smbus2.SMBus()
        try:
            self._open()
        except OSError as error:
            raise PortError(_cannot_open(device, error, "enable I2C with raspi-config", "i2c")) from error

    def write(self, address: int, data: bytes) -> None:
        try:
            self._bus.i2c_rdwr(self._message.write(address, data))
        except OSError as error:
            raise bus_fault(error) from error

    def write_read(self, address: int, data: bytes, n: int) -> bytes:
        answer = self._message.read(address, n)
        try:
            self._bus.i2c_rdwr(self._message.write(address, data), answer)
        except OSError as error:
            raise bus_fault(error) from error
        return bytes(answer)

    def recover(self) -> str:
        done = clock_out(self._device)
        with suppress(OSError):  # the next transfer says what is wrong
            self._bus.close()
            self._open()
        return done

    def close(self) -> None:
        self._bus.close()

    def _open(self) -> None:
        self._bus.open(self._device)
        descriptor = cast(int, self._bus.fd)
        for request, value in ((_I2C_RETRIES, 0), (_I2C_TIMEOUT, _TIMEOUT_UNITS)):
            with suppress(OSError):  # an adapter that has its own mind keeps it
                fcntl.ioctl(descriptor, request, value)


_SERIAL_FAULTS = (OSError, TypeError, termios.error)
"""What pyserial lets through when a line goes away under it."""


class SerialLine:
    """A UART, through pyserial: 8N1, owned by this process alone.

    A line that fails is closed, which lets a USB adapter come back under its old name, and opened again when it is
    next spoken to.
    """

    def __init__(self, device: str, baud: int) -> None:
        """Raises PortError."""
        try:
            import serial
        except ImportError as error:
            raise PortError(f"the serial line {device} needs the package pyserial: pip install pyserial") from error
        try:
            self._serial = serial.Serial(device, baud, timeout=0, write_timeout=0.1, exclusive=True)
        except (OSError, ValueError) as error:
            raise PortError(
                _cannot_open(device, error, "check the wiring and that the UART is enabled", "dialout")
            ) from error

    def write(self, data: bytes) -> None:
        with self._line() as line:
            line.write(data)

    def read(self, timeout_ns: int) -> bytes:
        with self._line() as line:
            ready, _, _ = select.select([line.fileno()], [], [], max(timeout_ns, 0) / 1e9)
            return cast(bytes, line.read(256)) if ready else b""

    def reset_input(self) -> None:
        with self._line() as line:
            line.reset_input_buffer()

    def close(self) -> None:
        self._serial.close()

    @contextmanager
    def _line(self) -> Iterator[Any]:
        """pyserial's object, open; what it raises becomes a BusFault."""
        try:
            if not self._serial.is_open:
                self._serial.open()
            yield self._serial
        except _SERIAL_FAULTS as error:
            with suppress(*_SERIAL_FAULTS):
                self._serial.close()
            raise BusFault(Flag.TIMEOUT, str(error)) from error


class Mux:
    """A TCA9548A: eight buses behind one address, one of them connected at a time."""

    def __init__(self, port: I2CPort, address: int) -> None:
        self._port = port
        self._address = address
        self._selected: int | None = None

    def channel(self, number: int) -> I2CPort:
        """The bus behind channel `number`, as a port."""
        return _MuxChannel(self, self._port, number)

    @contextmanager
    def selected(self, number: int) -> Iterator[None]:
        """Connect channel `number`, unless it is connected already."""
        before, self._selected = self._selected, None  # a fault leaves it unknown: the mux itself may have reset
        if before != number:
            self._port.write(self._address, bytes((1 << number,)))
        yield
        self._selected = number


class _MuxChannel:
    def __init__(self, mux: Mux, port: I2CPort, number: int) -> None:
        self._mux = mux
        self._port = port
        self._number = number

    def write(self, address: int, data: bytes) -> None:
        with self._mux.selected(self._number):
            self._port.write(address, data)

    def write_read(self, address: int, data: bytes, n: int) -> bytes:
        with self._mux.selected(self._number):
            return self._port.write_read(address, data, n)

    def recover(self) -> str:
        return self._port.recover()

    def close(self) -> None:
        self._port.close()


def open_lane(lane: LaneConfig) -> I2CPort | SerialPort:
    """Open one lane's bus.

    Raises:
        PortError: it is missing, not permitted or in use.
    """
    return I2CBus(lane.device) if lane.bus == "i2c" else SerialLine(lane.device, lane.baud)


def open_ports(kit: KitConfig, clock: Clock) -> dict[str, I2CPort | SerialPort]:  # noqa: ARG001  as simulated_ports
    """Open every lane of a kit that has a sensor: all, or none.

    Returns:
        lane name -> port.

    Raises:
        PortError: one of them cannot be opened.
    """
    ports: dict[str, I2CPort | SerialPort] = {}
    try:
        for lane in filter(kit.on, kit.lanes):
            ports[lane.name] = open_lane(lane)
    except PortError:
        close_ports(ports)
        raise
    return ports


def close_ports(ports: dict[str, I2CPort | SerialPort]) -> None:
    """Close every port."""
    for port in ports.values():
        port.close()


def _cannot_open(device: str, error: Exception, absent: str, group: str) -> str:
    code = getattr(error, "errno", None)
    if code in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        return f"{device} does not exist; {absent}, or correct the device in the kit file"
    if code in (errno.EACCES, errno.EPERM):
        return f"{device} may not be opened by this user; add them to the group '{group}' and log in again"
    if code in (errno.EBUSY, errno.EAGAIN):
        return f"{device} is in use by another program; stop it first"
    return f"{device} cannot be opened ({error}); check the device in the kit file"
