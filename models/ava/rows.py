"""Labelled boxes as AVA writes them: ``video,second,x1,y1,x2,y2,class[,score]``, corners as fractions of the picture.

The truth's eighth column is a person's number; it is read as a score, as the official script does, and means nothing.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from firmware_host.errors import ConfigError, SessionError
from recorder import durable

MOVEMENT, MANIPULATION, INTERACTION = "person movement", "object manipulation", "person interaction"
KINDS = (MOVEMENT, MANIPULATION, INTERACTION)
UNSORTED = "unsorted"
"""Of a class of which nobody says a kind; it has no part in the means over kinds."""
LAST_POSE, LAST_OBJECT = 14, 63
"""AVA's ids: 1 to 14 are movements of a person, 15 to 63 involve an object, 64 to 80 another person."""


@dataclass(frozen=True)
class LabelMap:
    """The classes that count.

    Attributes:
        names: id -> name.
        kinds: id -> one of `KINDS`, or `UNSORTED`.
    """

    names: Mapping[int, str]
    kinds: Mapping[int, str]


@dataclass(frozen=True)
class Rows:
    """Boxes with a class, N of them.

    Attributes:
        frame: (N,) text, ``video,0902``: the second has at least four digits.
        boxes: (N, 4) float64 x1, y1, x2, y2.
        label: (N,) int64, ids of a `LabelMap`.
        score: (N,) float64, 1 where the file has none.
    """

    frame: np.ndarray
    boxes: np.ndarray
    label: np.ndarray
    score: np.ndarray

    def __len__(self) -> int:
        return len(self.label)

    def take(self, index: np.ndarray) -> Rows:
        """Some of the rows, by index or by a mask."""
        return Rows(self.frame[index], self.boxes[index], self.label[index], self.score[index])

    @classmethod
    def of(cls, frame: Sequence[str], boxes: object, label: object, score: object) -> Rows:
        """Rows from plain lists, of any length including 0."""
        return cls(
            np.array(frame, dtype=np.str_),
            np.array(boxes, np.float64).reshape(-1, 4),
            np.array(label, np.int64),
            np.array(score, np.float64),
        )


def frame_name(video: str, second: int) -> str:
    """``video,0902``."""
    return f"{video},{second:04d}"


def read_rows(path: Path) -> Rows:
    """Read a csv of boxes; an empty file is no rows.

    Raises:
        SessionError: no such file, or a line that is none of this format; the sentence names the line.
    """
    frame, boxes, label, score = [], [], [], []
    for number, row in _lines(path):
        try:
            if len(row) not in (7, 8):
                raise ValueError(f"{len(row)} columns")
            frame.append(frame_name(row[0], int(row[1])))
            boxes.append([float(x) for x in row[2:6]])
            label.append(int(row[6]))
            score.append(float(row[7]) if len(row) == 8 and row[7].strip() else 1.0)
        except ValueError as error:
            raise SessionError(
                f"{path}, line {number}: {error}; a line is video,second,x1,y1,x2,y2,class with an optional score"
            ) from error
        if score[-1] != score[-1]:
            raise SessionError(f"{path}, line {number}: the score is not a number")
    return Rows.of(frame, boxes, label, score)


def write_rows(rows: Rows, path: Path) -> None:
    """Write rows with their scores; every number comes back as it was to the last bit."""
    lines = [
        ",".join([frame, *(repr(float(x)) for x in box), str(label), repr(float(score))])
        for frame, box, label, score in zip(rows.frame, rows.boxes, rows.label, rows.score, strict=True)
    ]
    durable.write_bytes(path, "".join(f"{line}\n" for line in lines).encode())


def read_excluded(path: Path) -> frozenset[str]:
    """Frames that do not count, from a csv of ``video,second``."""
    excluded = set()
    for number, row in _lines(path):
        try:
            video, second = row
            excluded.add(frame_name(video, int(second)))
        except ValueError as error:
            raise SessionError(f"{path}, line {number}: a line is video,second, not {','.join(row)}") from error
    return frozenset(excluded)


def read_label_map(path: Path) -> LabelMap:
    """Read a label map in protocol buffer text: ``item { name: "stand" id: 12 }``, over any number of lines.

    ``label_id`` stands for ``id``; ``label_type: PERSON_MOVEMENT`` (OBJECT_MANIPULATION, PERSON_INTERACTION, UNSORTED)
    says the kind. A class without one is of the kind that AVA gives its id.

    Raises:
        SessionError: no such file, or no class in it.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise SessionError(f"{path} does not exist") from error
    names, kinds = {}, {}
    for block in re.findall(r"\{((?:[^{}\"]|\"[^\"]*\")*)\}", text):
        name = re.search(r'name:\s*"([^"]*)"', block)
        label = re.search(r"\b(?:label_)?id:\s*(\d+)", block)
        if name is None or label is None:
            raise SessionError(f"{path} has an entry without a name or an id: {' '.join(block.split())[:80]}")
        kind = re.search(r"label_type:\s*(\w+)", block)
        names[int(label[1])] = name[1]
        kinds[int(label[1])] = _kind(path, kind[1]) if kind else ava_kind(int(label[1]))
    if not names:
        raise SessionError(f'{path} has no classes; it should hold entries like item {{ name: "stand" id: 12 }}')
    return LabelMap(names, kinds)


def write_label_map(labels: LabelMap, path: Path) -> None:
    """Write a label map, each class with its kind.

    Raises:
        ConfigError: a name with a quotation mark, which a label map cannot hold.
    """
    for name in labels.names.values():
        if '"' in name:
            raise ConfigError(f"a label map cannot hold the name {name}, which has a quotation mark; rename the class")
    items = [
        f'item {{\n  name: "{name}"\n  id: {i}\n  label_type: {_word(labels.kinds[i])}\n}}\n'
        for i, name in labels.names.items()
    ]
    durable.write_bytes(path, "".join(items).encode())


def ava_kind(label: int) -> str:
    """The kind of one of AVA's 80 classes by its id."""
    if label <= LAST_POSE:
        return MOVEMENT
    return MANIPULATION if label <= LAST_OBJECT else INTERACTION


def detections(
    frame: Sequence[str],
    boxes: np.ndarray,
    valid: np.ndarray,
    scores: np.ndarray,
    ids: Sequence[int],
) -> Rows:
    """A model's answer as rows, one for each valid box and class.

    Args:
        frame: of each of F frames, as `frame_name` makes it.
        boxes: (F, P, 4).
        valid: (F, P) bool.
        scores: (F, P, A), the detector's confidence times the probability; NaN leaves the row out.
        ids: of the A classes.
    """
    kept = valid[..., None] & np.isfinite(scores)
    of_frame, person, column = np.nonzero(kept)
    names = np.array(frame, dtype=np.str_)
    chosen = boxes[of_frame, person].astype(np.float64)
    return Rows(names[of_frame], chosen, np.array(ids, np.int64)[column], scores[kept].astype(np.float64))


def _kind(path: Path, word: str) -> str:
    kind = word.lower().replace("_", " ")
    if kind not in (*KINDS, UNSORTED):
        known = ", ".join(map(_word, (*KINDS, UNSORTED)))
        raise ConfigError(f"{path}: unknown label_type '{word}'; known: {known}")
    return kind


def _word(kind: str) -> str:
    return kind.upper().replace(" ", "_")


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [(number, row) for number, row in enumerate(csv.reader(file), start=1) if row]
    except FileNotFoundError as error:
        raise SessionError(f"{path} does not exist") from error
