"""How far away is what is looked at: along the gaze's line in the head camera, which place is it?

Two witnesses. Matches near the gaze lie at depths of their own; what is looked at is probably as far as one of them,
the nearer the likelier. And the picture around the gaze itself, laid along the line, fits best at the right place. Both
are densities over the line; their product is the answer, and its spread is the error along the line. Where they
leave two places, the spread says so.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from sync.gaze.lens import unit_px
from sync.gaze.rig import NEAREST, Rig

FARTHEST = -0.03
STEPS = 260
REACH_PX = 55.0
"""A match this far from the gaze (in a picture `WIDTH` wide) says less than half of what one at the gaze does."""
SLOPE = 0.12
"""How much deeper a surface may be a pixel aside, as a share of its inverse depth a hundred pixels."""
ANYWHERE = 0.15
ALONE_PX = 35.0
UNSEEN = 0.3
"""What is looked at may be as far as no match near it: always a little, the likelier the further the nearest is. Then
it is as far as something else in view, or (this share) as nothing that matched."""
FLAT = 0.3
"""A picture that varies by less grey values than this fits anywhere."""
HALF = 12
"""Half the width of the picture that is laid along the line, px."""
MOST_INDEPENDENT = 30.0
"""More independent grey values than this no patch is given; neighbours are alike."""
DISTRUST = 0.02
"""How likely it is that the picture fits best at a wrong place."""
SURE_PX = 4.0
"""An answer whose spread along the line is less than this helps the next one."""
LAST_PX = 30.0
"""It counts as a match this far away, so that a wrong one is soon forgotten."""
MIDDLE_PX = 6.0
"""The middle of the picture counts most: further out may be another thing at another depth."""
ASIDE = 2
"""The picture may fit this many pixels beside the line."""


@dataclass(frozen=True)
class Spot:
    """A place in the head camera.

    Attributes:
        point: (2,) px, the gaze it belongs to, in the scene camera.
        xy: (2,) px in the head camera.
        covariance: (2, 2) px^2.
        inverse: inverse depth of what is looked at.
        sure: its spread along the line is a few pixels.
    """

    point: np.ndarray
    xy: np.ndarray
    covariance: np.ndarray
    inverse: float
    sure: bool


def place(
    rig: Rig,
    point: np.ndarray,
    scene_xy: np.ndarray,
    head_xy: np.ndarray,
    pictures: tuple[np.ndarray, np.ndarray],
    shift: np.ndarray,
    before: Spot | None = None,
) -> Spot | None:
    """Carry one gaze point over.

    Args:
        rig: lenses for pictures of this size.
        point: (2,) gaze, px of the scene camera at the head frame's time.
        scene_xy: (N, 2) px, matches that the rig allows, at that time.
        head_xy: (N, 2) px.
        pictures: gray, of the scene camera and of the head camera.
        shift: (2,) px, from the gaze at that time to where the same thing is in the scene picture.
        before: the answer a moment ago. Eyes rest, so it counts as one more match where it was sure.

    Returns:
        None where the gaze's line is not in the head camera's view.
    """
    grid = np.linspace(FARTHEST, NEAREST, STEPS)
    line = rig.seen(np.repeat(point[None], STEPS, axis=0), grid)
    if not np.isfinite(line).all():
        return None
    s = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    if s[-1] < 2:
        return None
    own, left = rig.inverse_depth(scene_xy, head_xy)
    distance = np.linalg.norm(scene_xy - point, axis=1)
    prior = _from_matches(grid, s, *_with_last(own, distance, point, before), rig)
    even = np.arange(0, s[-1], 1.0)
    prior = np.interp(even, s, prior)
    path = np.column_stack([np.interp(even, s, line[:, k]) for k in (0, 1)])
    inverse = np.interp(even, s, grid)
    fit = _from_picture(rig, point, pictures, shift, path, float(inverse[np.argmax(prior)]))
    density = prior / prior.sum()
    if fit is not None:
        chance = np.exp(fit - fit.max())
        density = density * ((1 - DISTRUST) * chance / chance.sum() + DISTRUST / len(even))
        density /= density.sum()
    smooth = np.convolve(density, [0.25, 0.5, 0.25], "same")
    k = int(np.argmax(smooth))
    near = slice(max(k - 2, 0), k + 3)
    at = float(np.sum(even[near] * smooth[near]) / np.sum(smooth[near]))
    spread = float(np.sum(density * (even - at) ** 2))
    along = path[min(k + 1, len(path) - 1)] - path[max(k - 1, 0)]
    along /= np.linalg.norm(along)
    xy = np.array([np.interp(at, even, path[:, n]) for n in (0, 1)])
    aside, noise = _aside(left, distance, along, rig)
    across = np.array([-along[1], along[0]])
    covariance = (spread + 0.15) * np.outer(along, along) + noise * np.outer(across, across)
    sure = spread < (SURE_PX * unit_px(rig.head.size[0])) ** 2
    return Spot(point, xy + aside * across, covariance, float(np.interp(at, even, inverse)), sure)


def _with_last(
    own: np.ndarray, distance: np.ndarray, point: np.ndarray, before: Spot | None
) -> tuple[np.ndarray, np.ndarray]:
    """Inverse depths and distances of the matches, and the last answer among them."""
    if before is None or not before.sure:
        return own, distance
    moved = float(np.linalg.norm(point - before.point))
    return np.append(own, before.inverse), np.append(distance, moved + LAST_PX)


def _from_matches(grid: np.ndarray, s: np.ndarray, own: np.ndarray, distance: np.ndarray, rig: Rig) -> np.ndarray:
    """(STEPS,) density over the line: the depths near the gaze, else those of all that is seen, else any."""
    px = unit_px(rig.head.size[0])
    noise = 1.2 * max(rig.noise_px, 0.3)
    order = np.argsort(distance)
    near, some = order[:40], order[:: max(1, len(order) // 60)]
    weight = 1 / (1 + (distance[near] / (REACH_PX * px)) ** 2) ** 2
    per = np.interp(own[near], grid[1:], np.diff(s) / np.diff(grid))
    slope = SLOPE * np.maximum(own[near], 0.01) * per * distance[near] / (100 * px)
    local = _mixture(s, np.interp(own[near], grid, s), np.hypot(noise, slope), weight)
    seen = _mixture(s, np.interp(own[some], grid, s), np.full(len(some), 6 * px), np.ones(len(some)))
    alone = ANYWHERE + (1 - ANYWHERE) * (1 - np.exp(-((distance.min() / (ALONE_PX * px)) ** 2)))
    return (1 - alone) * local + alone * ((1 - UNSEEN) * seen + UNSEEN / s[-1])


def _mixture(s: np.ndarray, at: np.ndarray, wide: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(len(s),) weighted mean of normal densities."""
    z = (s[:, None] - at) / wide
    return np.exp(-0.5 * z * z) / wide @ weight / (weight.sum() * np.sqrt(2 * np.pi))


def _from_picture(
    rig: Rig,
    point: np.ndarray,
    pictures: tuple[np.ndarray, np.ndarray],
    shift: np.ndarray,
    path: np.ndarray,
    inverse: float,
) -> np.ndarray | None:
    """(len(path),) log-likelihood of each place by how well the picture around the gaze fits there."""
    along = path[-1] - path[0]
    along = along / np.linalg.norm(along)
    across = np.array([-along[1], along[0]])
    steps = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    corner, right, down = rig.seen(point + steps, np.full(3, inverse))
    turn = np.linalg.inv(np.column_stack([right - corner, down - corner])) @ np.column_stack([along, across])
    px = unit_px(rig.head.size[0])
    half = round(HALF * px)
    u, v = np.meshgrid(np.arange(-half, half + 1), np.arange(-half, half + 1))
    middle = point + shift
    own = middle[:, None, None] + turn[:, :1, None] * u + turn[:, 1:, None] * v
    scene, head = pictures
    if not _inside(own, scene):
        return None
    patch = cv2.remap(scene, own[0].astype(np.float32), own[1].astype(np.float32), cv2.INTER_LINEAR)
    if patch.std() < FLAT:
        return None
    ends = path[0] - along * np.arange(half, 0, -1)[:, None], path[-1] + along * np.arange(1, half + 1)[:, None]
    spine = np.concatenate([ends[0], path, ends[1]])
    rows = np.arange(-half - ASIDE, half + ASIDE + 1)
    strip = spine[None] + rows[:, None, None] * across
    seen = cv2.remap(
        head, strip[..., 0].astype(np.float32), strip[..., 1].astype(np.float32), cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
    )  # fmt: skip
    weight = np.exp(-0.5 * (u * u + v * v) / (MIDDLE_PX * px) ** 2).astype(np.float32)
    alike = cv2.matchTemplate(seen, patch, cv2.TM_CCOEFF_NORMED, mask=weight)
    alike = np.nan_to_num(np.where(np.abs(alike) <= 1.0, alike, 0.0)).max(axis=0)
    count = _independent(patch)
    return -0.5 * count * np.log(1 - np.clip(alike, 0.0, 0.985) ** 2)


def _independent(patch: np.ndarray) -> float:
    """How many independent grey values a patch is worth, by how quickly it changes."""
    x = patch.astype(np.float32)
    quick = (np.diff(x, axis=0) ** 2).mean() + (np.diff(x, axis=1) ** 2).mean()
    return float(min(x.size * quick / (2 * np.pi * x.var()), MOST_INDEPENDENT))


def _inside(xy: np.ndarray, image: np.ndarray) -> bool:
    return bool(xy.min() >= 0 and xy[0].max() <= image.shape[1] - 1 and xy[1].max() <= image.shape[0] - 1)


def _aside(left: np.ndarray, distance: np.ndarray, along: np.ndarray, rig: Rig) -> tuple[float, float]:
    """How far matches near the gaze are off their lines, sideways, and the variance of that for one point: px, px^2.

    What the rig does not know (slip of a helmet, a clock's last milliseconds, a lens that bends otherwise) is alike
    for neighbours, and is taken off.
    """
    px = unit_px(rig.head.size[0])
    off = left @ [-along[1], along[0]]
    weight = 1 / (1 + (distance / (2 * REACH_PX * px)) ** 2) ** 2
    total = float(weight.sum())
    noise = max(rig.noise_px, 0.3 * px)
    prior = 1.0
    mean = float(np.sum(weight * off) / (total + prior))
    spread = float((np.sum(weight * (off - mean) ** 2) + prior * noise**2) / (total + prior))
    return mean, spread * (1.0 / (total + prior) + 0.25)
