"""The atomic steps: what a person can do, as keys for the body, looks, sounds and labels on a stage."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from recorder.world.body import SIDES
from recorder.world.scene import DOOR_HEIGHT, DOOR_WIDTH, HINGE, INSIDE, SLOTS
from recorder.world.script import Hold
from recorder.world.stage import Stage, xyz


def get(stage: Stage, thing: str) -> None:
    """Walk to a thing, reach for it and pick it up."""
    station, slot = stage.place_of[thing]
    stage.look(stage.t + 0.2, thing)
    stage.walk_to(station)
    stage.look(stage.t - 0.5, thing)
    if slot < 0 and not stage.door_open:
        open_door(stage)
    spot = stage.slot(station, slot)
    side = "l" if spot[1] > 0.2 else "r"
    t0, t1 = stage.t, stage.t + stage.lasting(0.85)
    stage.hand_to(side, stage.grip(thing, spot), t0, t1)
    stage.label("reach", t0, t1)
    stage.look(t0 - 0.3, thing)
    stage.t = t1 + 0.12
    stage.hand_of[thing] = side
    stage.script.holds[thing].append(Hold(stage.t, side, (0, 0, 0), 0.0, station))
    stage.noise("contact", stage.t, spot, 0.5)
    done = stage.withdraw(side, stage.carry(side), stage.lasting(0.8))
    stage.label("pick_up", t1 - 0.1, done)
    stage.t = done
    stage.place_of.pop(thing)


def put(stage: Stage, thing: str, slot: int | None = None) -> None:
    """Put a held thing down at this station."""
    slot = stage.free_slot(stage.at) if slot is None else slot
    spot, side = stage.slot(stage.at, slot), stage.hand_of[thing]
    t0, t1 = stage.t, stage.t + stage.lasting(0.9)
    stage.look(t0 - 0.3, stage.station(stage.at).to_world(spot))
    stage.hand_to(side, stage.grip(thing, spot), t0, t1)
    stage.t = t1 + 0.12
    point = stage.station(stage.at).to_world(spot)
    stage.script.holds[thing].append(Hold(stage.t, None, xyz(point), stage.station(stage.at).yaw, stage.at))
    stage.noise("contact", t1, spot)
    stage.hand_of.pop(thing)
    stage.place_of[thing] = (stage.at, slot)
    stage.label("put_down", t0, stage.t + 0.2)
    stage.t = stage.withdraw(side, stage.rest(side), stage.lasting(0.6))


def stow(stage: Stage) -> None:
    """Put what is in hand into the cupboard, or beside it where that is full."""
    full = any(slot < 0 for _, slot in stage.place_of.values())
    put(stage, next(iter(stage.hand_of)), None if full else -1)


def pour(stage: Stage, source: str, into: str) -> None:
    """Tip one thing over another."""
    side = stage.hand_of[source]
    spot = stage.slot(*stage.place_of[into])
    above = spot + [-0.06, SIDES[side] * 0.10, stage.home.things[into].height + stage.home.things[source].grip + 0.06]
    t0, t1 = stage.t, stage.t + stage.lasting(0.9)
    stage.look(t0 - 0.3, into)
    stage.hand_to(side, above, t0, t1)
    stop = t1 + stage.lasting(1.6)
    stage.lead(f"{side}tilt", t1 - 0.2, t1 + 0.4, 0.85)
    stage.lead(f"{side}tilt", stop - 0.3, stop + 0.3, 0.0)
    stage.noise("pour", t1 + 0.3, spot)
    stage.label("pour", t0, stop + 0.3)
    stage.t = stop + 0.2
    stage.t = stage.withdraw(side, stage.carry(side), stage.lasting(0.6))


def drink(stage: Stage, thing: str) -> None:
    """Bring a thing to the mouth and tip it back."""
    side = stage.hand_of[thing]
    t0, t1 = stage.t, stage.t + stage.lasting(0.9)
    mouth = np.array([0.22, SIDES[side] * 0.06, 0.86 * stage.one.stature])
    stage.lead(f"{side}hand", t0, t1, mouth)
    stage.look(t0, thing)
    stage.look(t1 - 0.1, None)
    stop = t1 + stage.lasting(1.1)
    stage.lead(f"{side}tilt", t1 - 0.1, t1 + 0.4, -0.7)
    stage.lead(f"{side}tilt", stop - 0.2, stop + 0.3, 0.0)
    stage.t = stop + 0.1
    stage.t = stage.withdraw(side, stage.carry(side), stage.lasting(0.7))
    stage.label("drink", t0, stage.t)
    stage.look(stage.t - 0.2, thing)


def inspect(stage: Stage, thing: str) -> None:
    """Hold a thing before the eyes and turn it."""
    side = stage.hand_of[thing]
    t0 = stage.t
    stage.look(t0, thing)
    stage.lead(f"{side}hand", t0, t0 + 0.7, np.array([0.40, SIDES[side] * 0.05, 0.80 * stage.one.stature]))
    for tilt in (0.6, -0.5, 0.0):
        stage.t += stage.lasting(0.7)
        stage.lead(f"{side}tilt", stage.t - 0.5, stage.t, tilt)
    stage.t = stage.withdraw(side, stage.carry(side), stage.lasting(0.6))
    stage.label("inspect", t0, stage.t)


def shake(stage: Stage, thing: str) -> None:
    """Shake a thing up and down."""
    side, t0 = stage.hand_of[thing], stage.t
    stage.look(t0 - 0.1, thing)
    for stroke in range(int(stage.random.integers(5, 9))):
        point = stage.carry(side) + [0.04, 0.0, 0.09 * (-1) ** stroke]
        stage.lead(f"{side}hand", stage.t, stage.t + 0.22, point)
        stage.noise("rustle", stage.t, stage.carry(side), 0.7)
        stage.t += 0.22
    stage.lead(f"{side}hand", stage.t, stage.t + 0.3, stage.carry(side))
    stage.t += 0.3
    stage.label("shake", t0, stage.t)


def wipe(stage: Stage, thing: str) -> None:
    """Wipe the board in front with a held cloth."""
    _strokes(stage, stage.hand_of[thing], stage.station(stage.at).height + 0.02, thing)


def wipe_empty(stage: Stage) -> None:
    """Dust the open cupboard with the bare hand."""
    _strokes(stage, "r", INSIDE[2] + 0.02, None)
    stage.withdraw("r", stage.rest("r"), 0.4)


def _strokes(stage: Stage, side: str, height: float, thing: str | None) -> None:
    t0 = stage.t
    middle = np.array([SLOTS[0][0] - 0.03, SIDES[side] * 0.06, height])
    stage.look(t0 - 0.3, thing if thing else stage.station(stage.at).to_world(middle), 0.06)
    stage.hand_to(side, middle, t0, t0 + 0.7)
    stage.t += 0.8
    for stroke in range(int(stage.random.integers(5, 10))):
        beat = stage.lasting(0.42)
        swing = [0.05 * (stroke % 3 - 1), 0.17 * (-1) ** stroke, 0.0]
        stage.lead(f"{side}hand", stage.t, stage.t + beat, middle + swing)
        stage.noise("rustle", stage.t, middle)
        stage.t += beat
    stage.label("wipe", t0, stage.t)
    stage.t = stage.withdraw(side, stage.carry(side), stage.lasting(0.6))


def read(stage: Stage, thing: str) -> None:
    """Hold a book open in both hands."""
    side, t0 = stage.hand_of[thing], stage.t
    _hold_book(stage, side, t0)
    stage.look(t0 + 0.1, thing, 0.09)
    stage.t += stage.lasting(2.6)
    stage.label("read", t0, stage.t)


def turn_page(stage: Stage, thing: str) -> None:
    """Sweep the free hand over the book."""
    side, t0 = stage.hand_of[thing], stage.t
    other = "l" if side == "r" else "r"
    _hold_book(stage, side, t0)
    stage.look(t0, thing, 0.05)
    stage.lead(f"{other}hand", t0, t0 + 0.45, np.array([0.42, SIDES[side] * 0.10, 0.70 * stage.one.stature]))
    stage.lead(f"{other}hand", t0 + 0.5, t0 + 0.95, np.array([0.38, SIDES[other] * 0.14, 0.68 * stage.one.stature]))
    stage.noise("rustle", t0 + 0.5, np.array([0.4, 0.0, 0.68 * stage.one.stature]))
    stage.t += 1.1
    stage.label("turn_page", t0, stage.t)


def _hold_book(stage: Stage, side: str, t0: float) -> None:
    other = "l" if side == "r" else "r"
    stage.lead(f"{side}hand", t0, t0 + 0.6, np.array([0.38, SIDES[side] * 0.08, 0.67 * stage.one.stature]))
    stage.lead(f"{side}tilt", t0, t0 + 0.6, -0.7)
    stage.lead(f"{other}hand", t0, t0 + 0.7, np.array([0.38, SIDES[other] * 0.10, 0.67 * stage.one.stature]))


def bend(stage: Stage) -> None:
    """Crouch before the board and look under it."""
    t0, t1 = stage.t, stage.t + stage.lasting(1.0)
    side = "r" if "r" not in stage.hand_of.values() else "l"
    stage.look(t0, stage.station(stage.at).to_world(np.array([0.4, 0.1, 0.3])), 0.15)
    stage.lead(f"{side}hand", t0, t1, np.array([0.24, SIDES[side] * 0.26, 0.48]))
    stage.lead("lean", t0, t1, 0.18)
    stage.lead("drop", t0, t1, 0.36)
    stage.t = t1 + stage.lasting(0.7)
    stage.noise("rustle", t0 + 0.2, np.array([0.2, 0.0, 0.9]))
    stage.label("bend", t0, stage.t + 0.5)
    stage.t = stage.withdraw(side, stage.rest(side), stage.lasting(0.9))


def press(stage: Stage) -> None:
    """Press a switch on the wall behind the board."""
    side = "l" if "r" in stage.hand_of.values() else "r"
    t0, t1 = stage.t, stage.t + stage.lasting(0.8)
    switch = np.array([0.56, SIDES[side] * 0.25, 1.2])
    stage.look(t0 - 0.25, stage.station(stage.at).to_world(switch))
    stage.hand_to(side, switch, t0, t1)
    stage.noise("click", t1, switch)
    stage.t = t1 + 0.25
    stage.label("press", t0, stage.t)
    stage.t = stage.withdraw(side, stage.rest(side), stage.lasting(0.7))


def look_around(stage: Stage) -> None:
    """Stand and look about the room."""
    t0 = stage.t
    stage.look(t0, None)
    yaw = stage.value("yaw")[0]
    for aside in (stage.random.uniform(0.2, 0.5), -stage.random.uniform(0.2, 0.5), 0.0):
        beat = stage.lasting(0.9)
        stage.lead("yaw", stage.t, stage.t + 0.8 * beat, yaw + aside)
        stage.t += beat
    stage.label("look_around", t0, stage.t)


def open_door(stage: Stage) -> None:
    stage.walk_to("cabinet")
    _swing_door(stage, "open_door", 1.55)
    stage.door_open = True


def close_door(stage: Stage) -> None:
    stage.walk_to("cabinet")
    _swing_door(stage, "close_door", 0.0)
    stage.door_open = False


def _handle(angle: float) -> np.ndarray:
    radius = DOOR_WIDTH - 0.05
    return HINGE + [-radius * np.sin(angle) - 0.05 * np.cos(angle), -radius * np.cos(angle), DOOR_HEIGHT / 2]


def _swing_door(stage: Stage, verb: str, goal: float) -> None:
    """Lead hand and door together along the handle's arc."""
    start = float(stage.value("door")[0])
    side = "r" if "l" in stage.hand_of.values() else "l"
    t0, t1 = stage.t, stage.t + stage.lasting(0.8)
    stage.look(t0 - 0.3, stage.station("cabinet").to_world(_handle(start)))
    stage.hand_to(side, _handle(start), t0, t1)
    swing = stage.lasting(1.1)
    for k in range(1, 9):
        angle = start + (goal - start) * k / 8
        a, b = t1 + 0.1 + swing * (k - 1) / 8, t1 + 0.1 + swing * k / 8
        stage.lead(f"{side}hand", a, b, _handle(angle))
        stage.lead("door", a, b, angle)
    stage.t = t1 + 0.1 + swing
    stage.noise("door", t1 if goal else stage.t, HINGE, 1.0)
    stage.label(verb, t0, stage.t)
    stage.look(stage.t - 0.2, stage.station("cabinet").to_world(INSIDE))
    stage.t = stage.withdraw(side, stage.rest(side), stage.lasting(0.6))


def go(stage: Stage, goal: str) -> None:
    """Walk to a station, or to where a thing stands."""
    name = stage.place_of[goal][0] if goal in stage.place_of else goal
    board = np.array([SLOTS[0][0], 0.0, stage.station(name).height])
    stage.look(stage.t + 0.3, stage.station(name).to_world(board), 0.2)
    stage.walk_to(name)


STEPS: dict[str, Callable[..., None]] = {
    "get": get,
    "go": go,
    "put": put,
    "stow": stow,
    "pour": pour,
    "drink": drink,
    "inspect": inspect,
    "shake": shake,
    "wipe": wipe,
    "wipe_empty": wipe_empty,
    "read": read,
    "turn_page": turn_page,
    "bend": bend,
    "press": press,
    "look_around": look_around,
    "open_door": open_door,
    "close_door": close_door,
}


def play(stage: Stage, phrase: list[str]) -> None:
    """Play one phrase; hands are empty at its end."""
    for step in phrase:
        verb, *names = step.split()
        STEPS[verb](stage, *names)
    stage.look(stage.t, None)
