"""Classes of which only a few clips are known: the backbone stays as it is, only a linear layer learns (5.2.4).

Some activities are kept out of the backbone's training. Of each of them k clips of the training split are drawn; on
their contexts a layer learns the atomic actions and another the activity; both are measured on every clip of those
activities in the test split. What the paper leaves open is set here: the layers are logistic regressions with a fixed
penalty on contexts standardised by the training split, and the draw is repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from firmware_host.errors import ConfigError
from models.ccau.measures import mean_precision, place_of_truth

SHOTS = (1, 5, 10, 20)
PENALTY = 1e-2
STEPS = 50


@dataclass(frozen=True)
class Features:
    """One modality's contexts of a split, with their labels.

    Attributes:
        context: (N, D) float32.
        activity: (N,) int64.
        atomic: (N, A) of 0 and 1.
    """

    context: np.ndarray
    activity: np.ndarray
    atomic: np.ndarray


@dataclass(frozen=True)
class Score:
    """What k clips of each new class are worth, over the draws.

    Attributes:
        shots: k.
        short: new classes with fewer than k training clips, which give all they have.
        top1: (R,) accuracy among the new activities, one for each draw.
        mean_ap: (R,) mean average precision of the atomic actions that the test clips have.
    """

    shots: int
    short: int
    top1: np.ndarray
    mean_ap: np.ndarray


def novel_classes(activities: int, count: int, seed: int = 0) -> tuple[int, ...]:
    """`count` of the classes, drawn; the paper's split of 75 into 60 and 15 is not published."""
    if not 0 < count < activities:
        raise ConfigError(f"{count} new of {activities} activities leave nothing to learn from; choose fewer")
    return tuple(sorted(np.random.default_rng(seed).choice(activities, count, replace=False).tolist()))


def draw(activity: np.ndarray, novel: Sequence[int], shots: int, seed: int) -> np.ndarray:
    """Indices of `shots` clips of each new class, all where there are fewer; ascending."""
    random = np.random.default_rng(seed)
    chosen = [random.permutation(np.flatnonzero(activity == c))[:shots] for c in novel]
    return np.sort(np.concatenate(chosen))


def few_shot(
    train: Features, test: Features, novel: Sequence[int], shots: Sequence[int] = SHOTS, draws: int = 5
) -> list[Score]:
    """Run the protocol.

    Args:
        train: contexts of the training split, of a backbone that has not seen the `novel` activities' labels.
        test: of the test split.
        novel: the new activities.
        shots: the k's.
        draws: how often clips are drawn.

    Raises:
        ConfigError: a new activity without any training clip, or none of them in the test split.
    """
    asked = np.isin(test.activity, novel)
    absent = [int(c) for c in novel if not (train.activity == c).any()]
    if absent or not asked.any():
        raise ConfigError(
            f"few-shot needs clips of every new activity to learn from and some to be asked about; "
            f"{f'activity {absent[0]} has none in training' if absent else 'the test split has none of them'}"
        )
    mean, deviation = train.context.mean(0), train.context.std(0) + 1e-6
    scaled = [torch.from_numpy((part.context - mean) / deviation).float() for part in (train, test)]
    new = {c: i for i, c in enumerate(novel)}
    query = Features(scaled[1][torch.from_numpy(asked)].numpy(), test.activity[asked], test.atomic[asked])
    scores = []
    for k in shots:
        results = []
        for seed in range(draws):
            rows = draw(train.activity, novel, k, seed)
            activity = torch.tensor([new[int(c)] for c in train.activity[rows]])
            results.append(_measured(scaled[0][rows], activity, train.atomic[rows], query, new))
        short = sum(int((train.activity == c).sum() < k) for c in novel)
        top1, mean_ap = (np.array(column) for column in zip(*results, strict=True))
        scores.append(Score(k, short, top1, mean_ap))
    return scores


def _measured(
    x: Tensor, activity: Tensor, atomic: np.ndarray, query: Features, new: dict[int, int]
) -> tuple[float, float]:
    asked = torch.from_numpy(query.context)
    said = fitted(x, F.one_hot(activity, len(new)).float(), asked, exclusive=True)
    found = fitted(x, torch.from_numpy(np.asarray(atomic, np.float32)), asked, exclusive=False)
    true = np.array([new[int(c)] for c in query.activity])
    precision = mean_precision("", found.numpy(), query.atomic > 0.5, np.ones((1, len(true))))[".map"]
    return float((place_of_truth(said.numpy(), true) == 0).mean()), float(precision[0])


def fitted(x: Tensor, target: Tensor, asked: Tensor, *, exclusive: bool) -> Tensor:
    """Logistic regression from (N, D) to (N, C), asked about (Q, D): logits (Q, C).

    Args:
        exclusive: one class of each row (softmax), or each class by itself (sigmoid).
    """
    weight = torch.zeros(x.shape[1], target.shape[1], requires_grad=True)
    bias = torch.zeros(target.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=STEPS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        logits = x @ weight + bias
        if exclusive:
            loss = F.cross_entropy(logits, target)
        else:
            loss = F.binary_cross_entropy_with_logits(logits, target, reduction="none").sum(1).mean()
        loss = loss + PENALTY * weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return (asked @ weight + bias).detach()
