"""Five folder layouts, plain enough to be made by hand, and the clips in them.

    scene/SPLIT/CLASS/NAME.jpg
    action/SPLIT/CLASS/NAME/00.jpg ...          frames in the order of their names; those asked for are spread evenly
    dynamics/SPLIT/NAME.jpg, dynamics/SPLIT.csv header image,x1,y1,x2,y2,class; box in pixels, x to the right, y down
    walkable/SPLIT/NAME.jpg, NAME.mask.png      8 bits: 0 not walkable, 255 walkable, anything else unknown
    depth/SPLIT/NAME.jpg, NAME.depth.png        16 bits: millimetres along the camera's axis, 0 unknown

SPLIT is train, val or test; pictures may be .png as well. What comes before the last ``__`` of a NAME says which
recording it is from: pictures of one recording are no independent evidence, so intervals are drawn over recordings.
A NAME without ``__`` is a recording of its own.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch

from firmware_host.errors import SessionError, unknown_name

if TYPE_CHECKING:
    from models.config import TrainConfig
    from models.transfer.config import Config

TASKS = ("scene", "action", "dynamics", "walkable", "depth")
CLASSED = TASKS[:3]
SURFACES = {"walkable": ".mask.png", "depth": ".depth.png"}
PICTURES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class Example:
    """One line of a task.

    Attributes:
        frames: pictures, one or those of a clip.
        session: the recording they are from.
        label: its class, of tasks that have classes.
        box: (x1, y1, x2, y2) of the object in pixels.
        surface: what every pixel is.
    """

    frames: tuple[Path, ...]
    session: str
    label: str = ""
    box: tuple[float, float, float, float] | None = None
    surface: Path | None = None


def examples(root: Path, task: str, split: str) -> list[Example]:
    """What a layout holds, in the order of names.

    Raises:
        SessionError: no such folder, a table or a picture that is missing; empty where the split is.
    """
    folder = root / task
    if not folder.is_dir():
        raise SessionError(f"{folder} does not exist; it should hold the pictures of the task '{task}'")
    if task == "scene":
        return [Example((p,), _session(p.stem), p.parent.name) for p in _pictures(folder / split, "*/*")]
    if task == "action":
        return list(_clips(folder / split))
    if task == "dynamics":
        return list(_boxes(folder, split))
    beside = SURFACES[task]
    found = [p for p in _pictures(folder / split, "*") if not p.name.endswith(beside)]
    pairs = [(p, p.with_name(p.stem + beside)) for p in found]
    for _, surface in pairs:
        if not surface.is_file():
            raise SessionError(f"{surface} is missing; every picture of '{task}' needs one")
    return [Example((p,), _session(p.stem), surface=surface) for p, surface in pairs]


def classes_of(data: str, task: str) -> tuple[str, ...]:
    """Names of the classes in the training split, in alphabetical order; SessionError where there are none."""
    names = sorted({example.label for example in examples(Path(data), task, "train")})
    if not names:
        raise SessionError(
            f"{Path(data) / task} has nothing in its split 'train'; docs/reference/target-tasks.md says what goes there"
        )
    return tuple(names)


class Pictures:
    """Examples of a task as the model reads them; see `models.transfer.net.Model.loss`.

    Args:
        found: what to read.
        config: size of frames, names of classes.
        keep_mb: megabytes of pictures that stay in memory.
    """

    def __init__(self, found: list[Example], config: Config, keep_mb: int = 0) -> None:
        self.examples, self.config = found, config
        self._left, self._kept = keep_mb * 1_000_000, dict[int, dict[str, Any]]()
        for example in found:
            if config.classes and example.label not in config.classes:
                raise SessionError(f"{example.frames[0]}: {unknown_name('class', example.label, config.classes)}")

    def __len__(self) -> int:
        return len(self.examples)

    def set_epoch(self, epoch: int) -> None:
        """Nothing: a frozen backbone reads the pictures as they are."""

    def labels(self, index: int) -> dict[str, Any]:
        """The item without its frames."""
        example = self.examples[index]
        item: dict[str, Any] = {"clip": torch.tensor(index), "session": example.session}
        if self.config.classes:
            item["label"] = torch.tensor(self.config.classes.index(example.label))
        if example.surface is not None:
            surface, valid = self._surface(example.surface)
            item |= {"surface": torch.from_numpy(surface), "surface_valid": torch.from_numpy(valid)}
        return item

    def __getitem__(self, index: int) -> dict[str, Any]:
        item = self._kept.get(index)
        if item is None:
            item = self._read(index)
            size = sum(value.nbytes for value in item.values() if isinstance(value, torch.Tensor))
            if size <= self._left:
                self._left -= size
                self._kept[index] = item
        return dict(item)

    def _read(self, index: int) -> dict[str, Any]:
        example, size = self.examples[index], self.config.size
        many = self.config.frames if self.config.task == "action" else 1
        chosen = np.linspace(0, len(example.frames) - 1, many).round().astype(int)
        pictures = [picture(example.frames[i]) for i in chosen]
        frames = np.stack([cv2.resize(p, (size, size), interpolation=cv2.INTER_AREA) for p in pictures])
        item = self.labels(index) | {"frames": torch.from_numpy(frames).permute(0, 3, 1, 2).contiguous()}
        if example.box is not None:
            item["mask"] = torch.from_numpy(box_mask(example.box, pictures[0].shape[:2], size))[None]
        return item

    def _surface(self, path: Path) -> tuple[np.ndarray, np.ndarray]:
        values = _decoded(path, cv2.IMREAD_UNCHANGED)
        if values.ndim != 2:
            raise SessionError(f"{path} has colours; write it with one channel")
        size = (self.config.size, self.config.size)
        values = cv2.resize(values, size, interpolation=cv2.INTER_NEAREST)  # a mean of near and far is nowhere
        if self.config.task == "walkable":
            return (values == 255).astype(np.float32), (values == 0) | (values == 255)
        return values.astype(np.float32) / 1000, values > 0


def open_split(data: str, split: str, config: Config, train: TrainConfig | None = None) -> Pictures:
    """The examples of a split.

    Raises:
        SessionError: no such layout, or a class that the training split does not have.
    """
    return Pictures(examples(Path(data), config.task, split), config, train.keep_mb if train else 0)


def picture(path: Path) -> np.ndarray:
    """(H, W, 3) uint8 RGB."""
    return np.ascontiguousarray(_decoded(path, cv2.IMREAD_COLOR)[..., ::-1])


def box_mask(box: tuple[float, ...], shape: tuple[int, int], size: int) -> np.ndarray:
    """(size, size) float32: 1 in the cells that the box covers at least half of, in a picture of (height, width).

    The cell of the box's middle is always 1, so that a small object is not lost.
    """
    height, width = shape
    x1, y1, x2, y2 = np.array(box) / (width, height, width, height) * size
    mask = np.zeros((size, size), np.float32)
    mask[round(max(y1, 0)) : round(y2), round(max(x1, 0)) : round(x2)] = 1
    middle = np.clip(((y1 + y2) / 2, (x1 + x2) / 2), 0, size - 1).astype(int)
    mask[tuple(middle)] = 1
    return mask


@cache
def _session(stem: str) -> str:
    return stem.rpartition("__")[0] or stem


def _pictures(folder: Path, pattern: str) -> list[Path]:
    return sorted(path for path in folder.glob(pattern) if path.suffix.lower() in PICTURES)


def _clips(folder: Path) -> Iterator[Example]:
    for clip in sorted(path for path in folder.glob("*/*") if path.is_dir()):
        frames = _pictures(clip, "*")
        if not frames:
            raise SessionError(f"{clip} has no pictures; a clip needs at least one")
        yield Example(tuple(frames), _session(clip.name), clip.parent.name)


def _boxes(folder: Path, split: str) -> Iterator[Example]:
    table = folder / f"{split}.csv"
    if not table.is_file():
        return
    with table.open(newline="", encoding="utf-8") as file:
        for number, row in enumerate(csv.DictReader(file), start=2):
            try:
                x1, y1, x2, y2 = (float(row[name]) for name in ("x1", "y1", "x2", "y2"))
                path, label = folder / split / row["image"], row["class"]
            except (KeyError, ValueError, TypeError) as error:
                raise SessionError(f"{table}, line {number}: needs image,x1,y1,x2,y2,class ({error})") from error
            if not path.is_file():
                raise SessionError(f"{table}, line {number}: {path} does not exist")
            yield Example((path,), _session(path.stem), label, (x1, y1, x2, y2))


def _decoded(path: Path, how: int) -> np.ndarray:
    found = cv2.imread(str(path), how)
    if found is None:
        raise SessionError(f"{path} cannot be read as a picture")
    return found
