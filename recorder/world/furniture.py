"""Furniture: boards to stand things on, beds and benches, cupboards with a door, and what hangs above them.

Everything here is in a station's frame: the origin on the floor under whoever stands at it, x towards the
furniture, y to the left. Each room has one soft board and one cupboard, so that no activity belongs to a room.
"""

from __future__ import annotations

import numpy as np

from recorder.world.house import LIVING
from recorder.world.shapes import Shape, ball, box, cylinder

# Height of each board, metres, and what it is made like: on legs, a chest, soft, or a chest with a cupboard above.
BOARD = {
    **{"table": 0.76, "counter": 0.92, "shelf": 1.08, "sofa": 0.50, "cabinet": 0.96},
    **{"sink": 0.90, "stove": 0.91, "larder": 0.95, "bench": 0.52},
    **{"dresser": 0.86, "desk": 0.74, "wardrobe": 0.94, "bed": 0.54},
}
ROOMS = {
    LIVING: ("table", "counter", "shelf", "sofa", "cabinet"),
    "kitchen": ("sink", "stove", "larder", "bench"),
    "bedroom": ("dresser", "desk", "wardrobe", "bed"),
}
ON_LEGS, SOFT, CUPBOARDS = ("table", "shelf", "desk"), ("sofa", "bench", "bed"), ("cabinet", "larder", "wardrobe")
# What hangs on the wall above a board, and whoever wants to see it may look for it by its name.
ABOVE = {
    **{"table": "tv", "sink": "tv", "desk": "tv"},
    **{"counter": "mirror", "dresser": "mirror"},
    **{"sofa": "window", "bench": "window", "bed": "window"},
}
WALL_AT, HANGS_AT = 1.06, 1.58
BOARD_FRONT, BOARD_DEPTH, BOARD_WIDTH = 0.30, 0.55, 1.2
# Where things may stand on a board: x, y in the station's frame, two rows.
SLOTS = tuple((x, y) for x in (0.44, 0.60) for y in (-0.40, -0.20, 0.0, 0.20, 0.40))
# The cupboard above a chest: its hinge, width, and the slot inside it.
HINGE, DOOR_WIDTH, DOOR_HEIGHT = np.array([0.60, 0.42, 1.34]), 0.46, 0.42
INSIDE = np.array([0.70, 0.16, 1.36])


def furniture(name: str) -> list[Shape]:
    """One piece of furniture and what hangs above it."""
    height, middle = BOARD[name], BOARD_FRONT + BOARD_DEPTH / 2
    half_width, half_depth = BOARD_WIDTH / 2, BOARD_DEPTH / 2
    if name in SOFT:
        shapes = _soft(name, height, middle)
    else:
        shapes = [box((half_depth, half_width, 0.02), (middle, 0, height - 0.02), f"{name}-top")]
        shapes += _legs(name, height, middle) if name in ON_LEGS else _chest(name, height, middle)
    if name in CUPBOARDS:
        shapes += _cupboard(name)
    if name == "sink":
        shapes += [
            box((0.10, 0.16, 0.004), (0.66, 0, height + 0.002), "metal"),
            cylinder(0.012, 0.11, (0.80, 0, 1.01), "metal"),
        ]
        shapes.append(box((0.07, 0.012, 0.010), (0.74, 0, 1.12), "metal"))
    if name == "stove":
        shapes += [cylinder(0.075, 0.004, (x, y, height + 0.002), "dark") for x in (0.45, 0.68) for y in (-0.2, 0.2)]
    return shapes + _above(ABOVE.get(name, ""))


def _legs(name: str, height: float, middle: float) -> list[Shape]:
    half = (height - 0.04) / 2
    legs = [box((0.03, 0.03, half), (middle + x * 0.22, y * 0.53, half), name) for x in (-1, 1) for y in (-1, 1)]
    return [
        *legs,
        box((BOARD_DEPTH / 2 - 0.05, BOARD_WIDTH / 2 - 0.08, 0.012), (middle, 0, height * 0.35), f"{name}-top"),
    ]


def _chest(name: str, height: float, middle: float) -> list[Shape]:
    half = (height - 0.04) / 2
    handles = [box((0.012, 0.05, 0.01), (BOARD_FRONT, y, height - 0.2), "metal") for y in (-0.3, 0.3)]
    return [box((BOARD_DEPTH / 2 - 0.02, BOARD_WIDTH / 2 - 0.01, half), (middle + 0.02, 0, half), name), *handles]


def _soft(name: str, height: float, middle: float) -> list[Shape]:
    """A base, a cushion and a back."""
    half_width, half_depth = BOARD_WIDTH / 2, BOARD_DEPTH / 2
    return [
        box((half_depth, half_width, height / 2 - 0.06), (middle, 0, height / 2 - 0.06), name),
        box((half_depth + 0.01, half_width + 0.01, 0.06), (middle, 0, height - 0.06), f"{name}-top"),
        box(
            (0.06, half_width + 0.02, height / 2 + 0.14), (BOARD_FRONT + BOARD_DEPTH + 0.07, 0, height / 2 + 0.14), name
        ),
    ]


def _cupboard(name: str) -> list[Shape]:
    depth, back, middle = 0.16, HINGE[0] + 0.16, HINGE[1] - DOOR_WIDTH / 2
    shapes = [box((depth, DOOR_WIDTH / 2, 0.012), (back, middle, z), name) for z in (HINGE[2], HINGE[2] + DOOR_HEIGHT)]
    for y in (HINGE[1], HINGE[1] - DOOR_WIDTH):
        shapes.append(box((depth, 0.012, DOOR_HEIGHT / 2), (back, y, HINGE[2] + DOOR_HEIGHT / 2), name))
    inner = box((0.01, DOOR_WIDTH / 2, DOOR_HEIGHT / 2), (back + depth, middle, HINGE[2] + DOOR_HEIGHT / 2), "metal")
    return [*shapes, inner]


def _above(what: str) -> list[Shape]:
    """What hangs on the wall: a window with frame and curtains, a television, a mirror."""
    if what == "tv":
        return [box((0.025, 0.40, 0.24), (WALL_AT - 0.03, 0, HANGS_AT), "dark")]
    if what == "mirror":
        edges = [box((0.02, 0.02, 0.40), (WALL_AT - 0.02, y, HANGS_AT - 0.05), "frame") for y in (-0.36, 0.36)]
        return edges + [box((0.02, 0.38, 0.02), (WALL_AT - 0.02, 0, HANGS_AT - 0.05 + z), "frame") for z in (-0.4, 0.4)]
    if what == "window":
        frame = [box((0.02, 0.55, 0.025), (WALL_AT - 0.02, 0, HANGS_AT + z), "frame") for z in (-0.42, 0.0, 0.42)]
        frame += [box((0.02, 0.025, 0.44), (WALL_AT - 0.02, y, HANGS_AT), "frame") for y in (-0.54, 0.0, 0.54)]
        return frame + [
            ball((0.04, 0.10, 0.62), (WALL_AT - 0.06, y, HANGS_AT - 0.02), "curtain") for y in (-0.66, 0.66)
        ]
    return []


def door() -> tuple[Shape, ...]:
    """A cupboard's door in its own frame: origin at the foot of the hinge, closed along -y."""
    middle = (0.0, -DOOR_WIDTH / 2, DOOR_HEIGHT / 2)
    return (
        box((0.012, DOOR_WIDTH / 2 - 0.005, DOOR_HEIGHT / 2 - 0.005), middle, "door"),
        box((0.02, 0.008, 0.05), (-0.025, -DOOR_WIDTH + 0.05, DOOR_HEIGHT / 2), "metal"),
    )
