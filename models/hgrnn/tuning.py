"""The I3D that HGRNN's features come from, tuned to a dataset's classes: the first of its two stages, and its baseline.

Every person is classified from its own box, by focal loss on a layer of 256 on the I3D; what that layer gives is stored
by `syncctl features` and read by HGRNN. The paper halves the rate at intervals it does not tell; here it falls along a
cosine. Start from public weights where there are some: an I3D does not learn from little.

    syncctl train hgrnn_features --data dataset --out tuned --preset tiny --set hgrnn_features.classes=A
    syncctl features dataset --weights tuned/model.safetensors --name i3d

Pictures come from the room's camera, 33 frames around every moment that has boxes, which stand still for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from firmware_host.clock import SECOND_NS
from firmware_host.errors import ConfigError, unknown_name
from ingest.ask import ATOMIC, Ask
from ingest.dataset import Clips
from ingest.opened import open_dataset
from models.config import Preset, TrainConfig, require
from models.hgrnn.data import truth
from models.hgrnn.features import FRAMES, FeatureNet, flow
from models.hgrnn.model import focal_loss
from models.i3d import scaled
from models.reference import read_weights

__all__ = ["PRESETS", "Config", "Model", "open_split", "truth"]

STREAMS = ("rgb", "flow")


@dataclass(frozen=True)
class Config:
    """What is tuned.

    Attributes:
        stream: ``rgb``, or ``flow`` for the second stream.
        size: pixels of a picture's side.
        frames: of a clip.
        rate_hz: frames a second.
        persons: P, boxes of a keyframe that are read.
        features: width of the layer on the I3D.
        narrow: every width of the I3D is divided by it.
        classes: A.
        gamma: of the focal loss.
        weights: a file with public I3D weights to start from, .safetensors or .pt; empty for random ones.
    """

    stream: str = "rgb"
    size: int = 224
    frames: int = FRAMES
    rate_hz: float = 30.0
    persons: int = 8
    features: int = 256
    narrow: int = 1
    classes: int = 60
    gamma: float = 2.0
    weights: str = ""

    def __post_init__(self) -> None:
        for name in ("size", "frames", "persons", "features", "narrow", "classes"):
            require(getattr(self, name) >= 1, f"hgrnn_features.{name}", "must be at least 1", getattr(self, name))
        require(self.rate_hz > 0, "hgrnn_features.rate_hz", "must be positive", self.rate_hz)
        if self.stream not in STREAMS:
            raise ConfigError(unknown_name("hgrnn_features.stream", self.stream, STREAMS))


class Model(FeatureNet):
    """A `FeatureNet` that reads batches: what each person does, from its own box alone."""

    def __init__(self, config: Config) -> None:
        super().__init__(config.classes, 3 if config.stream == "rgb" else 2, config.features, config.narrow)
        self.config = config

    def loss(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Focal loss over the persons: ``third`` (B, T, 3, S, S), ``boxes``, ``box_valid``, ``box_actions``."""
        logits = self.logits(self._clips(batch), batch["boxes"])
        loss = focal_loss(logits, batch["box_actions"], batch["box_valid"], self.config.gamma)
        return loss, {"actions": loss}

    def predict(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``actions`` (B, P, A): probabilities, 0 for a person who is not there."""
        probability = torch.sigmoid(self.logits(self._clips(batch), batch["boxes"]))
        return {"actions": torch.where(batch["box_valid"][..., None], probability, 0)}

    def after_step(self) -> None:
        """Nothing follows a step."""

    def begin(self) -> None:
        """Take the public weights, before the first step."""
        if not self.config.weights:
            return
        self.adopt(read_weights(Path(self.config.weights), "hgrnn_features.weights must name a file of I3D weights"))

    def _clips(self, batch: Mapping[str, Tensor]) -> Tensor:
        """(B, 3 or 2, T, S, S) in [-1, 1]."""
        frames = batch["third"]
        if self.config.stream == "rgb":
            return scaled(frames)
        return torch.stack([flow(clip.permute(0, 2, 3, 1).cpu().numpy()) for clip in frames]).to(frames.device)


def open_split(data: str, split: str, config: Config, train: TrainConfig | None = None) -> Clips:
    """The moments of a split that have boxes, with the frames around; with `train` mirrored now and then.

    Raises:
        SessionError: no dataset there, or one of another version.
        ConfigError: no such split, or a configuration that these clips do not fit.
    """
    ask = Ask(
        ("third", "boxes"),
        at="boxes",
        frames=config.frames,
        step_ns=round(SECOND_NS / config.rate_hz),
        size=config.size,
        persons=config.persons,
    )
    clips = Clips(data, split, ask, seed=train.seed if train else None)
    classes = len(clips.dataset.words(ATOMIC))
    rule = f"must be {classes} for these clips (--set hgrnn_features.classes={classes})"
    require(config.classes == classes, "hgrnn_features.classes", rule, config.classes)
    return clips


def completed(config: Config, data: str) -> Config:
    """The configuration with as many classes as the dataset has atomic actions.

    Raises:
        SessionError: no dataset there, or one of another version.
    """
    return replace(config, classes=len(open_dataset(data).words(ATOMIC)))


def default() -> Preset:
    """The paper's: Adam from 5e-4, batches of 50, 50,000 steps."""
    return Preset(Config(), TrainConfig(steps=50_000, batch=50, lr=5e-4, bf16=True, log_every=10))


def tiny() -> Preset:
    """For two processor cores: an eighth of the widths, nine frames of 64 pixels."""
    net = Config(size=64, frames=9, rate_hz=10.0, features=32, narrow=8)
    return Preset(net, TrainConfig(steps=200, batch=8, lr=2e-3, optimizer="adamw", weight_decay=0.01, threads=1))


PRESETS = {"default": default, "paper": default, "tiny": tiny}
