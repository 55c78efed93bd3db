"""The atomic steps: what a person can do, as keys for the body, looks, sounds and labels on a stage."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from recorder.world.body import SIDES
from recorder.world.furniture import CUPBOARDS, DOOR_HEIGHT, DOOR_WIDTH, HINGE, INSIDE, ROOMS, SLOTS
from recorder.world.gestures import GESTURES
from recorder.world.performing import OTHER, perform, place_of, sight
from recorder.world.script import Hold, Place
from recorder.world.stage import ImpossibleError, Stage, lead, xyz

SIGNAL_PAUSES_S = (0.15, 0.22, 0.32, 0.5, 0.75, 1.05, 1.4)
SIGNAL_S = 0.4
"""Up, and as long down again."""
SIGNAL_WAY = ((0.46, 0.20, 0.70), (0.46, 0.20, 1.04))
"""Of the hand: metres ahead and to the side, and the height as a share of the stature."""


def get(stage: Stage, thing: str) -> None:
    """Walk to a thing, reach for it and pick it up."""
    if thing in stage.hand_of:
        return
    place = stage.place(thing)
    side = stage.free_hand()
    if side is None or stage.contents(thing):
        raise ImpossibleError(f"no hand is free for {thing}, or it is full")
    stage.look(stage.t + 0.2, thing)
    stage.walk_to(stage.station(place.station))
    if place.slot == -1 and place.station not in stage.props.open:
        open_door(stage)
    spot = np.array(place.spot)
    if spot[1] * SIDES[side] < -0.15 and OTHER[side] not in stage.hand_of.values():
        side = OTHER[side]
    t0, t1 = stage.t, stage.t + stage.lasting(0.85)
    stage.look(stage.ahead_of(t0), thing)
    stage.hand_to(side, stage.grip(thing, spot), t0, t1)
    stage.label(f"reach_{thing}", t0, t1)
    stage.t = t1 + 0.12
    stage.hand_of[thing] = side
    stage.hold(thing, Hold(stage.t, side, (0, 0, 0), 0.0, place.station))
    stage.noise("contact", stage.t, spot, 0.5)
    if stage.home.things[thing].big and OTHER[side] not in stage.hand_of.values():
        _help_carry(stage, side, t0)
    done = stage.withdraw(side, stage.carry(side), stage.lasting(0.8))
    stage.label(f"pick_up_{thing}", t1 - 0.1, done)
    stage.t = done
    stage.props.place_of.pop(thing)


def _help_carry(stage: Stage, side: str, t0: float) -> None:
    """Bring the other hand to the far side of something big."""
    far = stage.carry(side) * [1.0, -1.0, 1.0]
    stage.lead(f"{OTHER[side]}hand", t0 + 0.3, stage.t + 0.7, far)


def put(stage: Stage, thing: str) -> None:
    """Put a held thing down at this station."""
    if thing in stage.hand_of:
        if not stage.at_board:
            raise ImpossibleError("there is no board here")
        slot = stage.free_slot(stage.at.name)
        _put_at(stage, thing, Place(stage.at.name, slot, xyz(stage.slot(stage.at.name, slot))), "put_down")


def lay(stage: Stage, thing: str, into: str) -> None:
    """Lay a held thing into another."""
    place, floor = stage.place(into), stage.home.things[into].floor
    if floor is None or thing not in stage.hand_of or place.slot is None or place.slot < 0:
        raise ImpossibleError(f"{thing} cannot be laid into {into}")
    if stage.at.name != place.station:
        go(stage, into)
    stage.touched.add(into)
    aside = stage.random.uniform(-0.04, 0.04, 2)
    spot = np.array(place.spot) + [aside[0], aside[1], floor + 0.02 * len(stage.contents(into))]
    _put_at(stage, thing, Place(place.station, None, xyz(spot), into), "put_in")


def stow(stage: Stage) -> None:
    """Put what is in hand into the cupboard, or below it where that is full."""
    thing = stage.held()
    if thing is None:
        raise ImpossibleError("there is nothing to stow")
    full = any(p.slot == -1 and p.station == stage.at.name for p in stage.props.place_of.values())
    if full or stage.at.name not in stage.props.open or stage.home.things[thing].height > 0.36:
        put(stage, thing)
    else:
        _put_at(stage, thing, Place(stage.at.name, -1, xyz(INSIDE)), "stow")


def _put_at(stage: Stage, thing: str, place: Place, verb: str) -> None:
    spot, side = np.array(place.spot), stage.hand_of[thing]
    t0, t1 = stage.t, stage.t + stage.lasting(0.9)
    point = stage.at.to_world(spot)
    stage.look(stage.ahead_of(t0), point)
    stage.hand_to(side, stage.grip(thing, spot), t0, t1)
    stage.lead(f"{side}tilt", t0, t1, 0.0)
    stage.t = t1 + 0.12
    stage.hold(thing, Hold(stage.t, None, xyz(point), stage.at.yaw, stage.at.name, within=place.within))
    stage.noise("contact", t1, spot)
    stage.hand_of.pop(thing)
    stage.props.place_of[thing] = place
    stage.label(f"{verb}_{thing}", t0, stage.t + 0.2)
    end = stage.withdraw(side, stage.rest(side), stage.lasting(0.6))
    if OTHER[side] not in stage.hand_of.values():
        stage.lead(f"{OTHER[side]}hand", stage.t, end, stage.rest(OTHER[side]))
    stage.t = end


def go(stage: Stage, goal: str) -> None:
    """Walk to a station, or to where a thing stands."""
    if goal in stage.hand_of:
        return
    name = goal if goal in stage.home.stations else stage.place(goal).station
    board = np.array([SLOTS[0][0], 0.0, stage.station(name).height])
    stage.look(stage.t + 0.3, stage.station(name).to_world(board), 0.2)
    stage.walk_to(stage.station(name))


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


# --- cupboards ---


def open_door(stage: Stage) -> None:
    """Open this station's cupboard."""
    if _cupboard(stage) not in stage.props.open:
        _swing_door(stage, "open_cupboard", 1.55)
        stage.props.open.add(stage.at.name)


def close_door(stage: Stage) -> None:
    """Close this station's cupboard."""
    if _cupboard(stage) in stage.props.open:
        _swing_door(stage, "close_cupboard", 0.0)
        stage.props.open.discard(stage.at.name)


def wipe_inside(stage: Stage) -> None:
    """Dust the open cupboard with a bare hand."""
    side = stage.free_hand()
    if _cupboard(stage) not in stage.props.open or side is None:
        raise ImpossibleError("the cupboard is closed, or no hand is free")
    middle = np.array([INSIDE[0] - 0.16, SIDES[side] * 0.06, INSIDE[2] + 0.03])
    perform(stage, GESTURES["wipe"], side, middle, "wipe_cupboard", "", None)


def _cupboard(stage: Stage) -> str:
    if stage.at.name not in CUPBOARDS:
        raise ImpossibleError(f"{stage.at.name} has no cupboard")
    return stage.at.name


def _handle(angle: float) -> np.ndarray:
    radius = DOOR_WIDTH - 0.05
    return HINGE + [-radius * np.sin(angle) - 0.05 * np.cos(angle), -radius * np.cos(angle), DOOR_HEIGHT / 2]


def _swing_door(stage: Stage, verb: str, goal: float) -> None:
    """Lead hand and door together along the handle's arc."""
    keys = stage.props.doors[f"door-{stage.at.name}"]
    start, side = float(keys[-1][1][0]), stage.free_hand()
    if side is None:
        raise ImpossibleError("no hand is free for the door")
    t0, t1 = stage.t, stage.t + stage.lasting(0.8)
    stage.look(stage.ahead_of(t0), stage.at.to_world(_handle(start)))
    stage.hand_to(side, _handle(start), t0, t1)
    swing = stage.lasting(1.1)
    for k in range(1, 9):
        angle = start + (goal - start) * k / 8
        a, b = t1 + 0.1 + swing * (k - 1) / 8, t1 + 0.1 + swing * k / 8
        stage.lead(f"{side}hand", a, b, _handle(angle))
        lead(keys, a, b, angle)
    stage.t = t1 + 0.1 + swing
    stage.noise("door", t1 if goal else stage.t, HINGE, 1.0)
    stage.label(verb, t0, stage.t)
    stage.look(stage.t - 0.2, stage.at.to_world(INSIDE))
    stage.t = stage.withdraw(side, stage.rest(side), stage.lasting(0.6))


# --- gestures ---


def gesture(stage: Stage, verb: str, *names: str) -> None:
    """Play a row of the table: with a held thing, at a target, or bare-handed."""
    one = GESTURES[verb]
    thing = names[0] if names and names[0] in stage.hand_of else ""
    if names and not thing and (len(names) > 1 or one.where not in ("target", "into")):
        get(stage, names[0])
        thing = names[0]
    target = names[-1] if names and names[-1] != thing else ""
    if target and stage.at.name != stage.place(target).station:
        go(stage, target)
    if one.where in ("board", "low", "wall") and not stage.at_board:
        raise ImpossibleError("there is no board here")
    side = stage.hand_of[thing] if thing else stage.free_hand()
    if side is None:
        raise ImpossibleError("no hand is free")
    stage.touched |= {target} if target else set()
    of = {"thing": thing, "": target or thing}.get(one.of, one.of)
    where = "lap" if one.where in ("target", "into") and not target else one.where
    perform(stage, one, side, place_of(stage, where, side, target), f"{verb}_{of}" if of else verb, thing, target)


def signal(stage: Stage) -> None:
    """Raise and lower the better hand before a mirror, with pauses of unequal length: an even rhythm fits anywhere.

    Who looks into their own eyes holds the head still. The outstretched hand comes before them: a worn camera sees it
    by itself as well as in the mirror, where at 320 pixels an arm is hardly more than the grain.
    """
    side = stage.free_hand()
    if side is None:
        raise ImpossibleError("no hand is free")
    tall, t0 = stage.one.stature, stage.t
    stage.look(t0, sight(stage, "mirror", np.zeros(3), "", None), 0.005)
    low, high = (np.array([x, SIDES[side] * y, z * tall]) for x, y, z in SIGNAL_WAY)
    for pause_s in stage.random.permutation(SIGNAL_PAUSES_S):
        for point in (high, low):
            stage.lead(f"{side}hand", stage.t, stage.t + SIGNAL_S, point)
            stage.t += SIGNAL_S
        stage.t += float(pause_s)
    stage.label("signal_mirror", t0, stage.t)
    stage.script.poised.append((t0, stage.t))
    stage.t = stage.withdraw(side, stage.rest(side), stage.lasting(0.6))


STEPS: dict[str, Callable[..., None]] = {
    "get": get,
    "go": go,
    "put": put,
    "lay": lay,
    "stow": stow,
    "look_around": look_around,
    "open": open_door,
    "close": close_door,
    "wipe_inside": wipe_inside,
    "signal": signal,
}


def act(stage: Stage, step: str) -> None:
    """One step, or several joined by "&" that begin together and go on side by side."""
    t0, end = stage.t, stage.t
    for part in step.split("&"):
        verb, *names = part.split()
        stage.t = t0
        if verb in STEPS:
            STEPS[verb](stage, *names)
        else:
            gesture(stage, verb, *names)
        end = max(end, stage.t)
    stage.t = end


def play(stage: Stage, phrase: list[str]) -> None:
    """Play one phrase; hands are empty at its end. Raises ImpossibleError."""
    for step in phrase:
        act(stage, step)
    for thing in list(stage.hand_of):
        if not stage.at_board:
            go(stage, str(stage.random.choice(ROOMS[stage.at.room])))
        put(stage, thing)
    stage.look(stage.t, None)
