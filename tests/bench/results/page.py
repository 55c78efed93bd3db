"""`docs/results.md` and its figures, from the files of runs alone: nothing in it is typed by hand."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.metrics import centred
from recorder import durable
from tests.bench.results import bodies, keyframes, muscles
from tests.bench.results.figures import dots
from tests.bench.results.recognition import LEARNED
from tests.bench.results.tables import TABLES, Row, Table
from tests.bench.results.work import results

Runs = dict[tuple[str, str], list[dict[str, Any]]]
"""(suite, arm) -> its runs."""

NAMES = {
    "top1": "top-1",
    "top3": "top-3",
    "map": "mAP",
    "map_weighted": "mAP, weighted",
    "map_interaction": "mAP, interaction",
    "map_own": "mAP, own",
    "move_accuracy": "accuracy",
    "scene mean_class_top1": "scene, per class",
    "action mean_class_top1": "action, per class",
    "dynamics mean_class_top1": "dynamics, per class",
    "walkable walkable_iou": "walkable, IoU",
    "depth depth_rmse_log10": "depth, RMSE log10 (lower is better)",
} | {f"{kind}_{k}": f"{name}, k = {k}" for kind, name in (("top1", "top-1"), ("map", "mAP")) for k in (1, 5, 10, 20)}
PLAIN = {"depth depth_rmse_log10"}
"""Measures that are no shares."""

HEAD = """\
# Results on the simulated home

Arms of the five systems, trained and tested on recordings of the [simulated home](simulator.md). They show what a
part of a model is worth here and whether an order of the papers comes out again; the home is no HOMAGE and no AVA,
and levels are not comparable. Whatever came out stands here, thin and absent gains too.

```
{commands}
```

This page is written by the last line from the files that the others left; nothing in it is typed by hand.

* **What is learned from.** {about}
* **Features computed once.** Pictures are described beforehand by what nobody learned: colour, edges and movement of
  8 x 8 (for boxes 14 x 14) cells (`tests/bench/results/pictures.py`), sound by 32 bands a tenth of a second. On these
  the project's own towers, heads and losses learn, in {steps} steps (LART: {lart_steps} on bodies as they are; Muscles:
  the `tiny` preset on 64 pixels, {muscles_steps} steps; on boxes {vat_steps} and HGRNN {hgrnn_steps} at most, of
  which one of those who are learned from says when to stop). No arm has more than {parameters:.2f} million weights.
* **Splits by person.** Two: the last third of the people is tested on, then the first third. (Muscles and its target
  tasks: the dataset's own split; LART in homes: one.)
* **Intervals.** A figure is the mean over splits and seeds; in brackets 95 % of the draws of a bootstrap over test
  sessions, moved to have the figure for their mean (draws that miss a rare class lie above it), and after ± the
  standard deviation over seeds. *Gain* is drawn in pairs, session by session; one whose interval holds 0 is in
  brackets.
* **Chance and ceiling.** Chance is what blind guessing reaches: one over the classes, or for average precision how
  often a class occurs. The ceiling is 100 %; what perfect perception reaches is the line "scene graph".
"""


@dataclass(frozen=True)
class Figure:
    """A measure over an arm's runs: mean, 95 % of the draws, spread over seeds; and the draws themselves."""

    mean: float
    low: float
    high: float
    spread: float
    draws: np.ndarray


def write(out: Path, docs: Path) -> str:
    """Write the page and its figures; returns what was written."""
    runs: Runs = {}
    for found in results(out):
        runs.setdefault((found["suite"], found["arm"]), []).append(found)
    shown = [table for table in TABLES if measured(table, runs)]
    parts = [HEAD.format(**_head(runs)) + not_run(shown)]
    folder = docs / "results"
    folder.mkdir(parents=True, exist_ok=True)
    for table in shown:
        parts.append("\n".join(section(table, runs)))
        durable.write_bytes(folder / f"{table.key}.svg", picture(table, runs).encode())
    durable.write_bytes(docs / "results.md", ("\n\n".join(parts) + "\n").encode())
    return f"{docs / 'results.md'}: {len(shown)} of {len(TABLES)} tables, {sum(map(len, runs.values()))} runs"


def not_run(shown: Sequence[Table]) -> str:
    """What is missing, where something is."""
    missing = [table.title for table in TABLES if table not in shown]
    return f"* **Not run yet.** {'; '.join(missing)}.\n" if missing else ""


def measured(table: Table, runs: Runs) -> list[Row]:
    """The lines of a table of which something is known."""
    return [r for r in table.rows if any(figure(runs, table.suite, r.arm, r.read, m) for m in table.measures)]


def section(table: Table, runs: Runs) -> Iterator[str]:
    """A table of the page as lines."""
    rows = measured(table, runs)
    compared = any(row.against for row in rows)
    yield f"## {table.title}"
    yield ""
    yield table.text
    yield ""
    names = [NAMES[m] for m in table.measures]
    gain = [over(table, rows)] if compared else []
    yield f"| | {' | '.join([*names, *gain])} |"
    yield "|---" * (1 + len(names) + len(gain)) + "|"
    for row in rows:
        cells = [spoken(m, figure(runs, table.suite, row.arm, row.read, m)) for m in table.measures]
        yield f"| {row.name} | {' | '.join([*cells, *([gained(table, row, runs)] if compared else [])])} |"
    for name, told in (("chance", chance_of), ("trivial", trivial_of)):
        values = [told(table, runs, m) for m in table.measures]
        if any(value is not None for value in values):
            shown = [number(m, value) for m, value in zip(table.measures, values, strict=True)]
            yield f"| *{name}* | {' | '.join([*shown, *['' for _ in gain]])} |"
    yield ""
    yield about(table, rows, runs)
    yield ""
    yield f"![{table.title}](results/{table.key}.svg)"


def over(table: Table, rows: Sequence[Row]) -> str:
    """What the column that compares is called; where it compares with several arms, the table's text says which."""
    against = {row.against[0] for row in rows if row.against}
    return f"gain in {NAMES[table.shown]}" + (f" over *{against.pop()}*" if len(against) == 1 else "")


def about(table: Table, rows: Sequence[Row], runs: Runs) -> str:
    """What the table is of: runs, classes, commit, time."""
    used = [run for arm in dict.fromkeys(row.arm for row in rows) for run in runs.get((table.suite, arm), [])]
    said = [
        f"{counted(len(used), 'run')} of {counted(len({r['seed'] for r in used}), 'seed')}, "
        f"{np.mean([r['cpu_s'] for r in used]):.0f} CPU s each"
    ]
    if "sessions" in used[0]:
        said.append(f"{used[0]['sessions']} {'homes' if table.suite == 'homes' else 'sessions'}")
    if "asked" in used[0]:
        said.append(f"{used[0]['asked']} test {'clips' if table.suite == 'ccau' else 'persons'} in the first split")
    if "classes" in used[0]:
        said.append(f"{len(used[0]['classes'])} classes")
    if "novel" in used[0]:
        said.append(f"new activities: {', '.join(used[0]['novel'])}")
    commits, dates = ({str(r[k]) for r in used} for k in ("commit", "date"))
    said.append(f"{', '.join(sorted(dates))}, {', '.join(sorted(commits))}")
    return f"{'; '.join(said)}. `--only {table.suite}`"


def counted(number: int, what: str) -> str:
    """``1 run``, ``2 runs``."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def figure(runs: Runs, suite: str, arm: str, read: str, measure: str) -> Figure | None:
    """A measure of an arm's runs, None where no run has it."""
    mine = [r for r in runs.get((suite, arm), []) if measure in r["reads"].get(read, {})]
    if not mine:
        return None
    by_split: dict[int, list[np.ndarray]] = {}
    for run in mine:
        values = np.array([math.nan if v is None else v for v in run["reads"][read][measure]])
        by_split.setdefault(run["split"], []).append(values)
    every = np.mean([np.mean(values, axis=0) for values in by_split.values()], axis=0)
    seeds = [np.mean([r["reads"][read][measure][0] for r in mine if r["seed"] == s]) for s in {r["seed"] for r in mine}]
    spread = float(np.std(seeds, ddof=1)) if len(seeds) > 1 else 0.0
    mean, draws = float(every[0]), every[1:]
    low, high = edges(mean, draws) if len(draws) else (mean - spread, mean + spread)
    return Figure(mean, low, high, spread, draws)


def edges(value: float, draws: np.ndarray) -> tuple[float, float]:
    """`models.metrics.centred`, NaN where it has none."""
    return centred(draws, value) or (math.nan, math.nan)


def spoken(measure: str, found: Figure | None) -> str:
    """A figure as a cell."""
    if found is None:
        return ""
    scale, digits = (1, 3) if measure in PLAIN else (100, 1)
    mean, low, high, spread = (scale * v for v in (found.mean, found.low, found.high, found.spread))
    between = f" ({low:.{digits}f} to {high:.{digits}f})" if len(found.draws) else ""
    return f"{mean:.{digits}f}{between} ± {spread:.{digits}f}"


def gained(table: Table, row: Row, runs: Runs) -> str:
    """By how much a line is better than the one it is compared with."""
    if not row.against:
        return ""
    own = figure(runs, table.suite, row.arm, row.read, table.shown)
    other = figure(runs, table.suite, *row.against, table.shown)
    if own is None or other is None:
        return ""
    gain = 100 * (own.mean - other.mean)
    if not len(own.draws) or len(own.draws) != len(other.draws):
        return f"{gain:+.1f}"
    low, high = (100 * edge for edge in edges(own.mean - other.mean, own.draws - other.draws))
    cell = f"{gain:+.1f} ({low:+.1f} to {high:+.1f})"
    return cell if low > 0 or high < 0 else f"[{cell}]"


def chance_of(table: Table, runs: Runs, measure: str) -> float | None:
    """What blind guessing reaches, the mean over the runs that say so."""
    if table.key == "few":
        novel = next((r["novel"] for r in runs.get((table.suite, table.rows[0].arm), [])), [])
        return 1 / len(novel) if novel and measure.startswith("top1") else None
    return _said(table, runs, "chance", measure)


def trivial_of(table: Table, runs: Runs, measure: str) -> float | None:
    """What a predictor that looks at nothing reaches, the mean over the runs that say so."""
    return _said(table, runs, "trivial", measure)


def _said(table: Table, runs: Runs, key: str, measure: str) -> float | None:
    said = [r[key][measure] for row in table.rows for r in runs.get((table.suite, row.arm), [])
            if measure in r.get(key, {})]  # fmt: skip
    return float(np.mean(said)) if said else None


def number(measure: str, value: float | None) -> str:
    """A figure without an interval as a cell."""
    return "" if value is None else f"{value:.3f}" if measure in PLAIN else f"{100 * value:.1f}"


def picture(table: Table, runs: Runs) -> str:
    """The table's figure."""
    scale = 1 if table.shown in PLAIN else 100
    lines = []
    for row in table.rows:
        found = figure(runs, table.suite, row.arm, row.read, table.shown)
        if found is not None:
            lines.append((row.name, scale * found.mean, scale * found.low, scale * found.high))
    chance = chance_of(table, runs, table.shown)
    return dots(f"{NAMES[table.shown]}{'' if scale == 1 else ', %'}", lines, None if chance is None else scale * chance)


def _made(plan: str, dataset: str) -> Iterator[str]:
    """The commands that make a dataset of a plan."""
    yield f"syncctl simulate docs/plans/{plan}.toml --out sessions/{plan}"
    yield f"for session in sessions/{plan}/0*; do syncctl align $session --only tones; done"
    yield f"syncctl build sessions/{plan} --out {dataset}"


def _head(runs: Runs) -> Mapping[str, Any]:
    every = [run for some in runs.values() for run in some]
    suites = {run["suite"] for run in every}
    seeds = len({run["seed"] for run in every})
    commands = [*_made("medium", "dataset")]
    given = ["dataset"]
    if "pairs" in suites:
        commands += _made("pairs", "pairs-dataset")
        given.append("--pairs pairs-dataset")
    if "muscles" in suites:
        commands.append("syncctl simulate docs/plans/targets.toml --out sessions/targets")
        commands.append("syncctl transfer export sessions/targets --out targets")
        given.append("--targets targets")
    commands.append(f"python -m tests.bench results {' '.join(given)} --out runs --seeds {seeds}")
    commands.append("python -m tests.bench results --out runs --write docs")
    first = next((run for run in every if "activities" in run), None)
    about = "Simulated sessions; see each table."
    if first:
        about = (
            f"{first['sessions']} sessions of {first['people']} people, one at a time at home, who do "
            f"{len(first['activities'])} "
            f"activities ({', '.join(first['activities'])}); clips of 4 s, one each second to learn from, every "
            f"other second "
            f"to be asked about. Atomic actions are the {first['actions']} that at least two thirds of the people do."
        )
    steps = {
        "steps": LEARNED,
        "lart_steps": bodies.LEARNED,
        "muscles_steps": muscles.STEPS,
        "vat_steps": keyframes.VAT_STEPS,
        "hgrnn_steps": keyframes.HGRNN_STEPS,
    }
    most = max((run.get("parameters", 0) for run in every), default=0)
    return {"commands": "\n".join(commands), "about": about, "parameters": most / 1e6} | steps
