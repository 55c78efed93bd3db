"""How a run does on people it has not seen, beside a predictor that does not look.

A measure is worth something only against what costs nothing: the majority class and the mean gaze of the
training split (`Trivial`), and blind guessing (chance). Where the model's 95 % interval and the trivial
predictor's overlap, the verdict is ``not better than trivial``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from torch import nn
from torch.utils.data import DataLoader

from firmware_host.errors import SessionError
from models import config as configuration
from models import metrics, module_of
from models.config import RunConfig
from models.metrics import Trivial, Truth
from models.report import Example, write_report
from models.train import TRIVIAL, Clips
from recorder import durable

BATCH = 64
EXAMPLES = 6


def evaluate(
    folder: Path, config: RunConfig, dataset: Clips, split: str, groups: tuple[str, ...], truth: Truth
) -> dict[str, Any]:
    """Measure a run on a split; write ``metrics.json`` and ``report.html`` into it.

    Args:
        folder: the run.
        config: its configuration.
        dataset: the clips of the split, in the order of `truth`.
        split: its name.
        groups: names of the body groups.
        truth: labels of the split.

    Returns:
        What ``syncctl evaluate --json`` prints.
    """
    if not len(dataset):
        raise SessionError(f"{config.data} has no clips in the split '{split}'; choose another --split")
    model, step = load_model(folder, config)
    predicted = predict(model, dataset, _device(config))
    trivial = _read_trivial(folder)
    document = _head(folder, config, step, split, truth)
    if "move" in predicted:
        measure = lambda sums: metrics.movement_measures(sums, groups)  # noqa: E731
        own = metrics.movement_sums(predicted["move"] > 0, truth)
        other = metrics.movement_sums(np.array(trivial.move) > 0.5, truth)
        _compare(document, own, other, measure)
        document["chance"] |= {name: 0.5 for name, value in document["metrics"].items() if value is not None}
    if "gaze" in predicted:
        own = metrics.gaze_sums(metrics.gaze_distance(predicted["gaze"], truth), truth)
        other = metrics.gaze_sums(metrics.gaze_distance(np.array(trivial.gaze), truth), truth)
        _compare(document, own, other, metrics.gaze_measures)
        blind = metrics.gaze_sums(metrics.chance_distance(truth), truth)
        document["chance"] |= _plain(metrics.gaze_measures(blind.sum(0)))
    durable.write_json(folder / "metrics.json", document)
    write_report(folder, document, _examples(dataset, predicted, truth))
    return document


@torch.no_grad()
def predict(model: nn.Module, dataset: Clips, device: torch.device) -> dict[str, np.ndarray]:
    """The model's outputs for every clip in order: name -> (N, T, ...) float32."""
    model.eval().to(device)
    parts: dict[str, list[np.ndarray]] = {}
    for batch in DataLoader(dataset, BATCH):
        for name, value in model(batch["frames"].to(device)).items():
            parts.setdefault(name, []).append(value.float().cpu().numpy())
    return {name: np.concatenate(values) for name, values in parts.items()}


def load_model(folder: Path, config: RunConfig) -> tuple[nn.Module, int]:
    """The run's model with its weights, and the step they are of."""
    path = folder / "model.safetensors"
    if not path.exists():
        raise SessionError(f"{folder} has no weights yet; train it first with `syncctl train`")
    model = module_of(config.model).Model(config.net)
    try:
        with safe_open(path, framework="pt") as file:
            step = int(file.metadata()["step"])
            model.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    except Exception as error:
        raise SessionError(f"{path} does not hold this run's weights ({error})") from error
    return model, step


def read_config(folder: Path) -> RunConfig:
    """The configuration of a run folder; SessionError where it is none."""
    path = folder / configuration.FILE
    if not path.exists():
        raise SessionError(f"{folder} is not a run: it has no {configuration.FILE}")
    return configuration.load(path)


def _head(folder: Path, config: RunConfig, step: int, split: str, truth: Truth) -> dict[str, Any]:
    return {
        "run": str(folder),
        "model": config.model,
        "preset": config.preset,
        "step": step,
        "data": config.data,
        "split": split,
        "n": len(truth.session),
        "sessions": len(np.unique(truth.session)),
        "labels": {"move": int(truth.move_valid.sum()), "gaze": int(truth.gaze_valid.sum())},
        "interval": "95 % percentile bootstrap over sessions",
        "metrics": {},
        "baseline": {},
        "chance": {},
        "ci95": {},
        "baseline_ci95": {},
        "verdict": {},
    }


def _compare(
    document: dict[str, Any],
    own: np.ndarray,
    trivial: np.ndarray,
    measure: Callable[[np.ndarray], dict[str, np.ndarray]],
) -> None:
    intervals, others = metrics.interval(own, measure), metrics.interval(trivial, measure)
    values = _plain(measure(own.sum(0)))
    document["metrics"] |= values
    document["baseline"] |= _plain(measure(trivial.sum(0)))
    document["ci95"] |= {name: list(pair) if pair else None for name, pair in intervals.items()}
    document["baseline_ci95"] |= {name: list(pair) if pair else None for name, pair in others.items()}
    document["verdict"] |= {name: metrics.verdict(name, intervals[name], others[name]) for name in values}


def _plain(measures: dict[str, np.ndarray]) -> dict[str, float | None]:
    return {name: float(v) if math.isfinite(v) else None for name, v in measures.items()}


def _read_trivial(folder: Path) -> Trivial:
    path = folder / TRIVIAL
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        return Trivial(tuple(table["move"]), tuple(table["gaze"]))
    except (FileNotFoundError, ValueError, KeyError) as error:
        raise SessionError(f"{path} is missing or damaged; the run cannot be compared, train it anew") from error


def _device(config: RunConfig) -> torch.device:
    wanted = config.train.device
    return torch.device("cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu")


def _examples(dataset: Clips, predicted: dict[str, np.ndarray], truth: Truth) -> list[Example]:
    """Clips spread evenly over the split, their last frame."""
    chosen = np.unique(np.linspace(0, len(dataset) - 1, EXAMPLES).astype(int))
    return [
        Example(
            frame=dataset[int(i)]["frames"][-1].permute(1, 2, 0).numpy(),
            session=str(truth.session[i]),
            gaze=tuple(truth.gaze[i, -1]) if truth.gaze_valid[i, -1] else None,
            predicted=tuple(predicted["gaze"][i, -1]) if "gaze" in predicted else None,
        )
        for i in chosen
    ]
