"""Which detections are right, and the average precision of each class, as the official script has them.

What that script does beyond the definition, and so does this: rows of classes outside the label map are dropped first;
then of each frame the best-scored rows up to `cap` stay; then boxes without area go. Every detection turns to the one
true box that it overlaps most, also where another has taken it and a second would do. A frame without truth counts its
detections as wrong unless it is excluded. A class without truth has no average precision and is left out of the mean.

Scores that tie are ordered by a stable sort, so that the answer is the same on every machine; the official script
leaves it to numpy's unstable one.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from firmware_host.errors import SessionError
from models import boxes
from models.ava.rows import KINDS, LabelMap, Rows

OFFICIAL_CAP = 50
IOU = 0.5


@dataclass(frozen=True)
class Matches:
    """Every detection that counts beside the truth.

    Attributes:
        truth: true boxes with area, in frames that are not excluded, M of them.
        found: detections likewise, N of them, by frame and falling score.
        claim: (N,) int64, the true box of its class that a detection overlaps by `iou` or more, or -1.
        right: (N,) bool, whether it is the first to claim it.
    """

    truth: Rows
    found: Rows
    claim: np.ndarray
    right: np.ndarray


@dataclass(frozen=True)
class Result:
    """What an evaluation says.

    Attributes:
        labels: the classes that count.
        ap: id -> average precision in [0, 1], NaN where the class does not occur.
        count: id -> true boxes.
        mean: over the classes that occur; NaN where none does.
        kind_mean: kind -> the same over its classes; of the kinds that the label map has.
        matches: what it was computed from.
        cap: rows of a frame that were kept; 0 is all.
        iou: overlap that counts.
        left_out: why -> rows that did not count.
    """

    labels: LabelMap
    ap: dict[int, float]
    count: dict[int, int]
    mean: float
    kind_mean: dict[str, float]
    matches: Matches
    cap: int
    iou: float
    left_out: dict[str, int]

    @property
    def document(self) -> dict[str, Any]:
        """What ``--json`` prints; a class that does not occur has null."""
        return {
            "map": _number(self.mean),
            "iou": self.iou,
            "cap": self.cap or None,
            "kinds": {kind: _number(value) for kind, value in self.kind_mean.items()},
            "classes": [
                {"id": i, "name": name, "kind": self.labels.kinds[i], "ap": _number(self.ap[i]), "boxes": self.count[i]}
                for i, name in sorted(self.labels.names.items())
            ],
            "frames": len(np.unique(self.matches.truth.frame)),
            "left_out": self.left_out,
        }


def evaluate(
    truth: Rows,
    found: Rows,
    labels: LabelMap,
    excluded: Collection[str] = (),
    cap: int = OFFICIAL_CAP,
    iou: float = IOU,
) -> Result:
    """Frame mAP of detections.

    Args:
        truth, found: boxes; corners in any unit that both share.
        labels: the classes that count.
        excluded: frames that do not, as `Rows` names them.
        cap: rows of a frame that are kept, the best-scored of all classes together; 0 keeps all.
        iou: intersection over union from which a box is found.

    Raises:
        SessionError: a true box without area, or with a corner that is no number.
    """
    known, left_out = _counted(truth, labels, excluded, "true")
    flawed = np.flatnonzero(~_has_area(known.boxes))
    if len(flawed):
        i = flawed[0]
        raise SessionError(
            f"the true box {known.boxes[i].tolist()} of class {known.label[i]} in {known.frame[i]} is none"
        )
    answers, more = _counted(found, labels, excluded, "detected")
    best = answers.take(best_rows(answers, cap))
    left_out |= more | {"detected, over the cap": len(answers) - len(best)}
    real = best.take(_has_area(best.boxes))
    left_out["detected, without area"] = len(best) - len(real)
    matches = match(known.take(best_rows(known, 0)), real, iou)
    precision = {i: class_precision(matches, i) for i in labels.names}
    count = {i: int((known.label == i).sum()) for i in labels.names}
    sorts = [kind for kind in KINDS if kind in labels.kinds.values()]
    kinds = {kind: mean_of([precision[i] for i in precision if labels.kinds[i] == kind]) for kind in sorts}
    mean = mean_of(list(precision.values()))
    return Result(labels, precision, count, mean, kinds, matches, cap, iou, left_out)


def best_rows(rows: Rows, cap: int) -> np.ndarray:
    """Rows by frame, as frames first occur, and by falling score: at most `cap` of a frame, 0 is all.

    Which rows stay among those that tie is decided as in the official script: by a heap of (score, class, corners) in
    which a row gives way only to one of a higher score.
    """
    heaps: dict[str, list[tuple[Any, ...]]] = {}
    corners = rows.boxes[:, [1, 0, 3, 2]].tolist()
    for i, (frame, score, label) in enumerate(
        zip(rows.frame.tolist(), rows.score.tolist(), rows.label.tolist(), strict=True)
    ):
        heap, entry = heaps.setdefault(frame, []), (score, label, *corners[i], i)
        if not cap or len(heap) < cap:
            heapq.heappush(heap, entry)
        elif score > heap[0][0]:
            heapq.heapreplace(heap, entry)
    order = [entry[-1] for heap in heaps.values() for entry in sorted(heap, key=lambda entry: -entry[0])]
    return np.array(order, np.int64)


def match(truth: Rows, found: Rows, iou: float) -> Matches:
    """Turn every detection to the true box of its class and frame that it overlaps most; the first to come has it.

    Args:
        truth: boxes with area.
        found: boxes with area, by falling score within each frame.
        iou: overlap that counts.
    """
    number = np.unique(np.concatenate([truth.frame, found.frame]), return_inverse=True)[1]
    span = 1 + max(truth.label.max(initial=0), found.label.max(initial=0))
    key = number.reshape(-1) * span + np.concatenate([truth.label, found.label])  # one for each frame and class
    own, wanted = key[: len(truth)], key[len(truth) :]
    order = np.argsort(own, kind="stable")
    first, stop = (np.searchsorted(own[order], wanted, side=side) for side in ("left", "right"))
    claim = np.full(len(found), -1, np.int64)
    some = np.flatnonzero(stop > first)
    if len(some):
        many = (stop - first)[some]
        begins = np.cumsum(many) - many
        detection = np.repeat(some, many)
        box = order[np.arange(len(detection)) - np.repeat(begins - first[some], many)]
        overlap = _overlap(found.boxes[detection], truth.boxes[box])
        most = np.maximum.reduceat(overlap, begins)
        at = np.where(overlap == np.repeat(most, many), np.arange(len(detection)), len(detection))
        nearest = box[np.minimum.reduceat(at, begins)]
        claim[some] = np.where(most >= iou, nearest, -1)
    right = np.zeros(len(found), bool)
    claims = np.flatnonzero(claim >= 0)
    right[claims[np.unique(claim[claims], return_index=True)[1]]] = True
    return Matches(truth, found, claim, right)


def class_precision(
    matches: Matches, label: int, truth: np.ndarray | None = None, ignored: np.ndarray | None = None
) -> float:
    """Average precision of one class.

    Args:
        matches: of all classes.
        label: the class.
        truth: (M,) bool, true boxes that count; all where None.
        ignored: (N,) bool, detections that are neither right nor wrong; none where None.
    """
    counted = matches.truth.label == label
    shown = matches.found.label == label
    positives = int((counted if truth is None else counted & truth).sum())
    shown = shown if ignored is None else shown & ~ignored
    return average_precision(matches.found.score[shown], matches.right[shown], positives)


def average_precision(score: np.ndarray, right: np.ndarray, positives: int) -> float:
    """Area under the envelope of precision over recall (VOC from 2010 on); NaN without positives, 0 without detections.

    Args:
        score: (N,).
        right: (N,) bool.
        positives: true boxes.
    """
    if not positives:
        return float("nan")
    hits = right[np.argsort(score, kind="stable")[::-1]]
    found = np.cumsum(hits)
    precision = found / np.arange(1, len(hits) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(envelope[hits].sum() / positives)


def mean_of(values: list[float]) -> float:
    """Mean of those that are numbers; NaN where none is."""
    known = [value for value in values if value == value]
    return sum(known) / len(known) if known else float("nan")


def _counted(rows: Rows, labels: LabelMap, excluded: Collection[str], whose: str) -> tuple[Rows, dict[str, int]]:
    known = np.isin(rows.label, list(labels.names))
    shown = ~np.isin(rows.frame, list(excluded)) if len(excluded) else np.ones(len(rows), bool)
    why = {
        f"{whose}, class not in the label map": int((~known).sum()),
        f"{whose}, excluded frame": int((known & ~shown).sum()),
    }
    return rows.take(known & shown), why


def _has_area(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, 0] < boxes[:, 2]) & (boxes[:, 1] < boxes[:, 3])


def _overlap(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Of each pair of boxes (N, 4), (N, 4), in float64: a threshold of one half must not depend on rounding."""
    return boxes.overlap(torch.from_numpy(one)[:, None], torch.from_numpy(other)[:, None])[:, 0, 0].numpy()


def _number(value: float) -> float | None:
    return value if value == value else None
