"""Region proposals (Ren et al., "Faster R-CNN", NIPS 2015) and how proposals are taught, of either stage.

A small network says of each anchor, a box of one of a few sizes and shapes around each cell of a map, whether there
is a person and how to move the anchor onto it. What the Video Action Transformer leaves to TensorFlow's object
detection is as its defaults have it: twelve anchors a cell, a two-way softmax, suppression at 0.7, an anchor taught
as a person from an overlap of 0.7 and as background under 0.3, 256 anchors a picture. Two things are decided here:
anchors stand at the middles of the cells, and those that reach beyond the picture are taught as well (TensorFlow
leaves them out of training and asks them all the same, which on 400 pixels is every anchor of 512).

With 832 channels, 512 hidden and 12 anchors: 3,871,304 parameters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models import boxes as boxing

PERSON, BACKGROUND, LEFT_OUT = 1, 0, -1


class Rpn(nn.Module):
    """A 3x3 convolution with ReLU, then for each of `anchors` at a cell two logits and four numbers of a box code."""

    def __init__(self, channels: int, hidden: int, anchors: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, hidden, 3, padding=1)
        self.objectness = nn.Conv2d(hidden, 2 * anchors, 1)
        self.code = nn.Conv2d(hidden, 4 * anchors, 1)

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, H, W) -> logits (B, H * W * A, 2) of background and person, codes (B, H * W * A, 4)."""
        hidden = torch.relu(self.conv(maps))
        return _by_anchor(self.objectness(hidden), 2), _by_anchor(self.code(hidden), 4)


def anchors_of(height: int, width: int, base: float, scales: Sequence[float], ratios: Sequence[float]) -> Tensor:
    """The anchors of a map, in the order of `Rpn`: by row, by column, by scale, by shape.

    Args:
        height, width: cells.
        base: side of the square anchor of scale 1, a fraction of the picture.
        scales: times `base`.
        ratios: width over height, at equal area.

    Returns:
        (height * width * A, 4) float32; some reach beyond the picture.
    """
    shapes = [(base * s * math.sqrt(r), base * s / math.sqrt(r)) for s in scales for r in ratios]
    half = torch.tensor(shapes) / 2  # (A, 2)
    y, x = torch.meshgrid((torch.arange(height) + 0.5) / height, (torch.arange(width) + 0.5) / width, indexing="ij")
    centre = torch.stack([x, y], dim=-1)[:, :, None]  # (H, W, 1, 2)
    return torch.cat([centre - half, centre + half], dim=-1).flatten(0, 2)


def assigned(
    candidates: Tensor, boxes: Tensor, valid: Tensor, high: float, low: float, best: bool
) -> tuple[Tensor, Tensor]:
    """Which true box each candidate is to find, if any.

    Args:
        candidates: (B, N, 4); one that is not usable is left out.
        boxes: (B, P, 4) true ones.
        valid: (B, P) bool; what is under a False, or not usable, is no box.
        high: a candidate that overlaps a box as much as this is a person.
        low: one that overlaps every box less than this is background; between the two it is left out.
        best: for each box, the candidates that overlap it most are persons even under `high` (not at 0).

    Returns:
        label (B, N) int64: PERSON, BACKGROUND or LEFT_OUT.
        index (B, N) int64: the box each overlaps most, of equal ones the first; 0 without boxes.
    """
    count = candidates.shape[:2]
    if boxes.shape[1] == 0:
        boxes, valid = boxes.new_zeros(count[0], 1, 4), valid.new_zeros(count[0], 1)
    shared = boxing.overlap(candidates, boxes) * valid[:, None]  # (B, N, P)
    most, index = shared.max(-1)
    person = most >= high
    if best:
        top = shared.amax(1, keepdim=True)  # (B, 1, P)
        tops = (shared == top) & (shared > 0)
        person = person | tops.any(-1)
        index = torch.where((most < high) & tops.any(-1), tops.float().argmax(-1), index)
    label = torch.full(count, LEFT_OUT, device=candidates.device)
    label = torch.where(most < low, BACKGROUND, label)
    label = torch.where(person, PERSON, label)
    return torch.where(boxing.usable(candidates), label, LEFT_OUT), index


def drawn(label: Tensor, count: int, share: float) -> Tensor:
    """Draw candidates to learn from: at most `share` of `count` persons, the rest background.

    Candidates further back do not change which of the first are drawn, so boxes added as padding change nothing.

    Args:
        label: (B, N) as `assigned` gives it.

    Returns:
        (B, N) bool; fewer than `count` where there are not so many.
    """
    key = torch.rand(label.shape[1], label.shape[0], device=label.device).T
    person, background = label == PERSON, label == BACKGROUND
    chosen = person & (_rank(key, person) < int(share * count))
    left = count - chosen.sum(-1, keepdim=True)
    return chosen | (background & (_rank(key, background) < left))


def rpn_losses(
    logits: Tensor, codes: Tensor, anchors: Tensor, boxes: Tensor, valid: Tensor, count: int = 256
) -> tuple[Tensor, Tensor]:
    """What the first stage is taught with.

    Args:
        logits, codes: of `Rpn`.
        anchors: (N, 4).
        boxes, valid: (B, P, 4) and (B, P), the true persons.
        count: anchors drawn from each picture, at most half of them persons.

    Returns:
        Cross entropy of person against background, and smooth L1 of the persons' codes, both divided by the number of
        anchors drawn.
    """
    anchors = anchors.expand(len(logits), -1, -1)
    label, index = assigned(anchors, boxes, valid, high=0.7, low=0.3, best=True)
    chosen = drawn(label, count, 0.5)
    drawn_count = chosen.sum().clamp(min=1)
    each = F.cross_entropy(logits.float().transpose(1, 2), label.clamp(min=0), reduction="none")
    objectness = torch.where(chosen, each, 0).sum() / drawn_count
    person = chosen & (label == PERSON)
    each = F.smooth_l1_loss(codes.float(), codes_to(boxes, index, anchors, person), reduction="none").sum(-1)
    return objectness, torch.where(person, each, 0).sum() / drawn_count


def codes_to(boxes: Tensor, index: Tensor, candidates: Tensor, person: Tensor) -> Tensor:
    """The codes that move candidates onto the boxes they are to find.

    Args:
        boxes: (B, P, 4); `index` (B, N) says which.
        candidates: (B, N, 4).
        person: (B, N) bool, who has a box to find.

    Returns:
        (B, N, 4) float32, 0 where there is nothing to find.
    """
    if boxes.shape[1] == 0:
        return torch.zeros_like(candidates, dtype=torch.float32)
    goal = boxes.gather(1, index[..., None].expand(-1, -1, 4))
    whole = boxes.new_tensor([0.0, 0.0, 1.0, 1.0])  # in place of what is not counted, so that no NaN arises
    goal, start = (torch.where(person[..., None], each, whole) for each in (goal, candidates))
    return boxing.encode(goal, start).float()


@torch.no_grad()
def proposals(
    logits: Tensor, codes: Tensor, anchors: Tensor, most: int, threshold: float = 0.7
) -> tuple[Tensor, Tensor, Tensor]:
    """The boxes most likely to hold a person, none twice.

    Args:
        logits, codes: of `Rpn`.
        anchors: (N, 4).
        most: R.
        threshold: of the suppression.

    Returns:
        boxes (B, R, 4) within the picture, by falling score; scores (B, R) in [0, 1]; valid (B, R) bool. Box and
        score are 0 where `valid` is False.
    """
    found = boxing.clipped(boxing.decode(codes.float(), anchors))
    score = logits.float().softmax(-1)[..., PERSON]
    index, valid = boxing.suppressed(found, score, threshold, most)
    kept = found.gather(1, index[..., None].expand(-1, -1, 4)) * valid[..., None]
    return kept, score.gather(1, index) * valid, valid


def _by_anchor(maps: Tensor, numbers: int) -> Tensor:
    """(B, A * numbers, H, W) -> (B, H * W * A, numbers)."""
    return maps.permute(0, 2, 3, 1).flatten(1).unflatten(1, (-1, numbers))


def _rank(key: Tensor, among: Tensor) -> Tensor:
    """Place of each candidate among those marked when these are sorted by `key`; beyond all of them for the others."""
    order = torch.where(among, key, 2.0).argsort(dim=-1, stable=True)
    rank = torch.empty_like(order)
    return rank.scatter_(-1, order, torch.arange(key.shape[1], device=key.device).expand_as(order))
