"""How sure a figure is: the same measure over sessions drawn again and again.

Clips of a session are no independent evidence, so whole test sessions are drawn with replacement. A split's draws are
the same for every arm and seed, so that two arms may be compared draw by draw.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from models.ccau.measures import mean_precision, place_of_truth

DRAWS = 200


def session_weights(session: np.ndarray, split: int) -> np.ndarray:
    """How often each clip counts: (1 + DRAWS, N) float64, every clip once in the first row."""
    names, index = np.unique(session, return_inverse=True)
    drawn = np.random.default_rng([split, len(names)]).multinomial(len(names), [1 / len(names)] * len(names), DRAWS)
    return np.concatenate([np.ones((1, len(names))), drawn])[:, index]


def activity_scores(scores: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """``top1`` and ``top3`` under each row of weights, of the clips whose activity is known."""
    known = truth >= 0
    place, weight = place_of_truth(scores[known], truth[known]), weights[:, known]
    total = np.maximum(weight.sum(1), 1)
    return {f"top{k}": weight @ (place < k) / total for k in (1, 3)}


def action_scores(
    scores: np.ndarray, truth: np.ndarray, weights: np.ndarray, columns: Mapping[str, list[int]] | None = None
) -> dict[str, np.ndarray]:
    """``map``, the mean average precision over the classes that occur, and ``map_weighted`` by how often they do.

    Args:
        scores: (N, A).
        truth: (N, A) of 0 and 1.
        weights: (D, N).
        columns: name -> classes of which the mean is wanted too, as ``map_NAME``.
    """
    found = {k.removeprefix("."): v for k, v in mean_precision("", scores, truth > 0.5, weights).items()}
    for name, chosen in (columns or {}).items():
        found[f"map_{name}"] = mean_precision("", scores[:, chosen], truth[:, chosen] > 0.5, weights)[".map"]
    return found


def rounded(measures: Mapping[str, np.ndarray]) -> dict[str, list[float | None]]:
    """For a file: the measure itself, then its draws; None where a draw holds no class."""
    return {
        name: [round(float(v), 5) if np.isfinite(v) else None for v in np.atleast_1d(values)]
        for name, values in measures.items()
    }
