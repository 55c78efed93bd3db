"""The 60 Hz clock, measured: our loop, the loop one would write first, and the loop one would write second.

The same seven simulated chips, with the time their wires take, beside the same encoder (1280x720 at 30 pictures a
second). Each loop has a process of its own, one after the other:

* ``syncctl``: our loop in its own process; the encoder is in another.
* ``polling``: ``sleep(1/60)`` and the public drivers, in the encoder's process. Where a chip has none on PyPI
  (AK9753, ISL29125), its registers are read in one go.
* ``deadline``: our drivers and absolute deadlines, but in threads of the encoder's process, without priority.

Deviation is from the ideal grid: reading k of a sensor is due at ``t0 + k * period``. A slot that was skipped is
missed, and so is a reading that had not begun when the time was up. `SECONDS=600` in the environment makes it ten
minutes. Steal is what the machine's owner took from it meanwhile: no code is punctual through that.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from firmware_host.clock import SECOND_NS, TICK_HZ, Clock, MonotonicClock, tick_ns
from firmware_host.driver import SensorSpec
from firmware_host.loop import LaneThreads
from firmware_host.ports import I2CPort, SerialPort
from firmware_host.process import AcquisitionProcess
from firmware_host.schedule import address_of, plan
from firmware_host.sensors import SENSORS
from firmware_host.simulate import BODY_KIT, ROOM_KIT, simulated_ports
from firmware_host.spec import Flag, KitConfig
from recorder.camera import H264Encoder
from tests.firmware_host.kitworld import world_of

KITS = {"room": ROOM_KIT, "body": BODY_KIT}
LEAD_NS = 5 * SECOND_NS
WIDTH, HEIGHT, FPS = 1280, 720, 30


@dataclass(frozen=True)
class Result:
    """What a loop did, `due` readings long."""

    due: int
    missed: int
    mean_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float
    drift_ms: float
    cpu_percent: float
    steal_s: float


def main() -> None:
    """Run every loop on the room kit, ours on the body kit too, and print a table."""
    seconds = int(os.environ.get("SECONDS", "60"))
    print(f"{'kit':6}{'loop':10}" + "".join(f"{name:>12}" for name in Result.__dataclass_fields__))
    for kit, loop in (("room", "syncctl"), ("room", "deadline"), ("room", "polling"), ("body", "syncctl")):
        done = subprocess.run(
            [sys.executable, "-m", "tests.bench.acquisition", kit, loop, str(seconds)], check=True, capture_output=True
        )
        result = json.loads(done.stdout)
        print(f"{kit:6}{loop:10}" + "".join(f"{value:>12}" for value in result.values()), flush=True)


def one(kit: KitConfig, loop: str, seconds: int) -> Result:
    """Run one loop in this process."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        world_of(kit, seconds=seconds + 20.0).save(folder / "world.npz")
        t0_ns = time.monotonic_ns() + LEAD_NS
        open_ports = partial(
            timed_ports, kit, stimulus=folder / "world.npz", t0_ns=t0_ns, spent=folder / "simulator.json"
        )
        stop = threading.Event()
        encoder = threading.Thread(target=encode, args=(stop,))
        encoder.start()
        steal = steal_s()
        starts, cpu_s = LOOPS[loop](kit, open_ports, t0_ns, seconds)
        steal = steal_s() - steal
        stop.set()
        encoder.join()
        simulator_s = sum(json.loads(line) for line in (folder / "simulator.json").read_text().splitlines())
        return judged(kit, starts, t0_ns, seconds, (cpu_s - simulator_s) / seconds, steal)


Starts = dict[str, list[tuple[int, int]]]
"""Sensor -> (k, when reading k began)."""


def run_syncctl(kit: KitConfig, open_ports: Callable[..., Any], t0_ns: int, seconds: int) -> tuple[Starts, float]:
    """Our loop, in its process."""
    acquisition = AcquisitionProcess(plan(kit), open_ports, MonotonicClock)
    acquisition.open()
    before_s = sum(threads_cpu_s(acquisition.pid).values())
    acquisition.start(t0_ns)
    readings = []
    while time.monotonic_ns() < t0_ns + (seconds + 1) * SECOND_NS:
        time.sleep(0.05)
        readings += acquisition.poll()
    cpu_s = sum(threads_cpu_s(acquisition.pid).values()) - before_s
    acquisition.stop()
    return _starts(kit, readings), cpu_s


def run_deadline(kit: KitConfig, open_ports: Callable[..., Any], t0_ns: int, seconds: int) -> tuple[Starts, float]:
    """Our drivers, in threads beside the encoder."""
    clock = MonotonicClock()
    ports = open_ports(clock)
    lanes = LaneThreads(plan(kit), ports, clock, t0_ns)
    before = set(threads_cpu_s(os.getpid()))
    lanes.start()
    clock.sleep_until_ns(t0_ns + (seconds + 1) * SECOND_NS)
    cpu_s = sum(s for thread, s in threads_cpu_s(os.getpid()).items() if thread not in before)
    lanes.stop()
    readings, _ = lanes.drain()
    for port in ports.values():
        port.close()
    return _starts(kit, readings), cpu_s


def run_polling(kit: KitConfig, open_ports: Callable[..., Any], t0_ns: int, seconds: int) -> tuple[Starts, float]:
    """The public drivers and a sleep of a sixtieth."""
    clock = MonotonicClock()
    ports = open_ports(clock)
    reads = public_reads(kit, ports)
    period = {s.name: TICK_HZ // (s.rate_hz or SENSORS[s.model].rate_hz) for s in kit.sensors}
    phase = {s.name: plan(kit).group(s.name).phase for s in kit.sensors}
    starts: Starts = {name: [] for name in reads}
    clock.sleep_until_ns(t0_ns)
    cpu_s, tick = time.thread_time(), 0
    while time.monotonic_ns() < t0_ns + seconds * SECOND_NS:
        for name, read in reads.items():
            if tick % period[name] == phase[name]:
                starts[name].append((tick // period[name], time.monotonic_ns()))
                read()
        tick += 1
        time.sleep(1 / TICK_HZ)
    cpu_s = time.thread_time() - cpu_s
    for port in ports.values():
        port.close()
    return starts, cpu_s


LOOPS = {"syncctl": run_syncctl, "deadline": run_deadline, "polling": run_polling}


def _starts(kit: KitConfig, readings: list[Any]) -> Starts:
    periods = {g.sensor: g.period for lane in plan(kit).lanes for g in lane.groups}
    starts: Starts = {name: [] for name in periods}
    for r in readings:
        if r.flag not in (Flag.LATE, Flag.LOST):
            starts[r.sensor].append((r.tick // periods[r.sensor], r.start_ns))
    return starts


def judged(kit: KitConfig, starts: Starts, t0_ns: int, seconds: int, cpu: float, steal: float) -> Result:
    """Compare with the ideal grid."""
    due, came, deviations, ends = 0, 0, [], []
    for lane in plan(kit).lanes:
        for g in lane.groups:
            n = (seconds * TICK_HZ - g.phase - 1) // g.period + 1
            mine = [
                start - tick_ns(t0_ns, k * g.period + g.phase) - g.offset_ns for k, start in starts[g.sensor] if k < n
            ]
            due += n
            came += len(mine)
            deviations += mine
            ends.append(mine[-1])
    late = np.abs(np.array(deviations)) / 1e6
    p99, p999 = np.percentile(late, [99, 99.9])
    return Result(
        due=due,
        missed=due - came,
        mean_ms=round(float(late.mean()), 3),
        p99_ms=round(float(p99), 3),
        p999_ms=round(float(p999), 3),
        max_ms=round(float(late.max()), 3),
        drift_ms=round(float(np.median(ends)) / 1e6, 3),
        cpu_percent=round(100 * cpu, 2),
        steal_s=round(steal, 2),
    )


class TimedPort:
    """A port that adds up the CPU time spent in it: the simulator's, which hardware would not cost."""

    def __init__(self, port: I2CPort | SerialPort, spent: Path) -> None:
        self._port = port
        self._spent_path = spent
        self._spent_s = 0.0

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)
        if not callable(method):
            return method

        def timed(*args: Any, **kwargs: Any) -> Any:
            begun = time.thread_time()
            try:
                return method(*args, **kwargs)
            finally:
                self._spent_s += time.thread_time() - begun

        setattr(self, name, timed)
        return timed

    def close(self) -> None:
        self._port.close()
        with self._spent_path.open("a") as file:
            file.write(f"{self._spent_s}\n")


def timed_ports(kit: KitConfig, clock: Clock, *, stimulus: Path, t0_ns: int, spent: Path) -> dict[str, Any]:
    """The kit, simulated, with the time its wires take."""
    ports = simulated_ports(kit, clock, stimulus_path=stimulus, t0_ns=t0_ns, wire_time=True)
    return {name: TimedPort(port, spent) for name, port in ports.items()}


def encode(stop: threading.Event) -> None:
    """The recorder's encoder at its usual load, until told to stop."""
    encoder = H264Encoder(WIDTH, HEIGHT, FPS, 4_000_000)
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 255, (8, HEIGHT * 3 // 2 // 8, WIDTH // 8), np.uint8).repeat(8, 1).repeat(8, 2)
    clock, t0_ns = MonotonicClock(), time.monotonic_ns()
    for k in range(10**9):
        clock.sleep_until_ns(t0_ns + k * SECOND_NS // FPS)
        if stop.is_set():
            return
        encoder.encode(np.roll(pictures[k % 8], k, axis=1), time.monotonic_ns())


def public_reads(kit: KitConfig, ports: dict[str, Any]) -> dict[str, Callable[[], object]]:
    """Sensor -> what a user of its public driver calls for one reading."""
    from tests.firmware_host.peers.adapter import BusioI2C, BusioUart, Smbus, imported

    reads: dict[str, Callable[[], object]] = {}
    for s in kit.sensors:
        lane = next(lane for lane in kit.lanes if lane.name == s.lane)
        port, spec = ports[lane.name], SENSORS[s.model]
        if lane.bus == "uart":
            bno = imported("adafruit_bno055").BNO055_UART(BusioUart(port))
            reads[s.name] = lambda bno=bno: (bno.quaternion, bno.linear_acceleration, bno.gravity)
        else:
            reads[s.name] = _public_read(s.model, spec, address_of(s), BusioI2C(port), Smbus(port), imported)
    return reads


def _public_read(
    model: str, spec: SensorSpec, address: int, i2c: Any, smbus: Any, imported: Callable[[str], Any]
) -> Callable[[], object]:
    if model == "bme680":
        bme = imported("adafruit_bme680").Adafruit_BME680_I2C(i2c, address, refresh_rate=5)
        return lambda: (bme.temperature, bme.pressure, bme.humidity, bme.gas)
    if model == "amg8833":
        amg = imported("adafruit_amg88xx").AMG88XX(i2c, address)
        return lambda: amg.pixels
    if model == "tsl2591":
        tsl = imported("adafruit_tsl2591").TSL2591(i2c, address)
        return lambda: tsl.raw_luminosity
    if model == "mlx90393":
        mlx = imported("adafruit_mlx90393").MLX90393(i2c, address, filt=6, oversampling=1)
        return lambda: mlx.magnetic
    register, n = {"ak9753": (0x05, 12), "isl29125": (0x08, 7)}[model]
    for transfer in [t for step in _start_steps(spec) for t in step]:
        smbus.write_i2c_block_data(address, transfer[0], transfer[1])
    return lambda: smbus.read_i2c_block_data(address, register, n)


def _start_steps(spec: SensorSpec) -> list[list[tuple[int, list[int]]]]:
    """The writes that make these two chips run, as their example sketches do."""
    return {"ak9753": [[(0x1C, [0x0C])]], "isl29125": [[(0x01, [0x1D]), (0x02, [0xBF])]]}[spec.model]


def threads_cpu_s(pid: int | None) -> dict[str, float]:
    """Thread -> CPU seconds it has used."""
    used = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        fields = (task / "stat").read_text().rpartition(")")[2].split()
        used[task.name] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return used


def steal_s() -> float:
    """What the machine's owner took from it since it started."""
    return int(Path("/proc/stat").read_text().splitlines()[0].split()[8]) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    print(json.dumps(asdict(one(KITS[sys.argv[1]], sys.argv[2], int(sys.argv[3])))))
