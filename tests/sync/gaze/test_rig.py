"""The rigid pair from matches of many moments: found, and refused where they do not tell."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from firmware_host.errors import EvidenceError
from sync.gaze.lens import Lens, assumed
from sync.gaze.rig import fit_rig

SIZE = (960, 540)
SCENE = Lens(SIZE, "brown", (460.0, 460.0), (479.5, 269.5), (-0.08, 0.01))
HEAD = Lens(SIZE, "fisheye", (450.0, 450.0), (479.5, 269.5), (0.1, 0.02))
TURN = Rotation.from_euler("xyz", [7, -3, 2], degrees=True).as_matrix()
WAY = np.array([0.02, 0.065, -0.01])


def moments(seed: int, near_m: float, far_m: float, wrong: float = 0.2, count: int = 10) -> list:
    """Matches with half a pixel of noise, and a share of wrong ones."""
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(count):
        a = rng.uniform((0, 0), SIZE, (200, 2))
        depth = rng.uniform(near_m, far_m, (200, 1))
        b = HEAD.pixels(SCENE.rays(a) * depth @ TURN.T + WAY)
        lost = rng.random(200) < wrong
        b[lost] = rng.uniform((0, 0), SIZE, (int(lost.sum()), 2))
        seen = np.isfinite(b).all(axis=1) & (b >= 0).all(axis=1) & (b < SIZE).all(axis=1)
        out.append(
            (
                a[seen] + rng.normal(size=(int(seen.sum()), 2)) * 0.3,
                b[seen] + rng.normal(size=(int(seen.sum()), 2)) * 0.4,
            )
        )
    return out


@pytest.fixture(scope="module")
def found():
    return fit_rig(moments(1, 0.4, 4.0, count=6), (SIZE, SIZE))


def test_the_pose_is_found_without_knowing_the_lenses(found):
    assert found.way @ (WAY / np.linalg.norm(WAY)) > np.cos(np.radians(4))
    assert np.degrees(Rotation.from_matrix(found.turn @ TURN.T).magnitude()) < 1.0
    assert 0.2 < found.noise_px < 0.8


@pytest.mark.parametrize("depth_m", [0.4, 0.8, 3.0])
def test_a_point_is_carried_through_parallax(found, depth_m):
    """The inverse depth is read with the same rig, as of any match."""
    rng = np.random.default_rng(2)
    a = rng.uniform((150, 100), (810, 440), (50, 2))
    b = HEAD.pixels(SCENE.rays(a) * depth_m @ TURN.T + WAY)
    inverse, left = found.inverse_depth(a, b)
    assert np.linalg.norm(left, axis=1).max() < 1.0
    assert np.abs(found.seen(a, inverse) - b).max() < 1.0
    assert np.ptp(inverse) < 0.02


def test_wrong_matches_are_told_apart(found):
    (a, b), rng = moments(3, 0.4, 4.0, wrong=0.0, count=1)[0], np.random.default_rng(4)
    assert found.agree(a, b).mean() > 0.97
    assert found.agree(a, rng.permutation(b)).mean() < 0.1


def test_known_lenses_are_kept():
    found = fit_rig(moments(5, 0.4, 4.0, count=5), (SIZE, SIZE), (SCENE, HEAD))
    assert (found.scene, found.head) == (SCENE, HEAD)
    assert found.way @ (WAY / np.linalg.norm(WAY)) > np.cos(np.radians(2))


def test_what_does_not_tell_is_refused():
    with pytest.raises(EvidenceError, match="nothing near enough"):
        fit_rig(moments(6, 60.0, 90.0, count=5), (SIZE, SIZE))
    with pytest.raises(EvidenceError, match=r"% of the matches"):
        fit_rig(moments(7, 0.4, 4.0, wrong=1.0, count=5), (SIZE, SIZE))
    with pytest.raises(EvidenceError, match="needs 150"):
        fit_rig(moments(8, 0.4, 4.0, count=1)[:0], (SIZE, SIZE))


def test_an_assumed_lens_is_a_plausible_one():
    assert 70 < 2 * np.degrees(np.arccos(assumed(SIZE).rays(np.array([[0.0, 269.5]]))[0, 2])) < 100
