"""Two cameras rigid on one head: how one is turned and placed against the other, from the recording itself.

A point seen by the scene camera in direction a is seen by the head camera in direction R a + q t, where q is the
inverse of its depth in units of the distance between the cameras. R, t and both lenses are the same in all frames, so
matches of the whole recording determine them together (a single frame's are too few: most of what one sees at a time is
far or flat). A match is as wrong as its direction is off the plane of R a and t; its own q is free.

What matches cannot tell (two focal lengths at once, a turn along the line between the cameras against a common q) is
held by a weak prior. It does not matter for the gaze: the q of its neighbours is read with the same rig.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from firmware_host.errors import EvidenceError
from sync.gaze.lens import Lens, assumed, unit_px

NEAREST = 0.45
"""The largest q that can be: 16 cm away, where the cameras are 7 cm apart."""
NOISE_PX = 1.0
"""Scale of the robust cost, in pixels of pictures `sync.gaze.lens.WIDTH` wide."""
INLIER_PX = 3.0
MIN_INLIERS, MIN_SHARE, MIN_MOMENTS = 150, 0.35, 4
MAX_WAY_SIGMA = 0.25
"""A direction between the cameras known worse than this (radians) is not known: nothing near was seen."""
FITTED = 1200
MIN_PARALLAX_PX = 1.5
NINE_TENTHS = 3.3
"""Nine tenths of the depths must span this much along the lines, beyond what noise spans (so many of its standard
deviations); a lens that bends a little otherwise looks like less."""
PRIOR = np.array([0.25, 0.15, 0.08] * 2)
"""How far log focal length, k1 and k2 may be from the assumed lens, one standard deviation."""
SCALE = np.array([0.1, 0.1, 0.05] * 2 + [0.05] * 3 + [0.3] * 3)


@dataclass(frozen=True)
class Rig:
    """Two lenses and the pose between them.

    Attributes:
        scene, head: for pictures as wide as they are worked on.
        turn: (3, 3) rotation head camera <- scene camera.
        way: (3,) unit, where the scene camera is in the head camera.
        noise_px: how far matches are from their lines, one standard deviation, px of the head camera.
        evidence: numbers for people.
    """

    scene: Lens
    head: Lens
    turn: np.ndarray
    way: np.ndarray
    noise_px: float
    evidence: dict[str, float]

    def seen(self, scene_px: np.ndarray, inverse: np.ndarray) -> np.ndarray:
        """Scene pixels (N, 2) at inverse depths (N,) as head pixels (N, 2)."""
        ray = self.scene.rays(scene_px) @ self.turn.T
        return self.head.pixels(ray + np.asarray(inverse)[:, None] * self.way)

    def inverse_depth(self, scene_px: np.ndarray, head_px: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Inverse depth (N,) of matches, and how far (N, 2) px each is from its line."""
        ray, there = self.scene.rays(scene_px) @ self.turn.T, self.head.rays(head_px)
        inverse = _inverse(ray, there, self.way)
        return inverse, head_px - self.head.pixels(ray + inverse[:, None] * self.way)

    def agree(self, scene_px: np.ndarray, head_px: np.ndarray) -> np.ndarray:
        """(N,) bool: matches that the rig allows."""
        inverse, left = self.inverse_depth(scene_px, head_px)
        limit = max(INLIER_PX * unit_px(self.head.size[0]), 4 * self.noise_px)
        return (np.linalg.norm(left, axis=1) < limit) & (inverse > -0.05) & (inverse < NEAREST)


def _inverse(ray: np.ndarray, there: np.ndarray, way: np.ndarray) -> np.ndarray:
    flat, slope = np.cross(there, ray), np.cross(there, way)
    return -np.sum(flat * slope, axis=1) / np.maximum(np.sum(slope * slope, axis=1), 1e-12)


def fit_rig(
    moments: Sequence[tuple[np.ndarray, np.ndarray]],
    sizes: tuple[tuple[int, int], tuple[int, int]],
    lenses: tuple[Lens | None, Lens | None] = (None, None),
) -> Rig:
    """The rig that matches of many moments agree on.

    Args:
        moments: of each moment (N, 2) scene pixels and (N, 2) head pixels of the same points, wrong ones among them.
        sizes: of the scene camera's and the head camera's pictures, (width, height) px.
        lenses: what is known of the lenses, for pictures of these sizes.

    Raises:
        EvidenceError: too few matches agree, or nothing near was seen.
    """
    a, b, moment = _pooled(moments)
    if len(a) < MIN_INLIERS:
        raise EvidenceError(f"only {len(a)} points of the two cameras match; a rigid pair needs {MIN_INLIERS}")
    few = _Problem(a[::4], b[::4], sizes, lenses)
    tries = [few.solved(few.start(w), 10) for w in np.arange(8) * np.pi / 4]
    whole = _Problem(a, b, sizes, lenses)
    best = min((whole.solved(x, 30) for x in sorted(tries, key=few.cost)[:2]), key=whole.cost)
    rig = whole.rig(best)
    good = rig.agree(a, b)
    share = float(good.mean())
    active = int(np.sum(np.bincount(moment[good], minlength=len(moments)) >= 12))
    if good.sum() < MIN_INLIERS or share < MIN_SHARE or active < MIN_MOMENTS:
        raise EvidenceError(f"only {100 * share:.0f} % of the matches, in {active} moments, agree on a rigid pair")
    doubt = whole.way_sigma(best)
    inverse, left = rig.inverse_depth(a[good], b[good])
    noise = 1.4826 * float(np.median(np.linalg.norm(left, axis=1)))
    spread = float(np.ptp(np.percentile(inverse, [5, 95]))) * rig.head.focal[0]
    parallax = float(np.sqrt(max(spread**2 - (NINE_TENTHS * noise) ** 2, 0.0))) / unit_px(sizes[1][0])
    if not doubt < MAX_WAY_SIGMA or parallax < MIN_PARALLAX_PX:
        raise EvidenceError("nothing near enough was seen to tell where the cameras are against each other")
    facts = {"matches": float(len(a)), "share": share, "moments": float(active), "way_sigma": doubt}
    facts["parallax_px"] = parallax
    return replace(rig, noise_px=noise, evidence=facts)


def _pooled(moments: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """At most `FITTED` matches, evenly of all moments, and the number of each one's moment."""
    each = max(FITTED // max(len(moments), 1), 20)
    rng = np.random.default_rng(0)
    parts = [(np.empty((0, 2)), np.empty((0, 2)), np.empty(0, int))]
    for k, (a, b) in enumerate(moments):
        pick = rng.permutation(len(a))[:each]
        parts.append((np.asarray(a, np.float64)[pick], np.asarray(b, np.float64)[pick], np.full(len(pick), k)))
    a, b, moment = (np.concatenate(p) for p in zip(*parts, strict=True))
    order = rng.permutation(len(a))
    return a[order], b[order], moment[order]


@dataclass(frozen=True)
class _Problem:
    """Least squares over log focal, k1, k2 of each lens, the turn, and the way (whose length is free and held at 1)."""

    a: np.ndarray
    b: np.ndarray
    sizes: tuple[tuple[int, int], tuple[int, int]]
    known: tuple[Lens | None, Lens | None]
    kept: dict[tuple[float, ...], np.ndarray] = field(default_factory=dict, compare=False)

    def start(self, angle: float) -> np.ndarray:
        """Rough lenses and turn, and a way across the view at an angle."""
        turn = _turned(self._rays(0, 0.0, 0.0, 0.0), self._rays(1, 0.0, 0.0, 0.0))
        return np.array([*np.zeros(6), *Rotation.from_matrix(turn).as_rotvec(), np.cos(angle), np.sin(angle), 0.0])

    def lens(self, which: int, f: float, k1: float, k2: float) -> Lens:
        known, guess = self.known[which], assumed(self.sizes[which])
        if known is not None:
            return known
        focal = float(guess.focal[0] * np.exp(np.clip(f, -1.0, 1.0)))
        return Lens(guess.size, "fisheye", (focal, focal), guess.middle, (guess.bend[0] + k1, guess.bend[1] + k2))

    def rig(self, x: np.ndarray) -> Rig:
        turn = Rotation.from_rotvec(x[6:9]).as_matrix()
        return Rig(self.lens(0, *x[:3]), self.lens(1, *x[3:6]), turn, x[9:] / np.linalg.norm(x[9:]), NOISE_PX, {})

    def _rays(self, which: int, *bend: float) -> np.ndarray:
        """Directions of one camera's points; kept, for most steps of a derivative leave the lens as it was."""
        if (which, *bend) not in self.kept:
            if len(self.kept) == 16:
                self.kept.clear()
            self.kept[which, *bend] = self.lens(which, *bend).rays((self.a, self.b)[which])
        return self.kept[which, *bend]

    def error(self, x: np.ndarray) -> np.ndarray:
        """What least squares makes small: matches off their planes or behind the head, by Cauchy's cost; the prior."""
        rig = self.rig(x)
        ray, there = self._rays(0, *x[:3]) @ rig.turn.T, self._rays(1, *x[3:6])
        plane = np.cross(ray, rig.way)
        plane /= np.maximum(np.linalg.norm(plane, axis=1, keepdims=True), 1e-9)
        per_px = rig.head.focal[0] / (NOISE_PX * unit_px(self.sizes[1][0]))
        off = np.sum(plane * there, axis=1) * per_px
        behind = np.minimum(_inverse(ray, there, rig.way) + 0.01, 0.0) * per_px * 0.2
        prior = [*(x[:6] / PRIOR), *(x[6:9] / 0.5), (np.linalg.norm(x[9:]) - 1) / 0.01, rig.way[2] / 0.5]
        both = off**2 + behind**2
        return np.concatenate([np.sign(off) * np.sqrt(np.log1p(both)), prior])

    def cost(self, x: np.ndarray) -> float:
        return float(np.sum(self.error(x) ** 2))

    def solved(self, start: np.ndarray, rounds: int) -> np.ndarray:
        return np.asarray(least_squares(self.error, start, max_nfev=rounds, x_scale=SCALE, ftol=1e-5, xtol=1e-5).x)

    def way_sigma(self, x: np.ndarray) -> float:
        """Standard deviation of the way's direction, radians."""
        j = least_squares(self.error, x, max_nfev=1, x_scale=SCALE).jac
        return float(np.sqrt(np.trace(np.linalg.pinv(j.T @ j)[9:, 9:])))


def _turned(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The rotation b <- a that most directions agree on, within what nearness allows."""
    turn = np.eye(3)
    for scale in np.radians([20, 10, 6, 4, 3, 3, 3, 3]):
        angle = np.linalg.norm(b - a @ turn.T, axis=1)
        weight = 1 / (1 + (angle / scale) ** 2) ** 2
        u, _, v = np.linalg.svd((b * weight[:, None]).T @ a)
        turn = u @ np.diag([1, 1, np.linalg.det(u @ v)]) @ v
    return turn
