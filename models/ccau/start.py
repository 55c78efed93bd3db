"""Weights of other runs to start from: what was learned without labels, or teachers that were trained alone."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from firmware_host.errors import ConfigError, SessionError


@torch.no_grad()
def adopt(model: nn.Module, runs: Iterable[str]) -> set[str]:
    """Copy into `model` every tensor of the runs that it has under the same name.

    Args:
        model: where they go; what the runs do not have stays as it is.
        runs: run folders; a later one wins.

    Returns:
        The names that were filled.

    Raises:
        SessionError: a folder without weights.
        ConfigError: nothing in a run has its place in the model, or a tensor has another shape there.
    """
    own = model.state_dict()
    filled: set[str] = set()
    for run in runs:
        weights = _weights(Path(run))
        shared = {name: tensor for name, tensor in weights.items() if name in own}
        if not shared:
            raise ConfigError(f"nothing in {run} has a place in this model; ccau.start names runs of other modalities")
        for name, tensor in shared.items():
            if tensor.shape != own[name].shape:
                raise ConfigError(
                    f"{name} in {run} is {tuple(tensor.shape)} and not {tuple(own[name].shape)}; "
                    "start from a run with the same sizes"
                )
            own[name].copy_(tensor)
        filled |= set(shared)
    return filled


def _weights(folder: Path) -> dict[str, Tensor]:
    path = folder / "model.safetensors"
    try:
        return load_file(path)
    except FileNotFoundError as error:
        raise SessionError(f"{folder} of ccau.start has no weights; train it first with `syncctl train`") from error
    except SafetensorError as error:
        raise SessionError(f"{path} cannot be read ({error}); it is damaged") from error
