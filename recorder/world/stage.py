"""The stage: where a person, the hands and the things are while a session is planned."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np

from recorder.world.body import HIPS_BACK, PALM, SIDES, Build
from recorder.world.furniture import BOARD, INSIDE, SLOTS
from recorder.world.scene import Home, Station
from recorder.world.script import Hold, Key, Look, Noise, Place, Props, Script, Span

Target = str | np.ndarray | None


class ImpossibleError(Exception):
    """A step that cannot be done as things stand; the director chooses another phrase."""


class Stage:
    """Where one person is while a session is planned, what stands where, and the script so far.

    Positions of hands are in the person's frame (metres from the floor under the person, x forward, y left),
    which is the frame of the station `at` while the person stands there. A copy can try a phrase before it is taken.
    """

    def __init__(
        self, home: Home, one: Build, props: Props, random: np.random.Generator, at: Station, number: int = 0
    ) -> None:
        self.home, self.one, self.props, self.number = home, one, props, number
        self.random = random
        self.t = 0.0
        self.at = at
        self.script = Script()
        self.hand_of: dict[str, str] = {}
        self.touched: set[str] = set()
        self._start("root", np.array([at.x, at.y]))
        for channel in ("yaw", "lean", "drop", "ltilt", "rtilt"):
            self._start(channel, np.array([at.yaw if channel == "yaw" else 0.0]))
        for side in SIDES:
            self._start(f"{side}hand", self.rest(side))

    def copy(self) -> Stage:
        """A stage that can be acted on by itself; it has touched nothing yet."""
        twin = copy.copy(self)
        twin.random = copy.deepcopy(self.random)
        twin.props, twin.script = self.props.copy(), self.script.copy()
        twin.hand_of, twin.touched = dict(self.hand_of), set()
        return twin

    # --- places ---

    def station(self, name: str) -> Station:
        """A station by name."""
        return self.home.stations[name]

    @property
    def at_board(self) -> bool:
        """Whether there is furniture here."""
        return self.at.name in BOARD

    def place(self, thing: str) -> Place:
        """Where a thing stands. Raises ImpossibleError: somebody holds it."""
        if thing not in self.props.place_of:
            raise ImpossibleError(f"{thing} stands nowhere")
        return self.props.place_of[thing]

    def slot(self, station: str, slot: int) -> np.ndarray:
        """(3,) where a thing stands on a board, in the station's frame; slot -1 is inside the cupboard."""
        return INSIDE if slot < 0 else np.array([*SLOTS[slot], self.station(station).height])

    def grip(self, thing: str, spot: np.ndarray) -> np.ndarray:
        """(3,) where the palm is when it holds a thing that stands at `spot`."""
        return spot + [-PALM, 0.0, self.home.things[thing].grip]

    def free_slot(self, station: str) -> int:
        """A free slot of a board. Raises ImpossibleError: there is none."""
        taken = {place.slot for place in self.props.place_of.values() if place.station == station}
        free = [slot for slot in range(len(SLOTS)) if slot not in taken]
        if not free:
            raise ImpossibleError(f"{station} is full")
        return free[int(self.random.integers(len(free)))]

    def contents(self, thing: str) -> list[str]:
        """What lies within a thing."""
        return [name for name, place in self.props.place_of.items() if place.within == thing]

    def rest(self, side: str) -> np.ndarray:
        """(3,) where an idle hand hangs."""
        return self.one.rest(side)

    def carry(self, side: str) -> np.ndarray:
        """(3,) where a hand carries something."""
        return np.array([0.34, SIDES[side] * 0.14, 0.66 * self.one.stature])

    # --- hands ---

    def held(self) -> str | None:
        """What was taken up last and is still in a hand."""
        return next(reversed(self.hand_of), None)

    def free_hand(self) -> str | None:
        """A hand that holds nothing, the better one first."""
        hands = [self.one.hand, "l" if self.one.hand == "r" else "r"]
        return next((side for side in hands if side not in self.hand_of.values()), None)

    def hold(self, thing: str, hold: Hold) -> None:
        """Write down what becomes of a thing; it belongs to who touches it until the phrase is over."""
        self.props.holds[thing].append(replace(hold, who=self.number))
        self.touched.add(thing)

    # --- writing down ---

    def _start(self, channel: str, value: np.ndarray) -> None:
        self.script.keys[channel] = [(-10.0, value)]

    def lead(self, channel: str, t0: float, t1: float, value: np.ndarray | float) -> None:
        """Lead a channel from where it is at t0 to a value at t1."""
        lead(self.script.keys[channel], t0, t1, value)

    def value(self, channel: str) -> np.ndarray:
        """The value a channel was last led to."""
        return self.script.keys[channel][-1][1]

    def label(self, value: str, t0: float, t1: float) -> None:
        """Name what is done in [t0, t1)."""
        self.script.spans.append(Span("atomic", t0, t1, value))

    def look(self, t: float, target: Target, spread: float = 0.03) -> None:
        """Turn the eyes to a target from t on; what was planned for later is forgotten."""
        looks = self.script.looks
        while looks and looks[-1].t0 >= t:
            looks.pop()
        looks.append(Look(t, target if target is None or isinstance(target, str) else xyz(target), spread))

    def ahead_of(self, t: float) -> float:
        """When the eyes go where a hand begins to go at `t`: 0.3 to 1 s before (Land, Mennie, Rusted 1999)."""
        return t - float(np.clip(self.random.normal(0.55, 0.18), 0.3, 1.0))

    def noise(self, kind: str, t: float, local: np.ndarray, gain: float = 1.0) -> None:
        """Let something sound at a point of this station's frame."""
        point = self.at.to_world(local)
        self.script.noises.append(Noise(t, kind, xyz(point), gain * float(self.random.uniform(0.7, 1.3))))

    def lasting(self, seconds: float) -> float:
        """A usual duration at this person's haste, with some scatter."""
        return float(seconds / self.one.haste * self.random.uniform(0.85, 1.2))

    # --- moving ---

    def walk_to(self, goal: Station) -> None:
        """Turn, walk through the doorways on the way, turn to face the goal."""
        self.touched.add(goal.name)
        start, yaw = self.value("root"), float(self.value("yaw")[0])
        spot = np.array([goal.x, goal.y]) + self.random.normal(0.0, 0.008, 2)
        t0 = self.t
        if float(np.hypot(*(spot - start))) < 0.05:
            final = yaw + wrap(goal.yaw - yaw)
            self.at = goal
            if abs(final - yaw) > 0.05:
                self.t = t0 + abs(final - yaw) / 2.6 + 0.25
                self.lead("yaw", t0, self.t, final)
                self.label("turn", t0, self.t)
            return
        points = [*self.home.house.way(self.at.room, goal.room), spot]
        for point in points:
            start, yaw = self._leg(start, yaw, point)
        final = yaw + wrap(goal.yaw - yaw)
        facing = abs(final - yaw) / 3.4 + 0.15
        self.lead("yaw", self.t - 0.45 * facing, self.t + 0.55 * facing, final)
        self.t += 0.55 * facing + 0.05
        self.label("walk_to", t0, self.t)
        for thing in self.hand_of:
            self.label(f"carry_{thing}", t0, self.t)
        self.at = goal
        for side in SIDES:
            if side not in self.hand_of.values():
                self.lead(f"{side}hand", t0, t0 + 0.5, self.rest(side))

    def _leg(self, start: np.ndarray, yaw: float, point: np.ndarray) -> tuple[np.ndarray, float]:
        """One straight stretch; returns where it ends and the heading."""
        way = point - start
        heading = yaw + wrap(float(np.arctan2(way[1], way[0])) - yaw)
        turning = abs(heading - yaw) / 3.4 + 0.2
        walking = float(np.hypot(*way)) / self.one.pace + 0.1
        begin = self.t + 0.6 * turning if abs(heading - yaw) > 0.6 else self.t + 0.1
        self.lead("yaw", self.t, self.t + turning, heading)
        self.lead("root", begin, begin + walking, point)
        if abs(heading - yaw) > 0.7:
            self.label("turn", self.t, self.t + turning)
        self.t = begin + walking
        return point, heading

    def _posture(self, point: np.ndarray, side: str) -> tuple[float, float]:
        """The least lean (radians) and drop (metres) that bring a hand to a point of the person's frame."""
        reach = 0.93 * (self.one.upper_arm + self.one.forearm)
        shoulder = self.one.shoulder(side)
        for effort in np.linspace(0, 1, 25):
            lean, drop = 1.05 * effort, 0.34 * max(0.0, effort - 0.35)
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


def lead(keys: list[Key], t0: float, t1: float, value: np.ndarray | float) -> None:
    """Lead a channel's keys from where they are at t0 to a value at t1."""
    t0 = max(t0, keys[-1][0])
    keys.append((t0, keys[-1][1]))
    keys.append((max(t1, t0 + 0.05), np.atleast_1d(np.asarray(value, float))))


def xyz(point: np.ndarray) -> tuple[float, float, float]:
    """A point as plain numbers."""
    return float(point[0]), float(point[1]), float(point[2])


def wrap(angle: float) -> float:
    """An angle in (-pi, pi]."""
    return -((-angle + np.pi) % (2 * np.pi) - np.pi)
