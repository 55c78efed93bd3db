"""Sizes of the Video Action Transformer, and what to start from."""

from __future__ import annotations

from dataclasses import dataclass, replace

from firmware_host.errors import ConfigError, unknown_name
from models.config import Preset, TrainConfig, require

CHOICES = {
    "head": ("tx", "i3d", "tx+i3d"),
    "query": ("low", "high"),
    "preprocessor": ("shared", "per_unit"),
    "rois": ("proposals", "truth"),
}


@dataclass(frozen=True)
class Config:
    """The model's size and arms.

    Attributes:
        size: pixels of a frame's side.
        frames: frames of a clip in training.
        test_frames: in evaluation; the paper's best figure sees 96 where it learned from 64.
        actions: classes, each with its own sigmoid.
        background: one more class for boxes that hold nobody.
        narrow: divides every width of I3D, and of the proposal network's 512.
        frozen_norm: keep batch norm as it is loaded; for training from random weights it must learn.
        head: ``tx`` classes and boxes from the Action Transformer, ``i3d`` both from the I3D head, ``tx+i3d``
            classes from the first and boxes from the second.
        query: ``low``, the mean over the box, or ``high``, all its cells.
        preprocessor: of ``high``: ``shared``, one before the first layer, or ``per_unit``, one in each unit,
            added to what comes from the layer before.
        layers, heads: of the Action Transformer.
        width: D, of queries, keys and values of one head.
        hidden: of a unit's feed-forward network.
        dropout: within the units.
        location: channels that tell where a cell is, half for place and half for time; 0 has none.
        rois: ``proposals`` of the network itself, or ``truth``, the boxes of the labels.
        proposals: R, boxes that are judged.
        sampled: boxes of a clip that the second stage learns from, at most a quarter of them persons.
        specific: a box regression for each class instead of one for all; the paper finds it worse.
        base: side in pixels of the square anchor of scale 1.
        scales, ratios: of the anchors; a ratio is width over height.
        objectness_weight, proposal_weight, action_weight, box_weight: of the four losses.
    """

    size: int = 400
    frames: int = 64
    test_frames: int = 64
    actions: int = 80
    background: bool = True
    narrow: int = 1
    frozen_norm: bool = True
    head: str = "tx"
    query: str = "high"
    preprocessor: str = "shared"
    layers: int = 3
    heads: int = 2
    width: int = 128
    hidden: int = 512
    dropout: float = 0.3
    location: int = 32
    rois: str = "proposals"
    proposals: int = 300
    sampled: int = 64
    specific: bool = False
    base: int = 256
    scales: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0)
    ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    objectness_weight: float = 1.0
    proposal_weight: float = 2.0
    action_weight: float = 1.0
    box_weight: float = 2.0

    def __post_init__(self) -> None:
        for name in ("size", "frames", "test_frames", "actions", "narrow", "layers", "heads", "width", "hidden"):
            require(getattr(self, name) >= 1, f"vat.{name}", "must be at least 1", getattr(self, name))
        for name in ("proposals", "sampled", "base"):
            require(getattr(self, name) >= 1, f"vat.{name}", "must be at least 1", getattr(self, name))
        for name in ("scales", "ratios"):
            value = getattr(self, name)
            require(bool(value) and min(value) > 0, f"vat.{name}", "needs positive numbers", value)
        for name in ("objectness_weight", "proposal_weight", "action_weight", "box_weight"):
            require(getattr(self, name) >= 0, f"vat.{name}", "must not be negative", getattr(self, name))
        require(0 <= self.dropout < 1, "vat.dropout", "must be in [0, 1)", self.dropout)
        even = self.location >= 0 and self.location % 2 == 0
        require(even, "vat.location", "must be an even number of channels or 0", self.location)
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise ConfigError(unknown_name(f"vat.{name}", getattr(self, name), known))

    @property
    def outputs(self) -> int:
        """Logits of a box: the actions, then the background where there is one."""
        return self.actions + self.background


def default() -> Preset:
    """The paper's full model but for its two heads: HighRes queries, 300 proposals. 14.6 M parameters."""
    train = TrainConfig(
        steps=500_000, batch=3, accumulate=10, lr=0.1, optimizer="sgd", warmup=1000, bf16=True, log_every=20
    )
    return Preset(Config(), train)


def paper() -> Preset:
    """What the paper's last table reports: Tx+I3D, tested on 96 frames."""
    start = default()
    return replace(start, net=replace(start.net, head="tx+i3d", test_frames=96))


def low() -> Preset:
    """Table 1's LowRes query on ground-truth boxes, 64 of them: 13.9 M parameters, the paper's 29.1 mAP."""
    start = default()
    net = replace(start.net, query="low", rois="truth", proposals=64)
    return Preset(net, replace(start.train, steps=300_000))


def per_unit() -> Preset:
    """Table 1's HighRes query with a preprocessor in each unit: the paper's 19.3 M parameters."""
    start = default()
    return replace(start, net=replace(start.net, preprocessor="per_unit", proposals=64))


def i3d() -> Preset:
    """Table 1's I3D head on 64 proposals: 16.2 M parameters."""
    start = default()
    return replace(start, net=replace(start.net, head="i3d", proposals=64))


def tiny() -> Preset:
    """For two processor cores, from random weights: 16 frames of 112 pixels, every width an eighth."""
    net = Config(
        size=112,
        frames=16,
        test_frames=16,
        narrow=8,
        frozen_norm=False,
        layers=2,
        width=32,
        hidden=64,
        dropout=0.1,
        location=16,
        proposals=16,
        sampled=16,
        base=64,
    )
    train = TrainConfig(
        steps=300, batch=8, lr=2e-3, optimizer="adamw", weight_decay=0.01, warmup=10, clip_norm=5.0, threads=1
    )
    return Preset(net, train)


PRESETS = {
    "default": default,
    "paper": paper,
    "low": low,
    "per_unit": per_unit,
    "i3d": i3d,
    "tiny": tiny,
}
