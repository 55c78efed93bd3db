"""What a run is made with: frozen dataclasses, a TOML file, and ``--set section.key=value``.

Three layers, the later one wins: the model's preset, the file, the settings on the command line. Every name is
checked against the dataclasses; what came out is written to the run as ``config.toml``, from which it resumes.
"""

from __future__ import annotations

import dataclasses
import json
import tomllib
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firmware_host.errors import ConfigError, unknown_name
from models import module_of

FILE = "config.toml"
TOP = ("model", "preset", "data")


@dataclass(frozen=True)
class TrainConfig:
    """The training loop's own settings.

    Attributes:
        steps: optimiser steps in all.
        batch: clips a process reads at a time.
        accumulate: batches whose gradients are summed into one step.
        seed: of the weights, the order of the clips, the augmentation and dropout.
        optimizer: ``adam`` (decay added to the gradient, as the papers' code), ``adamw`` (decoupled) or ``sgd``
            (momentum 0.9, decay added to the gradient).
        lr: highest learning rate.
        weight_decay: see `optimizer`.
        beta2: decay of the optimiser's squared gradients.
        layer_decay: learning rate of a layer over that of the layer after it, for models that name their layers.
        schedule: ``cosine`` (down to 0), ``constant``, ``quarters`` (a tenth after each quarter of the steps) or
            ``fifths`` (a tenth after three fifths and again after four).
        warmup: steps of linear rise to `lr`.
        clip_norm: largest norm of the gradient; 0 leaves it alone.
        bf16: compute in bfloat16 where autocast allows; losses stay in float32.
        compile: let `torch.compile` fuse the model first, on CUDA only; worth its minute in long runs.
        ema: decay of the averaged weights that are written for use; 0 writes the weights themselves.
        workers: processes that read clips; 0 reads in the loop.
        keep_mb: megabytes of decoded frames that stay in memory; needs `workers` 0, whose memory lasts.
        threads: of torch on a CPU; 0 leaves it to torch. One makes a run the same on any number of cores, and
            two that wait for each other on a busy machine are far slower than one.
        device: ``auto`` (CUDA where there is one), ``cpu`` or ``cuda``.
        log_every: steps between two lines of ``metrics.jsonl``.
        save_every: steps between two checkpoints.
    """

    steps: int = 10_000
    batch: int = 32
    accumulate: int = 1
    seed: int = 0
    optimizer: str = "adam"
    lr: float = 5e-4
    weight_decay: float = 0.0
    beta2: float = 0.999
    layer_decay: float = 1.0
    schedule: str = "cosine"
    warmup: int = 0
    clip_norm: float = 0.0
    bf16: bool = False
    compile: bool = False
    ema: float = 0.0
    workers: int = 0
    keep_mb: int = 0
    threads: int = 0
    device: str = "auto"
    log_every: int = 1
    save_every: int = 200

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "accumulate", "log_every", "save_every"):
            require(getattr(self, name) >= 1, f"train.{name}", "must be at least 1", getattr(self, name))
        for name in ("warmup", "clip_norm", "weight_decay", "workers", "keep_mb", "threads", "seed"):
            require(getattr(self, name) >= 0, f"train.{name}", "must not be negative", getattr(self, name))
        require(not (self.workers and self.keep_mb), "train.keep_mb", "needs train.workers=0", self.keep_mb)
        require(self.lr > 0, "train.lr", "must be positive", self.lr)
        require(0 < self.layer_decay <= 1, "train.layer_decay", "must be in (0, 1]", self.layer_decay)
        require(0 <= self.beta2 < 1, "train.beta2", "must be in [0, 1)", self.beta2)
        require(0 <= self.ema < 1, "train.ema", "must be in [0, 1)", self.ema)
        for name, known in (
            ("optimizer", ("adam", "adamw", "sgd")),
            ("schedule", ("constant", "cosine", "quarters", "fifths")),
            ("device", ("auto", "cpu", "cuda")),
        ):
            if getattr(self, name) not in known:
                raise ConfigError(unknown_name(f"train.{name}", getattr(self, name), known))


@dataclass(frozen=True)
class Preset:
    """A named starting point of a model: its own configuration and the loop's."""

    net: Any
    train: TrainConfig


@dataclass(frozen=True)
class RunConfig:
    """Everything a run is made with.

    Attributes:
        model: key of `models.MODELS`; in the file, `net` is the section of this name.
        preset: what the other values started from.
        data: the dataset.
        net: the model's own ``Config``.
        train: the loop's settings.
    """

    model: str
    preset: str
    data: str
    net: Any
    train: TrainConfig


def require(holds: bool, field: str, rule: str, value: object) -> None:
    """Raise a ConfigError that names the field unless `holds`."""
    if not holds:
        raise ConfigError(f"{field} {rule}, not {value}")


def resolve(model: str, preset: str, data: str, file: Path | None = None, settings: Iterable[str] = ()) -> RunConfig:
    """Preset, then file, then settings.

    Args:
        model: key of `models.MODELS`.
        preset: key of that model's ``PRESETS``.
        data: the dataset's path or address.
        file: a TOML file with sections ``[train]`` and ``[MODEL]``.
        settings: texts like ``train.lr=1e-3``; the value is read as TOML, or as plain text if it is none.

    Raises:
        ConfigError: an unknown name (with the nearest one), a value of the wrong kind or out of range.
    """
    presets = module_of(model).PRESETS
    if preset not in presets:
        raise ConfigError(unknown_name(f"preset of {model}", preset, presets))
    start: Preset = presets[preset]()
    return changed(RunConfig(model, preset, data, start.net, start.train), file, settings)


def changed(config: RunConfig, file: Path | None = None, settings: Iterable[str] = ()) -> RunConfig:
    """The configuration with a file's and then the settings' values; see `resolve`."""
    if file is not None:
        config = _updated(config, {k: v for k, v in _read(file).items() if k not in TOP}, str(file))
    asked: dict[str, dict[str, Any]] = {}
    for setting in settings:  # all at once: one value may make sense only with another
        for section, values in _setting(setting).items():
            asked.setdefault(section, {}).update(values)
    return _updated(config, asked, "--set")


def load(path: Path) -> RunConfig:
    """Read what `dumps` wrote."""
    table = _read(path)
    absent = [key for key in TOP if not isinstance(table.get(key), str)]
    if absent:
        raise ConfigError(f"{path} has no {absent[0]}; it is not the configuration of a run")
    config = resolve(table["model"], table["preset"], table["data"])
    return _updated(config, {k: v for k, v in table.items() if k not in TOP}, str(path))


def dumps(config: RunConfig) -> str:
    """The configuration as TOML, every value written out."""
    lines = [f"{key} = {_toml(getattr(config, key))}" for key in TOP]
    for section, values in (("train", config.train), (config.model, config.net)):
        lines += ["", f"[{section}]"]
        lines += [f"{key} = {_toml(value)}" for key, value in dataclasses.asdict(values).items()]
    return "\n".join(lines) + "\n"


def differences(one: RunConfig, other: RunConfig) -> list[str]:
    """``name (one, other)`` of every value that differs."""
    tables = [tomllib.loads(dumps(config)) for config in (one, other)]
    first, second = ({f"{s}.{k}": v for s in t if s not in TOP for k, v in t[s].items()} for t in tables)
    first |= {key: tables[0][key] for key in TOP}
    second |= {key: tables[1][key] for key in TOP}
    return [
        f"{key} ({first.get(key)}, {second.get(key)})" for key in first | second if first.get(key) != second.get(key)
    ]


def _updated(config: RunConfig, table: Mapping[str, Any], where: str) -> RunConfig:
    sections = {"train": "train", config.model: "net"}
    for section, values in table.items():
        if section not in sections:
            raise ConfigError(f"{where}: {unknown_name('section', section, sections)}")
        if not isinstance(values, dict):
            raise ConfigError(f"{where}: '{section}' is a section; set one of its keys, as in {section}.KEY=VALUE")
        field = sections[section]
        changed = _replaced(getattr(config, field), values, f"{where}: {section}.")
        config = dataclasses.replace(config, **{field: changed})
    return config


def _replaced(values: Any, changes: Mapping[str, Any], where: str) -> Any:
    kinds = typing.get_type_hints(type(values))
    for key in changes:
        if key not in kinds:
            raise ConfigError(f"{where}{key}: {unknown_name('key', key, kinds)}")
    fitted = {key: _fitted(value, kinds[key], where + key) for key, value in changes.items()}
    return dataclasses.replace(values, **fitted)


def _fitted(value: Any, kind: Any, where: str) -> Any:
    """`value` as `kind` (bool, int, float, str or a tuple of one of them), without losing anything."""
    if typing.get_origin(kind) is tuple:
        if isinstance(value, list):
            return tuple(_fitted(item, typing.get_args(kind)[0], where) for item in value)
    elif kind is float and type(value) is int:
        return float(value)
    elif type(value) is kind:
        return value
    raise ConfigError(f"{where} must be {_spoken(kind)}, not {value!r}")


def _spoken(kind: Any) -> str:
    if typing.get_origin(kind) is tuple:
        return f"a list of {_spoken(typing.get_args(kind)[0])[2:].strip()}s"
    return {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}[kind]


def _setting(text: str) -> dict[str, Any]:
    path, equals, value = text.partition("=")
    section, dot, key = path.strip().partition(".")
    if not (equals and dot and section and key):
        raise ConfigError(f"--set {text}: write it as SECTION.KEY=VALUE, for example train.lr=1e-3")
    try:
        parsed = tomllib.loads(f"x = {value}")["x"]
    except tomllib.TOMLDecodeError:
        parsed = value.strip()
    return {section: {key: parsed}}


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"{path} does not exist") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error


def _toml(value: Any) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return repr(value)
