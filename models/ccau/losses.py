"""What the towers are trained by: labels, each other's contexts, each other's answers.

Eq. 1 (alignment), section 4.3 and eq. 4 (composition), eq. 5 (distillation). Where the paper and the authors' code
disagree, this does what the code does: a clip has one vector in each modality, and the batch's other clips are its
negatives; the atomic loss is a focal one that weighs positives ten times.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.ccau.attention import Attention, pooled, uniform
from models.ccau.config import Config

PROJECTION_HIDDEN = 128


class Alignment(nn.Module):
    """One pair of modalities in a space of their own: 134,336 parameters for two views with attention.

    A pair looks at the cells by weights of its own: what two views share need not be what tells activities apart.

    Args:
        config: sizes.
        cells: of the two modalities' maps.
    """

    def __init__(self, config: Config, cells: tuple[int, int]) -> None:
        super().__init__()
        parts = [Attention(config.hidden, n) if config.attention and n > 1 else None for n in cells]
        self.mode0_attention_fn, self.mode1_attention_fn = parts
        self.mode0_to_common, self.mode1_to_common = (projection(config) for _ in cells)

    def forward(self, grid0: Tensor, grid1: Tensor) -> tuple[Tensor, Tensor]:
        """Two maps (B, D, h, w) of the same clips to (B, projection) each."""
        one = self.mode0_to_common(_attended(grid0, self.mode0_attention_fn))
        return one, self.mode1_to_common(_attended(grid1, self.mode1_attention_fn))


def projection(config: Config) -> nn.Sequential:
    """(B, D) -> (B, projection)."""
    first = nn.Linear(config.hidden, PROJECTION_HIDDEN)
    return nn.Sequential(first, nn.ReLU(), nn.Linear(PROJECTION_HIDDEN, config.projection))


def _attended(grid: Tensor, attention: Attention | None) -> Tensor:
    return pooled(grid, uniform(grid) if attention is None else attention(grid))


def align_loss(one: Tensor, other: Tensor) -> Tensor:
    """Find the own clip in the other modality among the batch (eq. 1), the mean of both directions.

    Args:
        one, other: (B, E), row i of each from the same clip; dot products are taken as they are.

    Returns:
        A scalar, ln B at the start; 0 for fewer than two clips, which have nobody to be taken for.
    """
    if len(one) < 2:
        return one.sum() * 0 + other.sum() * 0
    with torch.autocast(one.device.type, enabled=False):
        scores = one.float() @ other.float().T  # (B, B)
        own = torch.arange(len(one), device=one.device)
        return (F.cross_entropy(scores, own) + F.cross_entropy(scores.T, own)) / 2


def activity_loss(logits: Tensor, activity: Tensor) -> Tensor:
    """Mean cross entropy over the clips whose activity is known (not -1); 0 where none is.

    Args:
        logits: (B, classes).
        activity: (B,) int64.
    """
    known = activity >= 0
    each = F.cross_entropy(logits, activity.clamp(min=0), reduction="none")
    return torch.where(known, each, 0).sum() / known.sum().clamp(min=1)


def atomic_loss(logits: Tensor, atomic: Tensor, valid: Tensor, gamma: float, positive_weight: float) -> Tensor:
    """Focal binary cross entropy: mean over all classes of the clips that were labelled; 0 where none was.

    Args:
        logits, atomic: (B, classes), the latter 0 or 1.
        valid: (B,) bool.
        gamma: how much less an entry counts that is already right: (1 - p of the truth) ** gamma.
        positive_weight: of entries that are 1.
    """
    atomic = torch.where(valid[:, None], atomic, 0)
    each = F.binary_cross_entropy_with_logits(logits, atomic, reduction="none")
    missed = torch.sigmoid(torch.where(atomic > 0.5, -logits, logits))  # 1 - p of the truth
    weight = torch.where(atomic > 0.5, positive_weight, 1.0) * missed**gamma
    rows = torch.where(valid[:, None], weight * each, 0).sum()
    return rows / (valid.sum() * logits.shape[1]).clamp(min=1)


def distill_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Mean cross entropy of the student's softened answer against the teacher's (second term of eq. 5).

    The teacher is not moved by it. Both are logits (B, classes); 0 for no clips.
    """
    if not len(student):
        return student.sum() * 0
    target = torch.softmax(teacher.detach() / temperature, dim=1)
    return F.cross_entropy(student / temperature, target)


class Weighting(nn.Module):
    """Weights of a modality's tasks, fixed or learned (Kendall, Gal, Cipolla, CVPR 2018; eq. 4).

    Learned: with s = log sigma**2 of each task, the sum of exp(-s) loss + s / 2. The ``atomic_weight`` applies in both.

    Args:
        config: which.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.fixed = {"activity": 1.0, "atomic": config.atomic_weight}
        tasks = config.tasks.split("/") if config.weighting == "uncertainty" else []
        self.log_variance = nn.ParameterDict({task: nn.Parameter(torch.zeros(())) for task in tasks})

    def forward(self, losses: dict[str, Tensor]) -> Tensor:
        """Task -> scalar loss, to one scalar."""
        total = torch.zeros(())
        for task, loss in losses.items():
            weighed = self.fixed[task] * loss
            if task in self.log_variance:
                s = self.log_variance[task]
                weighed = torch.exp(-s) * weighed + s / 2
            total = total.to(weighed.device) + weighed
        return total
