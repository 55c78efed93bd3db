"""Does HGRNN need both of its parts, and two iterations? `python -m tests.bench relations [--quick]`.

Made frames (`models.synthetic.hgrnn`) in which some classes need the frames around, some two things that another person
has, some both. Five arms learn the same frames with the same steps; shown is the average precision of each class on
frames that none has seen. It shows the mechanism, not the quality on AVA. A quarter of a minute an arm and seed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from models.ava.matching import average_precision
from models.hgrnn import Config, Model
from models.synthetic.hgrnn import CLASSES, CONTEXT, WIDTH, frames

STEPS, BATCH, TEST, RATE, HIDDEN = 900, 128, 3000, 3e-3, 48
SEEDS = 3
MARGIN, ALL = 0.05, 0.95
HGRNN = "HGRNN, K = 2"
ARMS: dict[str, dict[str, int]] = {
    "graph alone": {"context": 0},
    "scene alone": {"iterations": 0},
    "scene alone, deep head": {"iterations": 0, "head": HIDDEN},
    "HGRNN, K = 1": {"iterations": 1},
    HGRNN: {"iterations": 2},
}


def config_of(arm: str) -> Config:
    """An arm's model."""
    start = {"inputs": WIDTH, "features": WIDTH, "context": CONTEXT, "hidden": HIDDEN, "classes": len(CLASSES)}
    return Config(**{**start, **ARMS[arm]})


def learn(arm: str, seed: int, steps: int = STEPS, batch: int = BATCH) -> Model:
    """An arm trained on frames of its seed."""
    torch.manual_seed(seed)
    model = Model(config_of(arm))
    optimizer = torch.optim.Adam(model.parameters(), RATE)
    for step in range(steps):
        loss, _ = model.loss(frames(batch, seed * 1_000_003 + step + 1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


@torch.no_grad()
def precisions(model: Model, test: Mapping[str, Tensor]) -> dict[str, float]:
    """Average precision of each class over the persons of the test frames."""
    there = test["person_features_valid"][:, CONTEXT]
    score, wanted = model(test)["actions"][there].numpy(), test["box_actions"][there].numpy() > 0
    return {
        name: average_precision(score[:, k], wanted[:, k], int(wanted[:, k].sum())) for k, name in enumerate(CLASSES)
    }


def main(arguments: list[str] | None = None) -> None:
    """Run every arm and print."""
    quick = "--quick" in (sys.argv if arguments is None else arguments)
    seeds, steps = (1, 300) if quick else (SEEDS, STEPS)
    test = frames(TEST, seed=0)
    there = test["person_features_valid"][:, CONTEXT]
    chance = test["box_actions"][there].mean(0).tolist()
    print(f"{steps} steps of {BATCH} frames, {seeds} seeds, {int(there.sum())} test persons; mean and spread of AP")
    print(f"{'':24}" + "".join(f"{name:>14}" for name in (*CLASSES, "mean")) + "   s a run")
    _row("chance", [[*chance, float(np.mean(chance))]], 0.0)
    _row("ceiling", [[1.0] * 7], 0.0)
    means: dict[str, list[float]] = {}
    lowest = 1.0
    for arm in ARMS:
        begun, rows = time.process_time(), []
        for seed in range(1, seeds + 1):
            found = list(precisions(learn(arm, seed, steps), test).values())
            rows.append([*found, float(np.mean(found))])
        means[arm] = [row[-1] for row in rows]
        lowest = min(row[k] for row in rows for k in range(6)) if arm == HGRNN else lowest
        _row(arm, rows, (time.process_time() - begun) / seeds)
    lead = min(means[HGRNN][k] - max(values[k] for arm, values in means.items() if arm != HGRNN) for k in range(seeds))
    print(f"{HGRNN} leads the best other by {lead:+.3f} on its worst seed (claimed: {MARGIN:+.2f}); ", end="")
    print(f"its worst class has {lowest:.3f} (claimed: above {ALL})")


def _row(name: str, rows: list[list[float]], seconds: float) -> None:
    mean, spread = np.mean(rows, axis=0), np.std(rows, axis=0)
    shown = "".join(f"{m:.3f}±{s:.3f}".rjust(14) for m, s in zip(mean, spread, strict=True))
    print(f"{name:24}{shown}{seconds:8.0f}", flush=True)


if __name__ == "__main__":
    main()
