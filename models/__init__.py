"""The fifth room: published systems, one training loop.

`MODELS` names the systems; each is one module with the same few names (see `tests/models/test_contract.py`):
``Config``, ``Model`` (with ``loss``, ``predict`` and ``after_step``), ``PRESETS``, ``open_split`` and ``truth``
(`models.metrics.Labels`). Modules are imported when one is asked for, so that ``syncctl --help`` never loads torch.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from firmware_host.errors import ConfigError, unknown_name

MODELS = {
    "ccau": "models.ccau",
    "hgrnn": "models.hgrnn",
    "hgrnn_features": "models.hgrnn.tuning",
    "lart": "models.lart",
    "muscles": "models.muscles",
    "transfer": "models.transfer",
    "vat": "models.vat",
}
REFERENCES = {
    "ccau": "models.ccau",
    "convgru": "models.convgru",
    "i3d": "models.i3d",
    "lart": "models.lart",
    "muscles": "models.muscles",
    "resnet18": "models.resnet",
    "resnet18_2d3d": "models.resnet3d:resnet18",
    "resnet34_2d3d": "models.resnet3d:resnet34",
    "resnet50_2d3d": "models.resnet3d:resnet50",
    "transfer": "models.transfer",
    "vgg_audio": "models.vgg_audio",
}
"""Part -> its module, whose ``from_reference`` makes it, or ``module:function``."""


def module_of(model: str) -> ModuleType:
    """The module of a model by its name in `MODELS`; ConfigError with the nearest name otherwise."""
    if model not in MODELS:
        raise ConfigError(unknown_name("model", model, MODELS))
    return importlib.import_module(MODELS[model])


def load_reference(name: str, state_dict: Mapping[str, Any], **config: Any) -> Any:
    """Build a model or one of its parts and load published weights by their published key names.

    Args:
        name: a key of `REFERENCES`.
        state_dict: name -> tensor, as the publication has it (a ``module.`` prefix is removed).
        config: fields of the part's configuration that differ from the published size.

    Returns:
        The module, in eval mode.

    Raises:
        ConfigError: an unknown part, or names or shapes that do not fit (the sentence lists them).
    """
    if name not in REFERENCES:
        raise ConfigError(unknown_name("reference", name, REFERENCES))
    module, _, function = REFERENCES[name].partition(":")
    return getattr(importlib.import_module(module), function or "from_reference")(state_dict, **config)
