"""One chip on a simulated bus in a world that stands still, read by whoever likes."""

from __future__ import annotations

import numpy as np
import pytest
from chipbench import converse, step_through

from firmware_host.clock import SECOND_NS, FakeClock
from firmware_host.link import I2CLink, UartLink
from firmware_host.sensors import SENSORS
from firmware_host.simulate import Stimulus, simulated_ports
from firmware_host.spec import Flag, KitConfig, LaneConfig, SensorConfig

LANES = {"i2c": LaneConfig("lane", "i2c", "/dev/i2c-1"), "uart": LaneConfig("lane", "uart", "/dev/ttyAMA0")}
_PATIENCE = 40


class Bench:
    """A chip that feels `world`, one row of its stimulus. `port` is its bus, `clock` the time.

    `counts` are those of our last reading, one tuple per track.
    """

    counts: tuple[tuple[int, ...], ...] = ()

    def __init__(self, folder, model, world, bus="i2c", address=None):
        self.clock = FakeClock(10**12)
        self.spec = SENSORS[model]
        self.address = self.spec.addresses[0] if address is None else address
        kit = KitConfig((LANES[bus],), (SensorConfig("it", model, "lane", address=address),))
        Stimulus(0, 1.0, {"it": np.array([world], dtype=np.float32)}).save(folder / "world.npz")
        ports = simulated_ports(kit, self.clock, stimulus_path=folder / "world.npz", t0_ns=0)
        self.port = ports["lane"]
        self.link = UartLink(self.port, self.clock) if bus == "uart" else I2CLink(self.port, self.address)

    def ours(self, **options):
        """What our own driver makes of the chip: track -> values in SI, of the first fresh reading."""
        sensor = self.spec.make(options)
        step_through(sensor.start(), self.link, self.clock)
        for _ in range(_PATIENCE):
            self.wait_s(1 / self.spec.rate_hz)
            answer, _ = converse(sensor.read(), self.link)
            if answer.flag is Flag.FRESH:
                self.counts = answer.counts
                return self._si(sensor, answer)
        raise AssertionError(f"no fresh reading of {self.spec.model} in {_PATIENCE} slots; the last was {answer}")

    def ours_now(self, **options):
        """The same at this moment, of a chip that somebody else has started."""
        sensor = self.spec.make(options)
        answer, _ = converse(sensor.read(), self.link)
        assert answer.flag is Flag.FRESH
        return self._si(sensor, answer)

    def _si(self, sensor, answer):
        return {
            track.name: self.spec.to_si(track.name, np.array(counts).reshape(-1, len(track.channels)), sensor.settings)
            for track, counts in zip(sensor.tracks, answer.counts, strict=True)
        }

    def wait_s(self, seconds):
        """Let time pass."""
        self.clock.sleep_until_ns(self.clock.now_ns() + round(seconds * SECOND_NS))


@pytest.fixture
def bench(tmp_path):
    """Makes a `Bench`: ``bench(model, world)``."""

    def build(model, world, **kwargs):
        return Bench(tmp_path, model, world, **kwargs)

    return build
