"""Tracks of bodies in which only time tells where one walks, and only the others tell whom one is with.

Bodies have person vectors of the true layout. A body walks (its pose goes round four phases), waves (another pose goes
round) or stands idle; a walker drifts to or from the camera while its poses are the same either way. Classes of the
person of interest:

    walk forward    walk backward    wave near one who waves    idle near one who waves    walk near one who walks

A single step shows the pose but no drift, so it cannot tell forward from backward; one track alone knows its own
action, and that leaves the last three at the share of the positives among those who do it. Everything can be told from
all tracks and steps.
"""

from __future__ import annotations

import torch
from torch import Tensor

from models.lart.tracks import VECTOR, rest

CLASSES = ("forward", "backward", "wave near waver", "idle near waver", "walk near walker")
WALK, WAVE, IDLE = range(3)
STEPS, TRACKS = 12, 5
DRIFT_M, NEAR_M, FAR_M, ROOM_M = 0.3, 1.0, 6.0, 4.0
NOISE, MISSING, PHASES = 0.1, 0.1, 4
TURNED = 40
"""Numbers of the rotations that a motion changes."""


def clips(count: int, seed: int, noise: float = NOISE, missing: float = MISSING) -> dict[str, Tensor]:
    """A batch as LART reads it.

    Args:
        count: clips.
        seed: of everything; other seeds are other clips of the same kind.
        noise: deviation added to every number of a vector.
        missing: share of the detections that are not there.

    Returns:
        ``tracks`` (count, 5, 12, 229), ``tracks_valid`` (count, 5, 12), ``track_actions`` (count, 5, 12, 5); the first
        track is the person of interest, one to four others are there.
    """
    rng = torch.Generator().manual_seed(seed)
    there = torch.arange(TRACKS) < torch.randint(2, TRACKS + 1, (count, 1), generator=rng)
    action = torch.randint(0, 3, (count, TRACKS), generator=rng)
    forward = torch.rand(count, TRACKS, generator=rng) < 0.5
    own = torch.rand(count, 1, 3, generator=rng) * ROOM_M
    around = (torch.rand(count, TRACKS, 3, generator=rng) - 0.5) * NEAR_M
    near = torch.rand(count, TRACKS, generator=rng) < 0.4
    away = torch.tensor([0.0, 0.0, FAR_M]) + torch.rand(count, TRACKS, 3, generator=rng) * ROOM_M
    place = own + torch.where(near[..., None], around, away)
    place[:, 0] = own[:, 0]
    phase = torch.randint(0, PHASES, (count, TRACKS), generator=rng)
    tracks = _poses(action, phase)
    speed = DRIFT_M * (2.0 * forward - 1) * (action == WALK)
    mid = torch.arange(STEPS) - STEPS / 2
    tracks[..., -3:] = place[:, :, None]
    tracks[..., -1] += speed[..., None] * mid
    tracks += noise * torch.randn(tracks.shape, generator=rng)
    valid = there[..., None] & (torch.rand(count, TRACKS, STEPS, generator=rng) >= missing)
    return {
        "tracks": tracks,
        "tracks_valid": valid,
        "track_actions": _classes(action, forward, there, place)[:, :, None].expand(-1, -1, STEPS, -1).contiguous(),
    }


def _poses(action: Tensor, phase: Tensor) -> Tensor:
    """(count, N) actions and phases -> (count, N, STEPS, 229): at rest, moved along the basis of the action."""
    basis = torch.randn(2, PHASES, TURNED, generator=torch.Generator().manual_seed(1))  # the same for every seed
    rounds = (phase[..., None] + torch.arange(STEPS)) % PHASES  # (count, N, STEPS)
    tracks = rest().expand(*action.shape, STEPS, VECTOR).clone()
    moved = 0.5 * basis[action.clamp(max=WAVE)[..., None].expand_as(rounds), rounds]
    tracks[..., 9 : 9 + TURNED] += moved * (action != IDLE)[..., None, None]
    return tracks


def _classes(action: Tensor, forward: Tensor, there: Tensor, place: Tensor) -> Tensor:
    """(count, N, 5) float32."""
    apart = (place[:, :, None] - place[:, None]).norm(dim=-1)
    near = (apart < 2 * NEAR_M) & there[:, None] & ~torch.eye(TRACKS, dtype=torch.bool)

    def beside(kind: int) -> Tensor:
        return (near & (action == kind)[:, None]).any(dim=-1)

    walks = action == WALK
    return torch.stack(
        [
            walks & forward,
            walks & ~forward,
            (action == WAVE) & beside(WAVE),
            (action == IDLE) & beside(WAVE),
            walks & beside(WALK),
        ],
        dim=-1,
    ).float()
