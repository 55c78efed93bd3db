"""Learn from your muscles: a visual representation supervised by gaze and body movement.

Ehsani, Gordon, Nguyen, Mottaghi, Farhadi, "What Can You Learn From Your Muscles? Learning Visual Representation
from Human Interactions", ICLR 2021, section 4 and appendix A.4.1. The head camera's frames pass a ResNet-18 that
starts from random weights; what the wearer looks at and which body parts move are to be read from its features,
and two views of one frame must resemble each other more than they resemble other frames (MoCo).

Where the paper and the authors' code disagree, the default does what the code does: the decoder reads the
frames again (the paper decodes from the encoder's state alone), and the losses weigh 0.09 visual, 0.9 gaze,
0.009 movement. The contrastive loss starts near ln 16385 = 9.7 and the gaze loss near 0.05, so these weights
balance the terms; the paper prints 0.9, 0.09 and 0.01, which is the preset ``paper``.

    syncctl train muscles --data dataset --out run --preset tiny --steps 300

Shapes at full size (B clips):

    frames          B x 5 x 3 x 224 x 224
    ResNet maps     5B x 512 x 7 x 7
    1x1 conv        5B x 64 x 7 x 7, then B x 5 x 3136      one for each task
    encoder LSTM    its last (h, c), 3 x B x 512            one for each task
    decoder LSTM    B x 5 x 512, from that (h, c)           one for each task
    gaze, movement  B x 5 x 2, B x 5 x 6                    512 -> 100 -> 2 or 6
    embedding       B x 128 on the unit sphere              first frame, query and key

Parameters: 69,364,208 with the momentum encoder's 11,242,176; 58,122,032 are trained. An LSTM 3136 -> 512 of
three layers has 11,677,696. The authors' code builds a 1x1 convolution for movement (32,832) and then passes
both tasks through the one for gaze; here each task uses its own, so the count is the same and nothing is idle.

Legend: B clips, T frames of a clip, S pixels of a side, C channels, h x w cells, G groups of body parts,
E size of the embedding, Q entries of the queue.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from firmware_host.errors import ConfigError
from ingest.clips import CLIP_STEPS
from ingest.dataset import GROUPS, MuscleClips
from models.config import Preset, TrainConfig, require
from models.kept import KeptClips
from models.metrics import Truth
from models.reference import load_exactly, without_prefix
from models.resnet import ResNet18

OBJECTIVES = ("vis", "move", "attn")
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's RGB, as public weights expect


@dataclass(frozen=True)
class Config:
    """The model's size and objectives.

    Attributes:
        size: pixels of a frame's side.
        frames: frames of a clip.
        groups: groups of body parts.
        widths, strides: of the ResNet-18.
        difference: give the ResNet each frame's difference to the one before as three more channels. Not in
            the paper: small maps alone do not show a motion of a pixel or two.
        channels: of the 1x1 convolutions.
        hidden, layers: of the LSTMs.
        unembed: hidden width of the two heads.
        dropout: after the 1x1 convolutions and within the heads.
        objectives: any of ``vis``, ``move`` and ``attn`` (gaze), joined by slashes.
        visual_weight, gaze_weight, move_weight: of the three losses.
        embedding: size of the contrastive embedding.
        queue: keys that are kept as negatives.
        momentum: decay of the momentum encoder.
        temperature: of the contrastive softmax.
    """

    size: int = 224
    frames: int = 5
    groups: int = 6
    widths: tuple[int, ...] = (64, 128, 256, 512)
    strides: tuple[int, ...] = (1, 2, 2, 2)
    difference: bool = False
    channels: int = 64
    hidden: int = 512
    layers: int = 3
    unembed: int = 100
    dropout: float = 0.5
    objectives: str = "vis/move/attn"
    visual_weight: float = 0.09
    gaze_weight: float = 0.9
    move_weight: float = 0.009
    embedding: int = 128
    queue: int = 16384
    momentum: float = 0.999
    temperature: float = 0.07

    def __post_init__(self) -> None:
        for name in ("size", "frames", "groups", "channels", "hidden", "layers", "unembed", "embedding", "queue"):
            require(getattr(self, name) >= 1, f"muscles.{name}", "must be at least 1", getattr(self, name))
        for name in ("widths", "strides"):
            value = getattr(self, name)
            require(len(value) == 4 and min(value) >= 1, f"muscles.{name}", "needs four positive numbers", value)
        for name in ("visual_weight", "gaze_weight", "move_weight"):
            require(getattr(self, name) >= 0, f"muscles.{name}", "must not be negative", getattr(self, name))
        require(0 <= self.dropout < 1, "muscles.dropout", "must be in [0, 1)", self.dropout)
        require(0 <= self.momentum < 1, "muscles.momentum", "must be in [0, 1)", self.momentum)
        require(self.temperature > 0, "muscles.temperature", "must be positive", self.temperature)
        parts = self.objectives.split("/")
        if len(set(parts)) != len(parts) or not set(parts) <= set(OBJECTIVES):
            raise ConfigError(
                f"muscles.objectives is any of {', '.join(OBJECTIVES)} joined by slashes, as in vis/move, "
                f"not '{self.objectives}'"
            )

    @property
    def cells(self) -> int:
        """Cells of the ResNet's map: h * w."""
        side = -(-self.size // 4)
        for stride in self.strides:
            side = -(-side // stride)
        return side * side


class FeatureExtractor(nn.Module):
    """The backbone; it exists so that the weights are named as published (``feature_extractor.resnet.*``)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        inputs = 6 if config.difference else 3
        self.resnet = ResNet18(config.widths, config.strides, inputs, classes=0)
        self.difference = config.difference

    def forward(self, clips: Tensor) -> Tensor:
        """(B, T, 3, S, S), normalised -> maps (B, T, C, h, w)."""
        if self.difference:
            before = torch.cat([clips[:, :1], clips[:, :-1]], dim=1)
            clips = torch.cat([clips, clips - before], dim=2)  # (B, T, 6, S, S); a first frame has difference 0
        return self.resnet.maps(clips.flatten(0, 1)).unflatten(0, clips.shape[:2])


class Queue(nn.Module):
    """The last Q keys, a ring; they start uniform with the spread of unit vectors, as in the authors' code."""

    def __init__(self, size: int, embedding: int) -> None:
        super().__init__()
        spread = (embedding / 3) ** -0.5
        self.register_buffer("memory", torch.empty(size, embedding).uniform_(-spread, spread))
        self.register_buffer("pointer", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def push(self, keys: Tensor) -> None:
        """Replace the oldest entries by `keys` (B, E); of more than Q keys the last Q stay."""
        size = len(self.memory)
        places = (self.pointer + torch.arange(len(keys), device=keys.device)) % size
        self.memory[places[-size:]] = keys[-size:].to(self.memory.dtype)
        self.pointer.copy_((self.pointer + len(keys)) % size)


class Model(nn.Module):
    """Gaze and movement from five frames, with the contrastive side task.

    Frames come in as RGB, ``uint8`` or float in [0, 1]; the model normalises them.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        parts = config.objectives.split("/")
        self.feature_extractor = FeatureExtractor(config)
        if "attn" in parts:
            self.pointwise_conv = pointwise(config)
            self.lstm, self.decoder_lstm = lstm(config), lstm(config)
            self.gaze_unembed = unembed(config, 2)
        if "move" in parts:
            self.imu_pointwise_conv = pointwise(config)
            self.imu_lstm, self.imu_decoder_lstm = lstm(config), lstm(config)
            self.imu_unembed = unembed(config, config.groups)
        if "vis" in parts:
            self.feature_linear = nn.Linear(config.widths[3], config.embedding)
            self.moco_feature_extractor = FeatureExtractor(config)
            self.moco_feature_linear = nn.Linear(config.widths[3], config.embedding)
            for own, copy in self._momentum_pairs():
                copy.load_state_dict(own.state_dict())
                copy.requires_grad_(False)
            self.contrast = Queue(config.queue, config.embedding)
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(DEVIATION).view(3, 1, 1), persistent=False)
        self._keys: list[Tensor] = []  # of the batches since the last optimiser step

    def forward(self, frames: Tensor) -> dict[str, Tensor]:
        """Predict for every frame of a clip.

        Args:
            frames: (B, T, 3, S, S).

        Returns:
            ``gaze`` (B, T, 2): (x, y) as fractions of the frame, (0, 0) at its top left, not clipped.
            ``move`` (B, T, G): logits, positive where the group is thought to move.
            Only those among the objectives.
        """
        maps = self.feature_extractor(self.normalised(frames))  # (B, T, C, h, w)
        outputs = {}
        if hasattr(self, "gaze_unembed"):
            states = recode(maps, self.pointwise_conv, self.lstm, self.decoder_lstm)
            outputs["gaze"] = self.gaze_unembed(states)
        if hasattr(self, "imu_unembed"):
            states = recode(maps, self.imu_pointwise_conv, self.imu_lstm, self.imu_decoder_lstm)
            outputs["move"] = self.imu_unembed(states)
        return outputs

    def predict(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`forward` of the batch's ``frames``."""
        return self(batch["frames"])

    def loss(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum of the objectives' losses, and each of them.

        Args:
            batch: ``frames`` (B, T, 3, S, S); ``gaze`` (B, T, 2) with ``gaze_valid`` (B, T) bool; ``move``
                (B, T, G) of 0 and 1 with ``move_valid`` (B, T, G) bool; for ``vis`` two views of the first
                frame, ``query`` and ``key`` (B, 3, S, S).

        Returns:
            The loss to minimise, a scalar in float32, and ``{"visual": ..., "gaze": ..., "move": ...}``
            unweighted. A batch without a valid label has loss 0 for that term.
        """
        outputs, losses = self(batch["frames"]), {}
        if "gaze" in outputs:
            losses["gaze"] = gaze_loss(outputs["gaze"], batch["gaze"], batch["gaze_valid"])
        if "move" in outputs:
            losses["move"] = move_loss(outputs["move"], batch["move"], batch["move_valid"])
        if hasattr(self, "contrast"):
            query = embed(self.feature_extractor, self.feature_linear, self.normalised(batch["query"]))
            with torch.no_grad():
                key = self.normalised(batch["key"])
                key = embed(self.moco_feature_extractor, self.moco_feature_linear, key)
            losses["visual"] = contrastive_loss(query, key, self.contrast.memory, self.config.temperature)
            if self.training:
                self._keys.append(key)
        weights = self.config
        return sum(getattr(weights, f"{name}_weight") * value for name, value in losses.items()), losses

    @torch.no_grad()
    def after_step(self) -> None:
        """Move the momentum encoder towards the encoder and put the new keys into the queue.

        The loop calls it after every optimiser step, so that accumulated batches see the same queue.
        """
        if not hasattr(self, "contrast"):
            return
        for own, copy in self._momentum_pairs():
            for source, target in zip(own.parameters(), copy.parameters(), strict=True):
                target.lerp_(source, 1 - self.config.momentum)
        self.contrast.push(gathered(torch.cat(self._keys)))
        self._keys.clear()

    def normalised(self, frames: Tensor) -> Tensor:
        """RGB as ``uint8``, or as float in [0, 1], less ImageNet's mean and over its deviation."""
        x = frames.float() / 255 if frames.dtype == torch.uint8 else frames
        return (x - self.mean) / self.deviation

    def _momentum_pairs(self) -> list[tuple[nn.Module, nn.Module]]:
        return [
            (self.feature_extractor, self.moco_feature_extractor),
            (self.feature_linear, self.moco_feature_linear),
        ]


def pointwise(config: Config) -> nn.Sequential:
    """(B*T, C, h, w) -> (B*T, channels, h, w)."""
    conv = nn.Conv2d(config.widths[3], config.channels, 1)
    return nn.Sequential(conv, nn.LeakyReLU(), nn.Dropout(config.dropout))


def lstm(config: Config) -> nn.LSTM:
    """(B, T, channels * h * w) -> (B, T, hidden)."""
    return nn.LSTM(config.channels * config.cells, config.hidden, config.layers, batch_first=True)


def unembed(config: Config, outputs: int) -> nn.Sequential:
    """(B, T, hidden) -> (B, T, outputs)."""
    first = nn.Linear(config.hidden, config.unembed)
    first_block = nn.Sequential(first, nn.LeakyReLU(), nn.Dropout(config.dropout))
    return nn.Sequential(first_block, nn.Sequential(nn.Linear(config.unembed, outputs)))


def recode(maps: Tensor, conv: nn.Module, encoder: nn.LSTM, decoder: nn.LSTM) -> Tensor:
    """Read all frames, then read them again from the state that this left: (B, T, C, h, w) -> (B, T, hidden)."""
    cells = conv(maps.flatten(0, 1))  # (B*T, channels, h, w)
    sequence = cells.flatten(1).unflatten(0, maps.shape[:2])  # (B, T, channels*h*w)
    _, state = encoder(sequence)
    decoded, _ = decoder(sequence, state)
    return decoded


def embed(extractor: nn.Module, linear: nn.Module, images: Tensor) -> Tensor:
    """(B, 3, S, S), normalised -> (B, E), each of length 1."""
    pooled = extractor(images[:, None]).mean(dim=(1, 3, 4))  # (B, C)
    return F.normalize(linear(pooled).float(), dim=1)


def gaze_loss(predicted: Tensor, gaze: Tensor, valid: Tensor) -> Tensor:
    """Mean Huber loss (delta 1, eq. 1) over both coordinates of the valid frames; 0 where none is.

    Args:
        predicted, gaze: (B, T, 2).
        valid: (B, T) bool.
    """
    each = F.smooth_l1_loss(predicted.float(), torch.where(valid[..., None], gaze, 0), reduction="none")
    return _masked_mean(each, valid[..., None].expand_as(each))


def move_loss(logits: Tensor, move: Tensor, valid: Tensor) -> Tensor:
    """Mean binary cross entropy over the valid labels; 0 where none is. All are (B, T, G)."""
    each = F.binary_cross_entropy_with_logits(logits.float(), move, reduction="none")
    return _masked_mean(each, valid)


def contrastive_loss(query: Tensor, key: Tensor, memory: Tensor, temperature: float) -> Tensor:
    """InfoNCE (eq. 2): cross entropy of finding the own key among the own key and the queue.

    Args:
        query, key: (B, E), unit length.
        memory: (Q, E), the negatives.
        temperature: tau.
    """
    with torch.autocast(query.device.type, enabled=False):  # bfloat16 would round logits of 14 to a sixteenth
        positive = (query * key).sum(dim=1, keepdim=True)  # (B, 1)
        logits = torch.cat([positive, query @ memory.T], dim=1) / temperature  # (B, 1 + Q)
        return F.cross_entropy(logits, torch.zeros(len(query), dtype=torch.int64, device=query.device))


def gathered(keys: Tensor) -> Tensor:
    """The keys of all processes in the order of their ranks, so that every queue holds the same."""
    if not torch.distributed.is_initialized():
        return keys
    parts = [torch.empty_like(keys) for _ in range(torch.distributed.get_world_size())]
    torch.distributed.all_gather(parts, keys.contiguous())
    return torch.cat(parts)


def _masked_mean(each: Tensor, valid: Tensor) -> Tensor:
    return torch.where(valid, each, 0).sum() / valid.sum().clamp(min=1)


def default() -> Preset:
    """Full size, the authors' loss weights; a tenth of the learning rate after each quarter of the steps."""
    return Preset(Config(), TrainConfig(batch=256, lr=5e-4, schedule="quarters", bf16=True, log_every=10))


def paper() -> Preset:
    """Full size with the weights and the decay that the paper prints."""
    start = default()
    net = replace(start.net, visual_weight=0.9, gaze_weight=0.09, move_weight=0.01)
    return Preset(net, replace(start.train, weight_decay=0.1, optimizer="adamw"))


def tiny() -> Preset:
    """For two processor cores: 64 pixels, narrow, one LSTM layer; the losses weighed by their gradients."""
    net = Config(
        size=64,
        widths=(8, 16, 32, 64),
        difference=True,
        channels=32,
        hidden=96,
        layers=1,
        unembed=64,
        dropout=0.1,
        visual_weight=0.1,
        gaze_weight=20.0,
        move_weight=1.0,
        queue=1024,
        momentum=0.99,
    )
    train = TrainConfig(
        steps=300,
        batch=16,
        lr=2e-3,
        optimizer="adamw",
        weight_decay=0.01,
        warmup=10,
        clip_norm=5.0,
        keep_mb=500,
        threads=1,
    )
    return Preset(net, train)


def open_split(data: str, split: str, config: Config, train: TrainConfig | None = None) -> MuscleClips | KeptClips:
    """The clips of a split: with `train` augmented and overlapping, without as they were recorded and apart.

    Raises:
        SessionError: no dataset there, or one of another version.
        ConfigError: no such split, or a configuration that these clips do not fit.
    """
    require(config.frames == CLIP_STEPS, "muscles.frames", f"must be {CLIP_STEPS} for these clips", config.frames)
    require(config.groups == len(GROUPS), "muscles.groups", f"must be {len(GROUPS)} for these clips", config.groups)
    if train is None:
        return MuscleClips(data, split, size=config.size, stride=CLIP_STEPS)
    if train.keep_mb:
        return KeptClips(MuscleClips(data, split, size=config.size), train.seed, train.keep_mb)
    return MuscleClips(data, split, size=config.size, seed=train.seed)


def truth(clips: MuscleClips | KeptClips) -> Truth:
    """What the sensors say about every clip, without decoding a frame."""
    items = [clips.labels(i) for i in range(len(clips))]

    def column(name: str, *empty: int) -> np.ndarray:
        return torch.stack([item[name] for item in items]).numpy() if items else np.zeros((0, *empty))

    return Truth(
        move=column("move", CLIP_STEPS, len(GROUPS)),
        move_valid=column("move_valid", CLIP_STEPS, len(GROUPS)).astype(bool),
        gaze=column("gaze", CLIP_STEPS, 2),
        gaze_valid=column("gaze_valid", CLIP_STEPS).astype(bool),
        session=np.array([item["session"] for item in items]),
    )


PRESETS = {"default": default, "paper": paper, "tiny": tiny}


def from_reference(state_dict: Mapping[str, Tensor], **config: Any) -> nn.Module:
    """A model with the authors' weights, by the names in their code.

    Two things differ there and are set right: both tasks pass the one 1x1 convolution, so it is copied to each;
    and gaze is predicted as (y, x), so the last layer's two rows are swapped.
    """
    published = without_prefix(state_dict)
    published.pop("contrast.params", None)
    for leaf in ("weight", "bias"):
        if f"pointwise_conv.0.{leaf}" in published:
            published[f"imu_pointwise_conv.0.{leaf}"] = published[f"pointwise_conv.0.{leaf}"]
        last = f"gaze_unembed.1.0.{leaf}"
        if last in published:
            published[last] = published[last].flip(0)
    return load_exactly(Model(Config(**config)), published, "muscles", ours_alone=("contrast.pointer",))
