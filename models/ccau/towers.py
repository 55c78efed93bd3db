"""One modality each: a stream of a clip to a context, and from the context to activity and atomic actions.

A tower's `grid` gives the context after the last block as a map, (B, D, h, w); sound, single numbers and scene graphs
have one cell. `read` pools it by attention and classifies it. Towers share nothing, so that any of them works alone.

Names of the video and audio towers are those of the published CCAU code, so that its files load: ``backbone``,
``agg``, ``attention_fn``, ``final_bn``, ``final_fc_video``, ``final_fc_atomic``; ``features``, ``flatten``. The
environment, thermal and IMU towers are ours: the paper leaves these streams to others.

    tower              stream                          grid (full size)
    ego, third         B x 40 x 3 x 128 x 128          B x 256 x 4 x 4     ResNet 2d3d per block, then ConvGRU
    audio              B x 128 x 344                   B x 256 x 1 x 1     VGG-19
    environment        B x 40 x C                      B x 256 x 1 x 1     MLP per frame, mean per block, GRU
    imu                B x 40 x 10 x 9                 B x 256 x 1 x 1     the same
    thermal            B x 40 x 8 x 8                  B x 256 x 4 x 4     two convolutions per frame, then the same
    graph              B x F x 86 x 29                 B x 256 x 1 x 1     MLP on what held in any frame

Of a video tower, both heads included, 14,735,787 are parameters (the published file has 85,067 more in a head that
nothing reads); of an audio tower 25,285,451.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ingest.logmel import FLOOR
from models.ccau.attention import Attention, pooled, uniform
from models.ccau.config import Config
from models.convgru import ConvGRU, without_duplicate
from models.reference import load_exactly, without_prefix
from models.resnet3d import ResNet2d3d
from models.scenegraph import SceneGraphMLP
from models.vgg_audio import VggAudio

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's RGB, as public weights expect
ROOM_C, SPREAD_C = 22.0, 5.0  # a thermal image's usual middle and spread, degrees C
THERMAL_SIDE = 8
THERMAL_CELLS = (THERMAL_SIDE // 2) ** 2
VIEWS = ("ego", "third")
SEGMENTS = 10
SEGMENT_NUMBERS = 9


@dataclass(frozen=True)
class Reading:
    """What one tower makes of the clips that have its stream.

    Attributes:
        grid: (B, D, h, w), the last context.
        context: (B, D), pooled.
        attention: (B, h, w), what it was pooled by.
        logits: task -> (B, classes), of the tasks that there are.
    """

    grid: Tensor
    context: Tensor
    attention: Tensor
    logits: dict[str, Tensor]


class Tower(nn.Module):
    """What all towers have: attention where the map has several cells, and the heads."""

    def __init__(self, config: Config, cells: int = 1, normalised: bool = True) -> None:
        super().__init__()
        self.attention_fn = Attention(config.hidden, cells) if config.attention and cells > 1 else None
        self.final_bn = nn.BatchNorm1d(config.hidden) if normalised else None
        tasks = config.tasks.split("/")
        self.final_fc_video = head(config, config.activities) if "activity" in tasks else None
        self.final_fc_atomic = head(config, config.atomics) if "atomic" in tasks else None

    def grid(self, stream: Tensor, valid: Tensor, /) -> Tensor:
        """The context after the last block, (B, D, h, w): each kind of tower has its own way there."""
        raise NotImplementedError

    def read(self, grid: Tensor) -> Reading:
        """Pool and classify (B, D, h, w)."""
        weights = uniform(grid) if self.attention_fn is None else self.attention_fn(grid)
        context = pooled(grid, weights)
        heads = (("activity", self.final_fc_video), ("atomic", self.final_fc_atomic))
        features = self._normalised(context)
        logits = {task: part(features).float() for task, part in heads if part is not None}
        return Reading(grid, context, weights, logits)

    def _normalised(self, context: Tensor) -> Tensor:
        if self.final_bn is None:
            return context
        if len(context) > 1 or not self.training:
            return self.final_bn(context)
        norm = self.final_bn  # one clip has no spread of its own; it is scaled as in use
        return F.batch_norm(context, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)


class VideoTower(Tower):
    """A view: f of every block, g over the blocks."""

    mean: Tensor
    deviation: Tensor
    network_pred: nn.Module

    def __init__(self, config: Config) -> None:
        super().__init__(config, config.view_cells)
        self.frames = config.frames
        self.backbone = ResNet2d3d(config.depth, config.widths)
        width = self.backbone.outputs
        self.agg = ConvGRU(width, config.hidden, config.gru_dropout)
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(DEVIATION).view(3, 1, 1), persistent=False)

    def blocks(self, clips: Tensor, valid: Tensor) -> Tensor:
        """Features of every block.

        Args:
            clips: (B, T, 3, S, S) RGB, ``uint8`` or float in [0, 1].
            valid: (B, T) bool; other frames count as ImageNet's mean colour.

        Returns:
            (B, N, 256, K', h, w) of either sign; K' = 2 for blocks of 5 frames.
        """
        x = clips.float() / 255 if clips.dtype == torch.uint8 else clips
        x = torch.where(valid[..., None, None, None], (x - self.mean) / self.deviation, 0)
        x = x.unflatten(1, (-1, self.frames)).transpose(2, 3)  # (B, N, 3, K, S, S)
        return self.backbone(x.flatten(0, 1)).unflatten(0, x.shape[:2])

    def grid(self, clips: Tensor, valid: Tensor) -> Tensor:
        """The context after the last block: (B, D, h, w), in (-1, 1). See `blocks`.

        As in the CCAU code features are rectified and then averaged over time; DPC's does the reverse.
        """
        return self.agg(torch.relu(self.blocks(clips, valid)).mean(dim=3))[:, -1]


class AudioTower(Tower):
    """The clip's sound as one picture."""

    def __init__(self, config: Config) -> None:
        super().__init__(config, normalised=False)
        encoder = VggAudio(config.rows, config.mels, config.hidden, config.audio_widths, config.audio_convolutions)
        self.features, self.flatten = encoder.features, encoder.flatten

    def grid(self, sound: Tensor, valid: Tensor) -> Tensor:
        """(B, mels, rows) of `ingest.logmel` and (B, rows) bool -> (B, D, 1, 1); rows without sound are 0."""
        floor = math.log(FLOOR)
        rows = ((sound - floor) / -floor).transpose(1, 2)  # 0 is silence, 1 a full-scale tone
        picture = torch.where(valid[..., None], rows, 0)[:, None].expand(-1, 3, -1, -1)
        return self.flatten(self.features(picture).flatten(1))[..., None, None]


class SensorTower(Tower):
    """A kit's or a body's numbers: each frame by itself, the mean of a block's frames, a GRU over the blocks."""

    def __init__(self, config: Config, encoder: nn.Module, width: int, cells: int = 1) -> None:
        super().__init__(config, cells)
        self.frames, self.encoder = config.frames, encoder
        self.agg = ConvGRU(width, config.hidden, config.gru_dropout)

    def grid(self, values: Tensor, valid: Tensor) -> Tensor:
        """The context after the last block.

        Args:
            values: (B, T, ...) as the stream has it.
            valid: bool of a prefix of that shape, at least (B, T).

        Returns:
            (B, D, h, w). A block without any valid frame adds features of 0.
        """
        spread = valid.view(*valid.shape, *[1] * (values.dim() - valid.dim()))
        clean = torch.where(spread, self.scaled(values), 0)
        mask = valid.reshape(*valid.shape[:2], -1)
        features = self.encoder(torch.cat([clean.flatten(2), mask.to(clean)], dim=2))  # (B, T, W, h, w)
        seen = mask.any(dim=2)
        kept = torch.where(seen[..., None, None, None], features, 0).unflatten(1, (-1, self.frames))
        count = seen.unflatten(1, (-1, self.frames)).sum(dim=2).clamp(min=1)
        return self.agg(kept.sum(dim=2) / count[..., None, None, None])[:, -1]

    def scaled(self, values: Tensor) -> Tensor:
        """Values of about unit size."""
        return values


class ThermalTower(SensorTower):
    """The AMG8833's 8 x 8 degrees; warm people are looked for where they are."""

    def __init__(self, config: Config) -> None:
        super().__init__(config, ThermalEncoder(config.sensor_width), config.sensor_width, THERMAL_CELLS)

    def scaled(self, values: Tensor) -> Tensor:
        """Degrees C about a room's, in fives."""
        return (values - ROOM_C) / SPREAD_C


class ThermalEncoder(nn.Module):
    """(B, T, 64 + 1) -> (B, T, width, 4, 4); the last number, whether the image is valid, is the same for all cells."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, width // 2, 3, padding=1), nn.ReLU(), nn.Conv2d(width // 2, width, 3, 2, padding=1), nn.ReLU()
        )

    def forward(self, images: Tensor) -> Tensor:
        pictures = images[..., :-1].reshape(-1, 1, THERMAL_SIDE, THERMAL_SIDE)
        return self.layers(pictures).unflatten(0, images.shape[:2])


class NumbersEncoder(nn.Module):
    """(B, T, inputs) -> (B, T, width, 1, 1), each frame by itself."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())

    def forward(self, numbers: Tensor) -> Tensor:
        return self.layers(numbers)[..., None, None]


class GraphTower(Tower):
    """The oracle."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.encoder = SceneGraphMLP(
            config.objects, config.relations, config.hidden, config.hidden, config.head_dropout
        )

    def grid(self, graph: Tensor, valid: Tensor) -> Tensor:  # noqa: ARG002 - a graph that is there is whole
        """(B, F, objects, relations) -> (B, D, 1, 1)."""
        return self.encoder(graph)[..., None, None]


def head(config: Config, classes: int) -> nn.Sequential:
    """(B, D) -> (B, classes): 85,067 parameters for 256 and 75, 180,928 for 448."""
    first, last = nn.Linear(config.hidden, config.hidden), nn.Linear(config.hidden, classes)
    for layer in (first, last):
        nn.init.orthogonal_(layer.weight)
    return nn.Sequential(first, nn.ReLU(), nn.Dropout(config.head_dropout), last)


def tower(modality: str, config: Config) -> Tower:
    """The tower of a modality."""
    if modality in VIEWS:
        return VideoTower(config)
    if modality == "audio":
        return AudioTower(config)
    if modality == "thermal":
        return ThermalTower(config)
    if modality == "graph":
        return GraphTower(config)
    width = config.sensor_width
    numbers = 2 * config.channels if modality == "environment" else SEGMENTS * (SEGMENT_NUMBERS + 1)
    return SensorTower(config, NumbersEncoder(numbers, width), width)


def cells(modality: str, config: Config) -> int:
    """How many cells that tower's map has."""
    return config.view_cells if modality in VIEWS else THERMAL_CELLS if modality == "thermal" else 1


def from_reference(state_dict: Mapping[str, Tensor], modality: str = "ego", **config: Any) -> Tower:
    """A tower with the weights of one modality's file of the authors' code.

    Args:
        state_dict: as published; its ``final_fc``, which nothing reads beside the two heads, is left out.
        modality: ``ego``, ``third`` or ``audio``.
        config: fields of `Config` that differ from the published size.
    """
    published = without_duplicate(without_prefix(state_dict))
    published = {name: tensor for name, tensor in published.items() if not name.startswith("final_fc.")}
    settings = Config(**{"modalities": (modality,), **config})
    return load_exactly(tower(modality, settings), published, f"ccau's {modality}")  # type: ignore[return-value]
