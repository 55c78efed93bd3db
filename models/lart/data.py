"""Clips for LART: tracks of people, the first of them the one it is about; and labels from another run's answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from firmware_host.clock import SECOND_NS
from firmware_host.errors import ConfigError
from ingest.ask import ATOMIC, Ask
from ingest.dataset import Clips
from ingest.opened import open_dataset
from models import evaluate
from models.config import TrainConfig, require
from models.lart.config import Config
from models.lart.model import Model
from models.people import PersonTruth, truth_of


class Taught:
    """Clips whose labels are a teacher's answers: the first stage of the paper.

    The teacher looks at each clip as a model of its own and answers once a second; the steps of a second share it.

    Args:
        clips: with tracks and whatever the teacher reads.
        teacher: a trained LART, in eval mode.
        rate_hz: steps a second.
    """

    def __init__(self, clips: Any, teacher: Model, rate_hz: float) -> None:
        self.clips, self.teacher, self.rate_hz = clips, teacher, rate_hz

    def __len__(self) -> int:
        return len(self.clips)

    def set_epoch(self, epoch: int) -> None:
        """Choose the augmentation's epoch."""
        self.clips.set_epoch(epoch)

    @property
    def dataset(self) -> Any:
        """The dataset of the clips."""
        return self.clips.dataset

    def labels(self, index: int) -> dict[str, Any]:
        """The true labels: a run is compared with these."""
        return self.clips.labels(index)

    def __getitem__(self, index: int) -> dict[str, Any]:
        item = self.clips[index]
        batch = {name: value[None] for name, value in item.items() if isinstance(value, Tensor)}
        return item | {"track_actions": shared_by_second(self.teacher.everybody(batch)[0], self.rate_hz)}


def shared_by_second(answers: Tensor, rate_hz: float) -> Tensor:
    """(..., T, A) with the answer in the middle of each second at all steps of that second."""
    step = torch.arange(answers.shape[-2])
    second = torch.div(step, rate_hz, rounding_mode="floor")
    middle = ((second + 0.5) * rate_hz).long().clamp(max=answers.shape[-2] - 1)
    return answers[..., middle, :]


def open_split(data: str, split: str, config: Config, train: TrainConfig | None = None) -> Clips | Taught:
    """The clips of a split: with `train` every second of every person, mirrored now and then; else side by side.

    Raises:
        SessionError: no dataset there, or one of another version; a teacher that is no run.
        ConfigError: no such split, or a configuration that these clips do not fit.
    """
    clips = Clips(data, split, wanted(config, train is not None), seed=train.seed if train else None)
    classes = len(clips.dataset.words(ATOMIC))
    rule = f"must be {classes} for these clips (--set lart.classes={classes})"
    require(config.classes == classes, "lart.classes", rule, config.classes)
    if train is None or not config.teacher:
        return clips
    return Taught(clips, teacher_of(Path(config.teacher), config), config.rate_hz)


def completed(config: Config, data: str) -> Config:
    """The configuration with as many classes as the dataset has atomic actions, and as wide as stored vectors are.

    Raises:
        SessionError: no dataset there, or one of another version.
        ConfigError: no features of that name.
    """
    if not (config.stored and "appearance" in config.parts):
        return replace(config, classes=len(open_dataset(data).words(ATOMIC)))
    clips = Clips(data, "train", wanted(config, training=False))
    appearance = clips[0]["appearance"].shape[-1] if len(clips) else config.appearance
    return replace(config, classes=len(clips.dataset.words(ATOMIC)), appearance=appearance)


def teacher_of(run: Path, config: Config) -> Model:
    """The model of a run, which must answer for the same classes."""
    taught = evaluate.read_config(run)
    if taught.model != "lart" or taught.net.classes != config.classes:
        raise ConfigError(f"lart.teacher: {run} is no run of lart with {config.classes} classes")
    teacher: Model = evaluate.load_model(run, taught)[0]
    return teacher.eval().requires_grad_(False)


def wanted(config: Config, training: bool) -> Ask:
    """What the model asks of a clip."""
    if "joints" in config.parts:
        raise ConfigError("datasets have no joints, which only the public weights want; leave them out of lart.inputs")
    step_ns = round(SECOND_NS / config.rate_hz)
    return Ask(
        ("tracks",),
        at="person",
        frames=config.steps,
        step_ns=step_ns,
        stride_ns=SECOND_NS if training else config.steps * step_ns,
        tracks=config.people,
        features=config.stored if "appearance" in config.parts else "",
    )


def truth(clips: Any) -> PersonTruth:
    """What the person of interest does in the middle of every clip."""
    items = [clips.labels(i) for i in range(len(clips))]
    rows = []
    for item in items:
        middle = item["tracks_valid"].shape[1] // 2
        keys = ("track_actions", "tracks_valid", *(["track_boxes"] if "track_boxes" in item else []))
        rows.append(tuple(np.asarray(item[key][:1, middle]) for key in keys))
    names = clips.dataset.words(ATOMIC)
    return truth_of(rows, [item["session"] for item in items], names)
