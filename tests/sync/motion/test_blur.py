"""How long a camera exposes shows in what its movement smears."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import pytest

from sync.motion.blur import LONGEST_PX, Smear

SIZE = (90, 160)


@lru_cache
def wall() -> np.ndarray:
    """(180, 2400) float32: boxes of all sizes, with more upright edges than level ones, as shelves have."""
    rng = np.random.default_rng(0)
    picture = np.full((180, 2400), 120.0, np.float32)
    for _ in range(700):
        x, y = rng.integers(0, 2390), rng.integers(0, 170)
        picture[y : y + rng.integers(10, 90), x : x + rng.integers(4, 30)] = rng.uniform(20, 235)
    return cv2.GaussianBlur(picture, (0, 0), 0.8)


def panned(share: float, grain: float, fastest_px: float, seed: int = 1, slow: bool = True) -> Smear:
    """A camera that pans along the wall, now slowly and now fast, each picture the mean over its exposure."""
    rng = np.random.default_rng(seed)
    smear, at = Smear(), 50.0
    for k in range(72):
        speed = fastest_px * (np.sin(2 * np.pi * k / 24) if slow else np.sign(np.sin(2 * np.pi * k / 24)))
        starts = at + np.linspace(0, share * speed, 7)
        picture = np.mean([_seen(x) for x in starts], axis=0) + rng.normal(0, grain, SIZE)
        smear.add(np.clip(picture, 0, 255).astype(np.uint8), np.array([-speed, 0.2]))
        at += speed + 7.0  # so that it sees more of the wall
    return smear


def _seen(x: float) -> np.ndarray:
    shift = np.array([[1, 0, -x], [0, 1, -40]], np.float32)
    return cv2.warpAffine(wall(), shift, SIZE[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


@pytest.mark.parametrize(("share", "grain"), [(0.05, 0.0), (0.75, 10.0)])
def test_the_share_of_a_frame_that_a_shutter_is_open_comes_back_within_its_sigma(share, grain):
    found = panned(share, grain, 14.0).share()
    assert found is not None
    assert abs(found[0] - share) < 3 * found[1]
    assert found[1] < 0.2


def test_a_camera_that_hardly_moves_or_never_rests_or_leaps_says_nothing():
    assert panned(0.3, 2.0, 1.0).share() is None
    assert panned(0.3, 2.0, 12.0, slow=False).share() is None
    assert panned(0.3, 2.0, 2 * LONGEST_PX + 5, slow=False).share() is None
    assert Smear().share() is None
