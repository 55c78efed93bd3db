"""How well a model says what each person does: average precision of every class over the persons of a split.

Boxes and tracks are given here, so a person is a row and nothing has to be found; `models.ava` measures detections.
The trivial predictor says of everybody how often each class occurs, which orders nobody: its average precision is that
share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from firmware_host.errors import SessionError
from models.ava.rows import Rows, detections
from models.metrics import Comparison, Measure
from models.report import Example, Legend

DRAWN_AT_ONCE = 200


@dataclass(frozen=True)
class PersonTruth:
    """What the people of a split do.

    Attributes:
        actions: (N, P, A) of 0 and 1.
        valid: (N, P) bool, the persons that are there.
        session: (N,) text.
        names: of the A classes.
        boxes: (N, P, 4) where they are in the picture, 0 for who is not in it; None where nobody says.
        sure: (N, P) in [0, 1], that a box holds a person; None for boxes that are true.
    """

    actions: np.ndarray
    valid: np.ndarray
    session: np.ndarray
    names: tuple[str, ...]
    boxes: np.ndarray | None = None
    sure: np.ndarray | None = None
    legend: ClassVar[Legend] = Legend(
        "Average precision over the persons, whose boxes are given; map is its mean over the classes that occur. "
        "Trivial, and chance: everybody does each thing as often as people of the training split."
    )

    def counts(self) -> dict[str, int]:
        """Persons, and what they do, all classes together."""
        return {"persons": int(self.valid.sum()), "actions": int((self.actions[self.valid] > 0.5).sum())}

    def trivial(self) -> dict[str, Any]:
        """How often each class occurs."""
        rows = self.actions[self.valid]
        return {"actions": (rows.mean(0) if len(rows) else np.zeros(len(self.names))).tolist()}

    def comparisons(self, predicted: Mapping[str, np.ndarray], trivial: Mapping[str, Any]) -> list[Comparison]:
        """``map`` and ``ap_CLASS`` beside the trivial predictor's, over the persons that are there."""
        places, index = np.unique(self.session, return_inverse=True)
        session = np.repeat(index, self.valid.shape[1])[self.valid.ravel()]
        wanted = self.actions[self.valid] > 0.5
        score = predicted["actions"][self.valid]
        same = np.broadcast_to(np.array(trivial["actions"], np.float64), wanted.shape)
        own, other = (self._measure(x, wanted, session) for x in (score, same))
        chance = {name: float(value[0]) for name, value in other(np.ones((1, len(places)))).items()}
        return [Comparison(len(places), own, other, chance)]

    def acts(self) -> Rows:
        """What is true, a row for each person in a box and action; a clip is a frame, named by its number."""
        return self._in_boxes(np.where(self.actions > 0.5, 1.0, np.nan))

    def found(self, predicted: Mapping[str, np.ndarray]) -> Rows:
        """What the model says of every box, likewise: the detector's confidence times the probability."""
        if "detections" in predicted:
            return self._in_boxes(predicted["detections"])
        return self._in_boxes(predicted["actions"] * (1.0 if self.sure is None else self.sure[..., None]))

    def examples(self, dataset: Any, predicted: Mapping[str, np.ndarray]) -> list[Example]:  # noqa: ARG002
        """None: these clips have no pictures."""
        return []

    def _in_boxes(self, scores: np.ndarray) -> Rows:
        if self.boxes is None:
            raise SessionError("these clips do not say where anybody is in a picture, so no box can be written")
        with np.errstate(invalid="ignore"):
            shown = self.valid & ((self.boxes[..., 2:] - self.boxes[..., :2]) > 0).all(-1)
        ids = range(1, len(self.names) + 1)
        return detections([str(i) for i in range(len(self.boxes))], self.boxes, shown, scores, ids)

    def _measure(self, score: np.ndarray, wanted: np.ndarray, session: np.ndarray) -> Measure:
        def measure(drawn: np.ndarray) -> dict[str, np.ndarray]:
            each = [precision(score[:, k], wanted[:, k], drawn, session) for k in range(len(self.names))]
            table = np.stack(each) if each else np.full((1, len(drawn)), np.nan)
            known = np.isfinite(table)
            mean = np.where(known, table, 0).sum(0) / np.where(known.any(0), known.sum(0), np.nan)
            return {"map": mean} | {f"ap_{name}": values for name, values in zip(self.names, each, strict=True)}

        return measure


def precision(score: np.ndarray, right: np.ndarray, drawn: np.ndarray, session: np.ndarray) -> np.ndarray:
    """Average precision where each session counts a number of times.

    Rows of one score stand together: at each of them precision is that of all. So a predictor that says the same of
    everybody has the share of the positives, whatever the order of the rows.

    Args:
        score: (n,).
        right: (n,) bool.
        drawn: (D, S) how often each session counts.
        session: (n,) int, the session of each row.

    Returns:
        (D,), NaN where no positive was drawn.
    """
    order = np.argsort(-score, kind="stable")
    last = np.append(np.diff(score[order]) != 0, True)[: len(order)]  # of the rows of one score
    hits, of = right[order].astype(np.float64), session[order]
    found = []
    for some in np.array_split(drawn, -(-len(drawn) // DRAWN_AT_ONCE)):
        weight = some[:, of].astype(np.float64)  # (d, n)
        told, all_of = (np.cumsum(w, axis=1)[:, last] for w in (weight * hits, weight))
        with np.errstate(invalid="ignore", divide="ignore"):
            envelope = np.maximum.accumulate(np.where(all_of > 0, told / all_of, 0)[:, ::-1], axis=1)[:, ::-1]
            gained = np.diff(told, axis=1, prepend=0)
            total = told[:, -1] if told.shape[1] else np.zeros(len(some))
            found.append((envelope * gained).sum(1) / np.where(total > 0, total, np.nan))
    return np.concatenate(found)


def truth_of(rows: Sequence[tuple[np.ndarray, ...]], sessions: Sequence[str], names: tuple[str, ...]) -> PersonTruth:
    """From each clip's actions (P, A), who is there (P,), and where it is known their boxes (P, 4) and how sure (P,)
    these are."""
    if not rows:
        return PersonTruth(np.zeros((0, 1, len(names))), np.zeros((0, 1), bool), np.zeros(0, np.str_), names)
    actions, valid, *where = (np.stack(column) for column in zip(*rows, strict=True))
    return PersonTruth(actions, valid.astype(bool), np.array(sessions), names, *where)
