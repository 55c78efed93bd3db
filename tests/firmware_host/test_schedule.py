from __future__ import annotations

from itertools import combinations, pairwise
from math import gcd

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_host.errors import ConfigError
from firmware_host.schedule import SHARE_LIMIT_NS, SLOT_NS, STAGGER_NS, plan
from firmware_host.simulate import BODY_KIT, BODY_SEGMENTS, ROOM_KIT
from firmware_host.spec import KitConfig, LaneConfig, SensorConfig

FASTEST = {"bme680": 6, "tsl2591": 4, "ak9753": 3, "amg8833": 10, "mlx90393": 20, "isl29125": 20, "bno055": 20}
LOW_RATES = {"bme680": 5, "tsl2591": 2, "ak9753": 2}
RATES = [1, 2, 3, 4, 5, 6, 10, 12, 15, 20]


def i2c(scl_hz=400_000, name="i2c-1", mux=0x70):
    return LaneConfig(name, "i2c", f"/dev/{name}", scl_hz=scl_hz, mux_address=mux)


def imus(n, rate_hz, *, raw=False, lane="i2c-1"):
    return tuple(
        SensorConfig(f"imu{i}", "bno055", lane, rate_hz, mux_channel=i, options={"raw": raw}) for i in range(n)
    )


def slots_of(group):
    return {k for k in range(60) if group.due(k)}


@st.composite
def kits(draw):
    """Up to eight sensors of any kind behind one mux, at rates their chips can do."""
    sensors = []
    for i in range(draw(st.integers(1, 8))):
        model = draw(st.sampled_from(sorted(FASTEST)))
        fastest = FASTEST[model]
        rate = draw(st.sampled_from([r for r in RATES if r <= fastest]))
        sensors.append(SensorConfig(f"s{i}", model, "i2c-1", rate, mux_channel=i))
    return KitConfig((i2c(draw(st.sampled_from([100_000, 400_000]))),), tuple(sensors))


def planned(kit):
    """The plan, or None where the planner refused."""
    try:
        return plan(kit)
    except ConfigError:
        return None


@given(kits())
def test_every_sensor_is_read_exactly_evenly_at_its_rate(kit):
    result = planned(kit)
    for sensor in kit.sensors if result else ():
        slots = sorted(slots_of(result.group(sensor.name)))
        assert len(slots) == sensor.rate_hz
        assert {b - a for a, b in pairwise(slots)} <= {60 // sensor.rate_hz}


@given(kits())
def test_groups_never_overlap_and_shared_slots_stay_under_four_fifths(kit):
    result = planned(kit)
    groups = result.lanes[0].groups if result else ()
    for a, b in combinations(groups, 2):
        if slots_of(a) & slots_of(b):
            first, second = sorted((a, b), key=lambda g: g.offset_ns)
            assert first.offset_ns + first.busy_ns <= second.offset_ns
            assert second.offset_ns + second.busy_ns <= SHARE_LIMIT_NS
    assert all(g.offset_ns + g.busy_ns <= SLOT_NS for g in groups)


@given(kits(), st.randoms())
def test_the_order_of_the_kit_file_does_not_matter(kit, random):
    sensors = list(kit.sensors)
    random.shuffle(sensors)
    first, second = planned(kit), planned(KitConfig(kit.lanes, tuple(sensors)))
    assert (first and first.lanes) == (second and second.lanes)


@given(st.lists(st.sampled_from([2, 3, 4, 6, 12]), min_size=1, max_size=5))
def test_shares_only_where_the_periods_leave_no_choice(periods):
    """Against exhaustive search over all phases."""
    sensors = tuple(SensorConfig(f"s{i}", "bno055", "i2c-1", 60 // p, mux_channel=i) for i, p in enumerate(periods))
    result = planned(KitConfig((i2c(),), sensors))
    if result is not None:
        assert any(g.offset_ns for g in result.lanes[0].groups) != can_be_apart(periods)


def can_be_apart(periods, phases=()):
    if len(phases) == len(periods):
        return True
    p = periods[len(phases)]
    return any(
        can_be_apart(periods, (*phases, a))
        for a in range(p)
        if all((a - b) % gcd(p, q) for b, q in zip(phases, periods, strict=False))
    )


def test_the_ready_kits_plan():
    room, body = plan(ROOM_KIT), plan(BODY_KIT)
    rates = {s.name: 60 // room.group(s.name).period for s in ROOM_KIT.sensors}
    assert rates == {**dict.fromkeys(("amg8833", "isl29125", "mlx90393"), 10), **LOW_RATES, "bno055": 20}
    for kit in (room, body):
        for i, lane in enumerate(kit.lanes):  # no slot is shared: an offset is nothing but the lanes' stagger
            assert {g.offset_ns for g in lane.groups} == {i * STAGGER_NS}
    assert [body.group(name).period for name in BODY_SEGMENTS] == [3] * 10
    per_tick = [sum(body.group(name).due(k) for name in BODY_SEGMENTS) for k in range(3)]
    assert max(per_tick) == 4  # ten lanes spread over three ticks


@pytest.mark.parametrize(("n", "rate", "raw", "busy"), [(5, 20, False, 0.45), (5, 10, True, 0.47)])
def test_five_imus_share_an_i2c_lane(n, rate, raw, busy):
    lane = plan(KitConfig((i2c(),), imus(n, rate, raw=raw))).lanes[0]
    assert sum(lane.loads_ns()) / 1e9 == pytest.approx(busy, abs=0.015)


def test_ten_imus_on_two_i2c_lanes_plan():
    lanes = (i2c(), i2c(name="i2c-3"))
    body = plan(
        KitConfig(
            lanes,
            imus(5, 20) + tuple(SensorConfig(f"other{i}", "bno055", "i2c-3", 20, mux_channel=i) for i in range(5)),
        )
    )
    assert sum(len(lane.groups) for lane in body.lanes) == 10


def test_a_lane_without_room_is_refused_with_a_remedy():
    with pytest.raises(ConfigError, match=r"imu\d does not fit on i2c-1 .*another lane, or lower a rate"):
        plan(KitConfig((i2c(),), imus(5, 20, raw=True)))
    thermal = tuple(SensorConfig(f"t{i}", "amg8833", "i2c-1", 10, mux_channel=i) for i in range(7))
    with pytest.raises(ConfigError, match="400 kHz"):
        plan(KitConfig((i2c(100_000),), thermal))
    assert plan(KitConfig((i2c(400_000),), thermal))


KIT = KitConfig((i2c(mux=None), LaneConfig("uart-0", "uart", "/dev/x")), ())


@pytest.mark.parametrize(
    ("sensors", "sentence"),
    [
        ((SensorConfig("a", "bme68", "i2c-1"),), "did you mean 'bme680'"),
        ((SensorConfig("a", "bme680", "i2c-2"),), "did you mean 'i2c-1'"),
        ((SensorConfig("a", "bme680", "i2c-1"), SensorConfig("a", "amg8833", "i2c-1")), "two sensors are called 'a'"),
        ((SensorConfig("a", "bme680", "i2c-1"), SensorConfig("b", "bme680", "i2c-1")), "a and b both answer at 0x76"),
        ((SensorConfig("a", "bme680", "i2c-1", address=0x29),), "0x76 or 0x77"),
        ((SensorConfig("a", "bme680", "i2c-1", rate_hz=7),), "7 Hz does not divide 60"),
        ((SensorConfig("a", "bme680", "i2c-1", rate_hz=10),), "needs 138 ms .* at most 6 Hz"),
        ((SensorConfig("a", "bme680", "uart-0"),), "has no uart"),
        ((SensorConfig("a", "bno055", "uart-0"), SensorConfig("b", "bno055", "uart-0")), "carries one sensor"),
        ((SensorConfig("a", "bno055", "i2c-1", mux_channel=1),), "needs a lane with a mux"),
    ],
)
def test_wrong_kits_get_one_sentence(sensors, sentence):
    with pytest.raises(ConfigError, match=sentence):
        plan(KitConfig(KIT.lanes, sensors))


def test_an_unknown_bus_is_refused():
    with pytest.raises(ConfigError, match="unknown bus 'spi'"):
        plan(KitConfig((LaneConfig("spi-0", "spi", "/dev/spi"),), (SensorConfig("a", "bme680", "spi-0"),)))


def test_a_mux_at_a_chips_address_is_refused():
    with pytest.raises(ConfigError, match="the mux and a both answer at 0x76"):
        plan(KitConfig((i2c(mux=0x76),), (SensorConfig("a", "bme680", "i2c-1", mux_channel=2),)))


def test_the_table_names_every_sensor_and_its_slots():
    text = plan(ROOM_KIT).table()
    assert "lane i2c-1 (/dev/i2c-1): 39 of 60 slots" in text
    assert "20 Hz  slots 1 mod 3" in text  # where the other lane does least
    assert all(s.name in text for s in ROOM_KIT.sensors)


def test_a_slot_is_shared_up_to_four_fifths_and_no_further():
    """At 20 Hz there are three classes of slots; the fourth sensor must share one of 16.7 ms."""
    long, short = imus(3, 20, raw=True), (SensorConfig("extra", "bno055", "i2c-1", 20, mux_channel=7),)
    with pytest.raises(ConfigError, match="does not fit"):  # 9.4 + 4.6 = 14.0 ms
        plan(KitConfig((i2c(),), long + short))
    both = plan(KitConfig((i2c(),), imus(3, 20) + short))  # 4.6 + 4.6 = 9.2 ms
    assert max(both.lanes[0].loads_ns()) == pytest.approx(9_160_000, rel=0.01)
