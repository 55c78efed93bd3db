"""Clips of a dataset as tensors, in an order that is a pure function of (seed, epoch).

`Clips` gives any model what it asks for (`ingest.ask`); `MuscleClips` gives the muscles model its own layout. Both are
map-style: item `i` is always the same clip, whoever asks. `ClipSampler` decides the order; a run that was stopped in
mid-epoch goes on with exactly the clips that were left.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import Sampler

from ingest.anchors import anchors
from ingest.ask import Ask
from ingest.cache import FrameReader
from ingest.clips import CLIP_STEPS, clip_starts, degrees
from ingest.film import Video
from ingest.opened import Dataset, open_dataset
from ingest.targets import GREY, GROUPS
from ingest.transforms import augment, clip_seed, mirrored
from ingest.view import SessionView, movement_labels

__all__ = ["GROUPS", "Ask", "ClipSampler", "Clips", "Dataset", "MuscleClips", "open_dataset"]

KEPT_SESSIONS = 16
"""Sessions whose tables stay in memory: a few megabytes for each hour."""
FLIP = 0.5


class Clips(TorchDataset[dict[str, Any]]):
    """The clips of a split, with what a model asks for.

    An item is a dict with the keys of `ingest.ask.shapes` as tensors, and `clip` int64, `t_ns` int64 (its start, on the
    session's reference clock), `session` and `participant` str (whom it is about, empty where nobody is known).
    docs/reference/batch.md is the contract.
    """

    def __init__(self, root: Path | str, split: str, ask: Ask, *, seed: int | None = None, epoch: int = 0) -> None:
        """Open the clips of one split.

        Args:
            root: the dataset, a folder or an address.
            split: ``train``, ``val`` or ``test``.
            ask: what to give, and where clips are.
            seed: mirror every other clip, at random; None gives clips as they were recorded.
            epoch: which epoch's chance; see `set_epoch`.

        Raises:
            SessionError: no dataset there, or one of another version.
            ConfigError: no such split.
        """
        self.dataset, self.ask, self.seed, self.epoch = open_dataset(root), ask, seed, epoch
        self.names = self.dataset.sessions(split)
        found = [anchors(self.dataset.rows, name, ask) for name in self.names]
        self._session = np.repeat(np.arange(len(found), dtype=np.int32), [len(starts) for starts, _ in found])
        self._t_ns = np.concatenate([starts for starts, _ in found] or [np.empty(0, np.int64)])
        self._who = np.concatenate([who for _, who in found] or [np.empty(0, np.int16)])
        self._begin()

    def __len__(self) -> int:
        return len(self._t_ns)

    def __getitem__(self, index: int) -> dict[str, Any]:
        view, t0_ns, who = self._place(index)
        item = self._item(index, view.clip(self._reader, t0_ns, who))
        if self.seed is not None:
            random = torch.Generator().manual_seed(clip_seed(self.seed, self.epoch, index))
            if float(torch.rand((), generator=random)) < FLIP:
                return mirrored(item, self.dataset.info["relations"])
        return item

    def labels(self, index: int) -> dict[str, Any]:
        """The item without pictures, sound, sensors and features: what there is to tell; never mirrored."""
        view, t0_ns, who = self._place(index)
        return self._item(index, view.labels(t0_ns, who))

    def set_epoch(self, epoch: int) -> None:
        """Choose the augmentation's epoch; before the epoch's loader is iterated, as its workers are copies."""
        self.epoch = epoch

    def _place(self, index: int) -> tuple[SessionView, int, int]:
        name = self.names[int(self._session[index])]
        if name not in self._views:
            if len(self._views) >= KEPT_SESSIONS:
                self._views.popitem(last=False)
            self._views[name] = SessionView(self.dataset, name, self.ask)
        self._views.move_to_end(name)
        return self._views[name], int(self._t_ns[index]), int(self._who[index])

    def _item(self, index: int, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
        view, t0_ns, who = self._place(index)
        actor = view.focus if who < 0 else view.actors[who]
        tensors = {key: torch.from_numpy(value) for key, value in arrays.items()}
        place = {"clip": torch.tensor(index), "t_ns": torch.tensor(t0_ns)}
        return {**tensors, **place, "session": view.session, "participant": actor or ""}

    def _begin(self) -> None:
        self._reader = FrameReader()
        self._views: OrderedDict[str, SessionView] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in ("_reader", "_views")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._begin()


class MuscleClips(TorchDataset[dict[str, Any]]):
    """Clips of five head-camera frames a sixth of a second apart, with gaze and movement.

    An item is a dict: `frames` (5, 3, size, size) uint8 RGB, the aspect squeezed to the square; `gaze` (5, 2)
    float32, (x, y) in [0, 1] of the frame, 0 where `gaze_valid` (5,) bool is False; `move` (5, 6) float32, 1
    where the body group moved, 0 where it was still; `move_valid` (5, 6) bool, False in the grey third and where
    a sensor is missing; `move_deg` (5, 6) float32 degrees in the sixth of a second before the frame, 0 where not
    measured; `clip` int64, `session` and `participant` str. Columns are as `GROUPS`.
    """

    def __init__(
        self,
        root: Path | str,
        split: str,
        *,
        size: int,
        seed: int | None = None,
        epoch: int = 0,
        stride: int = 1,
        original: bool = False,
    ) -> None:
        """Read the split's targets; no video is opened yet.

        Args:
            split: ``train``, ``val`` or ``test``.
            size: side of the square frames, pixels.
            seed: augment as `ingest.transforms.augment` does, keyed by (seed, epoch, clip), which adds `query`
                and `key`; None leaves clips as they are.
            epoch: see `set_epoch`.
            stride: steps from the start of a clip to that of the next; 5 makes clips that share no frame.
            original: read the recordings even where a cache exists.

        Raises:
            SessionError: no dataset there, or one of another version.
            ConfigError: no such split.
        """
        self.dataset = open_dataset(root)
        self.size, self.seed, self.epoch, self._original = size, seed, epoch, original
        self.names = self.dataset.sessions(split)
        found = [clip_starts(self.dataset.rows.of("targets", name), CLIP_STEPS, stride) for name in self.names]
        self._session = np.repeat(np.arange(len(found), dtype=np.int32), [len(starts) for starts in found])
        self._start = np.concatenate(found) if found else np.empty(0, np.int64)
        self._begin()

    def __len__(self) -> int:
        return len(self._start)

    def __getitem__(self, index: int) -> dict[str, Any]:
        item = self.labels(index)
        steps, rows = self._place(index)
        video, numbers = steps.video(rows.start), steps.frame[rows].tolist()
        item["frames"] = torch.from_numpy(self._reader.planes(video, numbers, (self.size, self.size)))
        if self.seed is None:
            return item
        return augment(item, clip_seed(self.seed, self.epoch, index))

    def labels(self, index: int) -> dict[str, Any]:
        """The item without its frames, which costs no decoding and is never augmented."""
        steps, rows = self._place(index)
        label, gaze = steps.label[rows], steps.gaze[rows]
        return {
            "gaze": torch.from_numpy(np.nan_to_num(gaze)),
            "gaze_valid": torch.from_numpy(np.isfinite(gaze).all(axis=1)),
            "move": torch.from_numpy((label == 1).astype(np.float32)),
            "move_valid": torch.from_numpy(label != GREY),
            "move_deg": torch.from_numpy(np.nan_to_num(steps.degrees[rows])),
            "clip": torch.tensor(index),
            "session": steps.session,
            "participant": steps.participant[rows.start],
        }

    def _place(self, index: int) -> tuple[_Steps, slice]:
        name, start = self.names[int(self._session[index])], int(self._start[index])
        if name not in self._steps:
            if len(self._steps) >= KEPT_SESSIONS:
                self._steps.popitem(last=False)
            self._steps[name] = _Steps(self.dataset, name, self.size, self._original)
        self._steps.move_to_end(name)
        return self._steps[name], slice(start, start + CLIP_STEPS)

    def _begin(self) -> None:
        self._reader = FrameReader()
        self._steps: OrderedDict[str, _Steps] = OrderedDict()

    def set_epoch(self, epoch: int) -> None:
        """Choose the augmentation's epoch; before the epoch's loader is iterated, as its workers are copies."""
        self.epoch = epoch

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in ("_reader", "_steps")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._begin()


class _Steps:
    """The rows of `targets` of one session, as arrays."""

    def __init__(self, dataset: Dataset, session: str, size: int, original: bool) -> None:
        rows = dataset.rows.of("targets", session)
        self.session = session
        self.participant = rows["participant"].to_pylist()
        self.frame = rows["frame"].to_numpy()
        self.gaze = np.stack([rows["gaze_x"].to_numpy(), rows["gaze_y"].to_numpy()], axis=1).astype(np.float32)
        self.degrees = degrees(rows)
        self.label = movement_labels(self.degrees, dataset.info["thirds_deg"])
        self._device = rows["device"].to_pylist()
        used = sorted(set(self._device))
        self._video = {device: dataset.video(session, device, original=original, size=size) for device in used}

    def video(self, row: int) -> Video:
        """The video that a row is of."""
        return self._video[self._device[row]]


class ClipSampler(Sampler[int]):
    """Every clip once an epoch, in an order that depends on (seed, epoch) alone.

    With several processes each takes every `world`-th clip of that order, and the few that do not go round are left
    out, so that all have equally many. `start` counts clips of all processes together: a run may resume with
    another number of them.
    """

    def __init__(self, n: int, seed: int, epoch: int, start: int = 0, rank: int = 0, world: int = 1) -> None:
        """See the class.

        Args:
            n: clips in the dataset.
            start: clips of this epoch that were already used, by all processes.
        """
        if not 0 <= rank < world:
            raise ValueError(f"rank {rank} of {world} processes")
        self._n, self._seed, self._epoch, self._start = n, seed, epoch, start
        self._rank, self._world = rank, world

    def __len__(self) -> int:
        return max(0, self._n - self._start) // self._world

    def __iter__(self) -> Iterator[int]:
        random = torch.Generator().manual_seed(clip_seed(self._seed, self._epoch, -1))
        order = torch.randperm(self._n, generator=random)[self._start :]
        return iter(order[self._rank :: self._world][: len(self)].tolist())
