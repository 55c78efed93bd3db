"""Clips of a dataset as tensors, in an order that is a pure function of (seed, epoch).

A `Dataset` opens a root that `syncctl build` made and hands out its tables, samples and frames. `MuscleClips` is a
map-style dataset over it: item `i` is always the same clip, whoever asks. `ClipSampler` decides the order; a run that
was stopped in mid-epoch goes on with exactly the clips that were left.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import Sampler

from firmware_host.errors import ConfigError, SessionError, unknown_name
from ingest import tables
from ingest.cache import MP4, FrameReader, Video
from ingest.clips import CLIP_STEPS, clip_starts, degrees
from ingest.index import Gop, VideoIndex
from ingest.splits import SPLITS
from ingest.targets import GREY, GROUPS, Thirds
from ingest.transforms import augment, clip_seed

__all__ = ["GROUPS", "ClipSampler", "Dataset", "MuscleClips", "open_dataset"]


@dataclass(frozen=True)
class Dataset:
    """A dataset root.

    Attributes:
        root: its folder.
        info: the document of `info.json`.
    """

    root: Path
    info: dict[str, Any]

    def table(self, name: str, *sessions: str) -> pa.Table:
        """Rows of a table, of the named sessions or of all."""
        return tables.read(self.root, name, sessions=sessions or None)

    def sessions(self, split: str) -> list[str]:
        """Names of the sessions in a split, in alphabetical order.

        Raises:
            ConfigError: there is no split of that name.
        """
        if split not in SPLITS:
            raise ConfigError(unknown_name("split", split, SPLITS))
        rows = tables.read(self.root, "splits").to_pylist()
        return sorted({r["session"] for r in rows if r["split"] == split})

    def video(self, session: str, device: str, *, original: bool = False) -> Video:
        """The video of a device: its small copy in the cache where there is one, or the original.

        Raises:
            SessionError: that device recorded no video.
        """
        cached = self.root / "cache" / str(self.info["cache"]) / f"{session}.{device}.mp4"
        if cached.is_file() and not original:
            return Video(cached, MP4)
        streams = self.table("streams", session).to_pylist()
        row = next((r for r in streams if r["device"] == device and r["kind"] == "video"), None)
        if row is None:
            raise SessionError(f"{self.root}: session '{session}' has no video of '{device}'")
        gops = tuple(
            Gop(r["start"], r["stop"], r["first_frame"], r["frames"])
            for r in self.table("gops", session).to_pylist()
            if r["device"] == device and r["stream"] == row["name"]
        )
        return Video(self.root / row["file"], VideoIndex(row["container"], row["header_stop"], gops))

    def get(
        self, session: str, device: str, stream: str, t0_ns: int, t1_ns: int, size: tuple[int, int] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """What one stream recorded in an interval of its session's reference clock.

        Args:
            t0_ns, t1_ns: half open, ns.
            size: (width, height) of frames; None for the original's.

        Returns:
            (N,) int64 ns on the reference clock, with (N, C) float32 in SI units for a sensor, or
            (N, height, width, 3) uint8 RGB of the original for a video.

        Raises:
            SessionError: there is no such stream, or its file is gone.
        """
        rows = self.table("streams", session).to_pylist()
        row = next((r for r in rows if (r["device"], r["name"]) == (device, stream)), None)
        if row is None:
            known = [f"{r['device']}/{r['name']}" for r in rows]
            raise SessionError(f"{self.root}: {unknown_name('stream', f'{device}/{stream}', known)}")
        if row["kind"] == "video":
            return self._frames(session, device, stream, (t0_ns, t1_ns), size or (row["width"], row["height"]))
        found = tables.read_series(tables.series_path(self.root, session, device, stream), t0_ns, t1_ns)
        values = [found[c].to_numpy() for c in found.column_names if c not in ("t_ns", "t_device_ns")]
        return found["t_ns"].to_numpy(), np.stack(values, axis=1)

    def _frames(
        self, session: str, device: str, stream: str, span_ns: tuple[int, int], size: tuple[int, int]
    ) -> tuple[np.ndarray, np.ndarray]:
        rows = self.table("frames", session)
        mine = pc.and_(pc.equal(rows["device"], device), pc.equal(rows["stream"], stream))
        t_ns = rows.filter(mine)["t_ns"].to_numpy()
        chosen = np.flatnonzero((t_ns >= span_ns[0]) & (t_ns < span_ns[1]))
        reader = FrameReader()
        try:
            return t_ns[chosen], reader.read(self.video(session, device, original=True), chosen.tolist(), size)
        finally:
            reader.close()


def open_dataset(root: Path | str) -> Dataset:
    """Open what `syncctl build` made.

    Raises:
        SessionError: no dataset there, or one of another version.
    """
    root = Path(root)
    return Dataset(root, tables.read_info(root))


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
        self.size, self.seed, self.epoch = size, seed, epoch
        sessions = self.dataset.sessions(split)
        rows = tables.read(self.dataset.root, "targets", sessions=sessions)
        self._session = rows["session"].to_pylist()
        self._device = rows["device"].to_pylist()
        self._participant = rows["participant"].to_pylist()
        self._frame = rows["frame"].to_numpy()
        self._gaze = np.stack([rows["gaze_x"].to_numpy(), rows["gaze_y"].to_numpy()], axis=1).astype(np.float32)
        self._degrees = degrees(rows)
        self._label = _labels(self._degrees, self.dataset.info["thirds_deg"])
        self._starts = clip_starts(rows, CLIP_STEPS, stride)
        used = sorted({(self._session[i], self._device[i]) for i in self._starts})
        self._video = {key: self.dataset.video(*key, original=original) for key in used}
        self._reader = FrameReader()

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, index: int) -> dict[str, Any]:
        item = self.labels(index)
        start = int(self._starts[index])
        video = self._video[self._session[start], self._device[start]]
        images = self._reader.read(video, self._frame[start : start + CLIP_STEPS].tolist(), (self.size, self.size))
        item["frames"] = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
        if self.seed is None:
            return item
        return augment(item, clip_seed(self.seed, self.epoch, index))

    def labels(self, index: int) -> dict[str, Any]:
        """The item without its frames, which costs no decoding and is never augmented."""
        start = int(self._starts[index])
        rows = slice(start, start + CLIP_STEPS)
        label, gaze = self._label[rows], self._gaze[rows]
        return {
            "gaze": torch.from_numpy(np.nan_to_num(gaze)),
            "gaze_valid": torch.from_numpy(np.isfinite(gaze).all(axis=1)),
            "move": torch.from_numpy((label == 1).astype(np.float32)),
            "move_valid": torch.from_numpy(label != GREY),
            "move_deg": torch.from_numpy(np.nan_to_num(self._degrees[rows])),
            "clip": torch.tensor(index),
            "session": self._session[start],
            "participant": self._participant[start],
        }

    def set_epoch(self, epoch: int) -> None:
        """Choose the augmentation's epoch; before the epoch's loader is iterated, as its workers are copies."""
        self.epoch = epoch

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_reader": FrameReader()}  # open files do not travel to a worker


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


def _labels(measured: np.ndarray, thirds: dict[str, list[float] | None]) -> np.ndarray:
    """(N, 6) degrees to (N, 6) int8 labels by the thirds of `info.json`."""
    label = np.full(measured.shape, GREY, np.int8)
    for column, group in enumerate(GROUPS):
        limits = thirds[group]
        if limits is not None:
            label[:, column] = Thirds(*limits).label(measured[:, column])
    return label
