"""Clips of a dataset for the Muscles model, and what the sensors say about them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch

from ingest.clips import CLIP_STEPS
from ingest.dataset import GROUPS, MuscleClips
from models.config import TrainConfig, require
from models.kept import KeptClips
from models.metrics import Truth
from models.muscles.config import Config


class Clips(Protocol):
    """Clips whose labels can be had without decoding a frame."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> dict[str, Any]: ...

    def labels(self, index: int) -> dict[str, Any]:
        """The item without its frames."""

    def set_epoch(self, epoch: int) -> None:
        """Choose the augmentation's epoch."""


class WithoutParts:
    """Clips in which nobody knows whether some body parts moved.

    Args:
        clips: what to hide it in.
        ignored: names of groups.
    """

    def __init__(self, clips: Clips, ignored: Sequence[str]) -> None:
        self.clips = clips
        self.known = torch.tensor([group not in ignored for group in GROUPS])

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self._hidden(self.clips[index])

    def labels(self, index: int) -> dict[str, Any]:
        """The item without its frames."""
        return self._hidden(self.clips.labels(index))

    def set_epoch(self, epoch: int) -> None:
        """Choose the augmentation's epoch."""
        self.clips.set_epoch(epoch)

    def _hidden(self, item: dict[str, Any]) -> dict[str, Any]:
        return item | {"move_valid": item["move_valid"] & self.known}


def open_split(data: str, split: str, config: Config, train: TrainConfig | None = None) -> Clips:
    """The clips of a split: with `train` augmented and overlapping, without as they were recorded and apart.

    Raises:
        SessionError: no dataset there, or one of another version.
        ConfigError: no such split, or a configuration that these clips do not fit.
    """
    require(config.frames == CLIP_STEPS, "muscles.frames", f"must be {CLIP_STEPS} for these clips", config.frames)
    require(config.groups == len(GROUPS), "muscles.groups", f"must be {len(GROUPS)} for these clips", config.groups)
    clips: Clips
    if train is None:
        clips = MuscleClips(data, split, size=config.size, stride=CLIP_STEPS)
    else:
        clips = MuscleClips(data, split, size=config.size)
        clips = KeptClips(clips, train.seed, train.keep_mb, two_views=config.two_views)
    return WithoutParts(clips, config.ignored) if config.ignored else clips


def truth(clips: Clips) -> Truth:
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
        degrees=column("move_deg", CLIP_STEPS, len(GROUPS)),
    )
