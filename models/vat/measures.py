"""How good detections are: who does what where (frame mAP), and whether the persons are found at all.

Frame mAP is that of `models.ava`, at an overlap of a half and with the official script's 50 best rows of a frame. The
paper's table 2 asks of the persons alone, whatever they do, at overlaps of 0.5 and 0.75. Beside them stands a predictor
that does not look: one box a clip, the mean person of the training split, with each action as likely as it is there;
or, where the true boxes are given, those with these likelihoods.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from models.ava.matching import OFFICIAL_CAP, evaluate
from models.ava.rows import MOVEMENT, LabelMap, Rows
from models.metrics import Comparison, Measure
from models.report import Example, Legend, evenly
from models.vat.pictures import boxed, coloured, seen_by

PERSON = LabelMap({1: "person"}, {1: MOVEMENT})
GREEN, RED = (46, 204, 64), (255, 65, 54)
AT_ONCE = 100
"""Draws of the bootstrap that are computed together."""


@dataclass(frozen=True)
class Truth:
    """Who did what where in the clips of a split.

    Attributes:
        boxes: (N, P, 4), 0 where `valid` (N, P) bool is False.
        actions: (N, P, A) bool.
        session: (N,) text.
        names: of the actions.
        given: whether the model is given these boxes.
    """

    boxes: np.ndarray
    valid: np.ndarray
    actions: np.ndarray
    session: np.ndarray
    names: tuple[str, ...]
    given: bool
    legend: ClassVar[Legend] = Legend(
        "map is AVA's frame mAP at an overlap of a half, ap_ACTION that of one action, person_ap_50 and _75 of persons "
        "whatever they do. Trivial: the mean person's box of the training split, or the true boxes where they are "
        "given, each action as likely as it is there.",
        "Of each clip its middle, with the true persons (green) and the surest found one (red); how much that person "
        "looked where (bright); and what the attention's keys hold alike (equal colours, within one picture).",
    )

    def counts(self) -> dict[str, int]:
        """Persons, and actions of theirs."""
        return {"persons": int(self.valid.sum()), "actions": int(self.actions[self.valid].sum())}

    def trivial(self) -> dict[str, Any]:
        """The mean person's box, and how often each action is done."""
        boxes, actions = self.boxes[self.valid], self.actions[self.valid]
        if not len(boxes):
            return {"box": [0.0, 0.0, 1.0, 1.0], "rates": [0.0] * len(self.names)}
        return {"box": boxes.mean(0, dtype=np.float64).tolist(), "rates": actions.mean(0).tolist()}

    def comparisons(self, predicted: Mapping[str, np.ndarray], trivial: Mapping[str, Any]) -> list[Comparison]:
        """``map``, ``ap_ACTION`` of each, and of persons that must be found ``person_ap_50`` and ``person_ap_75``."""
        ids = list(range(1, len(self.names) + 1))
        labels = LabelMap(dict(zip(ids, self.names, strict=True)), dict.fromkeys(ids, MOVEMENT))
        acts = {"map": ids} | {f"ap_{name}": [i] for i, name in labels.names.items()}
        parts = [(self.found(predicted), self._blind_acts(trivial), (self.acts(), labels, 0.5, acts))]
        if not self.given:
            found = _rows(predicted["person_boxes"][:, :, None], predicted["person"][..., None])
            blind = self._one_box(trivial, np.ones(1))
            for percent in (50, 75):
                names = {f"person_ap_{percent}": [1]}
                parts.append((found, blind, (self.persons(), PERSON, percent / 100, names)))
        sessions = len(np.unique(self.session))
        return [
            Comparison(sessions, self._measure(own, *against), self._measure(blind, *against), {})
            for own, blind, against in parts
        ]

    def acts(self) -> Rows:
        """The truth, a row for each person and action; a clip is a frame, named by its number."""
        return _rows(self.boxes[:, :, None], self.actions * self.valid[..., None])

    def found(self, predicted: Mapping[str, np.ndarray]) -> Rows:
        """What the model says, likewise."""
        return _rows(predicted["boxes"], predicted["scores"])

    def persons(self) -> Rows:
        """The truth, a row for each person."""
        return _rows(self.boxes[:, :, None], self.valid[..., None])

    def _blind_acts(self, trivial: Mapping[str, Any]) -> Rows:
        rates = np.array(trivial["rates"])
        if self.given:
            return _rows(self.boxes[:, :, None], rates * self.valid[..., None])
        return self._one_box(trivial, rates)

    def _one_box(self, trivial: Mapping[str, Any], scores: np.ndarray) -> Rows:
        """The mean person in every clip."""
        clips = len(self.boxes)
        box = np.broadcast_to(np.array(trivial["box"]), (clips, 1, 1, 4))
        return _rows(box, np.broadcast_to(scores, (clips, 1, len(scores))))

    def _measure(
        self, found: Rows, truth: Rows, labels: LabelMap, overlap: float, names: Mapping[str, list[int]]
    ) -> Measure:
        """Mean precision over classes, by name, from how often each session counts."""
        matches = evaluate(truth, found, labels, cap=OFFICIAL_CAP, iou=overlap).matches
        _, number = np.unique(self.session, return_inverse=True)
        own, shown = (number[rows.frame.astype(np.int64)] for rows in (matches.truth, matches.found))
        classes = {}
        for i in labels.names:
            rows = np.flatnonzero(matches.found.label == i)
            rows = rows[np.argsort(matches.found.score[rows], kind="stable")[::-1]]
            positives = np.bincount(own[matches.truth.label == i], minlength=number.max(initial=-1) + 1)
            classes[i] = (matches.right[rows], shown[rows], positives)
        return lambda counts: _means(classes, names, counts)

    def examples(self, dataset: Any, predicted: Mapping[str, np.ndarray]) -> list[Example]:
        """`pictures` of clips spread over the split."""
        return [shown for i in evenly(len(dataset)) for shown in self.pictures(dataset, predicted, i).values()]

    def pictures(self, dataset: Any, predicted: Mapping[str, np.ndarray], index: int) -> dict[str, Example]:
        """One clip: ``found``, the keyframe with the true persons (green) and the surest found one (red);
        ``attention``, where that one looked; ``keys``, what the first head holds alike."""
        frames = dataset[index]["third"]
        frame = frames[len(frames) // 2].permute(1, 2, 0).numpy()
        sure = int(predicted["person"][index].argmax())
        best = predicted["person_boxes"][index, sure]
        shown = boxed(boxed(frame, self.boxes[index][self.valid[index]], GREEN), best[None], RED)
        scores = predicted["scores"][index, sure]
        said = ", ".join(f"{self.names[a]} {scores[a]:.2f}" for a in np.argsort(-scores)[:2])
        found = {"found": Example(shown, f"{self.session[index]}: {said}")}
        if "attention" in predicted:
            seen, keys = predicted["attention"][index], predicted["embedding"][index, 0]
            found["attention"] = Example(seen_by(frame, seen), "where this person looked for it")
            found["keys"] = Example(coloured(frame, keys), "keys of its first head")
        return found


def _rows(boxes: np.ndarray, scores: np.ndarray) -> Rows:
    """Rows of what has a score above 0: boxes (N, R, K, 4) with K 1 or A, scores (N, R, A)."""
    classes = scores.shape[-1]
    places = np.broadcast_to(boxes, (*scores.shape, 4))
    clip, box, column = np.nonzero(scores > 0)
    if not classes or not len(clip):
        return Rows.of([], [], [], [])
    chosen = places[clip, box, column].astype(np.float64)
    return Rows(clip.astype(np.str_), chosen, column + 1, scores[clip, box, column].astype(np.float64))


def _means(
    classes: Mapping[int, tuple[np.ndarray, np.ndarray, np.ndarray]],
    names: Mapping[str, list[int]],
    counts: np.ndarray,
) -> dict[str, np.ndarray]:
    """Name -> (D,): mean precision over the classes that occur in a draw; NaN where none does."""
    each = {i: drawn_precision(*rows, counts) for i, rows in classes.items()}
    out = {}
    for name, ids in names.items():
        values = np.stack([each[i] for i in ids]) if ids else np.full((1, len(counts)), np.nan)
        known = np.isfinite(values)
        with np.errstate(invalid="ignore"):
            out[name] = np.where(known, values, 0).sum(0) / np.where(known.any(0), known.sum(0), np.nan)
    return out


def drawn_precision(right: np.ndarray, session: np.ndarray, positives: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Average precision as `models.ava` has it, were each session there as often as drawn.

    Args:
        right: (N,) bool, detections by falling score.
        session: (N,) int64 of each.
        positives: (S,) true boxes.
        counts: (D, S) how often each session counts.

    Returns:
        (D,), NaN where no true box counts.
    """
    out = np.full(len(counts), np.nan)
    for start in range(0, len(counts), AT_ONCE):
        some = counts[start : start + AT_ONCE]
        weight = some[:, session]
        gained, seen = weight * right, np.cumsum(weight, axis=1)
        precision = np.cumsum(gained, axis=1) / np.maximum(seen, 1e-12)
        envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        total = some @ positives
        with np.errstate(invalid="ignore", divide="ignore"):
            out[start : start + AT_ONCE] = np.where(total > 0, (gained * envelope).sum(1) / total, np.nan)
    return out
