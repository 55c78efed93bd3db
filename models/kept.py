"""Clips that were decoded once stay in memory, as long as they fit.

Decoding a clip costs about as much as a small model needs to learn from it, and a small dataset is read again
every few seconds. What is kept is the clip as recorded; it is augmented anew each time, by (seed, epoch, clip).
"""

from __future__ import annotations

from typing import Any

import torch

from ingest.dataset import MuscleClips
from ingest.transforms import augment, clip_seed, moco_view


class KeptClips:
    """The clips of a split, augmented, the first ones read kept in memory.

    Args:
        clips: opened without a seed, so that they come as they were recorded.
        seed: of the augmentation.
        megabytes: of frames that are kept; the clips that no longer fit are decoded each time.
        two_views: make `query` a view as `key` is, cropped and recoloured by itself, in place of the first frame.
    """

    def __init__(self, clips: MuscleClips, seed: int, megabytes: int, two_views: bool = False) -> None:
        self.clips, self.seed, self.epoch, self.two_views = clips, seed, 0, two_views
        self._left = megabytes * 1_000_000
        self._kept: dict[int, dict[str, Any]] = {}

    def __len__(self) -> int:
        return len(self.clips)

    def set_epoch(self, epoch: int) -> None:
        """Choose the augmentation's epoch."""
        self.epoch = epoch

    def labels(self, index: int) -> dict[str, Any]:
        """The clip without its frames, never augmented."""
        return self.clips.labels(index)

    def __getitem__(self, index: int) -> dict[str, Any]:
        clip = self._kept.get(index)
        if clip is None:
            clip = self.clips[index]
            if clip["frames"].nbytes <= self._left:
                self._left -= clip["frames"].nbytes
                self._kept[index] = clip
        seed = clip_seed(self.seed, self.epoch, index)
        item = augment(clip, seed)
        if self.two_views:
            item["query"] = moco_view(clip["frames"][0], torch.Generator().manual_seed(seed ^ 1))
        return item
