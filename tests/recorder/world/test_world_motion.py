"""The person and the things: limbs keep their lengths, feet their ground, hands their grip."""

from __future__ import annotations

import itertools
import sys
import types

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from firmware_host.errors import ConfigError
from recorder.world import World, WorldPlan, smpl
from recorder.world.behaviour import direct
from recorder.world.body import PALM, build
from recorder.world.grammar import ACTIVITIES
from recorder.world.house import LAYOUTS, house, layout_of
from recorder.world.person import Turning, two_bones
from recorder.world.plan import CameraModel
from recorder.world.scene import furnish
from recorder.world.script import Hold
from recorder.world.truth import pinhole

coordinate = st.floats(-2, 2)


@given(x=coordinate, y=coordinate, z=coordinate, upper=st.floats(0.2, 0.5), lower=st.floats(0.2, 0.5))
def test_two_bones_keep_their_lengths(x: float, y: float, z: float, upper: float, lower: float) -> None:
    start, end = np.zeros((1, 3)), np.array([[x, y, z + 0.01]])
    pole = np.array([[0.3, -0.9, 0.31]])
    middle, reached = two_bones(start, end, upper, lower, pole)
    assert np.linalg.norm(middle) == pytest.approx(upper, abs=1e-6)
    assert np.linalg.norm(reached - middle) == pytest.approx(lower, abs=1e-6)
    length = np.linalg.norm(end)
    if abs(upper - lower) + 0.1 < length < 0.95 * (upper + lower):
        np.testing.assert_allclose(reached, end, atol=1e-9)


def test_a_turning_knows_its_own_speed() -> None:
    grid = np.arange(0, 2, 0.02)
    turning = Turning(grid, Rotation.from_euler("z", 90 * grid[:, None], degrees=True))
    t = np.linspace(0.1, 1.9, 7)
    np.testing.assert_allclose(np.degrees(turning.gyro(t)), np.tile([0, 0, 90.0], (7, 1)), atol=1e-3)


def test_the_pinhole_looks_down_z() -> None:
    model = CameraModel("third", 640, 360, 400.0, 400.0, 319.5, 179.5)
    px = pinhole(model, np.array([[0, 0, 2.0], [0.5, 0.25, 2.0], [0, 0, -1.0]]))
    np.testing.assert_allclose(px[:2], [[319.5, 179.5], [419.5, 229.5]])
    assert np.isnan(px[2]).all()


@pytest.fixture(scope="module")
def worlds() -> list[World]:
    return [
        World(WorldPlan(40.0, seed, activity, participant=f"p0{seed}", place=f"r0{seed}"))
        for seed, activity in enumerate(ACTIVITIES[:6])
    ]


def test_a_standing_foot_does_not_slide(worlds: list[World]) -> None:
    for world in worlds:
        t = np.arange(0, 40, 0.02)
        person = world._person
        for side in "lr":
            ankle = person.point(f"{side}legd", np.array([0, 0, -person.one.shank]), t)
            low = ankle[:, 2] < person.one.ankle + 0.01
            planted = low[1:] & low[:-1]
            speed = np.linalg.norm(np.diff(ankle[:, :2], axis=0), axis=1)[planted] / 0.02
            assert np.percentile(speed, 90) < 0.12
            assert ankle[:, 2].min() > person.one.ankle - 0.02
            # and it follows: nobody leaves the feet behind
            assert np.linalg.norm(ankle[:, :2] - person.ground(t), axis=1).max() < 0.6


def test_a_held_thing_stays_in_the_hand_and_moves_without_jumps(worlds: list[World]) -> None:
    for world in worlds:
        t = np.arange(0, 40, 0.02)
        for name, thing in world.home.things.items():
            at, turn = world._things.pose(name, t)
            assert np.linalg.norm(np.diff(at, axis=0), axis=1).max() / 0.02 < 3.5, name
            grip = at + turn.apply([0, 0, thing.grip])
            for hold, until in _held(world._props.holds[name]):
                inside = (t > hold.t + 0.3) & (t < until)
                palm = world._person.palm(hold.hand or "", t[inside])
                np.testing.assert_allclose(np.linalg.norm(grip[inside] - palm, axis=1), PALM, atol=1e-6)


def _held(holds: list[Hold]) -> list[tuple[Hold, float]]:
    return [(hold, nxt.t) for hold, nxt in zip(holds, [*holds[1:], holds[-1]], strict=True) if hold.hand]


def test_hands_reach_what_they_take(worlds: list[World]) -> None:
    missed = []
    for world in worlds:
        for name, thing in world.home.things.items():
            for before, hold in zip(world._props.holds[name], world._props.holds[name][1:], strict=False):
                if hold.hand:
                    palm = world._person.palm(hold.hand, np.array([hold.t + 0.05]))[0]
                    missed.append(np.linalg.norm(palm - (np.array(before.at) + [0, 0, thing.grip])) - PALM)
    assert len(missed) >= 8
    assert max(missed) < 0.06


def test_nobody_goes_through_walls_and_the_day_ends_on_the_mark(worlds: list[World]) -> None:
    t = np.arange(0, 40, 0.1)
    for world in worlds:
        ground, house = world._person.ground(t), world.home.house
        for spot in ground:
            beyond = min(room.outside(spot) for room in house.rooms.values())
            passing = min(np.hypot(*(door.at - spot)) for door in house.doorways)
            assert beyond < -0.25 or passing < 0.75, spot
        mark = world.home.stations["mark"]
        assert np.hypot(*(ground[-1] - [mark.x, mark.y])) < 0.06


def test_every_layout_is_three_rooms_that_do_not_overlap_and_lead_to_each_other() -> None:
    for layout in range(len(LAYOUTS)):
        plan = house(layout, (5.2, 4.2))
        rooms = list(plan.rooms.values())
        assert len(rooms) == 3
        for a, b in itertools.combinations(rooms, 2):
            assert (np.abs(a.middle - b.middle) - a.half - b.half).max() > 0, (layout, a.name, b.name)
            way = plan.way(a.name, b.name)
            assert plan.room_at(way[0]) == a.name
            assert plan.room_at(way[-1]) == b.name
    assert len({layout_of(f"r{k:02d}") for k in range(20)}) >= 3


def test_a_longer_session_only_adds_actions() -> None:
    for seed in range(4):
        short, long = (WorldPlan(duration, seed, "clean_up") for duration in (30.0, 90.0))
        scripts = [direct(plan, furnish(plan), [build(plan.participant)])[1][0] for plan in (short, long)]
        counts = [len([span for span in script.spans if span.tier == "atomic"]) for script in scripts]
        assert counts[1] > counts[0] > 3


def test_activities_share_stations_and_starting_places() -> None:
    places = set()
    for seed in range(12):
        plan = WorldPlan(30.0, seed, "make_tea")
        props, _ = direct(plan, furnish(plan), [build(plan.participant)])
        places.add(props.holds["cup"][0].station)
    assert len(places) >= 4


@pytest.mark.parametrize("place", ["r01", "r02", "r05"])
def test_a_plan_may_begin_with_a_pattern_before_the_mirror(place: str) -> None:
    """The hand goes up and down, which its IMU feels, while the eyes are on the mirror; no two pauses are alike."""
    world = World(WorldPlan(40.0, 3, place=place, mirror=True))
    (signal,) = [label for label in world.labels() if label.value == "signal_mirror"]
    activities = [label for label in world.labels() if label.tier == "activity"]
    assert signal.t1_ns <= min(label.t0_ns for label in activities)
    t = np.arange(signal.t0_ns, signal.t1_ns, 10**7)
    person, side = world._person, world._person.one.hand
    up = person.palm(side, t / 1e9)[:, 2] > 0.77 * person.one.stature
    begins = np.flatnonzero(np.diff(up.astype(int)) == 1)
    assert len(begins) == 7
    assert np.ptp(np.diff(begins)) * 0.01 > 0.3, "an even rhythm fits anywhere"
    assert np.linalg.norm(world.imu(f"{side}armd", t).gyro, axis=1).max() > 100
    mirror = world.home.sights[world.home.house.room_at(person.ground(t[:1] / 1e9)[0])]["mirror"]
    looked = world._gaze.wanted(t[len(t) // 2 :] / 1e9)
    assert np.median(np.linalg.norm(looked - mirror, axis=1)) < 0.2
    assert not [x for x in World(WorldPlan(40.0, 3, place=place)).labels() if x.value == "signal_mirror"]


def test_people_differ_in_size_speed_care_and_hand() -> None:
    people = [build(f"p{k:02d}") for k in range(30)]
    assert {one.hand for one in people} == {"l", "r"}
    for trait in ("stature", "pace", "haste", "care", "girth"):
        values = [getattr(one, trait) for one in people]
        assert np.std(values) / np.mean(values) > 0.04, trait


@pytest.mark.parametrize("joint", ["left_shoulder", "right_elbow", "left_knee", "head"])
def test_the_24_joints_are_our_segments_in_smpl_s_axes(worlds: list[World], joint: str) -> None:
    """Chained from the pelvis up, the rotations turn SMPL's resting bones into where our bones are."""
    person, t = worlds[0].people[0], np.arange(5.0, 30.0, 2.5)
    local = smpl.rotations(person, t)
    index, turn = smpl.JOINTS.index(joint), Rotation.identity(len(t))
    while index >= 0:
        turn = Rotation.from_rotvec(local[:, index]) * turn
        index = smpl.PARENTS[index]
    segment = smpl.SEGMENT_OF[joint]
    rest = {"left_shoulder": [1, 0, 0], "right_elbow": [-1, 0, 0], "left_knee": [0, -1, 0], "head": [0, 1, 0]}[joint]
    ours = person.turn(segment, t).apply([0, 0, 1.0 if joint == "head" else -1.0])
    np.testing.assert_allclose(turn.apply(rest), smpl.AXES.apply(ours), atol=1e-6)
    places = smpl.places(person, t)
    np.testing.assert_allclose(places[:, smpl.JOINTS.index("left_hand")], person.palm("l", t))


def test_what_lies_in_a_thing_is_said_to_be_in_it() -> None:
    world = World(WorldPlan(60.0, 3, "pack_suitcase"))
    inside = [hold for holds in world._props.holds.values() for hold in holds if hold.within]
    assert inside
    hold = inside[0]
    thing = next(name for name, holds in world._props.holds.items() if hold in holds)
    assert (thing, "in", hold.within) in world.scene_graph(round((hold.t + 0.5) * 1e9))


def test_a_missing_gl_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mujoco", types.ModuleType("mujoco"))
    with pytest.raises(ConfigError, match="apt-get install libosmesa6"):
        next(World(WorldPlan(10.0, 1)).render("head", [0]))
