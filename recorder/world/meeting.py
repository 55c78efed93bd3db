"""What two people do together: talk, hand over, watch, help, point something out."""

from __future__ import annotations

import numpy as np

from recorder.world.body import SIDES
from recorder.world.performing import OTHER
from recorder.world.scene import Station
from recorder.world.script import Hold
from recorder.world.stage import ImpossibleError, Stage, wrap
from recorder.world.steps import act, gesture, get, put

PATIENCE_S = 6.0
"""How long somebody who wants company waits for it."""
NEAR_M = 1.0
WAYS = ("talk", "hand_over", "hand_over", "watch", "help", "show")


def meet(one: Stage, two: Stage, me: str, you: str) -> None:
    """One goes to the other, and they do something together. Raises ImpossibleError.

    Args:
        one, two: their stages, which share what stands where; both are led on.
        me, you: their names, for looks.
    """
    way = str(one.random.choice(WAYS))
    thing = _something_near(one) if way in ("hand_over", "help", "show") else ""
    if thing:
        get(one, thing)
    _wait(one, two.t, you)
    _come(one, two, me, you)
    {"talk": _talk, "hand_over": _hand_over, "watch": _watch, "help": _hand_over, "show": _show}[way](one, two, me, you)
    for stage in (one, two):
        for held in list(stage.hand_of):
            if not stage.at_board:
                act(stage, f"go {_board_near(stage)}")
            put(stage, held)
        stage.look(stage.t, None)


def _something_near(stage: Stage) -> str:
    """A thing in this room that can be brought to somebody."""
    here = [
        name
        for name, place in stage.props.place_of.items()
        if stage.station(place.station).room == stage.at.room
        and place.slot is not None
        and place.slot >= 0
        and not stage.home.things[name].big
        and not stage.contents(name)
    ]
    if not here:
        raise ImpossibleError("there is nothing to bring")
    return str(stage.random.choice(here))


def _board_near(stage: Stage) -> str:
    """The nearest board."""
    boards = [s for s in stage.home.stations.values() if s.name != "mark" and s.room == stage.at.room]
    return min(boards, key=lambda s: float(np.hypot(s.x - stage.at.x, s.y - stage.at.y))).name


def _wait(stage: Stage, until: float, whom: str) -> None:
    """Watch somebody until then."""
    if until > stage.t + 0.3:
        stage.look(stage.t, whom)
        stage.label("watch_person", stage.t, until)
    stage.t = max(stage.t, until)


def _come(one: Stage, two: Stage, me: str, you: str) -> None:
    """Walk up to somebody; both turn to each other."""
    path = [np.array(one.value("root")), *one.home.house.way(one.at.room, two.at.room)]
    goal = two.value("root")
    way = path[-1] - goal
    length = float(np.hypot(*way))
    if length < 0.05:
        raise ImpossibleError("there is no room")
    spot = goal + way / length * NEAR_M if length > NEAR_M else path[-1]
    facing = float(np.arctan2(*(goal - spot)[::-1]))
    one.look(one.t + 0.2, you)
    one.walk_to(Station("meet", float(spot[0]), float(spot[1]), facing, 0.8, two.at.room))
    two.t = max(two.t, one.t - 1.0)
    two.look(two.t, me)
    back = float(two.value("yaw")[0]) + wrap(facing + np.pi - float(two.value("yaw")[0]))
    two.walk_to(Station("meet", float(goal[0]), float(goal[1]), back, 0.8, two.at.room))
    one.t = two.t = max(one.t, two.t)
    one.touched |= two.touched


def _talk(one: Stage, two: Stage, me: str, you: str) -> None:
    """Speak in turns; the one who listens looks at the one who speaks."""
    speaker, listener, names = one, two, (me, you)
    gesture(one, "wave") if one.free_hand() else None
    for _ in range(int(one.random.integers(2, 5))):
        t0 = max(one.t, two.t)
        speaker.t = t0
        speaker.look(t0, names[1])
        if speaker.free_hand():
            gesture(speaker, "talk")
        else:
            speaker.t += 1.5
            speaker.label("talk", t0, speaker.t)
        speaker.look(t0, names[1])
        listener.look(t0, names[0])
        listener.label("listen", t0, speaker.t)
        listener.t = speaker.t
        speaker, listener, names = listener, speaker, names[::-1]
    one.t = two.t = max(one.t, two.t)


def _watch(one: Stage, two: Stage, me: str, you: str) -> None:
    """One watches what the other does next to a board."""
    act(two, f"go {_board_near(two)}")
    act(two, str(two.random.choice(["press", "bend", "wipe"])))
    two.look(two.t, me)
    _wait(one, two.t, you)
    if one.free_hand():
        gesture(one, "point")
    one.t = two.t = max(one.t, two.t)


def _show(one: Stage, two: Stage, me: str, you: str) -> None:
    """Hold something up for somebody to see."""
    thing, t0 = one.held(), one.t
    if thing is None:
        raise ImpossibleError("there is nothing to show")
    gesture(one, "inspect", thing)
    one.look(t0 + 0.5 * (one.t - t0), you)
    two.look(t0, thing)
    two.label(f"look_at_{thing}", t0, one.t)
    two.t = one.t
    _talk(one, two, me, you)


def _hand_over(one: Stage, two: Stage, me: str, you: str) -> None:
    """Reach something to somebody, who takes it."""
    thing, taker = one.held(), two.free_hand()
    if thing is None or taker is None:
        raise ImpossibleError("there is nothing to hand over, or no hand to take it")
    giver = one.hand_of[thing]
    if SIDES[giver] == SIDES[taker] and OTHER[taker] not in two.hand_of.values():
        taker = OTHER[taker] if two.random.random() < 0.3 else taker
    t0, t1 = one.t, one.t + one.lasting(0.9)
    grip = one.home.things[thing].grip
    between = np.array([0.5 * NEAR_M, 0.0, 0.66 * min(one.one.stature, two.one.stature)])
    point = one.at.to_world(between)
    palm = point + [0.0, 0.0, grip]
    give, take = one.at.to_local(palm) - [0.05, 0, 0], two.at.to_local(palm) - [0.05, 0, 0]
    one.hand_to(giver, give, t0, t1)
    two.hand_to(taker, take, t0 + 0.25, t1 + 0.25)
    for stage in (one, two):
        stage.look(stage.ahead_of(t0 + 0.2), thing)
    at = t1 + 0.4
    one.hand_of.pop(thing)
    two.hand_of[thing] = taker
    two.hold(thing, Hold(at, taker, (0, 0, 0), 0.0, two.at.name))
    one.label(f"hand_over_{thing}", t0, at + 0.2)
    two.label(f"take_{thing}", t0 + 0.25, at + 0.5)
    one.t, two.t = at + 0.1, at + 0.2
    one.t = one.withdraw(giver, one.rest(giver), one.lasting(0.6))
    two.t = two.withdraw(taker, two.carry(taker), two.lasting(0.7))
    one.look(one.t - 0.3, you)
    two.look(two.t - 0.3, me)
