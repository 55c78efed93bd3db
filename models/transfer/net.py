"""A frozen backbone and the head of one task."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from firmware_host.errors import ConfigError
from models.reference import load_exactly, read_weights, without_prefix
from models.resnet import FrameFeatures, normalised
from models.transfer.config import RANDOM, Config
from models.transfer.heads import head_of

WEIGHTS = "model.safetensors"
INSIDE = "feature_extractor.resnet."


class Model(nn.Module):
    """The task's answer from pictures, through a backbone that stays as it is, batch norm's statistics included."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.feature_extractor = FrameFeatures(config.widths, config.strides, config.difference).requires_grad_(False)
        self.head = head_of(config)
        self.feature_extractor.eval()

    def begin(self) -> None:
        """Read the backbone's weights; `models.train` calls it before a new run's first step.

        Raises:
            SessionError, ConfigError: no such weights, or weights of another shape.
        """
        if self.config.backbone != RANDOM:
            state = backbone_weights(Path(self.config.backbone))
            load_exactly(self.feature_extractor.resnet, state, f"the backbone {self.config.backbone}")

    def train(self, mode: bool = True) -> Model:
        """Switch the head alone; the backbone always measures as in use."""
        super().train(mode)
        self.feature_extractor.eval()
        return self

    def forward(self, frames: Tensor, mask: Tensor | None = None) -> Tensor:
        """What the head says of frames (B, T, 3, S, S), with a mask (B, 1, S, S) for dynamics."""
        with torch.no_grad():
            pyramid = self.feature_extractor.pyramid(normalised(frames))
        return self.head(pyramid, mask)

    def predict(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``logits`` (B, classes); or of every pixel ``walkable`` (B, S, S), logits, or ``depth`` (B, S, S), metres."""
        found = self(batch["frames"], batch.get("mask"))
        if self.config.task == "walkable":
            surface = sized(found, batch["frames"])
            return {"walkable": surface[:, 1] - surface[:, 0]}
        if self.config.task == "depth":
            return {"depth": (sized(found, batch["frames"])[:, 0] + 1) / 2 * self.config.range_m}
        return {"logits": found}

    def loss(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross entropy of the class, or of each pixel's; for depth the Huber loss (delta 1) of depth from -1 to 1.

        Args:
            batch: ``frames`` (B, T, 3, S, S); ``label`` (B,) int64, or ``surface`` (B, S, S) float (walkable 0 or 1,
                depth in metres) with ``surface_valid`` (B, S, S) bool; for dynamics ``mask`` (B, 1, S, S).
        """
        found = self(batch["frames"], batch.get("mask")).float()
        if "label" in batch:
            loss = F.cross_entropy(found, batch["label"])
            return loss, {self.config.task: loss}
        surface, valid = batch["surface"], batch["surface_valid"]
        found = sized(found, batch["frames"])
        if self.config.task == "walkable":
            each = F.cross_entropy(found, surface.long(), reduction="none")
        else:
            goal = 2 * torch.where(valid, surface, 0) / self.config.range_m - 1
            each = F.smooth_l1_loss(found[:, 0], goal, reduction="none")
        loss = torch.where(valid, each, 0).sum() / valid.sum().clamp(min=1)
        return loss, {self.config.task: loss}

    def after_step(self) -> None:
        """Nothing."""


def sized(found: Tensor, frames: Tensor) -> Tensor:
    """(B, C, h, w) at the frames' size; as it is where the size divides by 32."""
    return F.interpolate(found.float(), frames.shape[-2:], mode="bilinear", align_corners=False)


def backbone_weights(path: Path) -> dict[str, Tensor]:
    """A ResNet-18's weights without ``fc``: of a run, or of a file by torchvision's or the authors' names."""
    path = path / WEIGHTS if path.is_dir() else path
    named = without_prefix(read_weights(path, "name a run of muscles or a file of weights"))
    own = {name.removeprefix(INSIDE): tensor for name, tensor in named.items() if name.startswith(INSIDE)}
    return own or {name: tensor for name, tensor in named.items() if not name.startswith("fc.")}


def from_reference(state_dict: Mapping[str, Tensor], **config: Any) -> nn.Module:
    """A target task's model with the authors' weights, by the names in their code.

    Args:
        state_dict: with ``feature_extractor.resnet.*`` and the head's own names.
        config: of `Config`; ``classes`` may be their number.
    """
    if isinstance(config.get("classes"), int):
        config["classes"] = tuple(str(i) for i in range(config["classes"]))
    if "task" not in config:
        raise ConfigError("these weights are of one task: name it with task=, as in task='scene'")
    named = without_prefix(state_dict)
    ours = {name if name.startswith("feature_extractor.") else f"head.{name}": t for name, t in named.items()}
    return load_exactly(Model(Config(**config)), ours, f"transfer ({config['task']})")
