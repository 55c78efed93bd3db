"""The paper's tables 1 to 4 as one command: representations are learned, then judged by five target tasks.

    1   objectives: random weights, weights of a file, MoCo's recipe on our pictures, and vis with attn, move, or both
    2   the visual objective: an autoencoder alone, with gaze and movement, and contrast in its place
    3   movement from pictures, and from pictures and gaze: no transfer, the accuracy of movement itself
    4   body parts whose movement is hidden: torso, neck, arms, legs
    parts   as 4, each of the six groups alone

A representation that several tables name is learned once. Each arm is a run of its own below the grid's folder, so a
grid that was stopped goes on where it was.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from firmware_host.errors import ConfigError, unknown_name
from ingest.targets import GROUPS
from models import evaluate, workflow
from models.transfer.config import RANDOM
from models.transfer.layouts import TASKS
from recorder import durable
from recorder.terminal import note

TINY = "tiny"
WHOLE = "vis/move/attn"
MEASURES = {"walkable": ("walkable_iou",), "depth": ("depth_rmse_log10",)}
OF_CLASSES = ("top1", "mean_class_top1")
"""What is told of a task that `MEASURES` does not name."""


@dataclass(frozen=True)
class Arm:
    """A representation.

    Attributes:
        preset: of the Muscles model, at full size; empty where nothing is learned.
        settings: changes to the preset that say what is learned.
        small: further changes where the preset is ``tiny``, whose losses are weighed otherwise.
    """

    preset: str = "default"
    settings: tuple[str, ...] = ()
    small: tuple[str, ...] = ()


def _without(*groups: str) -> Arm:
    return Arm(settings=(f"muscles.ignored={json.dumps(groups)}",))


BASELINE = ("train.optimizer=sgd", "train.lr=0.03", "train.weight_decay=1e-4", "train.schedule=fifths")
ARMS = {
    "random": Arm(preset=""),
    "file": Arm(preset=""),
    "MoCo": Arm("moco", ("muscles.objectives=vis", "muscles.two_views=true"), (*BASELINE, "muscles.visual_weight=1")),
    "vis/attn": Arm("attn", ("muscles.objectives=vis/attn",)),
    "vis/move": Arm("move", ("muscles.objectives=vis/move",)),
    WHOLE: Arm(),
    "ae": Arm("rebuild", ("muscles.visual=rebuild", "muscles.objectives=vis"), ("muscles.visual_weight=1",)),
    "ae/move/attn": Arm("rebuild", ("muscles.visual=rebuild",), ("muscles.visual_weight=1",)),
    "move": Arm(settings=("muscles.objectives=move",), small=("muscles.move_weight=1",)),
    "move from gaze": Arm(settings=("muscles.objectives=move", "muscles.gaze_input=true")),
    "without torso": _without("body"),
    "without neck": _without("neck"),
    "without arms": _without("larmu", "rarmu"),
    "without legs": _without("llegu", "rlegu"),
    **{f"without {group}": _without(group) for group in GROUPS if group != "neck"},
}
TABLES = {
    "1": ("random", "file", "MoCo", "vis/attn", "vis/move", WHOLE),
    "2": ("ae", "ae/move/attn", WHOLE),
    "3": ("move", "move from gaze"),
    "4": ("without torso", "without neck", "without arms", "without legs", WHOLE),
    "parts": (*(f"without {group}" for group in GROUPS), WHOLE),
}


@dataclass(frozen=True)
class Grid:
    """What to run.

    Attributes:
        data: the dataset that representations are learned from.
        targets: folder of the five layouts.
        out: folder of the grid.
        preset: ``tiny``, or ``default`` for full size.
        tables: keys of `TABLES`.
        seeds: of everything; each arm runs once a seed.
        weights: a file of weights by torchvision's names, for the row ``file``; left out without one.
        settings: further changes to every run of muscles, as in ``train.steps=100``.
        target_settings: the same for the target tasks.
    """

    data: str
    targets: str
    out: Path
    preset: str = TINY
    tables: tuple[str, ...] = tuple(TABLES)[:4]
    seeds: tuple[int, ...] = (0,)
    weights: str = ""
    settings: tuple[str, ...] = ()
    target_settings: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        for table in self.tables:
            if table not in TABLES:
                raise ConfigError(unknown_name("table", table, TABLES))
        if not (self.data and self.seeds):
            raise ConfigError("a grid needs a dataset and at least one seed; name them with --data and --seeds")

    def arms(self, table: str) -> Iterator[str]:
        """Names of a table's rows."""
        return (name for name in TABLES[table] if name != "file" or self.weights)


def run(grid: Grid) -> dict[str, Any]:
    """Learn, transfer, measure; write ``grid.json`` and ``tables.md``. Returns what ``--json`` prints."""
    rows = []
    for table in grid.tables:
        for arm in grid.arms(table):
            for seed in grid.seeds:
                note(f"table {table}, {arm}, seed {seed}")
                found = measures(grid, table, arm, seed, TASKS)
                rows.append({"table": table, "arm": arm, "seed": seed, "measures": found})
    document = {"out": str(grid.out), "preset": grid.preset, "seeds": list(grid.seeds), "rows": rows}
    durable.write_json(grid.out / "grid.json", document)
    durable.write_bytes(grid.out / "tables.md", ("\n".join(lines(document)) + "\n").encode())
    return document


def lines(document: Mapping[str, Any]) -> list[str]:
    """The tables as text: mean over the seeds, and their standard deviation where there are several."""
    out = []
    for table in dict.fromkeys(row["table"] for row in document["rows"]):
        mine = [row for row in document["rows"] if row["table"] == table]
        names = list(mine[0]["measures"])
        out += ["", f"Table {table}", "", f"| learned from | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
        for arm in dict.fromkeys(row["arm"] for row in mine):
            cells = []
            for name in names:
                values = [row["measures"][name] for row in mine if row["arm"] == arm]
                values = [math.nan if value is None else value for value in values]
                spread = f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
                cells.append(f"{np.mean(values):.3f}{spread}")
            out.append(f"| {arm} | {' | '.join(cells)} |")
    return out[1:]


def measures(grid: Grid, table: str, arm: str, seed: int, tasks: Sequence[str] = TASKS) -> dict[str, float | None]:
    """One row of a table with one seed: name -> measure; what was learned or measured before is taken as it is."""
    backbone = RANDOM if arm == "random" else grid.weights if arm == "file" else str(_learned(grid, arm, seed))
    if table == "3":
        return {"move_accuracy": _measured(Path(backbone))["move_accuracy"]}
    found: dict[str, float | None] = {}
    for task in tasks:
        folder = grid.out / "targets" / f"{slug(arm)}-{task}-{seed}"
        settings = [f"transfer.task={task}", f"transfer.backbone={backbone}", f"train.seed={seed}"]
        _trained("transfer", grid.targets, folder, grid.preset, [*settings, *grid.target_settings])
        measured = _measured(folder)
        found |= {f"{task} {name}": measured[name] for name in MEASURES.get(task, OF_CLASSES)}
    return found


def _learned(grid: Grid, arm: str, seed: int) -> Path:
    chosen = ARMS[arm]
    small = chosen.small if grid.preset == TINY else ()
    preset = TINY if grid.preset == TINY else chosen.preset
    folder = grid.out / "learned" / f"{slug(arm)}-{seed}"
    settings = [*chosen.settings, *small, f"train.seed={seed}", *grid.settings]
    _trained("muscles", grid.data, folder, preset, settings)
    return folder


def _trained(model: str, data: str, folder: Path, preset: str, settings: Sequence[str]) -> None:
    """A run that is begun, gone on with, or there already."""
    if not (folder / "checkpoint.pt").exists():
        document = workflow.start(model, data, folder, preset, settings=settings)
    else:
        document = workflow.start(model, None, folder, settings=settings, resume=True)
    if document["interrupted"]:
        raise KeyboardInterrupt  # the run is saved; the same command goes on with it


def _measured(folder: Path) -> dict[str, float | None]:
    path = folder / evaluate.MEASURED
    if not path.exists():
        workflow.measure(folder)
    return dict(json.loads(path.read_text(encoding="utf-8"))["metrics"])


def slug(arm: str) -> str:
    """A row's name for a folder."""
    return arm.replace("/", "-").replace(" ", "-").lower()
