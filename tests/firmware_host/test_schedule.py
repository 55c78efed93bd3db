from __future__ import annotations

from dataclasses import replace
from itertools import combinations, pairwise
from math import gcd

import pytest
from hypothesis import given, settings
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


FASTEST = {"ak9753": 3, "amg8833": 10, "bme680": 6, "bno055": 20, "isl29125": 20, "mlx90393": 15, "tsl2591": 4}
"""Of the rates above, what each chip can do with its default options."""


@st.composite
def kits(draw):
    """Up to ten sensors of any kind on one to three buses, each behind a mux, at rates their chips can do."""
    speed = draw(st.sampled_from([100_000, 400_000]))
    lanes = tuple(i2c(speed, f"i2c-{i}") for i in range(draw(st.integers(1, 3))))
    hurried = draw(st.booleans())  # each as fast as it can, so that slots must be shared by three and four
    sensors = []
    for i in range(draw(st.integers(1, 10))):
        model = draw(st.sampled_from(sorted(FASTEST)))
        rate = FASTEST[model] if hurried else draw(st.sampled_from([r for r in RATES if r <= FASTEST[model]]))
        lane = draw(st.sampled_from(lanes)).name
        channel = sum(s.lane == lane for s in sensors)
        if channel < 8:
            sensors.append(SensorConfig(f"s{i}", model, lane, rate, mux_channel=channel))
    return KitConfig(lanes, tuple(sensors))


def planned(kit):
    """The plan, or None where the planner refused."""
    try:
        return plan(kit)
    except ConfigError:
        return None


@given(kits())
def test_every_sensor_is_read_exactly_once_in_each_of_its_periods(kit):
    result = planned(kit)
    for sensor in kit.sensors if result else ():
        slots = sorted(slots_of(result.group(sensor.name)))
        assert len(slots) == sensor.rate_hz
        assert {b - a for a, b in pairwise(slots)} <= {60 // sensor.rate_hz}


@given(kits())
def test_groups_never_overlap_and_shared_slots_stay_under_four_fifths(kit):
    result = planned(kit)
    for lane in result.lanes if result else ():
        lead_ns = min((g.offset_ns for g in lane.groups), default=0)
        assert lead_ns % STAGGER_NS == 0
        assert max(lane.loads_ns()) <= SHARE_LIMIT_NS
        assert all(g.offset_ns + g.busy_ns <= SLOT_NS for g in lane.groups)
        for a, b in combinations(lane.groups, 2):
            if slots_of(a) & slots_of(b):
                first, second = sorted((a, b), key=lambda g: g.offset_ns)
                assert first.offset_ns + first.busy_ns <= second.offset_ns
                assert second.offset_ns + second.busy_ns - lead_ns <= SHARE_LIMIT_NS


@given(kits(), st.randoms())
def test_the_order_of_the_kit_file_does_not_matter(kit, random):
    sensors, lanes = list(kit.sensors), list(kit.lanes)
    random.shuffle(sensors)
    random.shuffle(lanes)
    first, second = planned(kit), planned(KitConfig(tuple(lanes), tuple(sensors)))
    assert (first and first.lanes) == (second and second.lanes)


FULL = st.lists(st.sampled_from(["amg8833", "bno055", "raw bno055"]), min_size=3, max_size=8)
"""More than a bus carries, more often than not."""


@settings(max_examples=15)  # a search that finds nothing takes a tenth of a second
@given(FULL, st.sampled_from([100_000, 400_000]), st.sampled_from(["first", "lane", "rate"]))
def test_a_refusal_names_a_sensor_and_its_remedies_work(models, speed, follow):
    """Whichever remedy one follows, and follows again where the refusal says so again, ends in a plan.

    "Lower a rate" does not say whose. That of the sensor it names does not always help; the fastest one's does.
    """
    kit = KitConfig((i2c(speed),), tuple(full(i, model) for i, model in enumerate(models)))
    for _ in range(40):
        try:
            plan(kit)
        except ConfigError as error:
            sentence = str(error)
        else:
            return
        name = sentence.split()[0]
        assert name in {s.name for s in kit.sensors}
        assert "another lane, or lower a rate" in sentence
        assert ("run the bus at 400 kHz" in sentence) == (kit.lanes[0].scl_hz < 400_000)
        kit = followed(kit, name, follow)
    raise AssertionError(f"still refused: {sentence}")


def full(i, model):
    rate = 10 if model == "amg8833" else 20
    return SensorConfig(
        f"s{i}", model.split()[-1], "i2c-1", rate, mux_channel=i, options={"raw": True} if "raw" in model else {}
    )


def followed(kit, name, remedy):
    """The kit with a refusal's remedy: the first it lists, another lane for the sensor `name`, or half the top rate."""
    if remedy == "first" and kit.lanes[0].scl_hz < 400_000:
        return KitConfig(tuple(replace(lane, scl_hz=400_000) for lane in kit.lanes), kit.sensors)
    sensor = kit.sensor(name)
    if remedy == "rate":
        sensor = max(kit.sensors, key=lambda s: s.rate_hz)
        changed, lanes = replace(sensor, rate_hz=max(r for r in RATES if r <= sensor.rate_hz / 2)), kit.lanes
    else:
        lanes = (*kit.lanes, i2c(kit.lanes[0].scl_hz, f"i2c-{len(kit.lanes) + 1}"))
        changed = replace(sensor, lane=lanes[-1].name)
    return KitConfig(lanes, tuple(changed if s is sensor else s for s in kit.sensors))


@pytest.mark.parametrize("model", sorted(FASTEST))
def test_a_rate_beyond_the_chip_is_refused_and_the_rate_it_names_works(model):
    kit = KitConfig((i2c(),), (SensorConfig("it", model, "i2c-1", 60),))
    if model == "bno055":
        assert plan(kit)
        return
    with pytest.raises(ConfigError, match=r"^it: .* cannot give 60 Hz; choose at most \d+ Hz$") as refusal:
        plan(kit)
    best = int(str(refusal.value).split()[-2])
    assert plan(KitConfig(kit.lanes, (replace(kit.sensors[0], rate_hz=best),)))
    assert best >= FASTEST[model]


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
