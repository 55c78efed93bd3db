"""Lets other people's drivers run, unmodified, on our simulated kits.

CircuitPython drivers ask for a `busio.I2C` or a `busio.UART`, Pimoroni's for an `smbus2.SMBus`: here are three
objects that look like those and speak to our ports. The drivers sleep and look at the time by their module's
`time`, which is replaced by the kit's simulated clock: what they wait for passes on it, and no test waits.

Adafruit's packages import, besides what they use, the names of Blinka's modules for annotations. Blinka itself is
for real boards; `peer` lends those names during the import and takes them back.
"""

from __future__ import annotations

import errno
import importlib
import os
import sys
from types import ModuleType, SimpleNamespace
from unittest.mock import patch

import pytest

from firmware_host.ports import BusFault
from firmware_host.spec import Flag

_LENT = {
    "micropython": {"const": lambda value: value},
    "busio": {"I2C": object, "SPI": object, "UART": object},
    "digitalio": {"DigitalInOut": object},
    "circuitpython_typing": {"ReadableBuffer": object, "WriteableBuffer": object},
    "circuitpython_typing.device_drivers": {"I2CDeviceDriver": object},
}
_LOOK_NS = 10_000
"""What a look at the clock costs, so that a loop which only watches the time comes to its end."""
_ERRNO = {Flag.NACK: errno.EREMOTEIO, Flag.TIMEOUT: errno.ETIMEDOUT}


def peer(name, clock):
    """Somebody's driver module, its time being `clock`. In CI a missing one fails the test; elsewhere it skips."""
    try:
        module = imported(name)
    except ModuleNotFoundError as error:
        sentence = f"{error}; pip install --no-deps -c constraints.txt -r tests/firmware_host/peers/requirements.txt"
        if os.environ.get("CI") == "true":
            pytest.fail(sentence)
        pytest.skip(sentence)
    module.time = SimulatedTime(clock)
    return module


def imported(name):
    """Somebody's driver module as it is."""
    lent = {module: _module(module, names) for module, names in _LENT.items() if module not in sys.modules}
    with patch.dict(sys.modules, lent):
        module = importlib.import_module(name)
        loaded = dict(sys.modules)
    sys.modules.update({k: v for k, v in loaded.items() if k not in lent})
    return module


def _module(name, names):
    module = ModuleType(name)
    vars(module).update(names)
    return module


class SimulatedTime(SimpleNamespace):
    """The module `time` as these drivers use it."""

    def __init__(self, clock):
        def sleep(seconds):
            clock.sleep_until_ns(clock.now_ns() + round(seconds * 1e9))

        def monotonic():
            clock.sleep_until_ns(clock.now_ns() + _LOOK_NS)
            return clock.now_ns() / 1e9

        super().__init__(sleep=sleep, monotonic=monotonic)


class _Wire:
    """A simulated bus, whose faults come as the kernel's errors. Counts the transfers."""

    def __init__(self, port):
        self._port = port
        self.transfers = 0

    def _put(self, address, data):
        self._run(lambda: self._port.write(address, data) if data else self._port._at(address))

    def _get(self, address, n, data=None):
        if data:
            return self._run(lambda: self._port.write_read(address, data, n))
        # None of our drivers reads without having written, so our ports cannot; these go to the chip itself.
        return self._run(lambda: self._port._at(address)[1].read(n))

    def _run(self, transfer):
        self.transfers += 1
        try:
            return transfer()
        except BusFault as fault:
            raise OSError(_ERRNO[fault.flag], str(fault)) from fault


class BusioI2C(_Wire):
    """What CircuitPython calls `busio.I2C`."""

    def try_lock(self):
        return True

    def unlock(self):
        pass

    def writeto(self, address, buffer, *, start=0, end=None):
        self._put(address, bytes(buffer[start:end]))

    def readfrom_into(self, address, buffer, *, start=0, end=None):
        n = len(buffer[start:end])
        buffer[start : start + n] = self._get(address, n)

    def writeto_then_readfrom(
        self, address, out_buffer, in_buffer, *, out_start=0, out_end=None, in_start=0, in_end=None
    ):
        n = len(in_buffer[in_start:in_end])
        in_buffer[in_start : in_start + n] = self._get(address, n, bytes(out_buffer[out_start:out_end]))


class Smbus(_Wire):
    """What smbus2 calls `SMBus`, as far as Pimoroni's driver goes."""

    def read_byte_data(self, address, register):
        return self.read_i2c_block_data(address, register, 1)[0]

    def write_byte_data(self, address, register, value):
        self._put(address, bytes((register, value)))

    def read_i2c_block_data(self, address, register, length):
        return list(self._get(address, length, bytes((register,))))

    def write_i2c_block_data(self, address, register, data):
        self._put(address, bytes((register, *data)))


class BusioUart:
    """What CircuitPython calls `busio.UART`."""

    baudrate = 115_200

    def __init__(self, port):
        self._port = port
        self._received = b""

    @property
    def in_waiting(self):
        self._received += self._port.read(0)
        return len(self._received)

    def write(self, data):
        self._port.write(bytes(data))

    def read(self, n):
        received, self._received = self._received[:n], self._received[n:]
        return received
