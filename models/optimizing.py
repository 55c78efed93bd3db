"""How weights move: the optimiser, its learning rate at every step, and the average that follows."""

from __future__ import annotations

import math

import torch
from torch import nn

from models.config import TrainConfig


def optimizer_of(model: nn.Module, train: TrainConfig) -> torch.optim.Optimizer:
    """All that learns; of a model with ``parameter_groups`` each group has its own ``share`` of the rate."""
    groups = getattr(model, "parameter_groups", None)
    learned = groups(train) if groups else [parameter for parameter in model.parameters() if parameter.requires_grad]
    if train.optimizer == "sgd":
        return torch.optim.SGD(learned, lr=train.lr, momentum=0.9, weight_decay=train.weight_decay)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[train.optimizer]
    return kind(learned, lr=train.lr, betas=(0.9, train.beta2), weight_decay=train.weight_decay)


def learning_rate(train: TrainConfig, step: int) -> float:
    """Learning rate of a step (counted from 0).

    A linear rise over `warmup` steps, times half a cosine from `lr` to 0, or a tenth after each quarter of the
    steps (the muscles code's 50 of 200 epochs), or a tenth after 3/5 and
    after 4/5 (MoCo's 120 and 160 of 200), or nothing more.
    """
    rise = min(1.0, (step + 1) / (train.warmup + 1))
    if train.schedule == "constant":
        return train.lr * rise
    if train.schedule == "fifths":
        return train.lr * rise * 0.1 ** max(0, 5 * step // train.steps - 2)
    if train.schedule == "quarters":
        return train.lr * rise * 0.1 ** min(3, 4 * step // train.steps)
    return train.lr * rise * 0.5 * (1 + math.cos(math.pi * step / train.steps))


class Average:
    """Exponentially averaged weights; buffers such as batch norm's statistics are taken as they are."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move towards the weights of `model`."""
        learned = {name for name, _ in model.named_parameters()}
        for name, tensor in model.state_dict().items():
            if name in learned:
                self.weights[name].lerp_(tensor, 1 - self.decay)
            else:
                self.weights[name].copy_(tensor)
