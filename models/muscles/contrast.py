"""Momentum contrast (He et al., CVPR 2020): a frame is to be told from many others by another view of itself.

The keys of the last batches are the others. They come from a second encoder that follows the first slowly, so that
old keys and new ones speak the same language. MoCo shuffles the keys of several processes among them, as batch
norm would otherwise tell a key by its neighbours; here every process keeps its own keys, so that a run on two
processes gives the numbers of one that accumulates.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Queue(nn.Module):
    """The last Q keys, a ring; they start uniform with the spread of unit vectors, as in the authors' code."""

    memory: Tensor
    pointer: Tensor

    def __init__(self, size: int, embedding: int) -> None:
        super().__init__()
        spread = (embedding / 3) ** -0.5
        self.register_buffer("memory", torch.empty(size, embedding).uniform_(-spread, spread))
        self.register_buffer("pointer", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def push(self, keys: Tensor) -> None:
        """Replace the oldest entries by `keys` (B, E); of more than Q keys the last Q stay."""
        size = len(self.memory)
        places = (self.pointer + torch.arange(len(keys), device=keys.device)) % size
        self.memory[places[-size:]] = keys[-size:].to(self.memory.dtype)
        self.pointer.copy_((self.pointer + len(keys)) % size)


def embedded(maps: Tensor, linear: nn.Module) -> Tensor:
    """Maps (B, C, h, w) of a frame -> (B, E), each of length 1."""
    return F.normalize(linear(maps.mean(dim=(2, 3))).float(), dim=1)


def contrastive_loss(query: Tensor, key: Tensor, memory: Tensor, temperature: float) -> Tensor:
    """InfoNCE (eq. 2): cross entropy of finding the own key among the own key and the queue.

    Args:
        query, key: (B, E), unit length.
        memory: (Q, E), the negatives.
        temperature: tau.
    """
    with torch.autocast(query.device.type, enabled=False):  # bfloat16 would round logits of 14 to a sixteenth
        positive = (query * key).sum(dim=1, keepdim=True)  # (B, 1)
        logits = torch.cat([positive, query @ memory.T], dim=1) / temperature  # (B, 1 + Q)
        return F.cross_entropy(logits, torch.zeros(len(query), dtype=torch.int64, device=query.device))


def gathered(batches: list[Tensor]) -> Tensor:
    """The keys of all processes, so that every queue holds the same.

    Args:
        batches: this process's keys, (B, E) for each batch of the step.

    Returns:
        (processes * batches * B, E): the first batch of each process, then the second of each.
    """
    keys = torch.stack(batches)  # (A, B, E)
    parts = [keys]
    if torch.distributed.is_initialized():
        parts = [torch.empty_like(keys) for _ in range(torch.distributed.get_world_size())]
        torch.distributed.all_gather(parts, keys)
    return torch.stack(parts, dim=1).flatten(0, 2)  # (A, W, B, E) -> (A * W * B, E)
