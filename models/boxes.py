"""Boxes: overlap, coding, suppression, and what a map shows inside them.

A box is (x1, y1, x2, y2) in fractions of the picture, (0, 0) at its top left corner, and any number of batch
dimensions may stand before the last ones. Nothing here raises for a strange box, because one bad detection must not
end a run. A box that is not finite or has no area is not `usable`: it overlaps nothing, is never kept by
`suppressed`, and (where not finite) has only zeros inside. A box that reaches beyond the picture keeps its own
shape in `overlap` and shows zeros there in `crop`; `clipped` cuts it.

Coding and cropping are those of TensorFlow's object detection (Huang et al., "Speed/accuracy trade-offs for modern
convolutional object detectors", CVPR 2017), on which the Video Action Transformer was built.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

CODE_SCALES = (10.0, 10.0, 5.0, 5.0)
"""How much larger than the plain coding of Faster R-CNN the numbers are that a network predicts."""
LARGEST_GROWTH = math.log(1000 / 16)
"""The most that a decoded box may be wider than its anchor, as a logarithm; a wild prediction stays finite."""
TOGETHER = 32
"""Boxes of a clip that are cut out at a time, so that the larger grid of few of them is in memory."""


def area(boxes: Tensor) -> Tensor:
    """(..., 4) -> (...), 0 for a box that is turned inside out."""
    x1, y1, x2, y2 = boxes.unbind(-1)
    return (x2 - x1).clamp(min=0) * (y2 - y1).clamp(min=0)


def usable(boxes: Tensor) -> Tensor:
    """(..., 4) -> (...) bool: finite and with an area."""
    return torch.isfinite(boxes).all(-1) & (area(boxes) > 0)


def clipped(boxes: Tensor) -> Tensor:
    """The part of each box within the picture; one wholly outside becomes a line or a point. NaN stays NaN."""
    return boxes.clamp(0, 1)


def mirrored(boxes: Tensor) -> Tensor:
    """The boxes in a picture whose left and right are exchanged."""
    x1, y1, x2, y2 = boxes.unbind(-1)
    return torch.stack([1 - x2, y1, 1 - x1, y2], dim=-1)


def overlap(one: Tensor, other: Tensor) -> Tensor:
    """Intersection over union of every box with every other.

    Args:
        one: (..., N, 4).
        other: (..., M, 4).

    Returns:
        (..., N, M) in [0, 1]; 0 wherever one of the two is not usable.
    """
    a, b = one[..., :, None, :], other[..., None, :, :]
    low, high = torch.maximum(a[..., :2], b[..., :2]), torch.minimum(a[..., 2:], b[..., 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    union = area(a) + area(b) - shared
    fine = usable(one)[..., :, None] & usable(other)[..., None, :]
    return torch.where(fine, shared / torch.where(fine, union, 1), 0)


def encode(boxes: Tensor, anchors: Tensor) -> Tensor:
    """What a network must predict at each anchor to mean the box: shift of the centre in anchor sizes, log growth.

    Args:
        boxes, anchors: (..., 4), all usable.

    Returns:
        (..., 4): x, y, width, height, times `CODE_SCALES`.
    """
    x, y, w, h = _centred(boxes)
    ax, ay, aw, ah = _centred(anchors)
    code = torch.stack([(x - ax) / aw, (y - ay) / ah, torch.log(w / aw), torch.log(h / ah)], dim=-1)
    return code * code.new_tensor(CODE_SCALES)


def decode(code: Tensor, anchors: Tensor) -> Tensor:
    """The boxes that `encode` made into `code`, both (..., 4); growth is held to `LARGEST_GROWTH`."""
    dx, dy, dw, dh = (code / code.new_tensor(CODE_SCALES)).unbind(-1)
    ax, ay, aw, ah = _centred(anchors)
    x, y = ax + dx * aw, ay + dy * ah
    w, h = aw * torch.exp(dw.clamp(max=LARGEST_GROWTH)), ah * torch.exp(dh.clamp(max=LARGEST_GROWTH))
    return torch.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], dim=-1)


@torch.no_grad()
def suppressed(boxes: Tensor, scores: Tensor, threshold: float, most: int) -> tuple[Tensor, Tensor]:
    """Greedy non-maximum suppression: the best box, then the best that overlaps none of those kept, and so on.

    Memory grows with N, not with its square, and the device is never waited for: there are always `most` rounds.

    Args:
        boxes: (..., N, 4).
        scores: (..., N); a box whose score is NaN or -inf, or that is not usable, is never kept.
        threshold: a box goes when its overlap with a kept one is greater.
        most: how many are kept at the most.

    Returns:
        index (..., most) int64, by falling score, of equal ones the earlier first; 0 where ``kept`` is False.
        kept (..., most) bool.
    """
    lead, count = scores.shape[:-1], scores.shape[-1]
    index = torch.zeros(*lead, most, dtype=torch.int64, device=scores.device)
    kept = torch.zeros(*lead, most, dtype=torch.bool, device=scores.device)
    if count == 0:
        return index, kept
    open_to = usable(boxes) & ~torch.isnan(scores)
    left = torch.where(open_to, scores, -torch.inf)
    for place in range(most):
        best = left.argmax(-1, keepdim=True)  # of equal scores the first
        chosen = boxes.gather(-2, best[..., None].expand(*lead, 1, 4))
        fine = left.gather(-1, best) > -torch.inf
        index[..., place] = torch.where(fine, best, 0)[..., 0]
        kept[..., place] = fine[..., 0]
        gone = overlap(chosen, boxes)[..., 0, :] > threshold
        left = torch.where(gone & fine, -torch.inf, left).scatter(-1, best, -torch.inf)
    return index, kept


def crop(maps: Tensor, boxes: Tensor, cells: int) -> Tensor:
    """A grid of points inside each box, read from a map: TensorFlow's ``crop_and_resize``.

    Fraction 0 is the *centre* of the first cell and fraction 1 that of the last, so a box edge at y is the row
    y * (H - 1); the outermost points lie on the box's edges. This is neither Fast R-CNN's RoIPool nor RoIAlign.
    The map is never repeated for the boxes.

    Args:
        maps: (B, C, H, W).
        boxes: (B, R, 4).
        cells: points along each side.

    Returns:
        (B, R, C, cells, cells), bilinear; 0 where a point lies outside the map, and in boxes that are not finite.
        A box without area gives the same point again and again.
    """
    count = boxes.shape[1]
    dtype = torch.promote_types(maps.dtype, torch.float32)  # bfloat16 is too coarse for places
    finite = torch.isfinite(boxes).all(-1, keepdim=True)
    x1, y1, x2, y2 = torch.where(finite, boxes, 2.0).to(dtype).unbind(-1)  # 2 lies outside
    along = torch.linspace(0, 1, cells, dtype=dtype, device=maps.device)
    x = torch.lerp(x1[..., None], x2[..., None], along)  # (B, R, cells); its ends are exact
    y = torch.lerp(y1[..., None], y2[..., None], along)
    grid = torch.stack(
        [x[..., None, :].expand(-1, -1, cells, -1), y[..., None].expand(-1, -1, -1, cells)], dim=-1
    )  # (B, R, cells, cells, 2)
    points = grid.flatten(1, 2)  # (B, R * cells, cells, 2): all boxes of a clip are one tall picture
    read = F.grid_sample(maps.to(dtype), 2 * points - 1, padding_mode="border", align_corners=True)
    inside = ((points >= 0) & (points <= 1)).all(-1)[:, None]  # (B, 1, R * cells, cells)
    return torch.where(inside, read, 0).unflatten(2, (count, cells)).transpose(1, 2)


def pooled(maps: Tensor, boxes: Tensor, cells: int = 7) -> Tensor:
    """`crop` at twice `cells`, then the maximum of each 2 x 2: (B, C, H, W), (B, R, 4) -> (B, R, C, cells, cells)."""
    parts = []
    for some in boxes.split(TOGETHER, dim=1):
        inside = crop(maps, some, 2 * cells)
        parts.append(F.max_pool2d(inside.flatten(0, 1), 2).unflatten(0, inside.shape[:2]))
    return torch.cat(parts, dim=1)


def _centred(boxes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Centre x, centre y, width and height."""
    x1, y1, x2, y2 = boxes.unbind(-1)
    return (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1
