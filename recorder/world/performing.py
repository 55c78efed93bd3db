"""How a gesture is played: where the hands go for it, what they do there beat by beat, where the eyes go."""

from __future__ import annotations

import numpy as np

from recorder.world.body import SIDES
from recorder.world.furniture import SLOTS
from recorder.world.gestures import STILL, Gesture
from recorder.world.stage import Stage

OTHER = {"l": "r", "r": "l"}


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


def perform(
    stage: Stage, one: Gesture, side: str, middle: np.ndarray, name: str, thing: str, target: str | None
) -> None:
    """Bring the hands to the `middle` of a gesture, move them beat by beat, and let go; `name` is its label."""
    t0, t1 = stage.t, stage.t + stage.lasting(0.75)
    stage.look(
        stage.ahead_of(t0) if one.look in ("target", "thing") else t0, sight(stage, one.look, middle, thing, target)
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


def sight(stage: Stage, look: str, middle: np.ndarray, thing: str, target: str | None) -> str | np.ndarray | None:
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
