"""Run as a program under umockdev-wrapper: the real smbus2 on a mocked /dev/i2c-1 with simulated chips behind it.

Prints one JSON document. The mock answers the ioctls of the Pi's kernel driver, its limit included: one read
message in a call, and only as the last.
"""

from __future__ import annotations

import errno
import json
import struct
import sys
import threading
from functools import partial
from pathlib import Path

import gi
from kitworld import START_NS, T0_NS, world_of

from firmware_host.clock import SECOND_NS, FakeClock
from firmware_host.errors import PortError
from firmware_host.ports import BusFault, I2CBus
from firmware_host.process import InlineAcquisition
from firmware_host.schedule import plan
from firmware_host.simulate import ROOM_KIT, simulated_ports
from firmware_host.spec import Flag

gi.require_version("UMockdev", "1.0")
from gi.repository import GLib, UMockdev  # noqa: E402

I2C_RETRIES, I2C_TIMEOUT, I2C_FUNCS, I2C_RDWR = 0x0701, 0x0702, 0x0705, 0x0707
READ = 0x0001
ERRNO = {Flag.NACK: errno.EREMOTEIO, Flag.TIMEOUT: errno.ETIMEDOUT}
DEVICE = """P: /devices/platform/i2c-1/i2c-dev/i2c-1
N: i2c-1
E: DEVNAME=/dev/i2c-1
E: SUBSYSTEM=i2c-dev
E: MAJOR=89
E: MINOR=1
A: dev=89:1
"""


class Adapter(UMockdev.IoctlBase):
    """The kernel's side of /dev/i2c-1."""

    port = None
    settings: dict[int, int] = {}  # noqa: RUF012  one adapter, as on the Pi

    def do_handle_ioctl(self, client):
        request, arg = client.get_request(), client.get_arg()
        try:
            client.complete(self._answer(request, arg), 0)
        except BusFault as fault:
            client.complete(-1, ERRNO[fault.flag])
        except OSError as error:
            client.complete(-1, error.errno)
        return True

    def _answer(self, request, arg):
        if request == I2C_FUNCS:
            arg.resolve(0, 8).update(0, struct.pack("<Q", 1))
            return 0
        if request in (I2C_RETRIES, I2C_TIMEOUT):
            self.settings[request] = struct.unpack("<Q", bytes(arg.retrieve()))[0]
            return 0
        if request == I2C_RDWR:
            return self._transfer(arg)
        raise OSError(errno.ENOTTY, "")

    def _transfer(self, arg):
        _, n = struct.unpack("<QI", bytes(arg.resolve(0, 16).retrieve())[:12])
        table = arg.resolve(0, 16).resolve(0, 16 * n)
        raw = bytes(table.retrieve())
        messages = [struct.unpack_from("<HHH", raw, 16 * i) for i in range(n)]
        if any(flags & READ for _, flags, _ in messages[:-1]):
            raise OSError(errno.EOPNOTSUPP, "")
        buffers = [table.resolve(16 * i + 8, length) for i, (_, _, length) in enumerate(messages)]
        address, flags, length = messages[-1]
        if flags & READ:
            buffers[-1].update(0, self.port.write_read(address, bytes(buffers[0].retrieve()), length))
        else:
            self.port.write(address, bytes(buffers[0].retrieve()))
        return n


def serve(port):
    """Mock the bus device; returns what must be kept alive."""
    testbed, adapter = UMockdev.Testbed.new(), Adapter()
    Adapter.port = port
    testbed.add_from_string(DEVICE)
    testbed.attach_ioctl("/dev/i2c-1", adapter)
    threading.Thread(target=GLib.MainLoop().run, daemon=True).start()
    return testbed, adapter


def run(open_ports):
    """Three simulated seconds of a room kit."""
    acquisition = InlineAcquisition(plan(ROOM_KIT), open_ports, FakeClock(START_NS))
    acquisition.open()
    acquisition.start(T0_NS)
    acquisition.run_until(T0_NS + 3 * SECOND_NS)
    readings = acquisition.poll()
    acquisition.stop()
    return readings


def said(action):
    """What an action raises."""
    try:
        return action()
    except (BusFault, PortError) as error:
        return f"{type(error).__name__}: {getattr(error, 'flag', None) and error.flag.name} {error}"


def main():
    folder = Path(sys.argv[1])
    world_of(ROOM_KIT).save(folder / "world.npz")
    open_simulated = partial(simulated_ports, ROOM_KIT, stimulus_path=folder / "world.npz", t0_ns=T0_NS)
    kept = []

    def open_mocked(clock):
        ports = open_simulated(clock)
        kept.append(serve(ports["i2c-1"]))
        return {**ports, "i2c-1": I2CBus("/dev/i2c-1")}

    mocked, simulated = run(open_mocked), run(open_simulated)
    bus = I2CBus("/dev/i2c-1")
    document = {
        "equal": mocked == simulated,
        "fresh": sum(r.flag is Flag.FRESH for r in mocked),
        "absent_chip": said(lambda: bus.write_read(0x10, b"\0", 1)),
        "absent_bus": said(lambda: I2CBus("/dev/i2c-7")),
        "timeout": Adapter.settings,
    }
    print(json.dumps(document))


if __name__ == "__main__":
    main()
