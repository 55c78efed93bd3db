"""Clips for an Action Transformer: room cameras around moments whose persons are boxed.

A clip of 64 frames lasts three seconds; one of another length in training has its frames further apart, and a longer
one in evaluation lasts longer. Training sees a random window of seven eighths of the picture's side, mirrored or not:
the paper loses a fifth of its score without. A person of whom the window shows less than half is not asked for.
Evaluation sees the whole picture. All of it is a pure function of (seed, epoch, clip). Of a moment with more than
`PERSONS` boxes the surest are learned from and asked for.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from firmware_host.clock import SECOND_NS
from ingest.ask import ATOMIC, Ask
from ingest.dataset import Clips
from ingest.opened import open_dataset
from ingest.transforms import clip_seed
from models import boxes as boxing
from models.config import TrainConfig, require
from models.vat.config import Config
from models.vat.measures import Truth

SPAN_NS = 3 * SECOND_NS
PERSONS = 16
MARGIN = 8 / 7
SHOWN = 0.5


class Scenes:
    """The clips of a split.

    Args:
        clips: with ``third`` and ``boxes``; for training mirrored at random, their pictures a seventh larger.
        config: of the model.
        seed: cut random windows by (seed, epoch, clip); None leaves the pictures whole.
    """

    def __init__(self, clips: Clips, config: Config, seed: int | None = None) -> None:
        self.clips, self.config, self.seed, self.epoch = clips, config, seed, 0

    def __len__(self) -> int:
        return len(self.clips)

    def set_epoch(self, epoch: int) -> None:
        """Choose the windows' and the mirrors' epoch."""
        self.epoch = epoch
        self.clips.set_epoch(epoch)

    def labels(self, index: int) -> dict[str, Any]:
        """The clip without its pictures, as recorded."""
        return self.clips.labels(index)

    @property
    def dataset(self) -> Any:
        """The dataset of the clips."""
        return self.clips.dataset

    @property
    def ask(self) -> Ask:
        """What was asked of it."""
        return self.clips.ask

    @property
    def actions(self) -> tuple[str, ...]:
        """Names of the actions."""
        return self.clips.dataset.words(ATOMIC)

    def __getitem__(self, index: int) -> dict[str, Any]:
        item = self.clips[index]
        if self.seed is None:
            return item
        random = torch.Generator().manual_seed(clip_seed(self.seed, self.epoch, index) ^ 1)  # not the mirror's draw
        return item | windowed(item, self.config.size, random)


def windowed(item: dict[str, Any], size: int, random: torch.Generator) -> dict[str, Tensor]:
    """A window of the pictures, and the boxes in its fractions.

    Args:
        item: ``third`` (T, 3, S, S), ``boxes`` (P, 4), ``box_valid`` (P,).
        size: pixels of the window's side, at most S.

    Returns:
        the three keys anew; a box of which less than half is left is no longer valid.
    """
    side = item["third"].shape[-1]
    left, top = torch.randint(side - size + 1, (2,), generator=random).tolist()
    boxes = (item["boxes"] * side - torch.tensor([left, top, left, top])) / size
    inside = boxing.clipped(boxes)
    valid = item["box_valid"] & (boxing.area(inside) >= SHOWN * boxing.area(boxes))
    return {
        "third": item["third"][..., top : top + size, left : left + size],
        "boxes": torch.where(valid[:, None], inside, 0),
        "box_valid": valid,
    }


def open_split(data: str, split: str, config: Config, train: TrainConfig | None = None) -> Scenes:
    """The clips of a split: with `train` windowed and mirrored, without as they were recorded.

    Raises:
        SessionError: no dataset there, or one of another version.
        ConfigError: no such split, or another number of actions than the dataset has.
    """
    ask = Ask(
        ("third", "boxes"),
        at="boxes",
        frames=config.test_frames if train is None else config.frames,
        step_ns=SPAN_NS // config.frames,
        size=config.size if train is None else round(config.size * MARGIN),
        persons=PERSONS,
    )
    clips = Clips(data, split, ask, seed=None if train is None else train.seed)
    scenes = Scenes(clips, config, None if train is None else train.seed)
    number = len(scenes.actions)
    told = f"must be {number} for these clips (--set vat.actions={number})"
    require(config.actions == number, "vat.actions", told, config.actions)
    return scenes


def completed(config: Config, data: str) -> Config:
    """The configuration with as many classes as the dataset has atomic actions.

    Raises:
        SessionError: no dataset there, or one of another version.
    """
    return replace(config, actions=len(open_dataset(data).words(ATOMIC)))


def truth(scenes: Scenes) -> Truth:
    """Who did what where in every clip, without decoding a frame."""
    items = [scenes.labels(i) for i in range(len(scenes))]
    actions = len(scenes.actions)

    def column(name: str, *empty: int) -> np.ndarray:
        return torch.stack([item[name] for item in items]).numpy() if items else np.zeros((0, *empty))

    return Truth(
        boxes=column("boxes", PERSONS, 4),
        valid=column("box_valid", PERSONS).astype(bool),
        actions=column("box_actions", PERSONS, actions) > 0.5,
        session=np.array([item["session"] for item in items], np.str_),
        names=scenes.actions,
        given=scenes.config.rois == "truth",
    )
