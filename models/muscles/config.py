"""How large the Muscles model is, what it learns from, and named starting points."""

from __future__ import annotations

from dataclasses import dataclass, replace

from firmware_host.errors import ConfigError, unknown_name
from ingest.dataset import GROUPS
from models.config import Preset, TrainConfig, require
from models.resnet import side_of

OBJECTIVES = ("vis", "move", "attn")
VISUAL = ("contrast", "rebuild")


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
        visual: what ``vis`` is: ``contrast`` (MoCo) or ``rebuild`` (an autoencoder, the paper's table 2).
        ignored: groups of body parts whose movement is hidden from training and measuring (table 4).
        gaze_input: predict movement from the frames and the gaze (table 3); then gaze is no objective.
        two_views: for ``vis`` alone: both pictures of a pair are augmented as MoCo does, instead of one of them.
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
    visual: str = "contrast"
    ignored: tuple[str, ...] = ()
    gaze_input: bool = False
    two_views: bool = False
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
        self._check_objectives()

    def _check_objectives(self) -> None:
        if len(set(self.parts)) != len(self.parts) or not set(self.parts) <= set(OBJECTIVES):
            raise ConfigError(
                f"muscles.objectives is any of {', '.join(OBJECTIVES)} joined by slashes, as in vis/move, "
                f"not '{self.objectives}'"
            )
        if self.visual not in VISUAL:
            raise ConfigError(unknown_name("muscles.visual", self.visual, VISUAL))
        for group in self.ignored:
            if group not in GROUPS:
                raise ConfigError(unknown_name("muscles.ignored", group, GROUPS))
        fits = "move" in self.parts and "attn" not in self.parts
        require(fits or not self.gaze_input, "muscles.gaze_input", "needs move and no attn", self.objectives)
        require(self.objectives == "vis" or not self.two_views, "muscles.two_views", "needs vis alone", self.objectives)

    @property
    def parts(self) -> list[str]:
        """The objectives one by one."""
        return self.objectives.split("/")

    @property
    def side(self) -> int:
        """Cells of a side of the ResNet's map."""
        return side_of(self.size, self.strides)

    @property
    def cells(self) -> int:
        """Cells of the ResNet's map: h * w."""
        return self.side**2


def default() -> Preset:
    """Full size, the authors' loss weights; a tenth of the learning rate after each quarter of the steps."""
    return Preset(Config(), TrainConfig(batch=256, lr=5e-4, schedule="quarters", bf16=True, log_every=10))


def paper() -> Preset:
    """Full size with the weights and the decay that the paper prints."""
    start = default()
    net = replace(start.net, visual_weight=0.9, gaze_weight=0.09, move_weight=0.01)
    return Preset(net, replace(start.train, weight_decay=0.1, optimizer="adamw"))


def attn() -> Preset:
    """Pictures and gaze, the authors' weights for the two."""
    start = default()
    net = replace(start.net, objectives="vis/attn", visual_weight=0.1, gaze_weight=0.9)
    return Preset(net, start.train)


def move() -> Preset:
    """Pictures and movement, the authors' weights for the two."""
    start = default()
    net = replace(start.net, objectives="vis/move", visual_weight=0.95, move_weight=0.5)
    return Preset(net, start.train)


def rebuild() -> Preset:
    """An autoencoder in place of contrast (table 2), the authors' weights."""
    start = default()
    net = replace(start.net, visual="rebuild", visual_weight=0.48, gaze_weight=0.48, move_weight=0.04)
    return Preset(net, start.train)


def moco() -> Preset:
    """The baseline: pictures alone by MoCo's own recipe (He et al. 2020, section 4), of 200 epochs."""
    start = default()
    net = replace(start.net, objectives="vis", two_views=True, visual_weight=1.0)
    train = replace(start.train, optimizer="sgd", lr=0.03, weight_decay=1e-4, schedule="fifths")
    return Preset(net, train)


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


PRESETS = {
    "default": default,
    "paper": paper,
    "attn": attn,
    "move": move,
    "rebuild": rebuild,
    "moco": moco,
    "tiny": tiny,
}
