"""Every fault on every sensor: nobody else loses anything, and the faulty one comes back by itself."""

from __future__ import annotations

import itertools
from collections import defaultdict
from functools import cache

import pytest
from kitworld import START_NS, T0_NS, world_of

from firmware_host.clock import SECOND_NS, FakeClock
from firmware_host.errors import ConfigError
from firmware_host.health import State
from firmware_host.process import InlineAcquisition
from firmware_host.schedule import SLOT_NS, plan
from firmware_host.sensors import SENSORS
from firmware_host.simulate import Fault, simulated_ports
from firmware_host.simulate.faults import LANE_FAULTS, SENSOR_FAULTS, UART_FAULTS
from firmware_host.spec import Flag, KitConfig, LaneConfig, SensorConfig

KIT = KitConfig(
    lanes=(
        LaneConfig("i2c-1", "i2c", "/dev/i2c-1"),
        LaneConfig("i2c-2", "i2c", "/dev/i2c-2"),
        LaneConfig("uart-0", "uart", "/dev/ttyAMA0"),
    ),
    sensors=(
        *(SensorConfig(m, m, "uart-0" if m == "bno055" else "i2c-1") for m in SENSORS),
        SensorConfig("witness", "amg8833", "i2c-2"),
    ),
)
FROM_NS, UNTIL_NS = T0_NS + 3 * SECOND_NS, T0_NS + 8 * SECOND_NS
PATIENCE_S = 35
SENSOR_CASES = [(kind, model) for kind in SENSOR_FAULTS for model in SENSORS if (kind, model) != ("nack", "bno055")]
UART_CASES = [(kind, "bno055") for kind in UART_FAULTS]
# Single bits of a plain 16-bit measurement cannot be told from the measurement, nor can another chip's in its place.
# An ISL29125 has one of its colours ready every 63 ms even at a tenth of its rate.
UNSEEN = {*((kind, model) for kind in ("flip", "impostor") for model in SENSORS), ("late", "isl29125")}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A file with what the kit feels."""
    path = tmp_path_factory.mktemp("faults") / "world.npz"
    world_of(KIT, seconds=60).save(path)
    return path


@pytest.fixture(scope="module")
def run(world):
    """Builds a started kit with given faults."""

    def build(*faults):
        def ports(clock):
            return simulated_ports(KIT, clock, stimulus_path=world, t0_ns=T0_NS, faults=faults)

        kit = InlineAcquisition(plan(KIT), ports, FakeClock(START_NS))
        kit.open()
        kit.start(T0_NS)
        return kit

    return build


@pytest.fixture(scope="module")
def undisturbed(run):
    """seconds -> sensor -> readings of the kit without faults."""

    @cache
    def record(seconds):
        kit = run()
        kit.run_until(T0_NS + seconds * SECOND_NS)
        return by_sensor(kit.poll())

    return record


def by_sensor(readings):
    grouped = defaultdict(list)
    for reading in readings:
        grouped[reading.sensor].append(reading)
    return grouped


def until_well(kit, sensor, seconds=PATIENCE_S):
    """Run until `sensor` gives fresh samples again after the fault; readings, and how long that took in seconds."""
    readings, waited = [], 0
    kit.run_until(UNTIL_NS)
    readings += kit.poll()
    while waited < seconds:
        waited += 1
        kit.run_until(UNTIL_NS + waited * SECOND_NS)
        last = kit.poll()
        readings += last
        mine = [r.flag for r in last if r.sensor == sensor]
        if mine.count(Flag.FRESH) >= 0.9 * len(mine):
            return by_sensor(readings), waited
    pytest.fail(f"{sensor} is not well {seconds} s after the fault: {mine}")


@pytest.mark.parametrize(("kind", "sensor"), SENSOR_CASES + UART_CASES)
def test_a_fault_of_a_sensor_costs_the_others_nothing_and_passes(run, undisturbed, kind, sensor):
    kit = run(Fault(kind, sensor, FROM_NS, UNTIL_NS))
    readings, waited = until_well(kit, sensor)
    transitions, report = kit.transitions(), kit.stop()
    proper = undisturbed(round((UNTIL_NS - T0_NS) / SECOND_NS) + waited)
    for other in proper.keys() - {sensor}:
        assert readings[other] == proper[other]
    assert [r.tick for r in readings[sensor]] == [r.tick for r in proper[sensor]]
    assert report.counters["sensors"][sensor]["health"] == State.OK
    assert report.counters["late"] == 0
    if (kind, sensor) not in UNSEEN:
        assert any(r.flag is not Flag.FRESH for r in readings[sensor] if r.planned_ns >= FROM_NS)
    moves = [t for t in transitions if t.t_ns >= FROM_NS]
    assert {t.name for t in moves} <= {sensor}
    assert all(a.after == b.before for a, b in itertools.pairwise(moves))
    assert sum(report.counters["sensors"][sensor]["transitions"].values()) == len(
        [t for t in transitions if t.name == sensor]
    )


@pytest.mark.parametrize("sensor", [s for s in SENSORS if s != "bno055"])
def test_a_single_nack_is_asked_again_within_its_slot(run, sensor):
    kit = run(Fault("nack", sensor, FROM_NS, UNTIL_NS, n=1))
    readings, _ = until_well(kit, sensor)
    assert all(r.flag is not Flag.NACK for r in readings[sensor])
    assert kit.stop().counters["sensors"][sensor]["retries"] == 1


@pytest.mark.parametrize("kind", LANE_FAULTS)
def test_a_bus_that_hangs_for_a_second_costs_only_its_lane(run, undisturbed, kind):
    released_ns = FROM_NS + SECOND_NS
    kit = run(Fault(kind, "i2c-1", FROM_NS, released_ns))
    kit.run_until(T0_NS + 8 * SECOND_NS)
    readings, transitions, report = by_sensor(kit.poll()), kit.transitions(), kit.stop()
    proper = undisturbed(8)
    for other in ("witness", "bno055"):
        assert readings[other] == proper[other]
    moves = [(t.name, t.before, t.after) for t in transitions if t.t_ns >= FROM_NS]
    assert moves == [("i2c-1", State.OK, State.HELD), ("i2c-1", State.HELD, State.OK)]
    assert report.counters["lanes"]["i2c-1"]["recoveries"] >= 1
    free_ns = max(t.t_ns for t in transitions if t.name == "i2c-1")
    assert free_ns - released_ns <= (2 * SLOT_NS if kind == "hold" else SECOND_NS + 2 * SLOT_NS)
    mine = [r for s in SENSORS if s != "bno055" for r in readings[s]]
    during = [r for r in mine if FROM_NS <= r.planned_ns < released_ns]
    assert {r.flag for r in during} <= {Flag.TIMEOUT, Flag.LATE}
    after = [r for r in mine if r.planned_ns >= free_ns + 2 * SLOT_NS]
    assert {r.flag for r in after} <= {Flag.FRESH, Flag.STALE, Flag.NOT_READY}
    assert {r.start_ns - r.planned_ns for r in after} == {0}


def test_a_held_bus_at_the_start_is_waited_for(run):
    kit = run(Fault("hold", "i2c-1", START_NS, T0_NS + 2 * SECOND_NS))
    kit.run_until(T0_NS + 8 * SECOND_NS)
    last = [r for r in kit.poll() if r.planned_ns >= T0_NS + 7 * SECOND_NS]
    assert {r.sensor for r in last if r.flag is Flag.FRESH} == {s.name for s in KIT.sensors}


def test_a_fault_that_does_not_exist_is_named():
    with pytest.raises(ConfigError, match="did you mean 'unplug'"):
        Fault("unplugg", "bme680", 0, 1)
