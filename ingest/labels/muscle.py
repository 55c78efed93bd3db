"""The annotations of muscleTorch (Ehsani et al., ICLR 2021): gaze and movement of each recording, in h5 beside json.

In a folder ``annotation_h5`` there are, for each split, ``SPLIT_gaze_points.h5`` with (n, 2) pixels (x, y) of pictures
299 wide and 224 high, -1 where missing; ``SPLIT_move_label.h5`` with (n, 10) of 0 still, 1 moving, -1 neither, a column
a sensor; and as json ``SPLIT_image_name``, ``SPLIT_h5pyind_2_frameind`` and ``SPLIT_timestamp``, lists of n. Each is
keyed by recording. Frames are a sixth of a second apart; where the frame index jumps, they are not. Taken from what the
public loader reads: no file of theirs was found to compare with, and it does not read the time stamps, seconds here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from firmware_host.errors import SessionError
from ingest import tables
from ingest.targets import GREY, GROUPS, MEMBERS, Thirds
from recorder import durable

SIZE = (299, 224)
SENSORS = ("llegu", "neck", "larmu", "body", "rarmu", "llegd", "rlegd", "rarmd", "larmd", "rlegu")
"""The columns of `move`."""
FOLDER = "annotation_h5"
MISSING = -1.0
_GROUP_OF = {name: group for group, names in MEMBERS.items() for name in names}


@dataclass(frozen=True)
class Record:
    """One recording.

    Attributes:
        name: unique in its split.
        images: n file names, relative to the folder of pictures.
        frames: (n,) int64, their numbers; consecutive where they are a sixth of a second apart.
        t_s: (n,) float64 seconds.
        gaze_px: (n, 2) float32 (x, y) in a picture of `SIZE`, -1 where missing.
        move: (n, 10) int8, columns as `SENSORS`: 0 still, 1 moving, -1 neither or not measured.
    """

    name: str
    images: tuple[str, ...]
    frames: np.ndarray
    t_s: np.ndarray
    gaze_px: np.ndarray
    move: np.ndarray

    def __post_init__(self) -> None:
        n = len(self.images)
        shapes = (self.frames.shape, self.t_s.shape, self.gaze_px.shape, self.move.shape)
        if shapes != ((n,), (n,), (n, 2), (n, len(SENSORS))):
            raise ValueError(f"{self.name} has {n} pictures and arrays of shapes {shapes}")

    def gaze(self) -> np.ndarray:
        """(n, 2) float32 fractions of the picture, (x, y); NaN where missing."""
        gaze = self.gaze_px / np.array(SIZE, np.float32)
        gaze[(self.gaze_px == MISSING).any(axis=1)] = np.nan
        return gaze


def read(folder: Path, split: str) -> list[Record]:
    """The recordings of one split, by name.

    Args:
        folder: that holds `FOLDER`.
        split: train, val or test.

    Raises:
        SessionError: a file is missing or does not hold what it should.
    """
    start = folder / FOLDER
    try:
        told = {n: json.loads(_json(start, split, n).read_text()) for n in ("image_name", "h5pyind_2_frameind")}
        stamps = json.loads(_json(start, split, "timestamp").read_text())
        with h5py.File(_h5(start, split, "gaze_points")) as gaze, h5py.File(_h5(start, split, "move_label")) as move:
            return [
                Record(
                    name,
                    tuple(told["image_name"][name]),
                    np.array(told["h5pyind_2_frameind"][name], np.int64),
                    np.array(stamps[name], np.float64),
                    gaze[name][:].astype(np.float32),
                    move[name][:].astype(np.int8),
                )
                for name in sorted(told["image_name"])
            ]
    except (OSError, ValueError, KeyError) as error:
        raise SessionError(
            f"{start}: the {split} annotations cannot be read ({error}); see what files it must hold"
        ) from error


def write(records: Iterable[Record], folder: Path, split: str) -> list[Record]:
    """Write the recordings of one split, each file whole or not at all; returns what cannot be held: nothing."""
    every = sorted(records, key=lambda r: r.name)
    start = folder / FOLDER
    start.mkdir(parents=True, exist_ok=True)
    for name, arrays in (
        ("gaze_points", {r.name: r.gaze_px.astype(np.float32) for r in every}),
        ("move_label", {r.name: r.move.astype(np.int8) for r in every}),
    ):
        with durable.replacing(_h5(start, split, name)) as scratch, h5py.File(scratch, "w") as file:
            for key, array in arrays.items():
                file.create_dataset(key, data=array)
    durable.write_json(_json(start, split, "image_name"), {r.name: list(r.images) for r in every})
    durable.write_json(_json(start, split, "h5pyind_2_frameind"), {r.name: r.frames.tolist() for r in every})
    durable.write_json(_json(start, split, "timestamp"), {r.name: r.t_s.tolist() for r in every})
    return []


def of_dataset(root: Path) -> dict[str, list[Record]]:
    """The targets of a built dataset: split -> a record for each head camera's film.

    Both sensors of a body group take the group's label. Picture `k` of a film is to be ``RECORD/%06d.jpg`` of its frame
    number in the film.

    Raises:
        SessionError: no dataset there.
    """
    info = tables.read_info(root)
    thirds = [t and Thirds(*t) for t in (info["thirds_deg"][g] for g in GROUPS)]
    split = {r["session"]: r["split"] for r in tables.read(root, "splits").to_pylist()}
    targets = tables.read(root, "targets")
    found: dict[str, list[Record]] = {name: [] for name in ("train", "val", "test")}
    keys = sorted({(s, d) for s, d in zip(*(targets[c].to_pylist() for c in ("session", "device")), strict=True)})
    session, device = (np.array(targets[c].to_pylist()) for c in ("session", "device"))
    for which in keys:
        rows = targets.filter((session == which[0]) & (device == which[1]))
        column = {c: rows[c].to_numpy() for c in rows.schema.names if c not in ("session", "device", "participant")}
        groups = np.stack([_labels(t, column[f"deg_{g}"]) for t, g in zip(thirds, GROUPS, strict=True)], axis=1)
        name = ".".join(which)
        found[split[which[0]]].append(
            Record(
                name,
                tuple(f"{name}/{frame:06d}.jpg" for frame in column["frame"]),
                np.arange(len(rows)) + column["run"],  # a hole is a jump
                (column["t_ns"] - column["t_ns"][0]) / 1e9,
                _px(np.stack([column["gaze_x"], column["gaze_y"]], axis=1)),
                groups[:, [GROUPS.index(_GROUP_OF[s]) for s in SENSORS]],
            )
        )
    return found


def _labels(thirds: Thirds | None, degrees: np.ndarray) -> np.ndarray:
    return np.full(degrees.shape, GREY, np.int8) if thirds is None else thirds.label(degrees)


def _px(gaze: np.ndarray) -> np.ndarray:
    px = (gaze * np.array(SIZE)).astype(np.float32)
    px[~np.isfinite(px).all(axis=1)] = MISSING
    return px


def _h5(start: Path, split: str, name: str) -> Path:
    return start / f"{split}_{name}.h5"


def _json(start: Path, split: str, name: str) -> Path:
    return start / f"{split}_{name}.json"
