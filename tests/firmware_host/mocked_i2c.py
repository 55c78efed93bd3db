"""Run as a program under umockdev-wrapper: the real smbus2 on a mocked /dev/i2c-1 with simulated chips behind it.

Prints one JSON document, which `test_ports.py` judges. The mock answers the ioctls of the Pi's kernel driver, its limit
included: one read message in a call, and only as the last.
"""

from __future__ import annotations

import errno
import json
import struct
import sys
import threading
from dataclasses import replace
from pathlib import Path

import gi
import smbus2
from kitworld import START_NS, T0_NS, world_of

from firmware_host.clock import SECOND_NS, FakeClock
from firmware_host.errors import PortError
from firmware_host.link import I2CLink
from firmware_host.ports import BusFault, I2CBus
from firmware_host.probe import identify
from firmware_host.process import InlineAcquisition
from firmware_host.schedule import plan
from firmware_host.sensors import SENSORS
from firmware_host.simulate import Fault, simulated_ports
from firmware_host.spec import Flag, KitConfig, LaneConfig, SensorConfig

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


SEVEN = KitConfig((LaneConfig("i2c-1", "i2c", "/dev/i2c-1"),), tuple(SensorConfig(m, m, "i2c-1") for m in SENSORS))
"""All chips on one bus, the BNO055 at 0x28 among them: many a kit in the field is wired so."""
TWINS = KitConfig(
    (LaneConfig("i2c-1", "i2c", "/dev/i2c-1", mux_address=0x70),),
    tuple(SensorConfig(f"twin{i}", "amg8833", "i2c-1", mux_channel=i) for i in (2, 5)),
)
"""Two chips at one address behind a TCA9548A."""


def fault(kind, on, from_s, until_s, **kwargs):
    return Fault(kind, on, T0_NS + round(from_s * SECOND_NS), T0_NS + round(until_s * SECOND_NS), **kwargs)


class Recording:
    """Some simulated seconds of a kit: what its loop read, and how its sensors and bus felt."""

    def __init__(self, kit, open_ports, seconds):
        acquisition = InlineAcquisition(plan(kit), open_ports, FakeClock(START_NS))
        acquisition.open()
        acquisition.start(T0_NS)
        acquisition.run_until(T0_NS + seconds * SECOND_NS)
        self.readings = acquisition.poll()
        self.transitions = acquisition.transitions()
        self.report = acquisition.stop()

    def said(self):
        """All of it but the words, which are the kernel's or the simulator's."""
        return self.readings, [replace(t, why="") for t in self.transitions]

    def flags(self):
        """Sensor -> flag -> how often."""
        counters = self.report.counters["sensors"]
        return {name: counters[name]["flags"] for name in sorted(counters)}

    def states(self, name):
        """What became of a sensor or bus, in order, since tick 0."""
        return [str(t.after) for t in self.transitions if t.name == name and t.t_ns >= T0_NS]

    def slots(self):
        """Sensor -> the ticks of its readings and of its fresh ones."""
        return {
            s: [
                [r.tick for r in self.readings if r.sensor == s],
                [r.tick for r in self.readings if r.sensor == s and r.flag is Flag.FRESH],
            ]
            for s in self.flags()
        }


class Bench:
    """Records a kit through the real smbus2, and without it."""

    def __init__(self, folder):
        self._folder = folder
        self._testbed = serve()

    def record(self, kit, seconds, faults=(), *, mocked=True):
        """`mocked`: through smbus2 and the mocked kernel; otherwise by the simulated port alone."""
        path = self._folder / "world.npz"
        world_of(kit).save(path)

        def open_ports(clock):
            ports = simulated_ports(kit, clock, stimulus_path=path, t0_ns=T0_NS, faults=faults)
            Adapter.port = ports["i2c-1"]
            return {**ports, "i2c-1": I2CBus("/dev/i2c-1")} if mocked else ports

        return Recording(kit, open_ports, seconds)

    def both(self, kit, seconds, faults=()):
        """A recording through smbus2, and whether the simulated port alone gives the same, bit for bit."""
        mocked = self.record(kit, seconds, faults)
        simulated = self.record(kit, seconds, faults, mocked=False)
        return mocked, mocked.said() == simulated.said()


def serve():
    """Mock the bus device; returns what must be kept alive."""
    testbed, adapter = UMockdev.Testbed.new(), Adapter()
    testbed.add_from_string(DEVICE)
    testbed.attach_ioctl("/dev/i2c-1", adapter)
    threading.Thread(target=GLib.MainLoop().run, daemon=True).start()
    return testbed, adapter


def said(action):
    """What an action raises."""
    try:
        return action()
    except (BusFault, PortError) as error:
        return f"{type(error).__name__}: {getattr(error, 'flag', None) and error.flag.name} {error}"


def whole(bench):
    """Three undisturbed seconds of all seven."""
    recording, equal = bench.both(SEVEN, 3)
    return {"equal": equal, "flags": recording.flags(), "late": recording.report.counters["late"]}


def troubled(bench):
    """One chip refuses two transfers, another is unplugged for two seconds; the loop goes on."""
    faults = (fault("nack", "amg8833", 1.0, 3.0, n=2), fault("unplug", "mlx90393", 1.0, 3.0))
    recording, equal = bench.both(SEVEN, 12, faults)
    return {
        "equal": equal,
        "flags": recording.flags(),
        "slots": recording.slots(),
        "states": recording.states("mlx90393"),
        "notes": recording.report.notes,
    }


def held(bench):
    """The data line is held low for a second."""
    recording = bench.record(SEVEN, 4, (fault("hold", "i2c-1", 1.0, 2.0),))
    last_timeout = max(r.tick for r in recording.readings if r.flag is Flag.TIMEOUT)
    return {
        "flags": recording.flags(),
        "slots": recording.slots(),
        "bus": recording.states("i2c-1"),
        "last_timeout": last_timeout,
        "lane": recording.report.counters["lanes"]["i2c-1"],
    }


def twins(bench):
    """Two chips at one address, kept apart by a mux."""
    recording, equal = bench.both(TWINS, 2)
    images = [{r.counts[0] for r in recording.readings if r.sensor == s.name and r.counts} for s in TWINS.sensors]
    return {"equal": equal, "flags": recording.flags(), "apart": images[0].isdisjoint(images[1])}


def scan(bench):
    """Who is where, by a look at every address of the bus."""
    bench.record(SEVEN, 1)
    bus = I2CBus("/dev/i2c-1")
    found = {address: identify(I2CLink(bus, address), address) for address in range(0x08, 0x78)}
    return {f"{address:#04x}": model for address, model in found.items() if model}


def two_reads_at_once():
    """What the Pi's kernel says to two read messages in a call. Ours never asks; the mock must be as strict."""
    with smbus2.SMBus("/dev/i2c-1") as bus:
        try:
            bus.i2c_rdwr(smbus2.i2c_msg.read(0x76, 1), smbus2.i2c_msg.read(0x76, 1))
        except OSError as error:
            return errno.errorcode[error.errno]
    return "allowed"


def main():
    bench = Bench(Path(sys.argv[1]))
    document = {f.__name__: f(bench) for f in (whole, troubled, held, twins, scan)}
    bus = I2CBus("/dev/i2c-1")
    document |= {
        "absent_chip": said(lambda: bus.write_read(0x10, b"\0", 1)),
        "absent_bus": said(lambda: I2CBus("/dev/i2c-7")),
        "two_reads": two_reads_at_once(),
        "settings": Adapter.settings,
    }
    print(json.dumps(document))


if __name__ == "__main__":
    main()
