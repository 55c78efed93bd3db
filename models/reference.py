"""Loading published weights: every name must find its place, and what does not is told by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from firmware_host.errors import ConfigError, SessionError

SHOWN = 6


def without_prefix(state_dict: Mapping[str, Tensor], prefix: str = "module.") -> dict[str, Tensor]:
    """The same tensors without the prefix that torch's DataParallel puts before every name."""
    return {name.removeprefix(prefix): tensor for name, tensor in state_dict.items()}


def read_weights(path: Path, remedy: str) -> Any:
    """What a file of weights holds: ``.safetensors``, or whatever of tensors and plain types torch saved.

    Raises:
        SessionError: there is no such file (`remedy` says what to do), or it cannot be read.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise SessionError(f"{path} does not exist; {remedy}") from None
    except Exception as error:
        raise SessionError(f"{path} cannot be read as weights ({error})") from error


def load_exactly(
    module: nn.Module, state_dict: Mapping[str, Tensor], what: str, ours_alone: tuple[str, ...] = ()
) -> nn.Module:
    """Load `state_dict` into `module` and return it in eval mode.

    Args:
        module: where the weights go.
        state_dict: name -> tensor.
        what: what is being loaded, for the message.
        ours_alone: names the publication may lack; they keep their initial value. BatchNorm's
            ``num_batches_tracked`` may always be missing: files older than torch 0.4 have none.

    Raises:
        ConfigError: missing names, unexpected names or other shapes, all told in one sentence.
    """
    own = module.state_dict()
    missing = [
        name
        for name in own
        if name not in state_dict and name not in ours_alone and not name.endswith("num_batches_tracked")
    ]
    unexpected = [name for name in state_dict if name not in own]
    shapes = [
        f"{name} {tuple(state_dict[name].shape)} instead of {tuple(tensor.shape)}"
        for name, tensor in own.items()
        if name in state_dict and state_dict[name].shape != tensor.shape
    ]
    faults = [
        f"{kind} {_some(names)}"
        for kind, names in (("missing", missing), ("unexpected", unexpected), ("other shapes:", shapes))
        if names
    ]
    if faults:
        raise ConfigError(
            f"these weights do not fit {what}: {'; '.join(faults)}; give the configuration they were trained with"
        )
    module.load_state_dict(dict(state_dict), strict=False)
    return module.eval()


def _some(names: list[str]) -> str:
    rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + rest
