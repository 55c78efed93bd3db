"""Made truth and detections for the evaluator, and a second evaluator: plain loops that follow the definition."""

from __future__ import annotations

import numpy as np

from models.ava import LabelMap, Rows
from models.ava.rows import ava_kind

LABELS = LabelMap({i: f"class {i}" for i in (1, 2, 12, 17, 64)}, {i: ava_kind(i) for i in (1, 2, 12, 17, 64)})


def made(seed: int, frames: int = 12, people: int = 4, extra: int = 6) -> tuple[Rows, Rows]:
    """Truth, and detections of it: moved a little, some twice, some of other classes, some of nothing.

    Scores are on a grid of 21 values, so that many tie; class 3 is outside the label map.
    """
    rng = np.random.default_rng(seed)
    classes = [1, 2, 3, 12, 17, 64]
    truth: list[tuple] = []
    found: list[tuple] = []
    for k in range(frames):
        frame = f"video{k % 3},{900 + k:04d}"
        for _ in range(int(rng.integers(0, people + 1))):
            corner, size = rng.uniform(0, 0.6, 2), rng.uniform(0.1, 0.4, 2)
            box = np.concatenate([corner, corner + size])
            for label in rng.choice(classes, rng.integers(1, 4), replace=False):
                truth.append((frame, box, label, 1.0))
                for _ in range(int(rng.integers(0, 3))):
                    found.append((frame, box + rng.normal(0, 0.04, 4), label, rng.integers(0, 21) / 20))
        for _ in range(int(rng.integers(0, extra + 1))):
            corner = rng.uniform(0, 0.6, 2)
            box = np.concatenate([corner, corner + rng.uniform(-0.02, 0.4, 2)])
            found.append((frame, box, rng.choice(classes), rng.integers(0, 21) / 20))
    order = rng.permutation(len(found))
    return Rows.of(*_columns(truth)), Rows.of(*_columns([found[i] for i in order]))


def _columns(rows: list[tuple]) -> tuple[list, ...]:
    return tuple(list(column) for column in zip(*rows, strict=True)) if rows else ([], [], [], [])


def iou(a, b):
    wide = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    high = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    shared = wide * high
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def best_of(rows: list[tuple], cap: int) -> list[tuple]:
    """At most `cap` rows (score, label, y1, x1, y2, x2): the smallest gives way to one of a higher score."""
    kept: list[tuple] = []
    for row in rows:
        if not cap or len(kept) < cap:
            kept.append(row)
        elif row[0] > min(kept)[0]:
            kept.remove(min(kept))
            kept.append(row)
    return kept


def plain_ap(truth: Rows, found: Rows, label: int, labels=LABELS, cap: int = 0, excluded=()) -> float:
    """Average precision of one class by loops; tied scores in any order, so give it scores that differ."""
    boxes: dict[str, list] = {}
    for frame, box, of in zip(truth.frame, truth.boxes, truth.label, strict=True):
        if of == label and frame not in excluded:
            boxes.setdefault(frame, []).append(box)
    by_frame: dict[str, list] = {}
    for frame, (x1, y1, x2, y2), of, score in zip(found.frame, found.boxes, found.label, found.score, strict=True):
        if of in labels.names and frame not in excluded:
            by_frame.setdefault(frame, []).append((score, of, y1, x1, y2, x2))
    scored = []
    for frame, rows in by_frame.items():
        taken = set()
        for score, of, y1, x1, y2, x2 in sorted(best_of(rows, cap), reverse=True):
            if of != label or not (x1 < x2 and y1 < y2):
                continue
            overlaps = [iou((x1, y1, x2, y2), box) for box in boxes.get(frame, [])]
            nearest = max(range(len(overlaps)), key=overlaps.__getitem__) if overlaps else None
            right = nearest is not None and overlaps[nearest] >= 0.5 and nearest not in taken
            if right:
                taken.add(nearest)
            scored.append((score, right))
    positives = sum(map(len, boxes.values()))
    if not positives:
        return float("nan")
    scored.sort(key=lambda pair: -pair[0])
    recall, precision, hits = [0.0], [], 0
    for rank, (_, right) in enumerate(scored, start=1):
        hits += right
        recall.append(hits / positives)
        precision.append(hits / rank)
    area = 0.0
    for k in range(len(scored)):
        area += (recall[k + 1] - recall[k]) * max(precision[k:])
    return area
