"""The atomic steps: what a person can do, as keys for the body, looks, sounds and labels on a stage."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from recorder.world.body import SIDES
from recorder.world.furniture import CUPBOARDS, DOOR_HEIGHT, DOOR_WIDTH, HINGE, INSIDE, ROOMS, SLOTS
from recorder.world.gestures import GESTURES, STILL, Gesture
from recorder.world.script import Hold, Place
from recorder.world.stage import ImpossibleError, Stage, lead, xyz

SIGNAL_PAUSES_S = (0.15, 0.22, 0.32, 0.5, 0.75, 1.05, 1.4)
SIGNAL_S = 0.4
"""Up, and as long down again."""
SIGNAL_WAY = ((0.46, 0.20, 0.70), (0.46, 0.20, 1.04))
"""Of the hand: metres ahead and to the side, and the height as a share of the stature."""
OTHER = {"l": "r", "r": "l"}


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
    gesture = GESTURES["wipe"]
    _play(
        stage,
        gesture,
        side,
        np.array([INSIDE[0] - 0.16, SIDES[side] * 0.06, INSIDE[2] + 0.03]),
        "wipe_cupboard",
        "",
        None,
    )


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


def place_of(stage: Stage, where: str, side: str, target: str) -> np.ndarray:
    """(3,) where a hand is for a gesture, in the person's frame."""
    sign, tall = SIDES[side], stage.one.stature
    if target and where in ("target", "into", "beside"):
        spot, thing = np.array(stage.place(target).spot), stage.home.things[target]
        if where == "beside":
            return spot + [-0.04, sign * 0.09, thing.grip]
        if where == "into":
            return spot + [-0.04, sign * 0.05, (thing.floor or thing.height) + 0.10]
        held = stage.held()
        return spot + [-0.08, sign * 0.05, thing.height + (stage.home.things[held].grip if held else 0.0) + 0.05]
    return {
        "board": np.array([SLOTS[0][0] - 0.03, sign * 0.10, stage.at.height + 0.03]),
        "wall": np.array([0.56, sign * 0.25, 1.2]),
        "low": np.array([0.24, sign * 0.26, 0.48]),
        "mouth": np.array([0.22, sign * 0.06, 0.86 * tall]),
        "bite": np.array([0.24, sign * 0.08, 0.84 * tall]),
        "face": np.array([0.40, sign * 0.05, 0.80 * tall]),
        "ear": np.array([0.10, sign * 0.13, 0.91 * tall]),
        "hair": np.array([0.12, sign * 0.14, 0.97 * tall]),
        "shoulders": np.array([0.42, sign * 0.16, 0.80 * tall]),
        "chest": stage.carry(side),
        "lap": np.array([0.36, sign * 0.07, 0.63 * tall]),
        "read": np.array([0.38, sign * 0.09, 0.67 * tall]),
        "across": np.array([0.42, -sign * 0.10, 0.70 * tall]),
        "tapping": np.array([0.36, sign * 0.02, 0.70 * tall]),
        "tapping_high": np.array([0.36, sign * 0.01, 0.83 * tall]),
        "ahead": np.array([0.50, sign * 0.12, 0.72 * tall]),
        "high": np.array([0.22, sign * 0.24, 1.10 * tall]),
        "side": np.array([0.12, sign * 0.42, 0.70 * tall]),
        "top": np.array([0.46, sign * 0.20, 1.06 * tall]),
        "folded": np.array([0.24, -sign * 0.10, 0.70 * tall]),
        "hip": np.array([0.06, sign * 0.24, 0.60 * tall]),
        "greet": np.array([0.30, sign * 0.28, 0.90 * tall]),
        "rest": stage.rest(side),
    }[where]


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
    _play(stage, one, side, place_of(stage, where, side, target), f"{verb}_{of}" if of else verb, thing, target)


def _play(stage: Stage, one: Gesture, side: str, middle: np.ndarray, name: str, thing: str, target: str | None) -> None:
    """Bring the hands there, move them beat by beat, and let go."""
    t0, t1 = stage.t, stage.t + stage.lasting(0.75)
    stage.look(
        stage.ahead_of(t0) if one.look in ("target", "thing") else t0, _sight(stage, one.look, middle, thing, target)
    )
    reaching = one.where in ("board", "target", "into", "low", "wall") or name == "wipe_cupboard"
    other = OTHER[side] if one.other and OTHER[side] not in stage.hand_of.values() else ""
    aside = place_of(stage, one.other, other, target or "") if other else middle
    if reaching:
        stage.hand_to(side, middle, t0, t1)
    elif one.where != "rest":
        stage.lead(f"{side}hand", t0, t1, middle)
    if other:
        stage.lead(f"{other}hand", t0, t1, aside)
    if one.bow or one.sink:
        stage.lead("lean", t0, t1, max(one.bow, float(stage.value("lean")[0])))
        stage.lead("drop", t0, t1, max(one.sink, float(stage.value("drop")[0])))
    stage.t = t1
    _beats(stage, one, side, middle, other, aside, bool(thing))
    stage.label(name, t0, stage.t + 0.2)
    for kept in stage.hand_of:
        if kept != thing:
            stage.label(f"hold_{kept}", t0, stage.t + 0.2)
    if one.where != "rest":
        stage.lead(f"{side}tilt", stage.t, stage.t + 0.4, 0.0)
        end = stage.withdraw(side, stage.carry(side) if thing else stage.rest(side), stage.lasting(0.6))
        if other:
            stage.lead(f"{other}hand", stage.t, end, stage.rest(other))
        stage.t = end


def _beats(
    stage: Stage, one: Gesture, side: str, middle: np.ndarray, other: str, aside: np.ndarray, tilting: bool
) -> None:
    """Move both hands along the gesture's path, as often as this person does."""
    beats = max(1, round(float(stage.random.integers(one.beats[0], one.beats[1] + 1)) * stage.one.care))
    for k in range(beats):
        beat = stage.lasting(one.beat_s)
        offset = np.array(one.path[k % len(one.path)])
        if one.path != STILL:
            stage.lead(f"{side}hand", stage.t, stage.t + beat, middle + offset * [1, SIDES[side], 1])
        if other:
            tapping = one.other.startswith("tapping")
            aside_k = np.array([0.03, 0.0, -0.03 * (k % 2)]) if tapping else offset * [1, SIDES[other], 1]
            stage.lead(f"{other}hand", stage.t, stage.t + beat, aside + aside_k)
        if one.sink and one.path != STILL:
            stage.lead("drop", stage.t, stage.t + beat, one.sink * (1 - k % 2))
        if tilting:
            stage.lead(f"{side}tilt", stage.t, stage.t + min(beat, 0.4), one.tilts[k % len(one.tilts)])
        if one.sound and (one.sound not in ("pour", "speech") or k % 2 == 0):
            stage.noise(one.sound, stage.t + 0.5 * beat, _mouth(stage) if one.sound == "speech" else middle, 0.8)
        stage.t += beat


def _mouth(stage: Stage) -> np.ndarray:
    """(3,) where speech comes from, in the person's frame."""
    return np.array([0.12, 0.0, 0.885 * stage.one.stature])


def _sight(stage: Stage, look: str, middle: np.ndarray, thing: str, target: str | None) -> str | np.ndarray | None:
    """What the eyes are for during a gesture."""
    sights = stage.home.sights[stage.at.room]
    if look == "target" and target:
        return target
    if look in ("thing", "target") and thing:
        return thing
    if look == "mirror" and "mirror" in sights:
        return sights["mirror"]
    if look in ("sight", "mirror") and sights:
        return sights["tv"] if "tv" in sights else next(iter(sights.values()))
    if look == "up":
        return stage.at.to_world(np.array([0.9, 0.0, 1.35 * stage.one.stature]))
    return None if look in ("ahead", "mirror", "sight") else stage.at.to_world(middle)


def signal(stage: Stage) -> None:
    """Raise and lower the better hand before a mirror, with pauses of unequal length: an even rhythm fits anywhere.

    Who looks into their own eyes holds the head still. The outstretched hand comes before them: a worn camera sees it
    by itself as well as in the mirror, where at 320 pixels an arm is hardly more than the grain.
    """
    side = stage.free_hand()
    if side is None:
        raise ImpossibleError("no hand is free")
    tall, t0 = stage.one.stature, stage.t
    stage.look(t0, _sight(stage, "mirror", np.zeros(3), "", None), 0.005)
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
