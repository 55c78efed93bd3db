"""LART's size, its parts, and where training starts from."""

from __future__ import annotations

from dataclasses import dataclass, replace

from firmware_host.errors import ConfigError, unknown_name
from models.config import Preset, TrainConfig, require
from models.lart.positions import TRACKS
from models.lart.transformer import NORMS

INPUTS = ("pose", "joints", "appearance")


@dataclass(frozen=True)
class Config:
    """The model's size and what it sees.

    Attributes:
        inputs: any of ``pose`` (the person vector), ``joints`` (45 points and the camera, 135 numbers, as the public
            weights want) and ``appearance``, joined by slashes.
        partial: tell the model which rotations were measured, as 24 more numbers; for body sensors.
        people: N, the person of interest and its companions.
        pose_hidden, joints_hidden, appearance_hidden: hidden widths of the encoders.
        pose_width, joints_width, appearance_width: what they give; together the transformer's width.
        appearance: width of the imported vectors: 1152 for MViT, 2048 for Hiera.
        layers, heads, head, hidden: of the transformer; `head` is the width of one head.
        norm: ``pre`` (the code) or ``post`` (the paper's text).
        learned_positions: a position for each of 250 steps and 10 tracks that is learned on from sines, the track's
            half first (the code); else the sines alone, time first (the paper).
        dropout: after attention and in the feed-forward.
        drop_path: chance that a part of a layer is left out for a sample, in training.
        mask: share of the detections hidden in training.
        classes: A.
        weight: of the loss.
        others: learn from the companions' labels too.
        steps: T, of a clip.
        rate_hz: steps a second.
        stored: name under which appearance vectors were stored.
        teacher: a run whose answers are the labels; empty for the dataset's own.
        start: a run whose weights are the first; empty for random ones.
    """

    inputs: str = "pose/joints/appearance"
    partial: bool = False
    people: int = 5
    pose_hidden: tuple[int, ...] = (229,)
    pose_width: int = 128
    joints_hidden: tuple[int, ...] = (256, 256)
    joints_width: int = 128
    appearance: int = 2048
    appearance_hidden: tuple[int, ...] = (512, 512)
    appearance_width: int = 256
    layers: int = 16
    heads: int = 16
    head: int = 64
    hidden: int = 512
    norm: str = "pre"
    learned_positions: bool = True
    dropout: float = 0.1
    drop_path: float = 0.4
    mask: float = 0.4
    classes: int = 60
    weight: float = 10.0
    others: bool = True
    steps: int = 125
    rate_hz: float = 30.0
    stored: str = ""
    teacher: str = ""
    start: str = ""

    def __post_init__(self) -> None:
        for name in ("people", "appearance", "layers", "heads", "head", "hidden", "classes", "steps"):
            require(getattr(self, name) >= 1, f"lart.{name}", "must be at least 1", getattr(self, name))
        for name in ("dropout", "drop_path", "mask"):
            require(0 <= getattr(self, name) < 1, f"lart.{name}", "must be in [0, 1)", getattr(self, name))
        require(
            self.people <= TRACKS or not self.learned_positions, "lart.people", f"must be at most {TRACKS}", self.people
        )
        require(self.rate_hz > 0, "lart.rate_hz", "must be positive", self.rate_hz)
        require(self.weight > 0, "lart.weight", "must be positive", self.weight)
        if self.norm not in NORMS:
            raise ConfigError(unknown_name("lart.norm", self.norm, NORMS))
        parts = self.inputs.split("/")
        if len(set(parts)) != len(parts) or not set(parts) <= set(INPUTS):
            raise ConfigError(
                f"lart.inputs is any of {', '.join(INPUTS)} joined by slashes, as in pose/appearance, "
                f"not '{self.inputs}'"
            )
        require(self.width % 4 == 0, "lart.inputs", "must give a width that is a multiple of 4", self.width)

    @property
    def parts(self) -> tuple[str, ...]:
        """What is seen, in the order in which it is joined."""
        return tuple(name for name in INPUTS if name in self.inputs.split("/"))

    @property
    def width(self) -> int:
        """Of a token."""
        return sum(getattr(self, f"{name}_width") for name in self.parts)


def default() -> Preset:
    """The authors' code."""
    train = TrainConfig(
        steps=100_000,
        batch=8,
        lr=1e-4,
        optimizer="adamw",
        weight_decay=0.05,
        beta2=0.95,
        warmup=5000,
        clip_norm=2.0,
        ema=0.9999,
        bf16=True,
        log_every=10,
    )
    return Preset(Config(), train)


def paper() -> Preset:
    """What the paper prints: no joints, heads of 32, a wide feed-forward, norms after the sums, sines for positions."""
    net = Config(
        inputs="pose/appearance",
        pose_hidden=(256, 256),
        pose_width=256,
        appearance=1152,
        appearance_hidden=(512, 512),
        head=32,
        hidden=2048,
        norm="post",
        steps=128,
        learned_positions=False,
        drop_path=0.0,
    )
    return Preset(net, replace(default().train, batch=64, lr=1e-3, clip_norm=0.0, ema=0.0))


def pose() -> Preset:
    """The code's pose-only model: tokens of 128."""
    start = default()
    return replace(start, net=replace(start.net, inputs="pose"))


def finetune() -> Preset:
    """The second stage: on true labels, nothing hidden, early layers slower. Begin with ``lart.start=RUN``."""
    start = default()
    net = replace(start.net, mask=0.0, drop_path=0.1)
    return Preset(net, replace(start.train, steps=20_000, lr=1e-3, warmup=1000, layer_decay=0.9))


def tiny() -> Preset:
    """For two processor cores: poses alone, three layers of 64."""
    net = Config(
        inputs="pose",
        pose_hidden=(128,),
        pose_width=64,
        layers=3,
        heads=4,
        head=16,
        hidden=128,
        drop_path=0.0,
        mask=0.2,
        steps=25,
        rate_hz=10.0,
    )
    train = TrainConfig(steps=400, batch=16, lr=1e-3, optimizer="adamw", weight_decay=0.05, warmup=20, threads=1)
    return Preset(net, train)


PRESETS = {"default": default, "paper": paper, "pose": pose, "finetune": finetune, "tiny": tiny}
