"""``syncctl train``, ``syncctl evaluate`` and ``syncctl predict``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from recorder.terminal import emit, json_option


@click.command()
@click.argument("model")
@click.option("--data", type=click.Path(), help="The dataset, as `syncctl build` made it.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The run folder to make.")
@click.option("--preset", help="Where the settings start from; default: default.")
@click.option("--config", "file", type=click.Path(path_type=Path), help="A TOML file with [train] and [MODEL].")
@click.option("--steps", type=click.IntRange(1), help="Optimiser steps in all.")
@click.option("--seed", type=click.IntRange(0), help="Of weights, order, augmentation and dropout.")
@click.option("--set", "settings", multiple=True, metavar="A.B=C", help="Change one setting; may be repeated.")
@click.option("--resume", is_flag=True, help="Continue the run in --out from its checkpoint.")
@json_option
def train(
    model: str,
    data: str | None,
    out: Path,
    preset: str | None,
    file: Path | None,
    steps: int | None,
    seed: int | None,
    settings: tuple[str, ...],
    resume: bool,
    as_json: bool,
) -> None:
    """Train MODEL on the training split of a dataset.

    Ctrl-C and SIGTERM save and end the run; --resume continues it as if nothing had happened.

    \b
    Example:
      syncctl train muscles --data dataset --out run --preset tiny --steps 300
      syncctl train muscles --data dataset --out run --resume
      torchrun --nproc-per-node 2 -m syncctl train muscles --data dataset --out run
    """
    from models.workflow import start

    extra = [f"train.{key}={value}" for key, value in (("steps", steps), ("seed", seed)) if value is not None]
    document = start(model, data, out, preset, file, [*settings, *extra], resume)
    if os.environ.get("RANK", "0") == "0":  # of torchrun's processes one speaks
        emit(as_json, document, _training_lines(document))


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(), help="Another dataset than the run was trained on.")
@click.option("--split", default="test", show_default=True, help="Which people to measure on.")
@json_option
def evaluate(run: Path, data: str | None, split: str, as_json: bool) -> None:
    """Measure RUN on people it has not seen, beside the trivial predictor; write metrics.json and report.html.

    \b
    Example:
      syncctl evaluate run
      syncctl evaluate run --split val --json
    """
    from models.workflow import measure

    document = measure(run, data, split)
    emit(as_json, document, _measure_lines(document))


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the files, made where needed.")
@click.option("--data", type=click.Path(), help="Another dataset than the run was trained on.")
@click.option("--split", default="test", show_default=True, help="Which people to answer for.")
@click.option("--pictures", type=click.IntRange(0), default=0, help="Of so many clips, what `vat` found and looked at.")
@json_option
def predict(run: Path, out: Path, data: str | None, split: str, pictures: int, as_json: bool) -> None:
    """Write who does what in which box, as RUN of vat, hgrnn or lart says, in AVA's format.

    In --out: detections.csv, truth.csv of the same moments (the video is the session, the second that of its
    recording), and labels.pbtxt, which says what the ids mean. `syncctl ava` measures one against the other.

    \b
    Example:
      syncctl predict run --out found --pictures 6
      syncctl ava found/truth.csv found/detections.csv --labels found/labels.pbtxt --page ava.html
    """
    from models.workflow import answer

    document = answer(run, out, data, split, pictures)
    shown = f", {len(document['files']) - 3} pictures" if pictures else ""
    counts = f"{document['detections']} rows and {document['truth']} true ones in {document['frames']} frames"
    emit(as_json, document, [f"{out}: {counts}{shown}"])


def _training_lines(document: dict[str, Any]) -> list[str]:
    state = "stopped" if document["interrupted"] else "done"
    lines = [
        f"{document['run']}: {state} at step {document['step']} of {document['steps']}, "
        f"{document['clips']} clips, {document['parameters'] / 1e6:.2f} M parameters",
        f"loss {document['loss_first']:.4g} -> {document['loss_last']:.4g} (smoothed), "
        f"{document['ms_per_step']:.0f} ms/step on {document['device']}, "
        f"{100 * document['data_share']:.0f} % of the time waiting for data",
    ]
    if document["interrupted"]:
        lines.append("continue it with --resume")
    return lines


def _measure_lines(document: dict[str, Any]) -> list[str]:
    lines = [
        f"{document['run']} on '{document['split']}': {document['n']} clips of {document['sessions']} sessions",
        f"{'':32}{'model':>8}{'95 % interval':>18}{'trivial':>9}{'chance':>8}",
    ]
    for name, value in document["metrics"].items():
        if value is None:
            lines.append(f"{name:32}{'no labels':>8}")
            continue
        pair = document["ci95"][name]
        between = f"[{pair[0]:.3f}, {pair[1]:.3f}]" if pair else "no interval"
        trivial, chance = document["baseline"][name], document["chance"].get(name)
        shown = "".join(f"{x:{width}.3f}" if x is not None else " " * width for x, width in ((trivial, 9), (chance, 8)))
        lines.append(f"{name:32}{value:8.3f}{between:>18}{shown}  {document['verdict'][name]}")
    return lines
