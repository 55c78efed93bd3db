"""How a run does on people it has not seen, beside a predictor that does not look.

A measure is worth something only against what costs nothing: the majority class and the mean gaze of the
training split (`Trivial`), and blind guessing (chance). Where the model's 95 % interval and the trivial
predictor's overlap, the verdict is ``not better than trivial``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor

from firmware_host.errors import SessionError
from models import config as configuration
from models import metrics, module_of
from models.config import RunConfig
from models.metrics import Comparison, Labels
from models.report import write_report
from models.train import TRIVIAL, Clips, loader
from recorder import durable

BATCH = 64
MEASURED = "metrics.json"


@runtime_checkable
class Illustrated(Protocol):
    """Labels that can be drawn."""

    def figures(self) -> list[str]:
        """Each a ``<figure>``."""


def evaluate(folder: Path, config: RunConfig, dataset: Clips, split: str, truth: Labels) -> dict[str, Any]:
    """Measure a run on a split; write ``metrics.json`` and ``report.html`` into it.

    Args:
        folder: the run.
        config: its configuration.
        dataset: the clips of the split, in the order of `truth`.
        split: its name.
        truth: labels of the split.

    Returns:
        What ``syncctl evaluate --json`` prints.
    """
    if not len(dataset):
        raise SessionError(f"{config.data} has no clips in the split '{split}'; choose another --split")
    model, step = load_model(folder, config)
    predicted = predict(model, dataset, device_of(config))
    document = _head(folder, config, step, split, truth)
    for comparison in truth.comparisons(predicted, _read_trivial(folder)):
        _compare(document, comparison)
    durable.write_json(folder / MEASURED, document)
    figures = truth.figures() if isinstance(truth, Illustrated) else []
    if illustrate := getattr(module_of(config.model), "illustrate", None):
        figures += illustrate(folder, config, model, dataset, predicted)
    write_report(folder, document, truth.legend, truth.examples(dataset, predicted), figures)
    return document


@torch.no_grad()
def predict(model: Any, dataset: Clips, device: torch.device) -> dict[str, np.ndarray]:
    """What the model's `predict` says of every clip in order: name -> (N, ...) float32."""
    model.eval().to(device)
    parts: dict[str, list[np.ndarray]] = {}
    for batch in loader(dataset, BATCH):
        tensors = {name: value.to(device) for name, value in batch.items() if isinstance(value, Tensor)}
        for name, value in model.predict(tensors).items():
            parts.setdefault(name, []).append(value.float().cpu().numpy())
    return {name: np.concatenate(values) for name, values in parts.items()}


def load_model(folder: Path, config: RunConfig) -> tuple[Any, int]:
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


def _head(folder: Path, config: RunConfig, step: int, split: str, truth: Labels) -> dict[str, Any]:
    return {
        "run": str(folder),
        "model": config.model,
        "preset": config.preset,
        "step": step,
        "data": config.data,
        "split": split,
        "n": len(truth.session),
        "sessions": len(np.unique(truth.session)),
        "labels": truth.counts(),
        "interval": "95 % bootstrap over sessions, around the figure",
        "metrics": {},
        "baseline": {},
        "chance": {},
        "ci95": {},
        "baseline_ci95": {},
        "verdict": {},
    }


def _compare(document: dict[str, Any], comparison: Comparison) -> None:
    intervals = metrics.interval(comparison.sessions, comparison.own)
    others = metrics.interval(comparison.sessions, comparison.trivial)
    once = np.ones((1, comparison.sessions))
    values = _plain(comparison.own(once))
    document["metrics"] |= values
    document["baseline"] |= _plain(comparison.trivial(once))
    document["chance"] |= {name: value for name, value in comparison.chance.items() if math.isfinite(value)}
    document["ci95"] |= {name: list(pair) if pair else None for name, pair in intervals.items()}
    document["baseline_ci95"] |= {name: list(pair) if pair else None for name, pair in others.items()}
    document["verdict"] |= {name: metrics.verdict(name, intervals[name], others[name]) for name in values}


def _plain(measures: Mapping[str, np.ndarray]) -> dict[str, float | None]:
    return {name: float(v[0]) if math.isfinite(v[0]) else None for name, v in measures.items()}


def _read_trivial(folder: Path) -> dict[str, Any]:
    path = folder / TRIVIAL
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError) as error:
        raise SessionError(f"{path} is missing or damaged; the run cannot be compared, train it anew") from error


def device_of(config: RunConfig) -> torch.device:
    """Where a run is evaluated: on CUDA where there is one and the run was not kept from it."""
    wanted = config.train.device
    return torch.device("cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu")
