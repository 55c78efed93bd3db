"""How well a target task is done: top-1 overall and as the mean over classes, IoU, RMSE of log depth.

Like all measures here they are functions of sums kept for each recording; see `models.metrics`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from models.metrics import Comparison, of_sums, per_session
from models.report import Example, Legend, evenly
from models.transfer.layouts import Pictures

NEAREST_M = 0.01
"""A depth below this counts as this: its logarithm must be a number."""


@dataclass(frozen=True)
class ClassTruth:
    """Classes of the examples of a split.

    Attributes:
        label: (N,) int64, below len(classes).
        classes: their names.
        session: (N,) text.
    """

    label: np.ndarray
    classes: tuple[str, ...]
    session: np.ndarray
    legend: ClassVar[Legend] = Legend(
        "Top-1 of all examples, and as the mean over classes. Trivial: the commonest class of the training split. "
        "Chance: blind guessing.",
        "What each picture is, and what it was taken for.",
    )

    def counts(self) -> dict[str, int]:
        """Examples of each class."""
        return {name: int((self.label == i).sum()) for i, name in enumerate(self.classes)}

    def trivial(self) -> dict[str, Any]:
        """The commonest class."""
        return {"label": int(np.bincount(self.label, minlength=len(self.classes)).argmax())}

    def comparisons(self, predicted: Mapping[str, np.ndarray], trivial: Mapping[str, Any]) -> list[Comparison]:
        """Top-1 beside the commonest class of the training split."""
        own = class_sums(predicted["logits"].argmax(1), self)
        other = class_sums(np.full(len(self.label), trivial["label"]), self)
        present = (self.counts()[name] > 0 for name in self.classes)
        chance = {"top1": 1 / len(self.classes), "mean_class_top1": 1 / len(self.classes)}
        return [of_sums(own, other, class_measures, chance)] if any(present) else []

    def examples(self, dataset: Any, predicted: Mapping[str, np.ndarray]) -> list[Example]:
        """Pictures spread evenly over the split, what they are and what they were taken for."""
        found = predicted["logits"].argmax(1)
        return [
            _shown(dataset[i], f"{self.classes[self.label[i]]}, taken for {self.classes[found[i]]}")
            for i in evenly(len(dataset))
        ]


@dataclass(frozen=True)
class SurfaceTruth:
    """What every pixel is: walkable or not, or how deep.

    Attributes:
        task: ``walkable`` or ``depth``.
        surface: (N, S, S) float32: 0 or 1; or metres.
        valid: (N, S, S) bool.
        session: (N,) text.
    """

    task: str
    surface: np.ndarray
    valid: np.ndarray
    session: np.ndarray
    legend: ClassVar[Legend] = Legend(
        "walkable: intersection over union; depth: root mean square of the error of its logarithm to base 10. Trivial: "
        "the mean of every pixel over the training split.",
        "The picture, what is true of it, and what was predicted.",
    )

    def counts(self) -> dict[str, int]:
        """Pixels that are known."""
        return {self.task: int(self.valid.sum())}

    def trivial(self) -> dict[str, Any]:
        """The mean of every pixel over the pictures: of walkable, or of the logarithm of depth."""
        values = self.surface if self.task == "walkable" else np.log10(np.maximum(self.surface, NEAREST_M))
        known = self.valid.sum(0)
        overall = float(values[self.valid].mean()) if self.valid.any() else 0.0
        mean = np.where(known > 0, np.where(self.valid, values, 0).sum(0) / np.maximum(known, 1), overall)
        return {"mean": [[round(float(v), 4) for v in row] for row in mean]}

    def comparisons(self, predicted: Mapping[str, np.ndarray], trivial: Mapping[str, Any]) -> list[Comparison]:
        """IoU, or the error of log depth, beside the mean picture of the training split."""
        mean = np.array(trivial["mean"])
        if self.task == "walkable":
            own, other = walkable_sums(predicted["walkable"] > 0, self), walkable_sums(mean[None] > 0.5, self)
            return [of_sums(own, other, walkable_measures, {})]
        own, other = depth_sums(predicted["depth"], self), depth_sums(10 ** mean[None], self)
        return [of_sums(own, other, depth_measures, {})]

    def examples(self, dataset: Any, predicted: Mapping[str, np.ndarray]) -> list[Example]:
        """Pictures spread evenly over the split; below each the truth and what was predicted."""
        top = float(self.surface[self.valid].max(initial=1e-6))
        shown = []
        for i in evenly(len(dataset)):
            found = predicted[self.task][i] > 0 if self.task == "walkable" else predicted[self.task][i] / top
            grey = [np.clip(255 * p, 0, 255).astype(np.uint8) for p in (self.surface[i] / top, found)]
            frame = dataset[i]["frames"][-1].permute(1, 2, 0).numpy()
            stacked = np.concatenate([frame, *(np.repeat(g[..., None], 3, axis=2) for g in grey)], axis=1)
            shown.append(Example(_square(stacked), f"{self.session[i]}: picture, truth, prediction"))
        return shown


def truth(dataset: Pictures) -> ClassTruth | SurfaceTruth:
    """What is known about the examples of a split."""
    items = [dataset.labels(i) for i in range(len(dataset))]
    session = np.array([item["session"] for item in items])
    config = dataset.config
    if config.classes:
        return ClassTruth(np.array([int(item["label"]) for item in items], np.int64), config.classes, session)
    shape = (0, config.size, config.size)
    surface = np.stack([item["surface"] for item in items]) if items else np.zeros(shape, np.float32)
    valid = np.stack([item["surface_valid"] for item in items]) if items else np.zeros(shape, bool)
    return SurfaceTruth(config.task, surface, valid, session)


def class_sums(found: np.ndarray, truth: ClassTruth) -> np.ndarray:
    """(recordings, C, 2): found right, and all, of each class."""
    mine = truth.label[:, None] == np.arange(len(truth.classes))  # (N, C)
    right = mine & (found == truth.label)[:, None]
    return per_session(np.stack([right, mine], axis=-1).astype(np.float64), truth.session)


def class_measures(sums: np.ndarray) -> dict[str, np.ndarray]:
    """``top1`` over all examples; ``mean_class_top1`` over the classes that have some. Sums (..., C, 2)."""
    right, all_ = np.moveaxis(sums, -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        known = all_ > 0
        each = np.where(known, right / all_, 0.0)
        return {"top1": right.sum(-1) / all_.sum(-1), "mean_class_top1": each.sum(-1) / known.sum(-1)}


def walkable_sums(found: np.ndarray, truth: SurfaceTruth) -> np.ndarray:
    """(recordings, 2, 2): IoU added up and pictures counted, of walkable and of the rest.

    As in the authors' code the IoU is of each picture; one that neither has nor is said to have the class is left out.
    """
    rows = []
    for wanted in (True, False):
        said, so = (found == wanted) & truth.valid, ((truth.surface > 0.5) == wanted) & truth.valid
        both, either = (said & so).sum((1, 2)), (said | so).sum((1, 2))
        rows.append(np.stack([both / np.maximum(either, 1), either > 0], axis=-1))
    return per_session(np.stack(rows, axis=1), truth.session)


def walkable_measures(sums: np.ndarray) -> dict[str, np.ndarray]:
    """``walkable_iou`` and ``mean_iou`` with the rest's; sums (..., 2, 2)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        iou = sums[..., 0] / sums[..., 1]  # (..., 2)
    return {"walkable_iou": iou[..., 0], "mean_iou": iou.mean(-1)}


def depth_sums(found: np.ndarray, truth: SurfaceTruth) -> np.ndarray:
    """(recordings, 3): squared differences of log10 depth and relative differences added up, and pixels."""
    far = np.maximum(truth.surface, NEAREST_M)
    log = np.log10(np.maximum(found, NEAREST_M)) - np.log10(far)
    relative = np.abs(found - truth.surface) / far
    parts = [np.where(truth.valid, p, 0).sum((1, 2), dtype=np.float64) for p in (log**2, relative)]
    return per_session(np.stack([*parts, truth.valid.sum((1, 2))], axis=-1), truth.session)


def depth_measures(sums: np.ndarray) -> dict[str, np.ndarray]:
    """``depth_rmse_log10`` and ``depth_relative`` (mean of the error over the depth); lower is better."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "depth_rmse_log10": np.sqrt(sums[..., 0] / sums[..., 2]),
            "depth_relative": sums[..., 1] / sums[..., 2],
        }


def _shown(item: Mapping[str, Any], caption: str) -> Example:
    return Example(item["frames"][-1].permute(1, 2, 0).numpy(), f"{item['session']}: {caption}")


def _square(wide: np.ndarray) -> np.ndarray:
    """A picture with black above and below, as wide as it is high."""
    height, width, _ = wide.shape
    above = (width - height) // 2
    return np.pad(wide, ((above, width - height - above), (0, 0), (0, 0)))
