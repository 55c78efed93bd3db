"""What the people do: activities one after another between the two tones, as far as the time allows.

Whoever is done first acts next. A phrase is tried on a copy of the stage and taken only if the wearer could still be
back on the mark in time for the end tone, if nobody needs what somebody else has in hand, and if nobody is run into.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from firmware_host.errors import ConfigError, unknown_name
from recorder.world import meeting
from recorder.world.body import Build
from recorder.world.furniture import ABOVE, BOARD, CUPBOARDS, ROOMS, SLOTS, SOFT
from recorder.world.grammar import ACTIVITIES, ASIDES, aside, unfold
from recorder.world.house import LIVING
from recorder.world.manner import Manner, manner
from recorder.world.plan import WorldPlan
from recorder.world.scene import KIT, Home
from recorder.world.script import Hold, Place, Props, Script, Span
from recorder.world.stage import ImpossibleError, Stage, xyz
from recorder.world.steps import play

SETTLE_S = 0.9
AT_HOME = 0.7
"""How often an activity, or a thing, belongs to the living room, where the kit stands."""
BRIEF_S = 40.0
"""A session shorter than this stays in the living room: it would be spent on the way."""
APART_M = 0.45
TOGETHER = 0.3
"""How often the next thing to do is something done together."""
SHORT_S = 8.0
"""What is left when no new activity is begun."""


@dataclass
class Actor:
    """Somebody while the session is planned: the stage, what is to be done, and what was in use until when."""

    stage: Stage
    name: str
    until: float
    wearer: bool
    manner: Manner
    activity: str = ""
    begun: float = 0.0
    phrases: list[list[str]] = field(default_factory=list)
    used: list[tuple[float, set[str]]] = field(default_factory=list)
    done: bool = False


def direct(plan: WorldPlan, home: Home, builds: list[Build]) -> tuple[Props, list[Script]]:
    """The whole session: tone, activities, back to the mark, tone.

    Args:
        builds: the wearer's body first.

    Raises:
        ConfigError: the plan's activity is not one of `ACTIVITIES`.
    """
    if plan.activity is not None and plan.activity not in ACTIVITIES:
        raise ConfigError(unknown_name("activity", plan.activity, ACTIVITIES))
    random = plan.rng("behaviour")
    at_home = 1.0 if plan.duration_s < BRIEF_S else AT_HOME
    props = _laid_out(home, random, at_home)
    actors = []
    for number, (name, one) in enumerate(zip(plan.names, builds, strict=True)):
        at = home.stations["mark" if number == 0 else str(random.choice(ROOMS[LIVING]))]
        stage = Stage(home, one, props, plan.rng(f"acts{number}"), at, number)
        stage.look(-1.0, KIT, 0.1)
        wearer = number == 0
        until = plan.tone_s["end"] - SETTLE_S if wearer else plan.duration_s - 0.5
        stage.t = plan.tone_s["start"] + 1.0 + 0.3 if wearer else float(random.uniform(0.5, 3.0))
        actors.append(Actor(stage, name, until, wearer, manner(plan, "" if wearer else f"{name}/")))
    if plan.mirror and not _take(actors[0], actors[1:], [f"go {_mirror(home)}", "signal"]):
        raise ConfigError(
            f"a session of {plan.duration_s:g} s is too short for the pattern at the mirror; ask for 30 s"
        )
    while not all(actor.done for actor in actors):
        _next(min((a for a in actors if not a.done), key=lambda a: a.stage.t), actors, plan)
    for actor in actors:
        _end_activity(actor)
        if actor.wearer:
            actor.stage.walk_to(home.stations["mark"])
            actor.stage.look(actor.stage.t - 0.3, KIT, 0.1)
    return actors[0].stage.props, [actor.stage.script for actor in actors]


def _mirror(home: Home) -> str:
    """The living room's station before a mirror, or another where it has none."""
    seen = [name for name in BOARD if ABOVE.get(name) == "mirror"]
    return min(seen, key=lambda name: home.stations[name].room != LIVING)


def _laid_out(home: Home, random: np.random.Generator, at_home: float) -> Props:
    """Everything somewhere on a board, the share `at_home` of it in the living room."""
    props = Props(doors={name: [(-10.0, np.zeros(1))] for name in home.cupboards})
    free = {room: [(n, s) for n in names for s in range(len(SLOTS))] for room, names in ROOMS.items()}
    for thing in home.things:
        room = LIVING if random.random() < at_home else str(random.choice(list(ROOMS)[1:]))
        name, slot = free[room].pop(int(random.integers(len(free[room]))))
        station = home.stations[name]
        spot = np.array([*SLOTS[slot], station.height]) + [random.uniform(-0.02, 0.02), 0.0, 0.0]
        yaw = station.yaw + random.uniform(-0.6, 0.6)
        props.place_of[thing] = Place(name, slot, xyz(spot))
        props.holds[thing] = [Hold(-1.0, None, xyz(station.to_world(spot)), float(yaw), name)]
    return props


def _next(actor: Actor, actors: list[Actor], plan: WorldPlan) -> None:
    """The next thing that somebody does."""
    stage, others = actor.stage, [a for a in actors if a is not actor]
    if others and stage.random.random() < TOGETHER and _together(actor, others[0]):
        return
    short = bool(actor.activity) and actor.until - stage.t < SHORT_S
    if not actor.phrases and not short:
        _end_activity(actor)
        usual = [name for name in ACTIVITIES if name != actor.activity]
        actor.activity = plan.activity if plan.activity and actor.wearer else str(stage.random.choice(usual))
        actor.begun = stage.t
        roles = _roles(stage.random, 1.0 if plan.duration_s < BRIEF_S else AT_HOME)
        actor.phrases = unfold(actor.activity, actor.name, roles, stage.random)
    begun = stage.t > actor.begun  # an activity begins with what belongs to it
    if begun and actor.phrases and stage.random.random() < actor.manner.restless and _aside(actor, others):
        return
    while actor.phrases:
        if _take(actor, others, actor.phrases.pop(0)):
            return
    if not _while_away(actor, others):
        actor.done = True


def _end_activity(actor: Actor) -> None:
    if actor.activity and actor.stage.t > actor.begun + 0.5:
        actor.stage.script.spans.append(Span("activity", actor.begun, actor.stage.t, actor.activity))
    actor.begun = actor.stage.t


def _roles(random: np.random.Generator, at_home: float) -> dict[str, str]:
    """Stations for the roles of an activity, mostly in one room; any room will do for any activity."""
    rooms = list(ROOMS)
    room = LIVING if random.random() < at_home else str(random.choice(rooms[1:]))
    there = ROOMS[room]
    a, b = (str(n) for n in random.choice(there, 2, replace=False))
    if random.random() < 0.3 * (1.0 - at_home) / (1.0 - AT_HOME):
        b = str(random.choice(ROOMS[str(random.choice([r for r in rooms if r != room]))]))
    seen = [n for n in BOARD if ABOVE.get(n) == "mirror"]
    return {
        **{"A": a, "B": b},
        **{"S": next(n for n in there if n in SOFT), "C": next(n for n in there if n in CUPBOARDS)},
        "M": next((n for n in there if n in seen), str(random.choice(seen))),
        "T": str(random.choice([n for n in there if ABOVE.get(n) in ("tv", "window")])),
    }


def _aside(actor: Actor, others: list[Actor]) -> bool:
    """Do something that belongs to no activity; False where it cannot be."""
    stage, moods = actor.stage, actor.manner.moods
    mood = str(stage.random.choice(list(ASIDES), p=list(moods.values())))
    x, y = (str(name) for name in stage.random.choice(ROOMS[stage.at.room], 2, replace=False))
    roles = {"X": x, "Y": y, "O": str(stage.random.choice(_near(stage)[:6]))}
    return _take(actor, others, aside(mood, roles, stage.random))


def _take(actor: Actor, others: list[Actor], phrase: list[str]) -> bool:
    """Play a phrase if it can be done in time and in nobody's way."""
    trial = actor.stage.copy()
    try:
        play(trial, phrase)
    except ImpossibleError:
        return False
    if not _fits(actor, trial) or any(_in_the_way(trial, actor.stage.t, other) for other in others):
        return False
    _accept(actor, others, trial)
    return True


def _accept(actor: Actor, others: list[Actor], trial: Stage) -> None:
    actor.used.append((trial.t, trial.touched))
    actor.stage = trial
    trial.t += float(trial.random.exponential(0.15))
    for other in others:
        other.stage.props = trial.props


def _fits(actor: Actor, trial: Stage) -> bool:
    """Whether the wearer would be back on the mark in time, and anybody else done."""
    if not actor.wearer:
        return trial.t <= actor.until
    after = trial.copy()
    after.walk_to(after.home.stations["mark"])
    return after.t <= actor.until


def _in_the_way(trial: Stage, since: float, other: Actor) -> bool:
    """Whether a phrase needs what somebody else still uses, or leads too near to where somebody else is."""
    if any(until > since and used & trial.touched for until, used in other.used):
        return True
    t = np.arange(since, max(trial.t, since + 0.1), 0.1)
    return bool(np.linalg.norm(_ground(trial, t) - _ground(other.stage, t), axis=1).min() < APART_M)


def _ground(stage: Stage, t: np.ndarray) -> np.ndarray:
    times, spots = zip(*stage.script.keys["root"], strict=True)
    return np.stack([np.interp(t, times, column) for column in np.array(spots).T], axis=1)


def _while_away(actor: Actor, others: list[Actor]) -> bool:
    """Fill the time that is left with a short phrase that fits any activity; False where none does."""
    stage = actor.stage
    short = [
        [f"get {name}", f"{verb} {name}", f"put {name}"] for name in _near(stage)[:4] for verb in ("inspect", "shake")
    ]
    short += [["press"], ["bend"], ["scratch"]] if stage.at_board else []
    short = [short[pick] for pick in stage.random.permutation(len(short))] + [["look_around"], ["scratch"]]
    return any(_take(actor, others, phrase) for phrase in short)


def _near(stage: Stage) -> list[str]:
    """What stands somewhere, the nearest first."""
    here = stage.value("root")
    return sorted(
        (n for n, p in stage.props.place_of.items() if p.slot is not None), key=lambda n: _far(stage, n, here)
    )


def _far(stage: Stage, thing: str, here: np.ndarray) -> float:
    """How far it is to where a thing stands, metres; another room is far."""
    station = stage.station(stage.place(thing).station)
    return float(np.hypot(station.x - here[0], station.y - here[1])) + 5.0 * (station.room != stage.at.room)


def _together(actor: Actor, other: Actor) -> bool:
    """Do something together with somebody who is free soon; False where it cannot be."""
    if other.done or other.stage.t - actor.stage.t > meeting.PATIENCE_S:
        return False
    one, two = actor.stage.copy(), other.stage.copy()
    two.props = one.props
    begun = one.t
    try:
        meeting.meet(one, two, actor.name, other.name)
    except ImpossibleError:
        return False
    if not (_fits(actor, one) and _fits(other, two)):
        return False
    t = np.arange(begun, max(one.t, two.t), 0.1)
    if np.linalg.norm(_ground(one, t) - _ground(two, t), axis=1).min() < APART_M:
        return False
    for someone, stage in ((actor, one), (other, two)):
        someone.used.append((max(one.t, two.t), one.touched | two.touched))
        someone.stage = stage
    return True
