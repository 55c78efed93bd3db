"""A small Action Transformer head and random maps for it."""

from __future__ import annotations

import torch

from models.vat import Config

SMALL = Config(actions=3, narrow=32, layers=3, heads=2, width=5, hidden=7, dropout=0.3, location=4, query="low")
CHANNELS = 6


def lived_in(module):
    """Norms that are not 1 and 0, in float64 and eval mode."""
    for name, parameter in module.named_parameters():
        if "norm" in name or ".bn." in name:
            parameter.data.uniform_(0.5, 1.5)
    return module.double().eval()


def plain(module):
    return {name: tensor.numpy() for name, tensor in module.state_dict().items()}


def made_maps(clips=2, shape=(4, 5, 6), seed=0, channels=CHANNELS):
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(clips, channels, *shape, generator=rng, dtype=torch.float64)
