"""Persons over time: whose vector is what, who is looked at together with whom, and an answer for a moment.

A person vector has 229 numbers: 24 rotation matrices row by row, the whole body's first and then 23 joints relative to
their parents (216), 10 of the body's shape, 3 of its place in the camera's space. What is not measured stands at rest:
the identity. A kit of ten body sensors gives ten of the rotations; a film gives them all.
"""

from __future__ import annotations

import torch
from torch import Tensor

JOINTS, ROTATIONS, SHAPE, PLACE = 24, 216, 10, 3
VECTOR = ROTATIONS + SHAPE + PLACE
POOLED = 12
"""Tokens whose probabilities are averaged for the answer at a moment."""


def rest() -> Tensor:
    """The person vector that stands for nothing: identities, mean shape, the origin."""
    return torch.cat([torch.eye(3).flatten().repeat(JOINTS), torch.zeros(SHAPE + PLACE)])


def known(vectors: Tensor, measured: Tensor) -> Tensor:
    """The vectors (..., 229), at rest where a rotation is not measured; `measured` is (..., 24) bool."""
    every = measured.repeat_interleave(9, dim=-1)
    always = every.new_ones(*every.shape[:-1], SHAPE + PLACE)
    return torch.where(torch.cat([every, always], dim=-1), vectors, rest().to(vectors))


def hidden_share(valid: Tensor, share: float) -> Tensor:
    """A share of each clip's detections drawn at random, rounded down: (B, N, T) bool -> (B, N, T) bool."""
    flat = valid.flatten(1)
    draw = torch.where(flat, torch.rand(flat.shape, device=flat.device), 2.0)
    rank = draw.argsort(dim=1).argsort(dim=1)
    return (rank < (share * flat.sum(dim=1, keepdim=True)).long()).view_as(valid)


def random_order(there: Tensor, people: int) -> Tensor:
    """Who is the person of interest and who is beside it, drawn anew: (B, N) bool -> (B, min(N, people)) int64.

    Tracks that are there come before those that are not; the first is the person of interest.
    """
    draw = torch.rand(there.shape, device=there.device) + (~there)
    return draw.argsort(dim=1)[:, :people]


def order_for(who: int, there: Tensor, people: int) -> Tensor:
    """The same with a given person first and the same companions each time: (B, min(N, people)) int64.

    Companions are chosen as if at random, by a hash of the two places, so that an evaluation has one answer.
    """
    place = torch.arange(there.shape[1], device=there.device)
    mixed = ((who * 2_654_435_761 + place * 2_246_822_519 + place * place * 3_266_489_917) % 2**32) / 2**32
    key = mixed + (~there).to(mixed.dtype)
    key[:, who] = -1.0
    return key.argsort(dim=1, stable=True)[:, :people]


def taken(values: Tensor, order: Tensor) -> Tensor:
    """(B, N, ...) by `order` (B, n) -> (B, n, ...)."""
    index = order.view(*order.shape, *[1] * (values.ndim - 2)).expand(-1, -1, *values.shape[2:])
    return values.gather(1, index)


def at_moment(probabilities: Tensor, step: int) -> Tensor:
    """Mean probabilities of the twelve tokens from six before a step, fewer at the ends: (..., T, A) -> (..., A)."""
    first = max(0, step - POOLED // 2)
    return probabilities[..., first : step + POOLED // 2, :].mean(dim=-2)
