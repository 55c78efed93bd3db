"""What the person does: a small seeded grammar that unfolds into a timeline.

An activity is a list of phrases; a phrase is a list of atomic steps that leaves both hands empty, so that a
session can stop after any of them. The director plays the steps one after another on a stage that knows where
every thing is, and writes down what the later modules need: keys for the body (where the hands, feet and trunk
should be when), what the eyes are for, who holds what, what sounds, and the labels. Activities share stations
and things, and things start anywhere, so that neither the background nor a thing in view tells the activity.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

import numpy as np

from firmware_host.errors import ConfigError, unknown_name
from recorder.world.body import HIPS_BACK, PALM, SIDES, Build
from recorder.world.plan import WorldPlan
from recorder.world.scene import BOARD, DOOR_HEIGHT, DOOR_WIDTH, HINGE, INSIDE, SLOTS, Home, Station

# Steps: `get thing`, `go role`, `put thing`, and verbs. A and B are stations drawn for each activity; "x|y" is a
# choice; a phrase that starts with "?" is left out half of the time.
GRAMMAR: dict[str, tuple[str, ...]] = {
    "make_tea": (
        "get cup; go A; put cup",
        "get kettle; press; go A; pour kettle cup; put kettle",
        "get cup; inspect cup; drink cup; drink cup; put cup",
        "?look_around",
        "get bottle; go A; pour bottle cup; put bottle",
    ),
    "clean_up": (
        "get cloth; go A; wipe cloth; wipe cloth; shake cloth; put cloth",
        "get bowl|bottle|carton; go B; put bowl|bottle|carton",
        "get cloth; go B; wipe cloth; bend; put cloth",
        "?bend",
        "open_door; wipe_empty; close_door",
    ),
    "put_away": (
        "get carton|bowl|book|bottle; go cabinet; open_door; stow; close_door",
        "?look_around",
        "bend; get cup|can; go A; put cup|can",
        "get book|bowl|cloth; inspect book|bowl|cloth; go B; put book|bowl|cloth",
        "open_door; look_around; close_door",
    ),
    "read_book": (
        "get book; inspect book; go A; read book; turn_page book; read book; put book",
        "get cup; drink cup; put cup",
        "get book; read book; turn_page book; turn_page book; go B; put book",
        "?press; look_around",
    ),
    "water_plants": (
        "get can; press; go plant; pour can plant; put can",
        "bend; get plant; inspect plant; go A; put plant",
        "get can; go plant; pour can plant; shake can; put can",
        "?look_around",
        "get cloth; go plant; wipe cloth; put cloth",
    ),
}
ACTIVITIES: tuple[str, ...] = tuple(GRAMMAR)
SETTLE_S = 0.9


@dataclass(frozen=True)
class Span:
    """A label in seconds of world time."""

    tier: str
    t0: float
    t1: float
    value: str


@dataclass(frozen=True)
class Look:
    """From `t0` on the eyes are for `target`: a thing's name, a world point, or None (free viewing)."""

    t0: float
    target: str | tuple[float, float, float] | None
    spread: float = 0.03


@dataclass(frozen=True)
class Noise:
    """A sound event: `kind` (see `sound`), where, and how loud (1 is usual)."""

    t: float
    kind: str
    at: tuple[float, float, float]
    gain: float = 1.0


@dataclass(frozen=True)
class Hold:
    """From `t` on a thing is in a hand (``l``, ``r``), or stands at `at` (world) turned by `yaw`."""

    t: float
    hand: str | None
    at: tuple[float, float, float]
    yaw: float
    station: str


@dataclass
class Script:
    """Everything that happens, in the order it was planned; times in seconds.

    `keys[channel]` is a list of (t, value): the channel is held at a value until it is led to the next.
    Channels: ``root`` (x, y metres), ``yaw``, ``lean`` (radians, forward), ``drop`` (metres the hips sink),
    ``lhand``, ``rhand`` (metres from the floor under the person, x forward, y left), ``ltilt``, ``rtilt``
    (radians a held thing is tipped), ``door`` (radians open).
    """

    keys: dict[str, list[tuple[float, np.ndarray]]] = field(default_factory=dict)
    spans: list[Span] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    noises: list[Noise] = field(default_factory=list)
    holds: dict[str, list[Hold]] = field(default_factory=dict)


class Director:
    """Plays steps on a stage. A copy can try a phrase before it is taken."""

    def __init__(self, plan: WorldPlan, home: Home, one: Build) -> None:
        self.home, self.one = home, one
        self.random = plan.rng("behaviour")
        self.t = 0.0
        self.at = "mark"
        self.script = Script()
        self.hand_of: dict[str, str] = {}
        self.place_of: dict[str, tuple[str, int]] = {}
        self.door_open = False
        self.last_noise = -1.0
        mark = home.stations["mark"]
        self._start("root", np.array([mark.x, mark.y]))
        for channel in ("yaw", "lean", "drop", "ltilt", "rtilt", "door"):
            self._start(channel, np.array([mark.yaw if channel == "yaw" else 0.0]))
        for side in SIDES:
            self._start(f"{side}hand", self.rest(side))
        self._lay_out()

    def __deepcopy__(self, memo: dict[int, object]) -> Director:
        twin = copy.copy(self)
        for name in ("random", "script", "hand_of", "place_of"):
            setattr(twin, name, copy.deepcopy(getattr(self, name), memo))
        return twin

    # --- stage ---

    def _lay_out(self) -> None:
        slots = [(station, slot) for station in BOARD for slot in range(len(SLOTS))]
        for thing, pick in zip(self.home.things, self.random.permutation(len(slots)), strict=False):
            station, slot = slots[pick]
            self.place_of[thing] = (station, slot)
            jitter = self.random.uniform(-0.02, 0.02)
            point = self._station(station).to_world(self.slot(station, slot) + [jitter, 0.0, 0.0])
            yaw = self._station(station).yaw + self.random.uniform(-0.6, 0.6)
            self.script.holds[thing] = [Hold(-1.0, None, _xyz(point), float(yaw), station)]

    def _station(self, name: str) -> Station:
        return self.home.stations[name]

    def slot(self, station: str, slot: int) -> np.ndarray:
        """(3,) where a thing stands on a board, in the station's frame; slot -1 is inside the cupboard."""
        return INSIDE if slot < 0 else np.array([*SLOTS[slot], self._station(station).height])

    def grip(self, thing: str, spot: np.ndarray) -> np.ndarray:
        """(3,) where the palm is when it holds a thing that stands at `spot`."""
        return spot + [-PALM, 0.0, self.home.things[thing].grip]

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
        self.script.spans.append(Span("atomic", t0, t1, value))

    def look(self, t: float, target: str | np.ndarray | None, spread: float = 0.03) -> None:
        looks = self.script.looks
        while looks and looks[-1].t0 >= t:
            looks.pop()
        looks.append(Look(t, target if target is None or isinstance(target, str) else _xyz(target), spread))

    def noise(self, kind: str, t: float, local: np.ndarray, gain: float = 1.0) -> None:
        point = self._station(self.at).to_world(local)
        self.script.noises.append(Noise(t, kind, _xyz(point), gain * float(self.random.uniform(0.7, 1.3))))

    def lasting(self, seconds: float) -> float:
        """A usual duration at this person's haste, with some scatter."""
        return float(seconds / self.one.haste * self.random.uniform(0.85, 1.2))

    # --- moving ---

    def walk_to(self, name: str) -> None:
        """Turn, walk a straight line, turn to face the station."""
        goal = self._station(name)
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

    # --- atomic steps ---

    def get(self, thing: str) -> None:
        """Walk to a thing, reach for it and pick it up."""
        station, slot = self.place_of[thing]
        self.look(self.t + 0.2, thing)
        self.walk_to(station)
        self.look(self.t - 0.5, thing)
        if slot < 0 and not self.door_open:
            self.open_door()
        spot = self.slot(station, slot)
        side = "l" if spot[1] > 0.2 else "r"
        t0, t1 = self.t, self.t + self.lasting(0.85)
        self.hand_to(side, self.grip(thing, spot), t0, t1)
        self.label("reach", t0, t1)
        self.look(t0 - 0.3, thing)
        self.t = t1 + 0.12
        self.hand_of[thing] = side
        self.script.holds[thing].append(Hold(self.t, side, (0, 0, 0), 0.0, station))
        self.noise("contact", self.t, spot, 0.5)
        done = self.withdraw(side, self.carry(side), self.lasting(0.8))
        self.label("pick_up", t1 - 0.1, done)
        self.t = done
        self.place_of.pop(thing)

    def free_slot(self, station: str) -> int:
        """A free slot of a board; there are more slots on one board than half of all things."""
        taken = {slot for where, slot in self.place_of.values() if where == station}
        free = [slot for slot in range(len(SLOTS)) if slot not in taken]
        return free[int(self.random.integers(len(free)))]

    def put(self, thing: str, slot: int | None = None) -> None:
        """Put a held thing down at this station."""
        slot = self.free_slot(self.at) if slot is None else slot
        spot, side = self.slot(self.at, slot), self.hand_of[thing]
        t0, t1 = self.t, self.t + self.lasting(0.9)
        self.look(t0 - 0.3, self._station(self.at).to_world(spot))
        self.hand_to(side, self.grip(thing, spot), t0, t1)
        self.t = t1 + 0.12
        point = self._station(self.at).to_world(spot)
        self.script.holds[thing].append(Hold(self.t, None, _xyz(point), self._station(self.at).yaw, self.at))
        self.noise("contact", t1, spot)
        self.hand_of.pop(thing)
        self.place_of[thing] = (self.at, slot)
        self.label("put_down", t0, self.t + 0.2)
        self.t = self.withdraw(side, self.rest(side), self.lasting(0.6))

    def stow(self) -> None:
        """Put what is in hand into the cupboard, or beside it where that is full."""
        full = any(slot < 0 for _, slot in self.place_of.values())
        self.put(next(iter(self.hand_of)), None if full else -1)

    def pour(self, source: str, into: str) -> None:
        """Tip one thing over another."""
        side = self.hand_of[source]
        spot = self.slot(*self.place_of[into])
        above = spot + [-0.06, SIDES[side] * 0.10, self.home.things[into].height + self.home.things[source].grip + 0.06]
        t0, t1 = self.t, self.t + self.lasting(0.9)
        self.look(t0 - 0.3, into)
        self.hand_to(side, above, t0, t1)
        stop = t1 + self.lasting(1.6)
        self.lead(f"{side}tilt", t1 - 0.2, t1 + 0.4, 0.85)
        self.lead(f"{side}tilt", stop - 0.3, stop + 0.3, 0.0)
        self.noise("pour", t1 + 0.3, spot)
        self.label("pour", t0, stop + 0.3)
        self.t = stop + 0.2
        self.t = self.withdraw(side, self.carry(side), self.lasting(0.6))

    def drink(self, thing: str) -> None:
        """Bring a thing to the mouth and tip it back."""
        side = self.hand_of[thing]
        t0, t1 = self.t, self.t + self.lasting(0.9)
        mouth = np.array([0.22, SIDES[side] * 0.06, 0.86 * self.one.stature])
        self.lead(f"{side}hand", t0, t1, mouth)
        self.look(t0, thing)
        self.look(t1 - 0.1, None)
        stop = t1 + self.lasting(1.1)
        self.lead(f"{side}tilt", t1 - 0.1, t1 + 0.4, -0.7)
        self.lead(f"{side}tilt", stop - 0.2, stop + 0.3, 0.0)
        self.t = stop + 0.1
        self.t = self.withdraw(side, self.carry(side), self.lasting(0.7))
        self.label("drink", t0, self.t)
        self.look(self.t - 0.2, thing)

    def inspect(self, thing: str) -> None:
        """Hold a thing before the eyes and turn it."""
        side = self.hand_of[thing]
        t0 = self.t
        self.look(t0, thing)
        self.lead(f"{side}hand", t0, t0 + 0.7, np.array([0.40, SIDES[side] * 0.05, 0.80 * self.one.stature]))
        for tilt in (0.6, -0.5, 0.0):
            self.t += self.lasting(0.7)
            self.lead(f"{side}tilt", self.t - 0.5, self.t, tilt)
        self.t = self.withdraw(side, self.carry(side), self.lasting(0.6))
        self.label("inspect", t0, self.t)

    def shake(self, thing: str) -> None:
        """Shake a thing up and down."""
        side, t0 = self.hand_of[thing], self.t
        self.look(t0 - 0.1, thing)
        for stroke in range(int(self.random.integers(5, 9))):
            point = self.carry(side) + [0.04, 0.0, 0.09 * (-1) ** stroke]
            self.lead(f"{side}hand", self.t, self.t + 0.22, point)
            self.noise("rustle", self.t, self.carry(side), 0.7)
            self.t += 0.22
        self.lead(f"{side}hand", self.t, self.t + 0.3, self.carry(side))
        self.t += 0.3
        self.label("shake", t0, self.t)

    def wipe(self, thing: str) -> None:
        """Wipe the board in front with a held cloth."""
        self._strokes(self.hand_of[thing], self._station(self.at).height + 0.02, thing)

    def wipe_empty(self) -> None:
        """Dust the open cupboard with the bare hand."""
        self._strokes("r", INSIDE[2] + 0.02, None)
        self.withdraw("r", self.rest("r"), 0.4)

    def _strokes(self, side: str, height: float, thing: str | None) -> None:
        t0 = self.t
        middle = np.array([SLOTS[0][0] - 0.03, SIDES[side] * 0.06, height])
        self.look(t0 - 0.3, thing if thing else self._station(self.at).to_world(middle), 0.06)
        self.hand_to(side, middle, t0, t0 + 0.7)
        self.t += 0.8
        for stroke in range(int(self.random.integers(5, 10))):
            beat = self.lasting(0.42)
            swing = [0.05 * (stroke % 3 - 1), 0.17 * (-1) ** stroke, 0.0]
            self.lead(f"{side}hand", self.t, self.t + beat, middle + swing)
            self.noise("rustle", self.t, middle)
            self.t += beat
        self.label("wipe", t0, self.t)
        self.t = self.withdraw(side, self.carry(side), self.lasting(0.6))

    def read(self, thing: str) -> None:
        """Hold a book open in both hands."""
        side, t0 = self.hand_of[thing], self.t
        self._hold_book(side, t0)
        self.look(t0 + 0.1, thing, 0.09)
        self.t += self.lasting(2.6)
        self.label("read", t0, self.t)

    def turn_page(self, thing: str) -> None:
        """Sweep the free hand over the book."""
        side, t0 = self.hand_of[thing], self.t
        other = "l" if side == "r" else "r"
        self._hold_book(side, t0)
        self.look(t0, thing, 0.05)
        self.lead(f"{other}hand", t0, t0 + 0.45, np.array([0.42, SIDES[side] * 0.10, 0.70 * self.one.stature]))
        self.lead(f"{other}hand", t0 + 0.5, t0 + 0.95, np.array([0.38, SIDES[other] * 0.14, 0.68 * self.one.stature]))
        self.noise("rustle", t0 + 0.5, np.array([0.4, 0.0, 0.68 * self.one.stature]))
        self.t += 1.1
        self.label("turn_page", t0, self.t)

    def _hold_book(self, side: str, t0: float) -> None:
        other = "l" if side == "r" else "r"
        self.lead(f"{side}hand", t0, t0 + 0.6, np.array([0.38, SIDES[side] * 0.08, 0.67 * self.one.stature]))
        self.lead(f"{side}tilt", t0, t0 + 0.6, -0.7)
        self.lead(f"{other}hand", t0, t0 + 0.7, np.array([0.38, SIDES[other] * 0.10, 0.67 * self.one.stature]))

    def bend(self) -> None:
        """Crouch before the board and look under it."""
        t0, t1 = self.t, self.t + self.lasting(1.0)
        side = "r" if "r" not in self.hand_of.values() else "l"
        self.look(t0, self._station(self.at).to_world(np.array([0.4, 0.1, 0.3])), 0.15)
        self.lead(f"{side}hand", t0, t1, np.array([0.24, SIDES[side] * 0.26, 0.48]))
        self.lead("lean", t0, t1, 0.35)
        self.lead("drop", t0, t1, 0.36)
        self.t = t1 + self.lasting(0.7)
        self.noise("rustle", t0 + 0.2, np.array([0.2, 0.0, 0.9]))
        self.label("bend", t0, self.t + 0.5)
        self.t = self.withdraw(side, self.rest(side), self.lasting(0.9))

    def press(self) -> None:
        """Press a switch on the wall behind the board."""
        side = "l" if "r" in self.hand_of.values() else "r"
        t0, t1 = self.t, self.t + self.lasting(0.8)
        switch = np.array([0.56, SIDES[side] * 0.25, 1.2])
        self.look(t0 - 0.25, self._station(self.at).to_world(switch))
        self.hand_to(side, switch, t0, t1)
        self.noise("click", t1, switch)
        self.t = t1 + 0.25
        self.label("press", t0, self.t)
        self.t = self.withdraw(side, self.rest(side), self.lasting(0.7))

    def look_around(self) -> None:
        """Stand and look about the room."""
        t0 = self.t
        self.look(t0, None)
        yaw = self.value("yaw")[0]
        for aside in (self.random.uniform(0.2, 0.5), -self.random.uniform(0.2, 0.5), 0.0):
            beat = self.lasting(0.9)
            self.lead("yaw", self.t, self.t + 0.8 * beat, yaw + aside)
            self.t += beat
        self.label("look_around", t0, self.t)

    def open_door(self) -> None:
        self.walk_to("cabinet")
        self._swing_door("open_door", 1.55)
        self.door_open = True

    def close_door(self) -> None:
        self.walk_to("cabinet")
        self._swing_door("close_door", 0.0)
        self.door_open = False

    def _handle(self, angle: float) -> np.ndarray:
        radius = DOOR_WIDTH - 0.05
        return HINGE + [-radius * np.sin(angle) - 0.05 * np.cos(angle), -radius * np.cos(angle), DOOR_HEIGHT / 2]

    def _swing_door(self, verb: str, goal: float) -> None:
        """Lead hand and door together along the handle's arc."""
        start = float(self.value("door")[0])
        side = "r" if "l" in self.hand_of.values() else "l"
        t0, t1 = self.t, self.t + self.lasting(0.8)
        self.look(t0 - 0.3, self._station("cabinet").to_world(self._handle(start)))
        self.hand_to(side, self._handle(start), t0, t1)
        swing = self.lasting(1.1)
        for k in range(1, 9):
            angle = start + (goal - start) * k / 8
            a, b = t1 + 0.1 + swing * (k - 1) / 8, t1 + 0.1 + swing * k / 8
            self.lead(f"{side}hand", a, b, self._handle(angle))
            self.lead("door", a, b, angle)
        self.t = t1 + 0.1 + swing
        self.noise("door", t1 if goal else self.t, HINGE, 1.0)
        self.label(verb, t0, self.t)
        self.look(self.t - 0.2, self._station("cabinet").to_world(INSIDE))
        self.t = self.withdraw(side, self.rest(side), self.lasting(0.6))

    def go(self, role: str, roles: dict[str, str]) -> None:
        """Walk to a station by role, by its own name, or to where a thing stands."""
        name = roles.get(role, role)
        name = self.place_of[name][0] if name in self.place_of else name
        self.look(
            self.t + 0.3, self._station(name).to_world(np.array([SLOTS[0][0], 0, self._station(name).height])), 0.2
        )
        self.walk_to(name)

    def play(self, phrase: list[str], roles: dict[str, str]) -> None:
        """Play one phrase; hands are empty at its end."""
        for step in phrase:
            verb, *names = step.split()
            if verb == "go":
                self.go(names[0], roles)
            else:
                getattr(self, verb)(*names)
        self.look(self.t, None)


def _xyz(point: np.ndarray) -> tuple[float, float, float]:
    return float(point[0]), float(point[1]), float(point[2])


def _wrap(angle: float) -> float:
    """An angle in (-pi, pi]."""
    return -((-angle + np.pi) % (2 * np.pi) - np.pi)


def _unfold(activity: str, random: np.random.Generator) -> list[list[str]]:
    """One sentence of the grammar: choices made, optional phrases kept or dropped."""
    phrases = []
    for text in GRAMMAR[activity]:
        if text.startswith("?") and random.random() < 0.5:
            continue
        picks: dict[str, str] = {}
        steps = []
        for step in text.lstrip("?").split(";"):
            words = step.split()
            for word in words:
                if "|" in word and word not in picks:
                    picks[word] = str(random.choice(word.split("|")))
            steps.append(" ".join(picks.get(word, word) for word in words))
        phrases.append(steps)
    return phrases


def _roles(director: Director) -> dict[str, str]:
    """Stations A and B for one activity."""
    a, b = director.random.choice(list(BOARD), 2, replace=False)
    return {"A": str(a), "B": str(b)}


def _fits(director: Director, deadline: float) -> bool:
    """Whether the person would be back on the mark in time."""
    after = copy.deepcopy(director)
    after.walk_to("mark")
    return after.t <= deadline


def direct(plan: WorldPlan, home: Home, one: Build) -> Script:
    """The whole session: tone, activities, back to the mark, tone.

    Raises:
        ConfigError: the plan's activity is not one of `ACTIVITIES`.
    """
    if plan.activity is not None and plan.activity not in ACTIVITIES:
        raise ConfigError(unknown_name("activity", plan.activity, ACTIVITIES))
    director = Director(plan, home, one)
    director.look(-1.0, np.array([-2.3, -1.85, 1.3]), 0.1)
    director.t = plan.tone_s["start"] + 1.0 + 0.3
    deadline = plan.tone_s["end"] - SETTLE_S
    last = ""
    while True:
        names = [name for name in ACTIVITIES if name != last]
        last = plan.activity or str(director.random.choice(names))
        begin = director.t
        director, whole = _perform(director, last, deadline)
        if director.t > begin:
            director.script.spans.append(Span("activity", begin, director.t, last))
        if not whole:
            break
    director.walk_to("mark")
    director.look(director.t - 0.3, np.array([-2.3, -1.85, 1.3]), 0.1)
    return director.script


def _perform(director: Director, activity: str, deadline: float) -> tuple[Director, bool]:
    """Play an activity as far as the time allows; whether it was played to its end."""
    roles = _roles(director)
    for phrase in _unfold(activity, director.random):
        trial = copy.deepcopy(director)
        trial.play(phrase, roles)
        if not _fits(trial, deadline):
            return _while_away(director, deadline), False
        director = trial
    return director, True


def _while_away(director: Director, deadline: float) -> Director:
    """Fill the time that is left with short phrases that fit any activity."""
    while True:
        near = [name for name, (station, slot) in director.place_of.items() if station == director.at and slot >= 0]
        short = [[f"get {name}", f"{verb} {name}", f"put {name}"] for name in near for verb in ("inspect", "shake")]
        short += [["look_around"], ["press"], ["bend"]] if director.at != "mark" else [["look_around"]]
        for pick in director.random.permutation(len(short)):
            trial = copy.deepcopy(director)
            trial.play(short[pick], {})
            if _fits(trial, deadline):
                director = trial
                break
        else:
            return director
