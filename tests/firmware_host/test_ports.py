"""The real libraries against hardware that is not there: pyserial on a pseudo-terminal, smbus2 on a mocked bus."""

from __future__ import annotations

import errno
import json
import os
import select
import subprocess
import sys
import threading
import tty
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from kitworld import world_of

from firmware_host.attend import Attendant
from firmware_host.clock import SECOND_NS, FakeClock, MonotonicClock
from firmware_host.driver import Transfer, fetch, put
from firmware_host.errors import PortError
from firmware_host.link import I2CLink, UartLink
from firmware_host.ports import BusFault, Mux, SerialLine, bus_fault, open_lane, open_ports
from firmware_host.sensors import SENSORS, bno055
from firmware_host.simulate import BODY_KIT, simulated_ports
from firmware_host.spec import Flag, KitConfig, LaneConfig, SensorConfig

KIT = KitConfig(BODY_KIT.lanes[:1], BODY_KIT.sensors[:1])
(NAME,) = (s.name for s in KIT.sensors)


class OnPty:
    """A simulated BNO055 at the other end of a real serial device."""

    def __init__(self, tmp_path):
        self._master, self._slave = os.openpty()  # the slave stays open: no hang-up between two opens
        tty.setraw(self._slave)
        self.device = os.ttyname(self._slave)
        self.clock = FakeClock(10**12)
        world_of(KIT).save(tmp_path / "world.npz")
        ports = simulated_ports(KIT, self.clock, stimulus_path=tmp_path / "world.npz", t0_ns=10**12)
        (self._chip,) = ports.values()
        self.replies_before: list[bytes] = []
        self.mute = False
        self._stop_read, self._stop_write = os.pipe()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        while True:
            ready, _, _ = select.select([self._master, self._stop_read], [], [])
            if self._stop_read in ready:
                return
            request = os.read(self._master, 256)
            if self.replies_before:
                os.write(self._master, self.replies_before.pop(0))
                continue
            self._chip.write(request)
            reply = self._chip.read(0)
            if reply and not self.mute:
                os.write(self._master, reply)

    def unplug(self):
        if self._thread.is_alive():
            os.write(self._stop_write, b"x")
            self._thread.join()
            for fd in (self._master, self._slave, self._stop_read, self._stop_write):
                os.close(fd)


@pytest.fixture
def imu(tmp_path):
    chip = OnPty(tmp_path)
    yield chip
    chip.unplug()


@pytest.fixture
def line(imu):
    with closing(SerialLine(imu.device, 115_200)) as port:
        yield port


@pytest.fixture
def link(line):
    return UartLink(line, MonotonicClock())


def test_pyserial_reads_and_writes_registers(link):
    assert link(fetch(0x00, 4)) == bytes.fromhex("a0fb320f")
    assert link(put(0x3B, 0)) == b""
    assert link(fetch(0x3B, 1)) == b"\x00"


def test_pyserial_starts_the_driver_and_reads_a_rotation(imu, link):
    sensor = SENSORS["bno055"].make({})
    attendant = Attendant(NAME, sensor, link, imu.clock)
    flags = []
    for slot in range(60):
        imu.clock.advance_ns(SECOND_NS // 20)
        reading = attendant.take(slot, imu.clock.now_ns())
        flags.append(reading.flag)
    started = flags.index(Flag.FRESH)
    assert 14 <= started <= 30  # the 700 ms of its reset, and a few steps
    assert flags == [Flag.STARTING] * started + [Flag.FRESH] * (60 - started)
    quaternion = bno055.to_si("quaternion", np.array([reading.counts[0]]), {})
    assert (quaternion**2).sum() == pytest.approx(1, abs=1e-3)


def test_a_busy_chip_is_asked_again_once(imu, link):
    imu.replies_before = [b"\xee\x07"]
    assert link(fetch(0x00, 1)) == b"\xa0"
    imu.replies_before = [b"\xee\x07", b"\xee\x07"]
    with pytest.raises(BusFault, match="busy") as fault:
        link(fetch(0x00, 1))
    assert fault.value.flag is Flag.NACK


def test_a_refusal_says_why(imu, link):
    imu.replies_before = [b"\xee\x04"]
    with pytest.raises(BusFault, match="no such register"):
        link(fetch(0x7F, 1))


def test_a_late_reply_does_not_become_the_next_answer(imu, line, link):
    os.write(imu._master, b"\xbb\x02\x11\x22")  # the answer to a request that was given up
    select.select([line._serial.fileno()], [], [], 1)
    assert link(fetch(0x00, 2)) == b"\xa0\xfb"


def test_a_silent_line_times_out_within_a_slot(imu, link):
    imu.mute = True
    before = MonotonicClock().now_ns()
    with pytest.raises(BusFault) as fault:
        link(fetch(0x00, 1))
    assert fault.value.flag is Flag.TIMEOUT
    assert MonotonicClock().now_ns() - before >= 12_000_000
    imu.mute = False
    assert link(fetch(0x00, 1)) == b"\xa0"


def test_an_unplugged_line_is_a_fault_and_not_an_exception_of_pyserial(imu, link):
    imu.unplug()
    with pytest.raises(BusFault):
        link(fetch(0x00, 1))


def test_a_line_in_use_or_absent_is_refused_with_a_remedy(imu, line):  # noqa: ARG001
    with pytest.raises(PortError, match=r"in use by another program; stop it first"):
        SerialLine(imu.device, 115_200)
    with pytest.raises(PortError, match=r"/dev/ttyNONE does not exist"):
        open_lane(LaneConfig("u", "uart", "/dev/ttyNONE"))


def test_open_ports_opens_all_lanes_with_sensors_or_none(imu):
    lanes = (LaneConfig("a", "uart", imu.device), LaneConfig("b", "uart", "/dev/ttyNONE"))
    sensors = (SensorConfig("x", "bno055", "a"), SensorConfig("y", "bno055", "b"))
    with pytest.raises(PortError):
        open_ports(KitConfig(lanes, sensors), MonotonicClock())
    ports = open_ports(KitConfig(lanes, sensors[:1]), MonotonicClock())  # it was closed again
    assert list(ports) == ["a"]
    ports["a"].close()


@pytest.mark.parametrize(
    ("code", "flag"),
    [
        (errno.EREMOTEIO, Flag.NACK),
        (errno.ENXIO, Flag.NACK),
        (errno.ETIMEDOUT, Flag.TIMEOUT),
        (errno.EIO, Flag.TIMEOUT),
    ],
)
def test_kernel_errors_become_flags(code, flag):
    assert bus_fault(OSError(code, os.strerror(code))).flag is flag


class Recorder:
    """An I2C port that writes down what it was asked."""

    def __init__(self):
        self.done = []

    def write(self, address, data):
        self.done.append((address, data))

    def write_read(self, address, data, n):
        self.done.append((address, data, n))
        return bytes(n)

    def close(self):
        self.done.append("closed")


def test_the_mux_is_switched_only_when_it_must_be():
    bus = Recorder()
    mux = Mux(bus, 0x70)
    one, five = mux.channel(1), mux.channel(5)
    one.write(0x28, b"\x07\x00")
    one.write_read(0x28, b"\x20", 22)
    five.write(0x28, b"\x07\x00")
    assert [d for d in bus.done if d[0] == 0x70] == [(0x70, b"\x02"), (0x70, b"\x20")]
    assert bus.done[0] == (0x70, b"\x02")


def test_an_i2c_transfer_is_one_write_then_one_read():
    bus = Recorder()
    link = I2CLink(bus, 0x0C)
    assert link(Transfer(0x60, b"\x01\x02\x03", read=1)) == b"\0"
    link(Transfer(0xE7))
    assert bus.done == [(0x0C, b"\x60\x01\x02\x03", 1), (0x0C, b"\xe7")]


def test_smbus2_on_a_mocked_kernel_gives_the_simulated_readings_bit_for_bit(tool, tmp_path):
    """The whole path through smbus2 and its ioctls, 128-byte frames included, in a process under umockdev."""
    here = Path(__file__).parent
    paths = [str(here), str(here.parents[1]), "/usr/lib/python3/dist-packages"]  # the last for Debian's gi
    result = subprocess.run(
        [tool("umockdev-wrapper"), sys.executable, str(here / "mocked_i2c.py"), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if "No module named 'gi'" in result.stderr or "cannot import name '_gi'" in result.stderr:
        assert os.environ.get("CI") != "true", "python3-gi must be installed for this Python in CI"
        pytest.skip("python3-gi is not installed for this Python")
    assert result.returncode == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["equal"]
    assert document["fresh"] >= 3 * 35 - 1
    assert (
        document["absent_chip"] == "BusFault: NACK nobody acknowledges; check power, wiring and the address (EREMOTEIO)"
    )
    assert document["absent_bus"].startswith("PortError: None /dev/i2c-7 does not exist; enable I2C")
    assert document["timeout"] == {str(0x0701): 0, str(0x0702): 2}
