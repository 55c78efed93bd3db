"""Where a detector is good: mAP by size of the person, by number of people, by frequency of the class.

By size and by number of people a part of the truth is looked at: detections of other true boxes are then neither right
nor wrong, and of those that found no box only those count that look like the part (of such a size, in such a frame).
Every part has its own base rate, so two parts of one figure compare two detectors better than one with itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.ava.matching import Matches, Result, class_precision, mean_of
from models.ava.rows import Rows

MOST_PEOPLE = 5


@dataclass(frozen=True)
class Part:
    """One bar of a breakdown.

    Attributes:
        name: what is in it.
        boxes: true rows in it, one for each box and class.
        classes: that occur in it.
        mean: mAP over these; NaN where there are none.
    """

    name: str
    boxes: int
    classes: int
    mean: float


def breakdowns(result: Result) -> dict[str, list[Part]]:
    """All three, by their titles."""
    return {
        "size of the box": by_size(result),
        "people in the frame": by_people(result),
        "frequency of the class": by_frequency(result),
    }


def by_size(result: Result) -> list[Part]:
    """Small, middle and large: thirds of the true boxes' areas. The names say where the thirds end."""
    matches = result.matches
    areas, shown = _area(matches.truth.boxes), _area(matches.found.boxes)
    if not len(areas):
        return []
    low, high = np.quantile(areas, [1 / 3, 2 / 3])
    bounds = {
        f"small: up to {low:.3g}": (-np.inf, low),
        f"middle: up to {high:.3g}": (low, high),
        "large": (high, np.inf),
    }
    return [
        _part(name, result, (areas > above) & (areas <= upto), (shown > above) & (shown <= upto))
        for name, (above, upto) in bounds.items()
    ]


def by_people(result: Result) -> list[Part]:
    """Frames with one person, two, ... five or more, counted as distinct true boxes."""
    matches = result.matches
    people = people_in(matches.truth)
    of_truth = np.array([people[f] for f in matches.truth.frame.tolist()], np.int64)
    of_found = np.array([people.get(f, 0) for f in matches.found.frame.tolist()], np.int64)
    parts = []
    for number in range(1, MOST_PEOPLE + 1):
        name = f"{number} or more" if number == MOST_PEOPLE else str(number)
        parts.append(_part(name, result, *(_same(x, number) for x in (of_truth, of_found))))
    return parts


def by_frequency(result: Result) -> list[Part]:
    """Rare, middling and common classes: thirds of those that occur, by their true boxes."""
    seen = sorted((i for i, n in result.count.items() if n), key=lambda i: (result.count[i], i))
    parts = []
    for name, some in zip(("rare", "middling", "common"), np.array_split(np.array(seen, np.int64), 3), strict=True):
        if not len(some):
            continue
        ids = some.tolist()
        boxes, mean = sum(result.count[i] for i in ids), mean_of([result.ap[i] for i in ids])
        parts.append(Part(f"{name}: up to {result.count[ids[-1]]} boxes", boxes, len(ids), mean))
    return parts


def people_in(truth: Rows) -> dict[str, int]:
    """Frame -> distinct boxes."""
    boxes: dict[str, set[tuple[float, ...]]] = {}
    for frame, box in zip(truth.frame.tolist(), truth.boxes.tolist(), strict=True):
        boxes.setdefault(frame, set()).add(tuple(box))
    return {frame: len(distinct) for frame, distinct in boxes.items()}


def _part(name: str, result: Result, truth: np.ndarray, found: np.ndarray) -> Part:
    """The part of the truth where `truth` (M,); detections that claim nothing count where `found` (N,)."""
    matches = result.matches
    values = [class_precision(matches, i, truth, ignored(matches, truth, found)) for i in result.labels.names]
    return Part(name, int(truth.sum()), sum(value == value for value in values), mean_of(values))


def ignored(matches: Matches, truth: np.ndarray, found: np.ndarray) -> np.ndarray:
    """(N,) bool: detections that are neither right nor wrong in a part of the truth."""
    claims = matches.claim >= 0
    counted = np.where(claims, truth[np.where(claims, matches.claim, 0)], found) if len(truth) else found
    return ~counted


def _same(people: np.ndarray, number: int) -> np.ndarray:
    return people >= number if number == MOST_PEOPLE else people == number


def _area(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, 2:] - boxes[:, :2]).prod(1)
