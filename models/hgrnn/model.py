"""The whole of HGRNN: reduction, scene, graph, classes; its loss and its detections."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from firmware_host.errors import ConfigError, unknown_name
from models import boxes
from models.config import Preset, TrainConfig, require
from models.hgrnn.graph import CELLS, GraphGRU
from models.hgrnn.scene import SceneGRU


@dataclass(frozen=True)
class Config:
    """The model's size and parts.

    Attributes:
        inputs: width of the stored features of a stream.
        streams: kinds of features side by side: 1 is RGB, 2 is RGB and optical flow.
        features: width each stream is reduced to; equal to `inputs` they are taken as they are.
        context: l, frames read before the keyframe, and as many after; 0 leaves the scene out.
        iterations: K of the graph RNN; 0 leaves the graph out.
        hidden: width of the states.
        cell: ``classic`` or ``torch``, see `models.hgrnn.graph`.
        head: hidden width of the classifier; 0 is a single layer, as in the paper.
        classes: A.
        persons: P, boxes of a keyframe that are read.
        stored: name under which the features were stored.
        gamma: of the focal loss.
        overlap: of two detections of one class, from which the worse goes.
    """

    inputs: int = 1024
    streams: int = 1
    features: int = 256
    context: int = 3
    iterations: int = 2
    hidden: int = 256
    cell: str = "classic"
    head: int = 0
    classes: int = 60
    persons: int = 8
    stored: str = ""
    gamma: float = 2.0
    overlap: float = 0.6

    def __post_init__(self) -> None:
        for name in ("inputs", "streams", "features", "hidden", "classes", "persons"):
            require(getattr(self, name) >= 1, f"hgrnn.{name}", "must be at least 1", getattr(self, name))
        for name in ("context", "iterations", "head"):
            require(getattr(self, name) >= 0, f"hgrnn.{name}", "must not be negative", getattr(self, name))
        require(self.gamma == 0 or self.gamma >= 1, "hgrnn.gamma", "must be 0, or 1 and more", self.gamma)
        require(0 < self.overlap <= 1, "hgrnn.overlap", "must be in (0, 1]", self.overlap)
        if self.cell not in CELLS:
            raise ConfigError(unknown_name("hgrnn.cell", self.cell, CELLS))


class Model(nn.Module):
    """What each person of a keyframe does."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        width, hidden = config.features * config.streams, config.hidden
        if config.inputs != config.features:
            streams = [nn.Linear(config.inputs, config.features) for _ in range(config.streams)]
            self.reduce = nn.ModuleList(streams)
        context = 2 * hidden if config.context else 0
        if config.context:
            self.scene = SceneGRU(width, hidden)
        if config.iterations:
            self.graph = GraphGRU(width, context, hidden, config.iterations, config.cell)
        read = hidden if config.iterations else width + context
        last = nn.Linear(config.head or read, config.classes)
        self.classify = nn.Sequential(nn.Linear(read, config.head), nn.ReLU(), last) if config.head else last

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Say what each person does.

        Args:
            batch: ``scene_features`` (B, L, D), ``person_features`` (B, L, P, D) and ``person_features_valid``
                (B, L, P) bool; the keyframe is the middle one, and L may be larger than is read.

        Returns:
            ``actions`` (B, P, A): logits, 0 for a person who is not there.
        """
        scene, persons, valid = self._window(batch)
        persons = torch.where(valid[..., None], persons, 0)  # also NaN under a False
        if hasattr(self, "reduce"):
            scene, persons = self._reduced(scene), self._reduced(persons)  # (B, L, D), (B, L, P, D)
        middle = scene.shape[1] // 2
        context = self.scene(scene, persons, valid) if hasattr(self, "scene") else None  # (B, 2H)
        there, own = valid[:, middle], persons[:, middle]  # (B, P), (B, P, D)
        if hasattr(self, "graph"):
            read = self.graph(own, context, there)  # (B, P, H)
        elif context is not None:
            read = torch.cat([own, context[:, None].expand(-1, own.shape[1], -1)], dim=-1)
        else:
            read = own
        return {"actions": torch.where(there[..., None], self.classify(read), 0)}

    def loss(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Focal loss over the persons of the keyframes.

        Args:
            batch: as for `forward`, with ``box_actions`` (B, P, A) of 0 and 1, persons in the order of the features;
                true boxes, as the paper trains on them.

        Returns:
            The mean, a scalar in float32, and ``{"actions": ...}``; 0 where nobody is there.
        """
        logits = self(batch)["actions"]
        valid = self._window(batch)[2][:, self.config.context]
        valid = valid & batch["box_valid"] if "box_valid" in batch else valid
        loss = focal_loss(logits, batch["box_actions"], valid, self.config.gamma)
        return loss, {"actions": loss}

    def after_step(self) -> None:
        """Nothing follows a step."""

    def predict(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``actions`` (B, P, A): probabilities, 0 for a person who is not there; with boxes also ``detections``, what
        `detect` says."""
        valid = self._window(batch)[2][:, self.config.context]
        answer = {"actions": torch.where(valid[..., None], torch.sigmoid(self(batch)["actions"]), 0)}
        return answer | ({"detections": self.detect(batch, answer["actions"])} if "boxes" in batch else {})

    @torch.no_grad()
    def detect(self, batch: Mapping[str, Tensor], probability: Tensor | None = None) -> Tensor:
        """Scores of every box: the detector's confidence times the probability, the worse of two alike left out.

        Args:
            batch: as for `forward`, with ``boxes`` (B, P, 4), ``box_score`` (B, P) in [0, 1]; 1 for true boxes.
            probability: (B, P, A), what `predict` says, where it is known already.

        Returns:
            (B, P, A) in [0, 1]; NaN where the box is not there, not usable, or overlaps a better one of this class.
        """
        if probability is None:
            return self.predict(batch)["detections"]
        scores = batch["box_score"][..., None] * probability
        there = self._window(batch)[2][:, self.config.context, :, None]
        by_class = torch.where(there, scores, torch.nan).transpose(1, 2)  # (B, A, P)
        each = batch["boxes"][:, None].expand(-1, by_class.shape[1], -1, -1)
        index, found = boxes.suppressed(each, by_class, self.config.overlap, by_class.shape[2])
        kept = torch.zeros_like(by_class, dtype=torch.int64).scatter_add(-1, index, found.long()) > 0
        return torch.where(kept, by_class, torch.nan).transpose(1, 2)

    def _reduced(self, features: Tensor) -> Tensor:
        """(..., streams * inputs) -> (..., streams * features), each stream by its own layer."""
        parts = features.split(self.config.inputs, dim=-1)
        return torch.cat([layer(part) for layer, part in zip(self.reduce, parts, strict=True)], dim=-1)

    def _window(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """The middle 2l + 1 frames of the three features."""
        frames, need = batch["scene_features"].shape[1], 2 * self.config.context + 1
        require(
            frames >= need and frames % 2 == 1, "hgrnn.context", f"does not fit clips of {frames} frames", need // 2
        )
        span = slice((frames - need) // 2, (frames + need) // 2)
        names = ("scene_features", "person_features", "person_features_valid")
        scene, persons, valid = (batch[name][:, span] for name in names)
        return scene, persons, valid


def focal_loss(logits: Tensor, wanted: Tensor, valid: Tensor, gamma: float) -> Tensor:
    """Focal loss of several labels at once: cross entropy times (1 - probability of the truth) ** gamma.

    Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, without the class weight alpha.

    Args:
        logits, wanted: (..., A); `wanted` in [0, 1].
        valid: (...) bool, rows that count.

    Returns:
        The mean over the rows that count and their classes, in float32 or better; 0 where none does.
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    wanted = torch.where(valid[..., None], wanted, 0).to(logits.dtype)
    each = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    probability = torch.sigmoid(logits)
    miss = probability + wanted - 2 * probability * wanted  # 1 - the probability given to the truth
    weighed = torch.where(valid[..., None], each * miss**gamma, 0)
    return weighed.sum() / (valid.sum() * logits.shape[-1]).clamp(min=1)


def default() -> Preset:
    """The paper's: RGB features, l = 3, K = 2, 1000 steps of 50 keyframes at a constant rate."""
    return Preset(Config(), TrainConfig(steps=1000, batch=50, lr=1e-4, schedule="constant"))


def flow() -> Preset:
    """RGB and optical flow side by side, each reduced to 256: the paper's best."""
    start = default()
    return replace(start, net=replace(start.net, streams=2))


def tiny() -> Preset:
    """For two processor cores."""
    net = Config(inputs=128, features=48, hidden=48)
    return Preset(net, TrainConfig(steps=300, batch=16, lr=3e-3, optimizer="adamw", weight_decay=0.01, threads=1))


PRESETS = {"default": default, "paper": default, "flow": flow, "tiny": tiny}
