"""Self-supervision: foretell the maps of the last blocks from the first ones (appendix B, eq. 3; after DPC).

    z~(t+1) = phi(c(t)),  c(t+1) = g(z~(t+1), c(t)),  z~(t+2) = phi(c(t+1)) ...

Features, contexts and predictions have length 1 in every cell. A foretold cell must resemble the true one, of the
same clip, step and cell, more than any other cell of any step and clip in the batch. (The authors' code divides both
sides by the temperature, so by its square; here, as DPC's follow-ups write it, the product is divided once.)
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.convgru import ConvGRU


def predictor(hidden: int, channels: int) -> nn.Sequential:
    """phi: contexts (B, hidden, h, w) -> features (B, C, h, w); 131,584 parameters for 256 and 256."""
    first, last = nn.Conv2d(hidden, hidden, 1), nn.Conv2d(hidden, channels, 1)
    for layer in (first, last):
        nn.init.orthogonal_(layer.weight)
    return nn.Sequential(first, nn.ReLU(), last)


def foretell(features: Tensor, steps: int, aggregator: ConvGRU, phi: nn.Module) -> Tensor:
    """The next maps, each from the ones before it, foretold ones included.

    Args:
        features: (B, N, C, h, w), the blocks that are seen, each cell of length 1.
        steps: P, how many to foretell.
        aggregator, phi: g from features to contexts, phi back.

    Returns:
        (B, P, C, h, w), each cell of length 1.
    """
    state = F.normalize(aggregator(features)[:, -1], dim=1)
    foretold = []
    for _ in range(steps):
        following = F.normalize(phi(state), dim=1)
        foretold.append(following)
        state = F.normalize(aggregator(following[:, None], state)[:, -1], dim=1)
    return torch.stack(foretold, dim=1)


def contrast_loss(foretold: Tensor, true: Tensor, temperature: float) -> Tensor:
    """Cross entropy of each foretold cell's own true cell among all of the batch's; both (B, P, C, h, w)."""
    with torch.autocast(foretold.device.type, enabled=False):
        one, other = (x.float().permute(0, 1, 3, 4, 2).flatten(0, 3) for x in (foretold, true))  # (B*P*h*w, C)
        return F.cross_entropy(one @ other.T / temperature, torch.arange(len(one), device=one.device))
