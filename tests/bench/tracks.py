"""Does LART use time, and the people beside? `python -m tests.bench tracks [--quick]`.

Made tracks (`models.synthetic.lart`): which way one walks shows only over time, and whom one is with only in the other
tracks. Three arms with the same transformer and the same steps: one track and one step, one track, all five tracks.
Shown is the average precision of the person of interest on clips that none has seen. It shows the mechanism, not the
quality on AVA. About a minute an arm and seed on a quiet core.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from models.ava.matching import average_precision
from models.lart import PRESETS, Config, Model
from models.lart.tracks import at_moment
from models.synthetic.lart import CLASSES, STEPS, clips

LEARNED, BATCH, TEST, RATE = 500, 64, 3000, 1e-3
SEEDS = 3
WALKS, SOCIAL = (0, 1), (2, 3, 4)
OVER_ONE, OVER_STILL = 0.15, 0.3
ARMS = {"n = 1, T = 1": (1, 1), "n = 1, T = 12": (1, STEPS), "n = 5, T = 12": (5, STEPS)}


def config_of(people: int) -> Config:
    """The tiny preset's transformer without dropout."""
    return replace(PRESETS["tiny"]().net, people=people, classes=len(CLASSES), dropout=0.0)


def shortened(batch: Mapping[str, Tensor], steps: int) -> dict[str, Tensor]:
    """The middle steps of every track."""
    first = (STEPS - steps + 1) // 2
    return {name: value[:, :, first : first + steps] for name, value in batch.items()}


def learn(arm: str, seed: int, learned: int = LEARNED, batch: int = BATCH) -> Model:
    """An arm trained on clips of its seed."""
    people, steps = ARMS[arm]
    torch.manual_seed(seed)
    model = Model(config_of(people))
    optimizer = torch.optim.AdamW(model.parameters(), RATE, weight_decay=0.05)
    for step in range(learned):
        optimizer.param_groups[0]["lr"] = RATE * min(1.0, (step + 1) / 20)
        loss, _ = model.loss(shortened(clips(batch, seed * 1_000_003 + step + 1), steps))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 2.0)
        optimizer.step()
    return model.eval()


@torch.no_grad()
def precisions(model: Model, arm: str, test: Mapping[str, Tensor]) -> dict[str, float]:
    """Average precision of each class over the persons of interest."""
    people, steps = ARMS[arm]
    short = shortened(test, steps)
    given = {name: value[:, :people] for name, value in short.items()}
    score = at_moment(torch.sigmoid(model(given)["actions"][:, 0]), steps // 2).numpy()
    wanted = test["track_actions"][:, 0, 0].numpy() > 0
    return {
        name: average_precision(score[:, k], wanted[:, k], int(wanted[:, k].sum())) for k, name in enumerate(CLASSES)
    }


def main(arguments: list[str] | None = None) -> None:
    """Run every arm and print."""
    quick = "--quick" in (sys.argv if arguments is None else arguments)
    seeds, learned = (1, 250) if quick else (SEEDS, LEARNED)
    test = clips(TEST, seed=0)
    chance = test["track_actions"][:, 0, 0].mean(0).tolist()
    print(f"{learned} steps of {BATCH} clips, {seeds} seeds, {TEST} test clips; mean and spread of AP")
    print(f"{'':16}" + "".join(f"{name:>18}" for name in (*CLASSES, "mean")) + "   s a run")
    _row("chance", [[*chance, float(np.mean(chance))]], 0.0)
    _row("ceiling", [[1.0] * 6], 0.0)
    rows: dict[str, list[list[float]]] = {}
    for arm in ARMS:
        begun = time.process_time()
        found = [list(precisions(learn(arm, s, learned), arm, test).values()) for s in range(1, seeds + 1)]
        rows[arm] = [[*values, float(np.mean(values))] for values in found]
        _row(arm, rows[arm], (time.process_time() - begun) / seeds)
    still, one, all_of = (np.array(rows[arm]) for arm in ARMS)
    over_one = (all_of[:, SOCIAL].mean(1) - one[:, SOCIAL].mean(1)).min()
    over_still = (one[:, WALKS].mean(1) - still[:, WALKS].mean(1)).min()
    print(f"five tracks lead one on the classes of two people by {over_one:+.3f} on the worst seed ({OVER_ONE:+.2f});")
    print(f"twelve steps lead one on the two walks by {over_still:+.3f} on the worst seed ({OVER_STILL:+.2f})")


def _row(name: str, rows: list[list[float]], seconds: float) -> None:
    mean, spread = np.mean(rows, axis=0), np.std(rows, axis=0)
    shown = "".join(f"{m:.3f}±{s:.3f}".rjust(18) for m, s in zip(mean, spread, strict=True))
    print(f"{name:16}{shown}{seconds:8.0f}", flush=True)


if __name__ == "__main__":
    main()
