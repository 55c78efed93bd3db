"""The Muscles paper's tables: representations learned from the head camera, judged by five target tasks.

Each arm is `models.transfer.grid`'s own, with the ``tiny`` preset and fewer steps; a representation that several
tables name is learned once. The dataset's own split is used, as the target tasks hold the same people out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from firmware_host.errors import ConfigError
from models import evaluate
from models.transfer.grid import Grid, measures, slug
from models.transfer.layouts import TASKS, examples

STEPS, TARGET_STEPS = 200, 300
ARMS = (
    *("random", "MoCo", "vis/attn", "vis/move", "vis/move/attn"),
    *("ae", "ae/move/attn", "move", "move from gaze"),
    *("without torso", "without neck", "without arms", "without legs"),
)
OF_MOVEMENT = ("move", "move from gaze")


def run(arm: str, seed: int, data: str, targets: str, folder: Path) -> dict[str, Any]:
    """Learn, freeze, transfer; what a run's file holds."""
    grid = Grid(
        data,
        targets,
        folder,
        seeds=(seed,),
        settings=(f"train.steps={STEPS}", "train.log_every=50"),
        target_settings=(f"train.steps={TARGET_STEPS}", "train.batch=8", "train.log_every=50"),
    )
    found = measures(grid, "3" if arm in OF_MOVEMENT else "1", arm, seed, asked(targets))
    reads = {"reads": {"targets": {name: [value] for name, value in found.items()}}}
    return reads if arm in OF_MOVEMENT else reads | {"trivial": blind(folder, arm, seed, found)}


def blind(folder: Path, arm: str, seed: int, names: Iterable[str]) -> dict[str, float | None]:
    """What the predictor that looks at nothing reaches on each task: the commonest class, each pixel's mean."""
    found = {}
    for name in names:
        task, _, measure = name.partition(" ")
        measured = folder / "targets" / f"{slug(arm)}-{task}-{seed}" / evaluate.MEASURED
        found[name] = json.loads(measured.read_text(encoding="utf-8"))["baseline"][measure]
    return found


def asked(targets: str) -> tuple[str, ...]:
    """The tasks that can be learned and asked about.

    Short sessions may have no action that changes something, or a class among the test people alone.
    """
    found = tuple(task for task in TASKS if (Path(targets) / task).is_dir() and _known(Path(targets), task))
    if not found:
        raise ConfigError(f"{targets} holds no target task; make it with `syncctl transfer export`")
    return found


def _known(root: Path, task: str) -> bool:
    learned, tested = ({e.label for e in examples(root, task, split)} for split in ("train", "test"))
    return bool(tested) and tested <= learned
