"""How good a modality's answers are: top-1 and top-3 of the activity, average precision of the atomic actions.

The paper's Table 4 weighs each class's average precision by how often the class occurs; the plain mean is given too.
A class that no clip of the split has is left out of both: it has no average precision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from models.ccau.attention import picture
from models.metrics import Comparison
from models.report import Example, Legend

TOP = (1, 3)
SHOWN = 3


@dataclass(frozen=True)
class Truth:
    """What was annotated of the clips of a split.

    Attributes:
        activity: (N,) int64, -1 where unknown.
        atomic: (N, A) of 0 and 1; `atomic_valid` (N,) bool says which clips were annotated.
        session: (N,) text.
        activities: names of the classes.
    """

    activity: np.ndarray
    atomic: np.ndarray
    atomic_valid: np.ndarray
    session: np.ndarray
    activities: tuple[str, ...]
    legend: ClassVar[Legend] = Legend(
        "Of each modality, and of all together: top-1 and top-3 of the activity; average precision of the atomic "
        "actions, as the mean over classes and weighed by how often they occur. Trivial: how often each class occurs "
        "in the training split. Chance: blind guessing.",
        "The clips whose activity was known best, then worst; bright is where the head camera's picture was looked at.",
    )

    def counts(self) -> dict[str, int]:
        """Clips with a known activity, and with annotated atomic actions."""
        return {"activity": int((self.activity >= 0).sum()), "atomic": int(self.atomic_valid.sum())}

    def trivial(self) -> dict[str, Any]:
        """How often each class occurs; the predictor that does not look says this of every clip."""
        known = self.activity[self.activity >= 0]
        often = np.bincount(known, minlength=len(self.activities)) / max(len(known), 1)
        labelled = self.atomic[self.atomic_valid]
        rates = labelled.mean(0) if len(labelled) else np.zeros(self.atomic.shape[1])
        return {"activity": often.tolist(), "atomic": rates.tolist()}

    def comparisons(self, predicted: Mapping[str, np.ndarray], trivial: Mapping[str, Any]) -> list[Comparison]:
        """For each modality and all together: ``M.top1``, ``M.top3``, ``M.map`` and ``M.map_weighted``.

        Of the clips that have the modality and the label; the trivial predictor is measured on the same clips.
        """
        found = []
        names = [name.removesuffix(".present") for name in predicted if name.endswith(".present")]
        for name in sorted(names, key=lambda n: n != "all"):
            present = predicted[f"{name}.present"] > 0.5
            if f"{name}.activity" in predicted:
                rows = present & (self.activity >= 0)
                found.append(self._activity(name, predicted[f"{name}.activity"], trivial["activity"], rows))
            if f"{name}.atomic" in predicted:
                rows = present & self.atomic_valid
                found.append(self._atomic(name, predicted[f"{name}.atomic"], trivial["atomic"], rows))
        return found

    def _activity(self, name: str, scores: np.ndarray, often: list[float], rows: np.ndarray) -> Comparison:
        places = [place_of_truth(x[rows], self.activity[rows]) for x in (scores, np.broadcast_to(often, scores.shape))]

        def measure(place: np.ndarray) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
            return lambda weight: {f"{name}.top{k}": _mean(place < k, weight) for k in TOP}

        own, other = (self._by_session(measure(place), rows) for place in places)
        chance = {f"{name}.top{k}": min(1.0, k / len(self.activities)) for k in TOP}
        return Comparison(len(np.unique(self.session)), own, other, chance)

    def _atomic(self, name: str, scores: np.ndarray, rates: list[float], rows: np.ndarray) -> Comparison:
        positive = self.atomic[rows] > 0.5

        def measure(x: np.ndarray) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
            return lambda weight: mean_precision(name, x[rows], positive, weight)

        own = self._by_session(measure(scores), rows)
        other = self._by_session(measure(np.broadcast_to(rates, scores.shape)), rows)
        blind = measure(np.zeros(scores.shape))(np.ones((1, int(rows.sum()))))
        return Comparison(
            len(np.unique(self.session)), own, other, {key: float(value[0]) for key, value in blind.items()}
        )

    def _by_session(
        self, measure: Callable[[np.ndarray], dict[str, np.ndarray]], rows: np.ndarray
    ) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
        """From clip weights (D, rows) to session counts (D, S)."""
        _, index = np.unique(self.session, return_inverse=True)
        return lambda counts: measure(counts[:, index[rows]])

    def examples(self, dataset: Any, predicted: Mapping[str, np.ndarray]) -> list[Example]:
        """The clips that were known best and worst, their middle ego frame as bright as it was looked at."""
        if "all.activity" not in predicted or "ego.attention" not in predicted:
            return []
        rows = np.flatnonzero((self.activity >= 0) & (predicted["ego.present"] > 0.5))
        sure = predicted["all.activity"][rows, self.activity[rows]]
        order = rows[np.argsort(-sure, kind="stable")]
        shown = [*order[:SHOWN], *order[SHOWN:][-SHOWN:]]
        return [self._example(dataset[int(i)], int(i), predicted) for i in shown]

    def _example(self, item: Mapping[str, Any], i: int, predicted: Mapping[str, np.ndarray]) -> Example:
        frame = item["ego"][len(item["ego"]) // 2].permute(1, 2, 0).numpy()
        guess, true = int(predicted["all.activity"][i].argmax()), int(self.activity[i])
        sure = float(predicted["all.activity"][i, true])
        said = "known" if guess == true else f"taken for {self.activities[guess]}"
        caption = f"{self.session[i]}: {self.activities[true]}, {said} ({sure:.2f})"
        return Example(picture(frame, predicted["ego.attention"][i]), caption)


def place_of_truth(scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """How many classes come before the true one, by score and then by number: (N,) int64 from (N, C) and (N,)."""
    own = np.take_along_axis(scores, truth[:, None], axis=1)
    earlier = np.arange(scores.shape[1]) < truth[:, None]
    return ((scores > own) | ((scores == own) & earlier)).sum(axis=1)


def average_precision(scores: np.ndarray, positive: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Area under the precision-recall steps; clips of equal score come together.

    Args:
        scores: (N,).
        positive: (N,) bool.
        weight: (D, N), how often each clip counts.

    Returns:
        (D,), NaN where no positive counts.
    """
    if not len(scores):
        return np.full(len(weight), np.nan)
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)  # of each group of equal scores
    seen = np.cumsum(weight[:, order], axis=1)[:, last]
    right = np.cumsum(weight[:, order] * positive[order], axis=1)[:, last]
    gained = np.diff(right, axis=1, prepend=0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(seen > 0, right / seen, 0.0)
        return (gained * precision).sum(axis=1) / right[:, -1]


def mean_precision(name: str, scores: np.ndarray, positive: np.ndarray, weight: np.ndarray) -> dict[str, np.ndarray]:
    """``NAME.map`` and ``NAME.map_weighted`` of (N, A) scores and labels under weights (D, N), each (D,)."""
    classes = positive.shape[1]
    each = np.stack([average_precision(scores[:, c], positive[:, c], weight) for c in range(classes)], axis=1)
    support = weight @ positive  # (D, A)
    there = support > 0
    known = np.where(there, each, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        plain = known.sum(axis=1) / there.sum(axis=1)
        weighed = (known * support).sum(axis=1) / support.sum(axis=1)
    return {f"{name}.map": plain, f"{name}.map_weighted": weighed}


def _mean(right: np.ndarray, weight: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return (weight @ right) / weight.sum(axis=1)
