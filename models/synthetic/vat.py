"""A made task in which what a person does is written elsewhere in the clip (research: does context help, and where?).

The clip is a feature map of 4 steps of 10 x 10 cells and 16 channels, as a trunk would give it. A person's box shows a
bit of its own in every step. One object stands in one step and one cell, outside the box, and carries a bit too. Of
four classes

    own         the person's bit
    both        the person's bit and the object's
    either      exactly one of the two
    right       the object is right of the person's middle

the first is in the box. A head that looks inside the box alone knows nothing of the object: its ceiling on the second
and third is the average precision of what the person's bit tells, 0.5, and on the fourth chance, 0.5. The fourth
needs, besides attention, to be told where cells are.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

CLASSES = ("own", "both", "either", "right")
CHANNELS, STEPS, SIDE = 16, 4, 10
NOISE = 0.1
PERSON, OBJECT = slice(0, 2), slice(2, 5)
"""Channels of the person's bit, and of the object: that it is one, and its bit."""


@dataclass(frozen=True)
class Scenes:
    """Made clips.

    Attributes:
        maps: (B, 16, 4, 10, 10) float32, >= 0.
        boxes: (B, 1, 4).
        labels: (B, 1, 4) float32 of 0 and 1, as `CLASSES`.
    """

    maps: Tensor
    boxes: Tensor
    labels: Tensor


def scenes(count: int, random: torch.Generator) -> Scenes:
    """Draw clips; whatever decides a class is drawn with even chances."""
    own, told = (torch.randint(0, 2, (count,), generator=random) for _ in range(2))
    corner = torch.randint(2, 6, (count, 2), generator=random)  # x, y of the box's first cell; it is 3 cells wide
    step = torch.randint(0, STEPS, (count,), generator=random)
    row = torch.randint(0, SIDE, (count,), generator=random)
    rightwards = torch.randint(0, 2, (count,), generator=random)
    column = _beside(corner[:, 0], rightwards, random)
    maps = torch.randn(count, CHANNELS, STEPS, SIDE, SIDE, generator=random) * NOISE
    for k in range(count):
        x, y = corner[k].tolist()
        maps[k, PERSON.start + int(own[k]), :, y : y + 3, x : x + 3] += 1
        place = (k, slice(None), step[k], row[k], column[k])
        maps[place][OBJECT.start] += 2
        maps[place][OBJECT.start + 1 + int(told[k])] += 2
    labels = torch.stack([own, own & told, own ^ told, rightwards], dim=-1).float()
    boxes = torch.cat([corner, corner + 2], dim=-1) / (SIDE - 1)  # fraction 0 is the middle of the first cell
    return Scenes(maps.relu(), boxes[:, None], labels[:, None])


def _beside(first: Tensor, rightwards: Tensor, random: torch.Generator) -> Tensor:
    """A column at least two cells from the box, left of it or right of it."""
    room = torch.where(rightwards.bool(), SIDE - (first + 4), first - 1)  # columns there are on that side
    drawn = (torch.rand(len(first), generator=random) * room).long()
    return torch.where(rightwards.bool(), first + 4 + drawn, drawn)
