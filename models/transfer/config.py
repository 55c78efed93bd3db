"""Which task, on which backbone, and named starting points."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from firmware_host.errors import ConfigError, unknown_name
from models import evaluate
from models.config import Preset, TrainConfig, require
from models.resnet import side_of
from models.transfer.layouts import CLASSED, TASKS, classes_of

RANDOM = "random"


@dataclass(frozen=True)
class Config:
    """A target task.

    Attributes:
        task: ``scene``, ``action``, ``dynamics``, ``walkable`` or ``depth``.
        classes: names of the classes, of the tasks that have some; those of the training split where none is named.
        backbone: ``random``, a run of muscles, or a file of weights by torchvision's or the authors' names
            (``.safetensors``, or what torch saved). Read when training starts; the run then holds them.
        size: pixels of a frame's side.
        frames: of an action's clip; other tasks have one.
        widths, strides, difference: of the backbone's ResNet-18; a run's own where the backbone is a run.
        channels: of the 1x1 convolution.
        hidden, layers: of the action's LSTM, and width of the other heads' hidden layers.
        dropout: after the 1x1 convolution and within the heads of the tasks with classes.
        range_m: depth that is given as 1, metres; 0 m is -1.
    """

    task: str = "scene"
    classes: tuple[str, ...] = ()
    backbone: str = RANDOM
    size: int = 224
    frames: int = 5
    widths: tuple[int, ...] = (64, 128, 256, 512)
    strides: tuple[int, ...] = (1, 2, 2, 2)
    difference: bool = False
    channels: int = 64
    hidden: int = 512
    layers: int = 3
    dropout: float = 0.5
    range_m: float = 10.0

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise ConfigError(unknown_name("transfer.task", self.task, TASKS))
        for name in ("size", "frames", "channels", "hidden", "layers"):
            require(getattr(self, name) >= 1, f"transfer.{name}", "must be at least 1", getattr(self, name))
        for name in ("widths", "strides"):
            value = getattr(self, name)
            require(len(value) == 4 and min(value) >= 1, f"transfer.{name}", "needs four positive numbers", value)
        require(0 <= self.dropout < 1, "transfer.dropout", "must be in [0, 1)", self.dropout)
        require(self.range_m > 0, "transfer.range_m", "must be positive", self.range_m)
        require(len(set(self.classes)) == len(self.classes), "transfer.classes", "must differ", self.classes)

    @property
    def side(self) -> int:
        """Cells of a side of the ResNet's last map."""
        return side_of(self.size, self.strides)


def completed(config: Config, data: str) -> Config:
    """The configuration with what only the data and the backbone can tell: classes, widths, strides.

    Raises:
        SessionError: no such folder, or a backbone that is neither a run nor a file.
    """
    if config.task in CLASSED and not config.classes:
        config = replace(config, classes=classes_of(data, config.task))
    if Path(config.backbone).is_dir():
        path = Path(config.backbone).resolve()
        net = evaluate.read_config(path).net
        own = {"widths": net.widths, "strides": net.strides, "difference": net.difference, "size": net.size}
        config = replace(config, backbone=str(path), **own)
    return config


def default() -> Preset:
    """Full size, the authors' learning rate for most tasks; a tenth after each quarter of the steps."""
    return Preset(Config(), TrainConfig(batch=128, lr=1e-3, schedule="quarters", log_every=10))


def tiny() -> Preset:
    """For two processor cores, on the backbone of the Muscles model's preset of this name."""
    net = Config(size=64, widths=(8, 16, 32, 64), difference=True, channels=32, hidden=96, layers=1, dropout=0.1)
    train = TrainConfig(
        steps=200, batch=16, lr=2e-3, optimizer="adamw", weight_decay=0.01, warmup=10, clip_norm=5.0, keep_mb=300,
        threads=1,
    )  # fmt: skip
    return Preset(net, train)


PRESETS = {"default": default, "paper": default, "tiny": tiny}
