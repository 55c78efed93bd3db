"""The stage: where the person, the hands and the things are while a session is planned."""

from __future__ import annotations

import copy

import numpy as np

from recorder.world.body import HIPS_BACK, PALM, SIDES, Build
from recorder.world.plan import WorldPlan
from recorder.world.scene import BOARD, INSIDE, SLOTS, Home, Station
from recorder.world.script import Hold, Look, Noise, Script, Span


class Stage:
    """Where everything is while a session is planned, and the script so far.

    Positions of hands are in the person's frame (metres from the floor under the person, x forward, y left),
    which is the station's frame while the person stands at one. A copy can try a phrase before it is taken.
    """

    def __init__(self, plan: WorldPlan, home: Home, one: Build) -> None:
        self.home, self.one = home, one
        self.random = plan.rng("behaviour")
        self.t = 0.0
        self.at = "mark"
        self.script = Script()
        self.hand_of: dict[str, str] = {}
        self.place_of: dict[str, tuple[str, int]] = {}
        self.door_open = False
        mark = home.stations["mark"]
        self._start("root", np.array([mark.x, mark.y]))
        for channel in ("yaw", "lean", "drop", "ltilt", "rtilt", "door"):
            self._start(channel, np.array([mark.yaw if channel == "yaw" else 0.0]))
        for side in SIDES:
            self._start(f"{side}hand", self.rest(side))
        self._lay_out()

    def __deepcopy__(self, memo: dict[int, object]) -> Stage:
        twin = copy.copy(self)
        for name in ("random", "script", "hand_of", "place_of"):
            setattr(twin, name, copy.deepcopy(getattr(self, name), memo))
        return twin

    def _lay_out(self) -> None:
        slots = [(station, slot) for station in BOARD for slot in range(len(SLOTS))]
        for thing, pick in zip(self.home.things, self.random.permutation(len(slots)), strict=False):
            station, slot = slots[pick]
            self.place_of[thing] = (station, slot)
            jitter = self.random.uniform(-0.02, 0.02)
            point = self.station(station).to_world(self.slot(station, slot) + [jitter, 0.0, 0.0])
            yaw = self.station(station).yaw + self.random.uniform(-0.6, 0.6)
            self.script.holds[thing] = [Hold(-1.0, None, xyz(point), float(yaw), station)]

    def station(self, name: str) -> Station:
        """A station by name."""
        return self.home.stations[name]

    def slot(self, station: str, slot: int) -> np.ndarray:
        """(3,) where a thing stands on a board, in the station's frame; slot -1 is inside the cupboard."""
        return INSIDE if slot < 0 else np.array([*SLOTS[slot], self.station(station).height])

    def grip(self, thing: str, spot: np.ndarray) -> np.ndarray:
        """(3,) where the palm is when it holds a thing that stands at `spot`."""
        return spot + [-PALM, 0.0, self.home.things[thing].grip]

    def free_slot(self, station: str) -> int:
        """A free slot of a board; a board has more slots than there are things."""
        taken = {slot for where, slot in self.place_of.values() if where == station}
        free = [slot for slot in range(len(SLOTS)) if slot not in taken]
        return free[int(self.random.integers(len(free)))]

    def rest(self, side: str) -> np.ndarray:
        """(3,) where an idle hand hangs."""
        reach = 0.96 * (self.one.upper_arm + self.one.forearm)
        shoulder = self.one.shoulder(side)
        return np.array([0.06, 1.12 * shoulder[1], self.one.pelvis_height + shoulder[2] - reach])

    def carry(self, side: str) -> np.ndarray:
        """(3,) where a hand carries something."""
        return np.array([0.34, SIDES[side] * 0.14, 0.66 * self.one.stature])

    # --- writing down ---

    def _start(self, channel: str, value: np.ndarray) -> None:
        self.script.keys[channel] = [(-10.0, value)]

    def lead(self, channel: str, t0: float, t1: float, value: np.ndarray | float) -> None:
        """Lead a channel from where it is at t0 to a value at t1."""
        keys = self.script.keys[channel]
        t0 = max(t0, keys[-1][0])
        keys.append((t0, keys[-1][1]))
        keys.append((max(t1, t0 + 0.05), np.atleast_1d(np.asarray(value, float))))

    def value(self, channel: str) -> np.ndarray:
        """The value a channel was last led to."""
        return self.script.keys[channel][-1][1]

    def label(self, value: str, t0: float, t1: float) -> None:
        """Name what is done in [t0, t1)."""
        self.script.spans.append(Span("atomic", t0, t1, value))

    def look(self, t: float, target: str | np.ndarray | None, spread: float = 0.03) -> None:
        """Turn the eyes to a target from t on; what was planned for later is forgotten."""
        looks = self.script.looks
        while looks and looks[-1].t0 >= t:
            looks.pop()
        looks.append(Look(t, target if target is None or isinstance(target, str) else xyz(target), spread))

    def noise(self, kind: str, t: float, local: np.ndarray, gain: float = 1.0) -> None:
        """Let something sound at a point of this station's frame."""
        point = self.station(self.at).to_world(local)
        self.script.noises.append(Noise(t, kind, xyz(point), gain * float(self.random.uniform(0.7, 1.3))))

    def lasting(self, seconds: float) -> float:
        """A usual duration at this person's haste, with some scatter."""
        return float(seconds / self.one.haste * self.random.uniform(0.85, 1.2))

    # --- moving ---

    def walk_to(self, name: str) -> None:
        """Turn, walk a straight line, turn to face the station."""
        goal = self.station(name)
        start, yaw = self.value("root"), float(self.value("yaw")[0])
        spot = np.array([goal.x, goal.y]) + self.random.normal(0.0, 0.008, 2)
        way = spot - start
        distance = float(np.hypot(*way))
        if distance < 0.05:
            return
        heading = yaw + _wrap(float(np.arctan2(way[1], way[0])) - yaw)
        final = heading + _wrap(goal.yaw - heading)
        turning = abs(heading - yaw) / 3.4 + 0.2
        walking = distance / self.one.pace + 0.25
        t0, t1 = self.t, self.t + 0.6 * turning + walking
        facing = abs(final - heading) / 3.4 + 0.15
        self.lead("yaw", t0, t0 + turning, heading)
        self.lead("root", t0 + 0.6 * turning, t1, spot)
        self.lead("yaw", t1 - 0.45 * facing, t1 + 0.55 * facing, final)
        if abs(heading - yaw) > 0.7:
            self.label("turn", t0, t0 + turning)
        self.t = t1 + 0.55 * facing + 0.05
        self.label("walk_to", t0, self.t)
        self.at = name
        for side in SIDES:
            if side not in self.hand_of.values():
                self.lead(f"{side}hand", t0, t0 + 0.5, self.rest(side))

    def _posture(self, point: np.ndarray, side: str) -> tuple[float, float]:
        """The least lean (radians) and drop (metres) that bring a hand to a point of the person's frame."""
        reach = 0.93 * (self.one.upper_arm + self.one.forearm)
        shoulder = self.one.shoulder(side)
        for effort in np.linspace(0, 1, 25):
            lean, drop = 1.05 * effort, 0.30 * max(0.0, effort - 0.35)
            at = np.array(
                [
                    np.sin(lean) * (shoulder[2] - HIPS_BACK),
                    shoulder[1],
                    self.one.pelvis_height - drop + np.cos(lean) * shoulder[2],
                ]
            )
            if np.linalg.norm(point - at) < reach:
                break
        return float(lean), float(drop)

    def hand_to(self, side: str, point: np.ndarray, t0: float, t1: float) -> None:
        """Lead a hand to a point of the person's frame, leaning as far as that needs."""
        lean, drop = self._posture(point, side)
        self.lead(f"{side}hand", t0, t1, point)
        self.lead("lean", t0, t1, lean)
        self.lead("drop", t0, t1, drop)

    def withdraw(self, side: str, to: np.ndarray, seconds: float) -> float:
        """Bring a hand back and stand upright; returns when that is done."""
        t1 = self.t + seconds
        self.lead(f"{side}hand", self.t, t1, to)
        self.lead("lean", self.t, t1, 0.0)
        self.lead("drop", self.t, t1, 0.0)
        return t1


def xyz(point: np.ndarray) -> tuple[float, float, float]:
    """A point as plain numbers."""
    return float(point[0]), float(point[1]), float(point[2])


def _wrap(angle: float) -> float:
    """An angle in (-pi, pi]."""
    return -((-angle + np.pi) % (2 * np.pi) - np.pi)
