"""How good predictions are, and how sure one can be of it.

Frames of one session resemble each other, so they are not independent evidence; sessions are. Every measure here
is a function of sums over frames, kept for each session. The interval is a bootstrap over sessions:
draw as many sessions as there are, with replacement, add up their sums, and take the measure again. It speaks
for other sessions of the people in the split, and with few sessions it is rough and rather too narrow.

A session's sums (K,) are, for movement, per group: frames that move and were found, that move, that are still
and were found, that are still; for gaze: distances added up, and frames.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from ingest.targets import GROUPS
from models.figures import bars, heat_map
from models.report import Example, Legend, evenly

DRAWS = 2000
LOWER_IS_BETTER = ("gaze_error", "depth_")
GRID = 32

Measure = Callable[[np.ndarray], Mapping[str, np.ndarray]]


@dataclass(frozen=True)
class Comparison:
    """Measures of a model beside the trivial predictor's.

    Attributes:
        sessions: S, over which the bootstrap draws.
        own, trivial: from how often each session counts, (D, S) float64, to name -> (D,) values; NaN where there
            are no labels.
        chance: what blind guessing reaches, of the names that have such a value.
    """

    sessions: int
    own: Measure
    trivial: Measure
    chance: Mapping[str, float]


class Labels(Protocol):
    """What `syncctl evaluate` asks of a model's ``truth``: it knows the right answers of a split."""

    session: np.ndarray
    legend: ClassVar[Legend]

    def counts(self) -> dict[str, int]:
        """How many labels there are of each kind."""

    def trivial(self) -> dict[str, Any]:
        """The predictor that does not look, fitted to these labels, as a JSON document."""

    def comparisons(self, predicted: Mapping[str, np.ndarray], trivial: Mapping[str, Any]) -> list[Comparison]:
        """The model's outputs beside the trivial predictor of the training split."""

    def examples(self, dataset: Any, predicted: Mapping[str, np.ndarray]) -> list[Example]:
        """Clips worth showing."""


@dataclass(frozen=True)
class Truth:
    """What the sensors say about the frames of a split.

    Attributes:
        move: (N, T, G) float, 0 or 1.
        move_valid: (N, T, G) bool.
        gaze: (N, T, 2) float, (x, y) in [0, 1].
        gaze_valid: (N, T) bool.
        session: (N,) text, the session of each clip.
        degrees: (N, T, G) float, how far each group turned in the sixth of a second before the frame; 0 where it was
            not measured. None where only labels are known.
    """

    move: np.ndarray
    move_valid: np.ndarray
    gaze: np.ndarray
    gaze_valid: np.ndarray
    session: np.ndarray
    degrees: np.ndarray | None = None
    legend: ClassVar[Legend] = Legend(
        "Trivial: the majority class and the mean gaze of the training split. Chance: blind guessing. gaze_error is "
        "the mean distance in sides of the model's square frame.",
        "Green: where the wearer looked. Red: where the model thinks.",
    )

    def counts(self) -> dict[str, int]:
        """How many frames have a label: of every group together, and of gaze."""
        return {"move": int(self.move_valid.sum()), "gaze": int(self.gaze_valid.sum())}

    def trivial(self) -> dict[str, Any]:
        """`Trivial` as a JSON document."""
        return dataclasses.asdict(Trivial.fit(self))

    def comparisons(self, predicted: Mapping[str, np.ndarray], trivial: Mapping[str, Any]) -> list[Comparison]:
        """Movement, then gaze, as far as they were predicted."""
        found = []
        if "move" in predicted:
            own = movement_sums(predicted["move"] > 0, self)
            other = movement_sums(np.array(trivial["move"]) > 0.5, self)
            values = movement_measures(own.sum(0), GROUPS)
            chance = {name: 0.5 for name, value in values.items() if np.isfinite(value)}
            found.append(of_sums(own, other, lambda sums: movement_measures(sums, GROUPS), chance))
        if "gaze" in predicted:
            own = gaze_sums(gaze_distance(predicted["gaze"], self), self)
            other = gaze_sums(gaze_distance(np.array(trivial["gaze"]), self), self)
            blind = gaze_measures(gaze_sums(chance_distance(self), self).sum(0))
            found.append(of_sums(own, other, gaze_measures, {name: float(v) for name, v in blind.items()}))
        return found

    def figures(self) -> list[str]:
        """Where people looked, and how far each group of body parts turned (the paper's figure 4), as HTML."""
        shown = [heat_map(self.gaze[self.gaze_valid])] if self.gaze_valid.any() else []
        if self.degrees is not None:
            known = self.move_valid | (self.degrees > 0)  # where a sensor is missing there is no label and no turn
            shown.append(bars("mean turn in a sixth of a second, degrees", turns(self.degrees, known)))
        return shown

    def examples(self, dataset: Any, predicted: Mapping[str, np.ndarray]) -> list[Example]:
        """Clips spread evenly over the split, their last frame with the gaze."""
        return [
            Example(
                frame=dataset[i]["frames"][-1].permute(1, 2, 0).numpy(),
                caption=str(self.session[i]),
                gaze=tuple(self.gaze[i, -1]) if self.gaze_valid[i, -1] else None,
                predicted=tuple(predicted["gaze"][i, -1]) if "gaze" in predicted else None,
            )
            for i in evenly(len(dataset))
        ]


@dataclass(frozen=True)
class Trivial:
    """The predictor that does not look: fitted to the training split, the same answer for every frame.

    Attributes:
        move: (G,) the commoner label of each group, 1.0 or 0.0.
        gaze: mean gaze (x, y), fractions of the frame.
    """

    move: tuple[float, ...]
    gaze: tuple[float, float]

    @classmethod
    def fit(cls, truth: Truth) -> Trivial:
        """Majority of each group's valid labels (still where they tie), mean of the valid gaze (else the centre)."""
        moving = (truth.move * truth.move_valid).sum((0, 1))
        labels = truth.move_valid.sum((0, 1))
        gaze = truth.gaze[truth.gaze_valid]
        x, y = gaze.mean(0, dtype=np.float64) if len(gaze) else (0.5, 0.5)
        return cls(tuple(float(m > n / 2) for m, n in zip(moving, labels, strict=True)), (float(x), float(y)))


def turns(degrees: np.ndarray, known: np.ndarray) -> dict[str, float]:
    """Mean turn of each group over the frames where it is `known`, both (N, T, G); without groups never measured."""
    counts, total = known.sum((0, 1)), np.where(known, degrees, 0).sum((0, 1), dtype=np.float64)
    return {group: float(t / n) for group, t, n in zip(GROUPS, total, counts, strict=True) if n}


def movement_sums(moving: np.ndarray, truth: Truth) -> np.ndarray:
    """Sums of each session, sessions in sorted order.

    Args:
        moving: predicted, bool, (N, T, G) or what broadcasts to it.
        truth: of N clips.

    Returns:
        (S, G, 4) int64: found moving, moving, found still, still.
    """
    positive = (truth.move > 0.5) & truth.move_valid
    negative = (truth.move <= 0.5) & truth.move_valid
    parts = (positive & moving, positive, negative & ~moving, negative)
    return per_session(np.stack(parts, axis=-1).sum(1, dtype=np.int64), truth.session)


def gaze_sums(distance: np.ndarray, truth: Truth) -> np.ndarray:
    """(S, 2) float64: distances added up over the valid frames, and how many; `distance` is (N, T)."""
    valid = truth.gaze_valid
    parts = np.stack([np.where(valid, distance, 0.0), valid.astype(np.float64)], axis=-1)
    return per_session(parts.sum(1), truth.session)


def gaze_distance(predicted: np.ndarray, truth: Truth) -> np.ndarray:
    """Euclidean distance in sides of the model's square frame: x in frame widths, y in frame heights, (N, T)."""
    return np.linalg.norm(predicted - truth.gaze, axis=-1)


def chance_distance(truth: Truth) -> np.ndarray:
    """Mean distance of a guess spread evenly over the frame, on a grid of 32 x 32 points, (N, T)."""
    middle = (np.arange(GRID) + 0.5) / GRID
    total = np.zeros(truth.gaze_valid.shape)
    for x in middle:
        for y in middle:
            total += np.hypot(truth.gaze[..., 0] - x, truth.gaze[..., 1] - y)
    return total / GRID**2


def movement_measures(sums: np.ndarray, groups: Sequence[str]) -> dict[str, np.ndarray]:
    """Accuracy and balanced accuracy of each group and their means over the groups.

    Args:
        sums: (..., G, 4).
        groups: their names.

    Returns:
        name -> (...): ``move_accuracy``, ``move_balanced_accuracy`` and both with ``_GROUP``; NaN where a group
        has no label, or for the balanced one not both. Means are over the groups that have a value.
    """
    found_moving, moving, found_still, still = np.moveaxis(sums.astype(np.float64), -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        tables = {
            "move_accuracy": (found_moving + found_still) / (moving + still),
            "move_balanced_accuracy": (found_moving / moving + found_still / still) / 2,
        }
    measures: dict[str, np.ndarray] = {}
    for name, values in tables.items():  # (..., G)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a mean over no group is NaN
            measures[name] = np.nanmean(values, axis=-1)
        measures |= {f"{name}_{group}": values[..., i] for i, group in enumerate(groups)}
    return measures


def gaze_measures(sums: np.ndarray) -> dict[str, np.ndarray]:
    """``gaze_error``: mean distance over the frames, from sums (..., 2); NaN without frames."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return {"gaze_error": sums[..., 0] / sums[..., 1]}


def of_sums(own: np.ndarray, trivial: np.ndarray, measure: Measure, chance: Mapping[str, float]) -> Comparison:
    """A comparison of measures that are functions of sums: (S, ...) each, a row for each session."""
    return Comparison(
        len(own),
        lambda counts: measure(np.tensordot(counts, own, axes=1)),
        lambda counts: measure(np.tensordot(counts, trivial, axes=1)),
        chance,
    )


def interval(sessions: int, measure: Measure, seed: int = 0) -> dict[str, tuple[float, float] | None]:
    """95 % bootstrap interval of each measure, over sessions, as `centred` has it.

    Args:
        sessions: S, how many there are.
        measure: from how often each session counts, (D, S), to values (D,).
        seed: of the draws.

    Returns:
        name -> (low, high), or None with fewer than two sessions or where half the draws have no value.
    """
    if sessions < 2:
        return dict.fromkeys(measure(np.ones((1, sessions))))
    drawn = np.random.default_rng(seed).multinomial(sessions, np.full(sessions, 1 / sessions), size=DRAWS)
    whole = measure(np.ones((1, sessions)))
    return {name: centred(values, whole[name][0]) for name, values in measure(drawn.astype(np.float64)).items()}


def verdict(name: str, model: tuple[float, float] | None, trivial: tuple[float, float] | None) -> str:
    """Compare two intervals: ``better than trivial``, ``worse than trivial`` or ``not better than trivial``."""
    if model is None or trivial is None:
        return "not better than trivial"
    sign = -1 if name.startswith(LOWER_IS_BETTER) else 1
    (low, high), (other_low, other_high) = sorted(sign * v for v in model), sorted(sign * v for v in trivial)
    if low > other_high:
        return "better than trivial"
    return "worse than trivial" if high < other_low else "not better than trivial"


def centred(draws: np.ndarray, value: float) -> tuple[float, float] | None:
    """95 % of bootstrap draws (D,), moved so that their mean is the value they are drawn for.

    Draws that miss a rare class have a higher mean average precision than all sessions together have: unmoved, an
    interval may lie above its value. None where half the draws have no value, or where there is none.
    """
    finite = draws[np.isfinite(draws)]
    if len(finite) < len(draws) / 2 or not np.isfinite(value):
        return None
    low, high = np.percentile(finite, [2.5, 97.5]) - finite.mean() + value
    return float(low), float(high)


def per_session(sums: np.ndarray, session: np.ndarray) -> np.ndarray:
    """Rows (N, ...) added up for each session of `session` (N,): (S, ...), sessions in sorted order."""
    names, index = np.unique(session, return_inverse=True)
    out = np.zeros((len(names), *sums.shape[1:]), sums.dtype)
    np.add.at(out, index, sums)
    return out
