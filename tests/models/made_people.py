"""Keyframes and tracks made in memory, as `ingest.dataset.Clips` gives them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch

from models.synthetic import hgrnn, lart

HGRNN_SMALL = {"inputs": hgrnn.WIDTH, "features": 8, "hidden": 12, "classes": len(hgrnn.CLASSES), "persons": hgrnn.MOST}
LART_SMALL = {"classes": len(lart.CLASSES), "layers": 1, "pose_hidden": (16,), "pose_width": 16, "steps": lart.STEPS}
"""Changes to the ``tiny`` presets that make them run in milliseconds."""


def keyframes(count: int, seed: int = 0) -> dict[str, torch.Tensor]:
    """A batch for HGRNN, with true boxes."""
    batch = hgrnn.frames(count, seed)
    valid = batch["person_features_valid"][:, hgrnn.CONTEXT]
    return batch | {"box_valid": valid, "box_score": valid.float()}


def tracks(count: int, seed: int = 0) -> dict[str, torch.Tensor]:
    """A batch for LART."""
    return lart.clips(count, seed)


def pictures(count: int, seed: int = 0, frames: int = 5, size: int = 32, classes: int = 3) -> dict[str, torch.Tensor]:
    """A batch of noise for the I3D behind HGRNN: two boxes a clip, the second not always there."""
    rng = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, 2, generator=rng) * 0.5
    valid = torch.ones(count, 2, dtype=torch.bool)
    valid[::2, 1] = False
    return {
        "third": torch.randint(0, 256, (count, frames, 3, size, size), generator=rng, dtype=torch.uint8),
        "boxes": torch.cat([corner, corner + 0.4], dim=-1),
        "box_valid": valid,
        "box_score": valid.float(),
        "box_actions": (torch.rand(count, 2, classes, generator=rng) > 0.5).float() * valid[..., None],
    }


class MadePeople:
    """Clips of four sessions, made by one of the generators of `models.synthetic`.

    Args:
        batch: of all clips.
        names: of the classes.
    """

    def __init__(self, batch: dict[str, torch.Tensor], names: tuple[str, ...]) -> None:
        self.batch, self.epoch = batch, 0
        self.dataset = SimpleNamespace(words={"atomic": tuple(names)}.get)

    def __len__(self) -> int:
        return len(next(iter(self.batch.values())))

    def __getitem__(self, index: int) -> dict[str, Any]:
        item: dict[str, Any] = {name: value[index] for name, value in self.batch.items()}
        return item | {"clip": torch.tensor(index), "session": f"s{index % 4}", "participant": "p0"}

    def labels(self, index: int) -> dict[str, Any]:
        """The item; nothing here costs decoding."""
        return self[index]

    def set_epoch(self, epoch: int) -> None:
        """Nothing is varied."""
        self.epoch = epoch
