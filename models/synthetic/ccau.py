"""Clips seen by three streams through different eyes: what one stream lacks, another can teach it.

A clip is a point z: the mean of its activity's class plus something of its own. Each stream shows z, and nuisances
that only it has, through a mixing of its own and a tanh, with noise on every frame. The atomic actions are directions
in which z is far out. From one stream z is hard to tell from the nuisances; what two streams agree on is z. So
alignment should help every stream when labels are few, and must not when there is nothing to agree on.

The streams are numbers and not pictures, so that a run takes seconds: they take the shapes of a body's IMU, a kit's
air sensors and its thermal image, in the units of `ingest`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

STREAMS = ("imu", "environment", "thermal")
NOISE = {"imu": 0.6, "environment": 1.0, "thermal": 0.8}
SHAPES = {"imu": (10, 9), "environment": (24,), "thermal": (8, 8)}
ACTIVITIES, ATOMICS, BLOCKS = 8, 10, 8
LATENT, NUISANCES = 12, 12
SPREAD = 0.7
"""Of a clip about its class's mean; the means have length 1 in each direction."""


@dataclass(frozen=True)
class World:
    """The class means, the streams' mixings and the atomic directions; the same for training and test.

    Attributes:
        means: (activities, Z).
        atomics: (Z, atomics).
        mixings: stream -> (Z + nuisances, numbers).
    """

    means: Tensor
    atomics: Tensor
    mixings: dict[str, Tensor]

    @classmethod
    def of(cls, seed: int) -> World:
        """A world by its seed."""
        random = torch.Generator().manual_seed(seed)
        means = torch.randn(ACTIVITIES, LATENT, generator=random)
        atomics = torch.randn(LATENT, ATOMICS, generator=random) / LATENT**0.5
        size = {name: int(torch.tensor(shape).prod()) for name, shape in SHAPES.items()}
        mixings = {
            name: torch.randn(LATENT + NUISANCES, size[name], generator=random) / LATENT**0.5 for name in STREAMS
        }
        return cls(means, atomics, mixings)

    def clips(self, count: int, seed: int, *, independent: bool = False) -> dict[str, Tensor]:
        """A batch of clips, as `ingest` hands them out.

        Args:
            count: clips.
            seed: of all that is drawn.
            independent: each stream sees a point of its own of the same class, so that streams agree on the
                class and on nothing else. The atomic actions are then those of the first stream's point.

        Returns:
            each of `STREAMS` (B, 8, ...) with its mask, ``activity``, ``atomic`` and ``atomic_valid``.
        """
        random = torch.Generator().manual_seed(seed)
        activity = torch.randint(ACTIVITIES, (count,), generator=random)
        batch: dict[str, Tensor] = {"activity": activity}
        z = self.means[activity] + SPREAD * torch.randn(count, LATENT, generator=random)
        batch["atomic"] = ((z @ self.atomics) > 0.5).float()
        batch["atomic_valid"] = torch.ones(count, dtype=torch.bool)
        for name in STREAMS:
            own = self.means[activity] + SPREAD * torch.randn(count, LATENT, generator=random)
            seen = own if independent and name != STREAMS[0] else z
            nuisance = 1.5 * torch.randn(count, NUISANCES, generator=random)
            clean = torch.tanh(torch.cat([seen, nuisance], dim=1) @ self.mixings[name])  # (B, numbers)
            noise = NOISE[name] * torch.randn(count, BLOCKS, clean.shape[1], generator=random)
            batch[name] = _in_units(name, (clean[:, None] + noise).unflatten(2, SHAPES[name]))
            batch[f"{name}_valid"] = _mask(name, batch[name])
        return batch


def _in_units(name: str, values: Tensor) -> Tensor:
    return 22 + 5 * values if name == "thermal" else values


def _mask(name: str, values: Tensor) -> Tensor:
    """All true, in the shape that the stream's mask has: per frame, per number, or per segment."""
    dims = {"thermal": 2, "environment": 3, "imu": 3}[name]
    return torch.ones(values.shape[:dims], dtype=torch.bool)
