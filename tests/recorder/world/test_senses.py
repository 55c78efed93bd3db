"""What chips in the room feel of whoever is at home, and what walls keep from them."""

from __future__ import annotations

import numpy as np
import pytest

from recorder.world import World, WorldPlan, senses
from recorder.world.house import LIVING
from recorder.world.scene import KIT, THIRD_AT, THIRD_LOOKS_AT, looking
from recorder.world.walls import SHADOW_M, detour, seen
from tests.recorder.world.conftest import PLAN, times


def test_the_warm_blob_is_where_the_person_is(world: World) -> None:
    t = times(4.0, 16.0, 2.0)
    pixels = world.thermal(t)
    assert pixels.shape == (len(t), 64)
    assert pixels.min() > 15
    assert pixels.max() < 36
    chest = world.microphone_at("kit-02", t / 1e9) - THIRD_AT
    way = looking(THIRD_AT, THIRD_LOOKS_AT).inv().apply(chest)
    angle = np.degrees(np.arctan2(way[:, 0], way[:, 2]))
    nobody = Standing(world._person.grid, THIRD_AT + [0.0, 0.0, 1000.0])
    walls = senses.thermal(
        PLAN, world.home.house, [nobody], THIRD_AT, looking(THIRD_AT, THIRD_LOOKS_AT), np.array([5.0])
    )
    images = (pixels - walls).reshape(-1, 8, 8)
    column = images.max(axis=1).argmax(axis=1)
    shown = np.abs(angle) < 26
    assert shown.sum() >= 5
    error = np.abs(np.degrees(np.arctan((column - 3.5) / (4 / np.tan(np.radians(30))))) - angle)[shown]
    assert np.median(error) < 8


def test_air_is_plausible_and_slow(world: World) -> None:
    air = world.air(times(0.0, 20.0, 5.0))
    low, high = np.array([12, 97_000, 10, 20_000]), np.array([32, 105_000, 90, 300_000])
    assert ((air > low) & (air < high)).all()
    assert np.abs(np.diff(air, axis=0)).max(axis=0)[0] < 0.05
    assert np.ptp(air[:, 3]) > 1000  # the person came and went


def test_light_is_that_of_a_room_and_the_person_stands_in_the_lamp_s_way(long: World) -> None:
    t = times(1.0, 59.0, 10.0)
    lux, share, *seen = long.light(t).T
    assert 50 < lux.min() <= lux.max() < 2000
    assert 0.05 < share.min() <= share.max() < 0.4
    assert ((np.array(seen) > 2) & (np.array(seen) < lux)).all()
    person, lamp = long._person, long.home.lamp
    way = lamp - KIT
    lamp_alone = 300 * way[2] / np.linalg.norm(way) ** 3
    direct = senses._direct([person], lamp)
    assert direct.max() == pytest.approx(lamp_alone, rel=0.02)
    # As soon as the chest is on the line from kit to lamp, little of the direct light is left.
    standing = Standing(person.grid[:1], KIT + 0.4 * way)
    assert senses._direct([standing], lamp) < 0.2 * lamp_alone


class Standing:
    """A person who is all at one point."""

    def __init__(self, grid: np.ndarray, at: np.ndarray) -> None:
        self.grid, self._at = grid, at
        self.one = World(PLAN)._person.one

    def point(self, segment: str, local: np.ndarray, t: np.ndarray) -> np.ndarray:  # noqa: ARG002
        return np.tile(self._at, (len(t), 1))


@pytest.mark.parametrize("way", [(1, 0), (0, 1), (-1, 0), (0, -1)])
def test_the_infrared_sensor_on_the_person_s_side_feels_the_most(world: World, way: tuple[int, int]) -> None:
    turn = looking(THIRD_AT, THIRD_LOOKS_AT)
    ahead = THIRD_AT + turn.apply([*(np.array(way) * np.tan(np.radians(18)) * 2), 2.0])
    someone, away = (Standing(world._person.grid, at) for at in (ahead, THIRD_AT + turn.apply([0, 0, 1000.0])))
    with_someone, without = (
        senses.infrared(PLAN, world.home.house, [p], THIRD_AT, turn, np.array([5.0]))[0] for p in (someone, away)
    )
    felt = with_someone - without
    assert (felt > 30).all()
    assert felt.argmax() == [(1, 0), (0, 1), (-1, 0), (0, -1)].index(way)
    assert felt[(felt.argmax() + 2) % 4] == felt.min()
    assert felt.max() < 14_000  # the chip's range


def test_infrared_follows_the_person_from_side_to_side(long: World) -> None:
    t = times(1.0, 59.0, 5.0)
    right, _, left, _ = long.infrared(t).T
    chest = long.microphone_at("kit-02", t / 1e9) - THIRD_AT
    x, _, z = looking(THIRD_AT, THIRD_LOOKS_AT).inv().apply(chest).T
    nearer_is_warmer = np.sum(chest**2, axis=1)
    shown = (seen(long.home.house, THIRD_AT, chest + THIRD_AT) == 1) & (np.abs(np.arctan2(x, z)) < np.radians(40))
    shown &= nearer_is_warmer < 3.5**2  # farther away the walls give more than a person
    assert shown.sum() > 50
    assert np.corrcoef(((right - left) * nearer_is_warmer)[shown], np.arctan2(x, z)[shown])[0, 1] > 0.8


def test_the_field_is_the_earth_s_with_small_disturbances(long: World) -> None:
    field = long.magnetic(times(1.0, 59.0, 10.0))
    assert np.abs(field - senses.EARTH_UT).max() < 15
    assert np.linalg.norm(field, axis=1) == pytest.approx(np.linalg.norm(senses.EARTH_UT), rel=0.2)
    assert 0.02 < np.ptp(field, axis=0).max() < 5


def test_room_senses_do_not_depend_on_who_asks_for_what(world: World) -> None:
    t = times(3.0, 9.0, 7.0)
    twin = World(PLAN)
    for sense in ("magnetic", "infrared", "light", "air"):
        assert np.array_equal(getattr(twin, sense)(t)[5:6], getattr(world, sense)(t[5:6])), sense
        other = World(WorldPlan(duration_s=20.0, seed=6, activity="make_tea"))
        assert not np.array_equal(getattr(other, sense)(t), getattr(world, sense)(t)), sense


@pytest.fixture(scope="module")
def two() -> World:
    """The wearer and a guest."""
    return World(WorldPlan(duration_s=30.0, seed=2, people=2))


def test_a_guest_is_felt_as_the_wearer_is(two: World) -> None:
    """Every sense but the wearer's own changes where a guest is taken away, and only by what the guest adds."""
    t, house, (wearer, guest) = times(3.0, 27.0, 5.0), two.home.house, two.people
    turn = looking(THIRD_AT, THIRD_LOOKS_AT)
    together, alone, other = (
        senses.thermal(two.plan, house, people, THIRD_AT, turn, t / 1e9) for people in (two.people, [wearer], [guest])
    )
    np.testing.assert_allclose(together, np.maximum(alone, other))
    assert (together - alone).max() > 1.0
    total, one, both_walls = (
        senses.infrared(two.plan, house, people, THIRD_AT, turn, t / 1e9)
        for people in ([wearer, guest], [wearer], [guest])
    )
    assert (total >= one - 1e-9).all()
    assert (total - one).max() > 20
    assert (total - both_walls).max() > 20
    warm, cool = (senses.air(two.plan, house, people, [], t / 1e9) for people in ([wearer, guest], [wearer]))
    assert (warm[:, 0] >= cool[:, 0]).all()
    assert (warm[:, 3] <= cool[:, 3]).all()
    assert np.array_equal(two.thermal(t), together)


def test_walls_are_in_the_way_of_warmth_and_doorways_are_not(two: World) -> None:
    house = two.home.house
    kit = np.array([*KIT[:2], 1.0])
    for name, room in house.rooms.items():
        middle = np.array([[*room.middle, 1.0]])
        for door in house.doorways_to(LIVING, name)[:1]:
            before, behind = (np.array([[*door.ahead(far), 1.0]]) for far in (-0.4, 0.3))
            assert seen(house, kit, before) == 1
            inside = np.array([*door.ahead(-0.5), 1.0])
            assert seen(house, inside, behind) == 1
            assert seen(house, inside, np.array([[*door.ahead(0.3, 0.9), 1.0]])) == 0
            assert detour(house, middle[0], kit[None]) == pytest.approx(detour(house, kit, middle), abs=1e-9)
        floor = [room.middle + room.half * [x, y] for x in np.linspace(-0.9, 0.9, 9) for y in np.linspace(-0.9, 0.9, 9)]
        hidden = detour(house, kit, np.column_stack([floor, np.ones(81)])) > SHADOW_M
        assert hidden.mean() > 0.5 if name != LIVING else not hidden.any(), name


def test_going_behind_a_doorpost_makes_no_jump(two: World) -> None:
    house = two.home.house
    door = house.doorways[0]
    walk = np.array([[*door.ahead(0.8, aside), 1.0] for aside in np.linspace(-1.2, 1.2, 2401)])
    way = detour(house, np.array([*door.ahead(-1.5), 1.0]), walk)
    assert way.min() == 0
    assert way.max() > 0.05
    assert np.abs(np.diff(way)).max() < 0.002
