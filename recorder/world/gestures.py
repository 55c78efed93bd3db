"""The gestures: what hands do at one place, as a table.

A gesture brings a hand (or both) to a place, moves it there beat by beat along a path, and lets it go. What differs
between drinking and ironing is where, how and how often, so each is a row of numbers. `steps` plays any row.
"""

from __future__ import annotations

from dataclasses import dataclass

Offset = tuple[float, float, float]
STILL: tuple[Offset, ...] = ((0.0, 0.0, 0.0),)


@dataclass(frozen=True)
class Gesture:
    """One atomic action of the hands.

    Attributes:
        where: the place of the acting hand: ``board``, ``target`` (above another thing), ``into`` (inside it), or a
            place about the body (see `performing.place_of`).
        path: offsets from that place, metres (ahead, outwards, up), visited beat by beat and over again.
        beats: fewest and most beats. beat_s: seconds that a beat usually takes.
        tilts: how far what is held is tipped in each beat, radians.
        other: the place of the other hand, which mirrors the path; empty where it does something else.
        look: where the eyes are: ``thing``, ``target``, ``spot``, ``mirror``, ``sight`` (television or window),
            ``up`` or ``ahead``.
        sound: what each beat sounds like; empty for nothing.
        of: what the action's name says it is done to; empty for the target or the thing itself.
        bow, sink: how far the trunk bows (radians) and the hips sink (metres) meanwhile.
    """

    where: str
    path: tuple[Offset, ...] = STILL
    beats: tuple[int, int] = (1, 1)
    beat_s: float = 0.5
    tilts: tuple[float, ...] = (0.0,)
    other: str = ""
    look: str = "thing"
    sound: str = ""
    of: str = ""
    bow: float = 0.0
    sink: float = 0.0


def _ring(size: float, up: float = 0.0) -> tuple[Offset, ...]:
    return ((size, 0.0, up), (0.0, size, up), (-size, 0.0, up), (0.0, -size, up))


def _to_and_fro(x: float, y: float, z: float) -> tuple[Offset, ...]:
    return ((x, y, z), (-x, -y, -z))


GESTURES: dict[str, Gesture] = {
    # eating and drinking
    "pour": Gesture("target", beats=(3, 5), tilts=(0.85, 0.9), look="target", sound="pour"),
    "drink": Gesture("mouth", beats=(2, 3), beat_s=0.55, tilts=(-0.7, -0.75), look="ahead"),
    "sip": Gesture("mouth", ((0, 0, 0), (0.05, 0, -0.05)), (2, 4), 0.45, (-0.4, 0.0), look="ahead"),
    "eat": Gesture(
        "bite", ((0.16, 0.05, -0.22), (0, 0, 0)), (4, 8), 0.6, (0.3, -0.2), look="target", sound="contact", of="meal"
    ),
    "stir": Gesture("target", _ring(0.03), (6, 12), 0.22, (0.5,), look="target", sound="contact"),
    "taste": Gesture("bite", ((0, 0, 0), (0.03, 0, -0.02)), (2, 2), 0.5, (-0.2, 0.0), look="ahead", of="food"),
    "cut": Gesture("target", _to_and_fro(0.05, 0, 0.02), (6, 12), 0.25, (0.1,), "beside", "target", "rustle"),
    "spread": Gesture("target", _to_and_fro(0.02, 0.06, 0), (4, 8), 0.35, (0.3,), "beside", "target", "rustle"),
    "season": Gesture("target", _to_and_fro(0, 0, 0.05), (3, 6), 0.2, (1.2,), look="target", sound="rustle"),
    # washing and cleaning
    "wipe": Gesture(
        "board", ((0.05, 0.17, 0), (0, -0.17, 0), (-0.05, 0.17, 0)), (5, 10), 0.42, sound="rustle", of="top"
    ),
    "dust": Gesture("wall", ((0, 0.12, 0.08), (0, -0.12, -0.08)), (4, 8), 0.35, sound="rustle", of="wall"),
    "scrub": Gesture("target", _ring(0.04), (6, 12), 0.26, look="target", sound="rustle"),
    "rinse": Gesture(
        "into", ((0, 0, 0), (0, 0, 0.12)), (4, 8), 0.4, (0.5, -0.2), look="target", sound="pour", of="thing"
    ),
    "dry": Gesture("lap", _to_and_fro(0.03, 0.04, 0.02), (4, 9), 0.3, (0.4, -0.4), "lap", sound="rustle"),
    "wring": Gesture("lap", ((0, 0.02, 0), (0, -0.02, 0.02)), (3, 5), 0.4, (0.6, -0.6), "lap", sound="rustle"),
    "rub": Gesture(
        "into", _to_and_fro(0.03, 0.03, 0), (5, 9), 0.25, other="into", look="target", sound="pour", of="hands"
    ),
    "shake": Gesture("chest", _to_and_fro(0.04, 0, 0.09), (5, 9), 0.22, sound="rustle"),
    # clothes and beds
    "fold": Gesture(
        "board",
        ((0, 0.10, 0.10), (0, -0.06, 0.02), (0.06, 0, 0.08), (-0.04, 0, 0)),
        (4, 8),
        0.5,
        other="board",
        look="spot",
        sound="rustle",
    ),
    "smooth": Gesture(
        "board",
        ((0.06, 0.14, 0), (-0.04, 0.02, 0)),
        (4, 8),
        0.5,
        other="board",
        look="spot",
        sound="rustle",
        of="cover",
    ),
    "tuck": Gesture(
        "board",
        ((0.16, 0.14, -0.02), (0.10, 0.18, -0.04)),
        (3, 6),
        0.5,
        other="board",
        look="spot",
        sound="rustle",
        of="cover",
        bow=0.2,
    ),
    "fluff": Gesture("chest", ((0, 0.05, 0.03), (0, -0.03, -0.03)), (4, 8), 0.3, (0.3, -0.3), "chest", sound="rustle"),
    "press_on": Gesture(
        "target",
        ((0.08, 0.05, 0), (-0.06, 0, 0), (0.02, -0.06, 0)),
        (5, 10),
        0.5,
        (0.0,),
        look="target",
        sound="rustle",
    ),
    "sort": Gesture(
        "into", ((0, 0.06, 0.02), (0.04, -0.05, 0.10)), (4, 8), 0.45, other="into", look="target", sound="rustle"
    ),
    "hold_up": Gesture(
        "shoulders", ((0, 0.02, 0), (0, -0.02, 0.02)), (3, 5), 0.6, (0.8, 0.7), "shoulders", look="mirror"
    ),
    # the body
    "dry_hair": Gesture(
        "hair",
        ((0.02, 0.04, 0.05), (-0.08, 0, -0.03), (0, 0.05, -0.06)),
        (5, 10),
        0.45,
        (-0.6, 0.3),
        look="mirror",
        sound="rustle",
        of="hair",
    ),
    "comb": Gesture(
        "hair",
        ((0.06, 0, 0.06), (-0.06, 0.04, -0.10)),
        (5, 10),
        0.4,
        (-0.3, 0.4),
        look="mirror",
        sound="rustle",
        of="hair",
    ),
    "rub_hair": Gesture(
        "hair",
        _to_and_fro(0.05, 0.02, 0.03),
        (6, 10),
        0.26,
        (0.2, -0.2),
        "hair",
        look="ahead",
        sound="rustle",
        of="hair",
    ),
    "splash": Gesture(
        "face",
        ((0, 0, -0.10), (-0.16, -0.02, 0.10)),
        (3, 5),
        0.45,
        other="face",
        look="spot",
        sound="pour",
        of="face",
        bow=0.35,
    ),
    "stretch": Gesture("high", ((0, 0, 0.05), (0.05, 0.10, -0.05)), (3, 6), 0.7, other="high", look="ahead", of="arms"),
    "swing": Gesture(
        "side", ((0.25, -0.15, 0.05), (-0.10, 0.12, 0.0)), (6, 12), 0.5, other="side", look="ahead", of="arms"
    ),
    "squat": Gesture(
        "ahead", ((0, 0, -0.30), (0, 0, 0.0)), (2, 4), 0.9, other="ahead", look="ahead", of="down", sink=0.30
    ),
    "punch": Gesture(
        "chest", ((0.22, -0.05, 0.10), (-0.06, 0, 0)), (6, 12), 0.3, other="chest", look="ahead", of="air"
    ),
    # looking and telling
    "inspect": Gesture("face", ((0, 0, 0), (0, 0.03, 0.02)), (3, 4), 0.6, (0.6, -0.5, 0.0)),
    "read": Gesture("read", ((0, 0, 0), (0, 0.01, 0.01)), (3, 6), 0.8, (-0.7,), "read"),
    "turn_page": Gesture("read", STILL, (2, 2), 0.5, (-0.7,), "across", sound="rustle"),
    "tap": Gesture("read", STILL, (5, 10), 0.22, (-0.7,), "tapping", sound="click"),
    "dial": Gesture("face", STILL, (5, 8), 0.25, (-0.6,), "tapping_high", sound="click"),
    "talk_on": Gesture("ear", ((0, 0, 0), (0.01, 0.01, 0)), (4, 8), 0.7, (-0.3,), look="ahead", sound="speech"),
    "point": Gesture("ahead", ((0.08, 0, 0.05), (0.05, 0, 0.03)), (2, 4), 0.4, (0.2,), look="sight", sound="click"),
    "watch": Gesture("rest", STILL, (3, 6), 0.7, look="sight", of="screen"),
    "look_in": Gesture("rest", STILL, (2, 4), 0.7, look="mirror", of="mirror"),
    "touch": Gesture("face", ((-0.18, 0.03, 0.08), (-0.16, -0.03, 0.03)), (3, 6), 0.4, look="mirror", of="face"),
    "press": Gesture("wall", STILL, (1, 2), 0.3, look="spot", sound="click", of="switch"),
    "bend": Gesture("low", STILL, (1, 2), 0.6, look="spot", sound="rustle", of="down", bow=0.18, sink=0.36),
    "crouch": Gesture("low", STILL, (3, 7), 0.7, other="low", look="spot", of="down", bow=0.15, sink=0.36),
    "tie": Gesture(
        "low", _ring(0.03), (8, 18), 0.3, other="low", look="spot", sound="rustle", of="shoes", bow=0.45, sink=0.30
    ),
    "lean_on": Gesture("board", STILL, (3, 7), 0.7, other="board", look="spot", of="top", bow=0.35),
    "look_down": Gesture("rest", STILL, (3, 7), 0.7, look="spot", of="floor", bow=0.25),
    "clasp": Gesture("hair", STILL, (3, 7), 0.7, other="hair", look="ahead", of="head"),
    "raise": Gesture("high", STILL, (3, 7), 0.7, other="high", look="up", of="arms"),
    "look_up": Gesture("rest", STILL, (3, 7), 0.7, look="up", of="ceiling"),
    "reach_up": Gesture("top", ((0, 0, 0), (0.02, 0.10, -0.04)), (4, 8), 0.7, look="up", of="wall"),
    "stand": Gesture("rest", STILL, (3, 7), 0.7, look="ahead", of="still"),
    "cross": Gesture("folded", STILL, (3, 7), 0.7, other="folded", look="ahead", of="arms"),
    "akimbo": Gesture("hip", STILL, (3, 7), 0.7, other="hip", look="ahead", of="hands"),
    "shake_out": Gesture("rest", _to_and_fro(0.05, 0.06, 0.06), (6, 12), 0.2, other="rest", look="ahead", of="arms"),
    "knead": Gesture("lap", _ring(0.03), (6, 12), 0.3, other="lap", look="spot", sound="rustle", of="hands"),
    "scratch": Gesture("hair", _to_and_fro(0.03, 0, 0.02), (3, 5), 0.2, look="ahead", of="head"),
    "talk": Gesture(
        "chest", ((0.06, 0.05, 0.05), (0.0, 0.0, -0.03), (0.04, 0.10, 0.0)), (4, 8), 0.5, look="person", sound="speech"
    ),
    "wave": Gesture("greet", ((0, 0.08, 0), (0, -0.08, 0)), (4, 6), 0.28, look="person"),
}
"""By verb. `dial` and `tap` hold with one hand and tap with the other."""
