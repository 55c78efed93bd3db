"""Corners of the scene camera found in the head camera, against known geometry."""

from __future__ import annotations

import numpy as np
import pytest

from sync.gaze.pairs import Sight, sights
from sync.gaze.stereo import Stereo

POINT = np.array([240.0, 160.0])


@pytest.fixture(scope="module")
def seen(desk_films) -> Sight:
    scene, head = desk_films
    ((_, sight),) = sights(scene.frames(np.arange(30)), head.frames(np.array([20])))
    return sight


def test_corners_near_the_gaze_are_found_on_their_lines(desk_rig, seen):
    scene_xy, head_xy = Stereo(desk_rig).matches(seen.scene, seen.head, POINT)
    assert len(scene_xy) > 30
    assert np.abs(scene_xy - POINT).max() <= 175 / 2 + 2
    xy, found = seen.at_its_time(scene_xy)
    assert found.mean() > 0.9
    assert desk_rig.agree(xy[found], head_xy[found]).mean() > 0.8


def test_near_and_far_things_are_told_apart(desk_rig, seen):
    """The table and what stands on it are twice as near as the wall behind them."""
    scene_xy, head_xy = Stereo(desk_rig).matches(seen.scene, seen.head, POINT)
    xy, found = seen.at_its_time(scene_xy)
    good = found & desk_rig.agree(xy, head_xy)
    inverse, _ = desk_rig.inverse_depth(xy[good], head_xy[good])
    assert np.ptp(np.percentile(inverse, [5, 95])) > 0.03


def test_another_place_gives_almost_nothing(desk_rig, seen):
    """Corners that the other picture does not have are left out by the rig."""
    rng = np.random.default_rng(1)
    strange = rng.integers(0, 255, seen.head.shape, np.uint8)
    scene_xy, head_xy = Stereo(desk_rig).matches(seen.scene, strange, POINT)
    assert desk_rig.agree(scene_xy, head_xy).sum() < 8


@pytest.mark.parametrize("point", [(-60.0, -60.0), (0.0, 0.0), (479.0, 269.0), (900.0, 100.0)])
def test_gaze_at_the_edge_is_no_error(desk_rig, seen, point):
    scene_xy, head_xy = Stereo(desk_rig).matches(seen.scene, seen.head, np.array(point))
    assert scene_xy.shape == head_xy.shape
    assert ((head_xy >= 0) & (head_xy <= np.array(seen.head.shape[::-1]) - 1)).all()


def test_a_picture_without_corners_has_no_matches(desk_rig, seen):
    bare = np.full_like(seen.scene, 120)
    assert len(Stereo(desk_rig).matches(bare, seen.head, POINT)[0]) == 0
