"""Frames in which what a person does depends on the past, on the future and on two things that another person does.

Every person has bits u, p and q at the keyframe; the scene has a bit two frames before it and one two frames after.
With s = both bits of the scene and o = *one* other person has both p and q, a person's classes are

    u    u and s    u and o    u and s and o    o and not u    s

A maximum over features tells whether p and q occur, not whether one person has both, so o needs a first look that makes
"p and q" of each person and a second that gathers it over the others: a graph RNN of two iterations, not of one, and no
scene RNN. s is seen by the scene RNN alone. Chance is the share of the positives, and everything can be told: the bits
stand out of the noise by more than six deviations.
"""

from __future__ import annotations

import torch
from torch import Tensor

CLASSES = ("u", "u and s", "u and o", "u, s and o", "o, not u", "s")
WIDTH, CONTEXT, MOST, FEWEST = 24, 3, 5, 2
NOISE = 0.3


def frames(count: int, seed: int) -> dict[str, Tensor]:
    """A batch as HGRNN reads it.

    Args:
        count: keyframes.
        seed: of everything; other seeds are other frames of the same kind.

    Returns:
        ``scene_features`` (count, 7, 24), ``person_features`` (count, 7, 5, 24), ``person_features_valid``
        (count, 7, 5), ``box_actions`` (count, 5, 6); two to five persons are there.
    """
    rng = torch.Generator().manual_seed(seed)

    def bits(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=rng) < 0.5

    def noise(*shape: int) -> Tensor:
        return NOISE * torch.randn(*shape, generator=rng)

    people = torch.randint(FEWEST, MOST + 1, (count, 1), generator=rng)
    there = torch.arange(MOST) < people  # (count, MOST)
    u, p, q = bits(3, count, MOST)
    before, after = bits(2, count)
    steps = 2 * CONTEXT + 1
    scene, persons = noise(count, steps, WIDTH), noise(count, steps, MOST, WIDTH)
    scene[:, CONTEXT - 2, 0] += 2.0 * before - 1
    scene[:, CONTEXT + 2, 1] += 2.0 * after - 1
    for column, bit in enumerate((u, p, q)):
        persons[:, CONTEXT, :, column] += 2.0 * bit - 1
    both = p & q & there
    other = (both.sum(1, keepdim=True) - both.long()) > 0  # (count, MOST): somebody else has both
    s = (before & after)[:, None].expand(-1, MOST)
    actions = torch.stack([u, u & s, u & other, u & s & other, ~u & other, s], dim=-1)
    return {
        "scene_features": scene,
        "person_features": persons,
        "person_features_valid": there[:, None].expand(-1, steps, -1).clone(),
        "box_actions": (actions & there[..., None]).float(),
    }
