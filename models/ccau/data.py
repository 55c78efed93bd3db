"""Clips for a CCAU: what it asks of a dataset, and how a training clip is varied.

Frames are 0.1 s apart (every third of 30 a second), so that 40 of them and the 344 rows of sound are the same 4 s.
Pictures come a seventh larger than the model reads: training takes a random window, the same for all frames of a
view, and changes the colours of each frame; use takes the middle. A training clip is mirrored as a whole or not, with
all that has a left and a right. All of it is a pure function of (seed, epoch, clip).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from firmware_host.clock import SECOND_NS
from firmware_host.errors import ConfigError, unknown_name
from ingest.ask import ACTIVITY, ATOMIC, ENVIRONMENT, Ask
from ingest.dataset import Clips
from ingest.logmel import MELS
from ingest.opened import open_dataset
from ingest.transforms import clip_seed, colour_matrix, mirrored
from models.ccau.config import Config
from models.ccau.measures import Truth
from models.ccau.towers import VIEWS
from models.config import TrainConfig, require

STEP_NS = SECOND_NS // 10
MARGIN = 8 / 7
FLIP, GREY = 0.5, 0.5
JITTER = (0.5, 0.5, 0.5, 0.25)
LUMA = torch.tensor([0.299, 0.587, 0.114])


class Recorded(Protocol):
    """What is read of `ingest.dataset.Clips`."""

    dataset: Any

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> dict[str, Any]: ...

    def labels(self, index: int) -> dict[str, Any]:
        """The item without what must be decoded."""


class Streams:
    """The clips of a split, for training varied, for use as they are.

    Args:
        clips: as recorded, with pictures a seventh larger than the model's.
        size: pixels of the model's pictures.
        seed: vary the clips by (seed, epoch, clip); None takes the middle of each picture.
        megabytes: of decoded clips that stay in memory; those that no longer fit are decoded each time.
        held_out: leave the clips of these activities out.
    """

    def __init__(
        self,
        clips: Recorded,
        size: int,
        seed: int | None = None,
        megabytes: int = 0,
        held_out: Sequence[str] = (),
    ) -> None:
        self.clips, self.size, self.seed, self.epoch = clips, size, seed, 0
        left_out = {self._number(name) for name in held_out}
        everything = range(len(clips))
        self._rows = (
            [i for i in everything if int(clips.labels(i)["activity"]) not in left_out] if left_out else everything
        )
        self._left = megabytes * 1_000_000
        self._kept: dict[int, dict[str, Any]] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def set_epoch(self, epoch: int) -> None:
        """Choose the variation's epoch."""
        self.epoch = epoch

    def labels(self, index: int) -> dict[str, Any]:
        """The clip without its streams, as recorded."""
        return self.clips.labels(self._rows[index])

    @property
    def activities(self) -> tuple[str, ...]:
        """Names of the activities."""
        return self.clips.dataset.words(ACTIVITY)

    def _number(self, activity: str) -> int:
        if activity not in self.activities:
            raise ConfigError(unknown_name("activity of ccau.held_out", activity, self.activities))
        return self.activities.index(activity)

    def __getitem__(self, index: int) -> dict[str, Any]:
        item = self._recorded(index)
        if self.seed is None:
            return item | {view: cropped(item[view], self.size) for view in VIEWS if view in item}
        random = torch.Generator().manual_seed(clip_seed(self.seed, self.epoch, index))
        if float(torch.rand((), generator=random)) < FLIP:
            item = mirrored(item, self.clips.dataset.info["relations"])
        varied = {v: recoloured(cropped(item[v], self.size, random), random) for v in VIEWS if v in item}
        return item | varied

    def _recorded(self, index: int) -> dict[str, Any]:
        item = self._kept.get(index)
        if item is None:
            item = self.clips[self._rows[index]]
            size = sum(value.nbytes for value in item.values() if isinstance(value, Tensor))
            if size <= self._left:
                self._left -= size
                self._kept[index] = item
        return item


def cropped(frames: Tensor, size: int, random: torch.Generator | None = None) -> Tensor:
    """A window of (T, 3, R, R), the same for all frames: (T, 3, size, size); the middle one without `random`."""
    room = frames.shape[-1] - size
    if random is None:
        top = left = room // 2
    else:
        top, left = torch.randint(room + 1, (2,), generator=random).tolist()
    return frames[..., top : top + size, left : left + size]


def recoloured(frames: Tensor, random: torch.Generator) -> Tensor:
    """(T, 3, S, S) uint8 with the colours of each frame changed by themselves; every other one is all grey."""
    x = frames.float()
    matrices, shifts = [], []
    for mean in x.mean(dim=(2, 3)):
        draws = torch.rand(5, generator=random)
        brightness, contrast, saturation = (1 + j * (2 * float(d) - 1) for j, d in zip(JITTER, draws[:3], strict=False))
        hue = JITTER[3] * (2 * float(draws[3]) - 1)
        matrix, shift = colour_matrix(mean, brightness=brightness, contrast=contrast, saturation=saturation, hue=hue)
        if float(draws[4]) < GREY:
            matrix, shift = LUMA.expand(3, 3) @ matrix, (LUMA @ shift).expand(3)
        matrices.append(matrix)
        shifts.append(shift)
    changed = torch.einsum("tij,tjhw->tihw", torch.stack(matrices), x) + torch.stack(shifts)[:, :, None, None]
    return changed.round().clamp(0, 255).to(torch.uint8)


def wanted(config: Config, at: str) -> Ask:
    """What the model asks of every clip; `at` is where clips are, see `ingest.ask.Ask`."""
    return Ask(
        (*config.modalities, ACTIVITY, ATOMIC),
        at=at,
        frames=config.steps,
        step_ns=STEP_NS,
        stride_ns=SECOND_NS,
        size=round(config.size * MARGIN),
        audio_rows=config.rows,
        audio_role="ego",
    )


def open_split(data: str, split: str, config: Config, train: TrainConfig | None = None) -> Streams:
    """The clips of a split: with `train` one each second and varied, without three quarters of a clip apart.

    Clips lie in the activity labels; to foretell (``stage`` ``predict``) they need none and lie everywhere.

    Raises:
        SessionError: no dataset there, or one of another version.
        ConfigError: no such split, or a configuration that these clips do not fit.
    """
    ask = wanted(config, "every" if config.stage == "predict" else "activity")
    if train is None:
        ask = replace(ask, stride_ns=ask.span_ns * 3 // 4)
    clips = Clips(data, split, ask)
    _check(config, clips.dataset.info)
    if train is None:
        return Streams(clips, config.size)
    return Streams(clips, config.size, train.seed, train.keep_mb, config.held_out)


def completed(config: Config, data: str) -> Config:
    """The configuration with the dataset's classes, objects and relations.

    Raises:
        SessionError: no dataset there, or one of another version.
        ConfigError: it has no labels of a task.
    """
    return replace(config, **_numbers(config, open_dataset(data).info))


def _numbers(config: Config, info: dict[str, Any]) -> dict[str, Any]:
    """What a dataset says of the configuration."""
    words = info["vocabulary"]
    numbers = {"mels": MELS} if "audio" in config.modalities else {}
    numbers |= {"channels": len(ENVIRONMENT)} if "environment" in config.modalities else {}
    if "graph" in config.modalities:
        numbers |= {"objects": len(info["objects"]), "relations": len(info["relations"])}
    if config.stage == "recognise":
        classes = {"activity": ("activities", ACTIVITY), "atomic": ("atomics", ATOMIC)}
        for task in config.tasks.split("/"):
            name, tier = classes[task]
            if not words.get(tier):
                raise ConfigError(f"these clips have no labels of the tier '{tier}'; leave it out of ccau.tasks")
            numbers[name] = len(words[tier])
    return numbers


def _check(config: Config, info: dict[str, Any]) -> None:
    for name, number in _numbers(config, info).items():
        own = getattr(config, name)
        require(own == number, f"ccau.{name}", f"must be {number} for these clips (--set ccau.{name}={number})", own)


def truth(clips: Streams) -> Truth:
    """What was annotated of every clip, without decoding a frame."""
    items = [clips.labels(i) for i in range(len(clips))]
    if not items:
        return Truth(np.zeros(0, np.int64), np.zeros((0, 0)), np.zeros(0, bool), np.zeros(0, str), clips.activities)
    return Truth(
        activity=torch.stack([item["activity"] for item in items]).numpy(),
        atomic=torch.stack([item["atomic"] for item in items]).numpy(),
        atomic_valid=torch.stack([item["atomic_valid"] for item in items]).numpy().astype(bool),
        session=np.array([item["session"] for item in items]),
        activities=clips.activities,
    )
