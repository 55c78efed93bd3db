"""Augmentation of clips, as pure functions of an integer.

The random numbers of a clip come from (seed, epoch, clip) alone, so the number of loader processes, and where a run
was resumed, change nothing. A mirrored clip mirrors everything it says: pixels, gaze, and which leg is the left one.
Brightness, contrast, saturation, hue and greyness are all affine in RGB; one matrix a frame does them together.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ingest import people
from ingest.ask import IMU
from ingest.targets import MIRRORED

FLIP = 0.3
JITTER = (0.4, 0.4, 0.4, 0.2)
GREY = 0.2
MOCO_JITTER = 0.8
CROP_AREA = (0.2, 1.0)
CROP_RATIO = (0.7, 1.4)

MIRRORED_IMU = tuple(list(IMU).index({"l": "r", "r": "l"}.get(n[0], n[0]) + n[1:]) for n in IMU)
"""Each row of `imu`'s other side."""

_LUMA = torch.tensor([0.299, 0.587, 0.114])
_TO_YIQ = torch.tensor([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])


def clip_seed(seed: int, epoch: int, clip: int) -> int:
    """An integer in [0, 2**63) that is well mixed and depends on nothing but its arguments."""
    digest = hashlib.blake2b(f"{seed} {epoch} {clip}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def augment(item: dict[str, Any], seed: int) -> dict[str, Any]:
    """A training version of a clip (the muscles paper's): flipped as a whole or not, colours changed frame by frame.

    Args:
        item: what `ingest.dataset.MuscleClips` gives.
        seed: of `clip_seed`.

    Returns:
        a new item; the old one is unchanged. It also has `query` and `key`, (3, S, S) uint8: the first frame as
        augmented, and an independent view of it as it was, for contrast.
    """
    random = torch.Generator().manual_seed(seed)
    out = flip(item) if _uniform(random, 0, 1) < FLIP else dict(item)
    out["key"] = moco_view(out["frames"][0], random)
    out["frames"] = torch.stack([_recoloured(frame, random, 1.0) for frame in out["frames"]])
    out["query"] = out["frames"][0]
    return out


def flip(item: dict[str, Any]) -> dict[str, Any]:
    """The clip in a mirror: pixels, gaze (x to 1 - x where valid), and left and right of the body change sides."""
    mirrored = torch.stack([1 - item["gaze"][..., 0], item["gaze"][..., 1]], dim=-1)
    sides = torch.tensor(MIRRORED)
    return {
        **item,
        "frames": item["frames"].flip(-1),
        "gaze": torch.where(item["gaze_valid"][..., None], mirrored, item["gaze"]),
        **{name: item[name][..., sides] for name in ("move", "move_valid", "move_deg")},
    }


def mirrored(item: dict[str, Any], relations: Sequence[str]) -> dict[str, Any]:
    """A clip of the batch contract in a mirror: everything that has a left and a right changes sides.

    Sensor and body axes are x forward, y left, z up, so that a turn R becomes S R S with S = diag(1, -1, 1), and a rate
    of turning, which is no arrow but a twist, keeps its y and changes the sign of x and z.

    Args:
        item: keys as in `ingest.ask.shapes`.
        relations: names of the last axis of `graph`.
    """
    out = dict(item)
    for name in ("ego", "third", "thermal"):
        if name in item:
            out[name] = item[name].flip(-1)
    if "gaze" in item:
        other = torch.stack([1 - item["gaze"][..., 0], item["gaze"][..., 1]], dim=-1)
        out["gaze"] = torch.where(item["gaze_valid"][..., None], other, item["gaze"])
    for name in {"move", "move_valid"} & set(item):
        out[name] = item[name][..., torch.tensor(MIRRORED)]
    if "imu" in item:
        sides, sign = torch.tensor(MIRRORED_IMU), torch.tensor([1.0, -1, 1, -1, 1, -1, -1, 1, -1])
        out["imu"], out["imu_valid"] = (item["imu"] * sign)[:, sides], item["imu_valid"][:, sides]
    if "boxes" in item:
        out["boxes"] = _mirrored_boxes(item["boxes"]) * item["box_valid"][..., None]
    if "tracks" in item:
        whole = torch.from_numpy(people.mirrored(item["tracks"].numpy()))
        out["tracks"] = whole * item["tracks_valid"][..., None]
        out["tracks_joints"] = item["tracks_joints"][..., torch.tensor(people.MIRRORED_JOINTS)]
        seen = (item["track_boxes"] != 0).any(dim=-1, keepdim=True)
        out["track_boxes"] = _mirrored_boxes(item["track_boxes"]) * seen
    if "graph" in item:
        swapped = {"left_of": "right_of", "right_of": "left_of"}
        order = [
            relations.index(swapped.get(r, r)) if swapped.get(r, r) in relations else i for i, r in enumerate(relations)
        ]
        out["graph"] = item["graph"][..., torch.tensor(order, dtype=torch.int64)]
    return out


def _mirrored_boxes(boxes: Tensor) -> Tensor:
    return torch.stack([1 - boxes[..., 2], boxes[..., 1], 1 - boxes[..., 0], boxes[..., 3]], dim=-1)


def moco_view(frame: Tensor, random: torch.Generator) -> Tensor:
    """A view of one frame for contrast: a random crop scaled back up, recoloured, perhaps mirrored.

    Args:
        frame: (3, S, S) uint8.

    Returns:
        (3, S, S) uint8.
    """
    top, left, height, width = _crop(frame.shape[-2:], random)
    part = frame[None, :, top : top + height, left : left + width].float()
    scaled = F.interpolate(part, frame.shape[-2:], mode="bilinear", antialias=True, align_corners=False)[0]
    view = _recoloured(scaled.round().clamp(0, 255).to(torch.uint8), random, MOCO_JITTER)
    return view.flip(-1) if _uniform(random, 0, 1) < 0.5 else view


def colour_matrix(
    mean: Tensor, *, brightness: float, contrast: float, saturation: float, hue: float
) -> tuple[Tensor, Tensor]:
    """Brightness, then contrast about the grey of `mean`, saturation, and hue, as ``matrix @ rgb + shift``.

    Args:
        mean: (3,) mean colour of the picture.
        brightness, contrast, saturation: factors, 1 changes nothing.
        hue: turn of the colour circle, 1 being all the way round.

    Returns:
        (3, 3) and (3,).
    """
    grey = brightness * (_LUMA @ mean)
    turn = torch.eye(3)
    angle = 2 * math.pi * hue
    turn[1:, 1:] = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    hued = torch.linalg.inv(_TO_YIQ) @ turn @ _TO_YIQ
    saturated = saturation * torch.eye(3) + (1 - saturation) * _LUMA.expand(3, 3)
    matrix = hued @ saturated
    return matrix * (brightness * contrast), matrix @ ((1 - contrast) * grey).expand(3)


def _recoloured(frame: Tensor, random: torch.Generator, probability: float) -> Tensor:
    """(3, H, W) uint8 with its colours changed, and perhaps all grey."""
    jittered = _uniform(random, 0, 1) < probability
    brightness, contrast, saturation = (_uniform(random, 1 - j, 1 + j) for j in JITTER[:3])
    hue = _uniform(random, -JITTER[3], JITTER[3])
    grey = _uniform(random, 0, 1) < GREY
    x = frame.float()
    matrix, shift = torch.eye(3), torch.zeros(3)
    if jittered:
        matrix, shift = colour_matrix(
            x.mean(dim=(1, 2)), brightness=brightness, contrast=contrast, saturation=saturation, hue=hue
        )
    if grey:
        matrix, shift = _LUMA.expand(3, 3) @ matrix, (_LUMA @ shift).expand(3)
    changed = torch.einsum("ij,jhw->ihw", matrix, x) + shift[:, None, None]
    return changed.round().clamp(0, 255).to(torch.uint8)


def _crop(size: tuple[int, ...], random: torch.Generator) -> tuple[int, int, int, int]:
    """Top, left, height and width of a crop whose area and shape are random."""
    height, width = size
    for _ in range(10):
        area = _uniform(random, *CROP_AREA) * height * width
        ratio = math.exp(_uniform(random, math.log(CROP_RATIO[0]), math.log(CROP_RATIO[1])))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            return _whole(random, height - h), _whole(random, width - w), h, w
    return 0, 0, height, width


def _uniform(random: torch.Generator, low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand((), generator=random))


def _whole(random: torch.Generator, most: int) -> int:
    return int(torch.randint(most + 1, (), generator=random))
