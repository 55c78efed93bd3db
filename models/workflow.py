"""What `syncctl train`, `evaluate` and `predict` do, as functions: from names and paths to what they print."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from firmware_host.errors import ConfigError, SessionError
from models import config as configuration
from models import evaluate, module_of
from models.ava import answers
from models.config import RunConfig
from models.train import train


def start(
    model: str,
    data: str | None,
    out: Path,
    preset: str | None = None,
    file: Path | None = None,
    settings: Sequence[str] = (),
    resume: bool = False,
) -> dict[str, Any]:
    """Train a model into a run folder; see `syncctl train --help`.

    Raises:
        ConfigError: unknown names, a folder that exists, or other settings than the resumed run's.
        SessionError: a dataset that cannot be read.
    """
    if resume:
        config = _resumed(model, data, out, preset, file, settings)
    elif data is None:
        raise ConfigError("a new run needs a dataset: name it with --data")
    else:
        config = configuration.resolve(model, preset or "default", _located(data), file, settings)
    module = module_of(model)
    if hasattr(module, "completed") and not resume:  # with what only the data can tell, as the names of classes
        config = _completed(module, config, settings)
    dataset = module.open_split(config.data, "train", config.net, config.train)
    return train(config, out, dataset, resume)


def measure(run: Path, data: str | None = None, split: str = "test") -> dict[str, Any]:
    """Evaluate a run folder on a split; see `syncctl evaluate --help`.

    Raises:
        SessionError: a folder that is no run, or a dataset without clips in that split.
    """
    config, dataset, truth = _opened(run, data, split)
    return evaluate.evaluate(run, config, dataset, split, truth)


def answer(run: Path, out: Path, data: str | None = None, split: str = "test", pictures: int = 0) -> dict[str, Any]:
    """Write what a run says of a split as AVA's files; see `syncctl predict --help`.

    Raises:
        SessionError: a folder that is no run, or a dataset without clips in that split.
        ConfigError: a run that finds nobody, or has no pictures to show.
    """
    config, dataset, truth = _opened(run, data, split)
    if not isinstance(truth, answers.Located):
        raise ConfigError(f"{run} is a run of {config.model}, which says of no box who does what in it")
    if pictures and not isinstance(truth, answers.Drawn):
        raise ConfigError(f"{run} is a run of {config.model}, which reads no pictures; leave --pictures out")
    if not len(dataset):
        raise SessionError(f"{config.data} has no clips in the split '{split}'; choose another --split")
    model, step = evaluate.load_model(run, config)
    predicted = evaluate.predict(model, dataset, evaluate.device_of(config))
    document: dict[str, Any] = {"run": str(run), "step": step, "split": split}
    document |= answers.write(out, dataset, truth, predicted)
    if pictures and isinstance(truth, answers.Drawn):
        document["files"] += answers.write_pictures(out, dataset, truth, predicted, pictures)
    return document


def _opened(run: Path, data: str | None, split: str) -> tuple[RunConfig, Any, Any]:
    """A run's configuration, the clips of a split and what is true of them."""
    config = evaluate.read_config(run)
    if data is not None:
        config = dataclasses.replace(config, data=_located(data))
    module = module_of(config.model)
    dataset = module.open_split(config.data, split, config.net)
    return config, dataset, module.truth(dataset)


def _completed(module: ModuleType, config: RunConfig, settings: Sequence[str]) -> RunConfig:
    """With what the data says; a number that was asked for and is another is refused."""
    net = module.completed(config.net, config.data)
    for name in (key.removeprefix(f"{config.model}.") for key, _, _ in (s.partition("=") for s in settings)):
        asked, found = getattr(config.net, name, None), getattr(net, name, None)
        if isinstance(asked, int) and asked != found:
            told = f"must be {found} for {config.data}; leave --set {config.model}.{name} away"
            raise ConfigError(f"{config.model}.{name} {told}")
    return dataclasses.replace(config, net=net)


def _resumed(
    model: str, data: str | None, out: Path, preset: str | None, file: Path | None, settings: Sequence[str]
) -> RunConfig:
    """The run's own configuration with whatever the command says over it; `train` refuses a change."""
    saved = evaluate.read_config(out)
    if model != saved.model:
        raise ConfigError(f"{out} is a run of {saved.model}, not of {model}")
    asked = dataclasses.replace(
        saved, preset=preset or saved.preset, data=saved.data if data is None else _located(data)
    )
    return configuration.changed(asked, file, settings)


def _located(data: str) -> str:
    """A local folder by its full path, so that the run can be evaluated from anywhere; an address as it is."""
    return str(Path(data).resolve()) if Path(data).exists() else data
