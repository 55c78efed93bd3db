"""What a simulated camera adds to a picture."""

from __future__ import annotations

import av
import numpy as np
import pytest

from recorder.camera_flaws import AutoExposure, Grain, yuv420


def test_grain_is_as_strong_as_asked_and_never_twice_the_same():
    grain = Grain((90, 160, 3), 2.0, np.random.default_rng(0))
    flat = np.full((90, 160, 3), 128, np.uint8)
    seen = [grain.on(flat).astype(int) - 128 for _ in range(8)]
    assert np.std(seen) == pytest.approx(2.0, rel=0.05)
    assert abs(np.mean(seen)) < 0.1
    assert abs(np.corrcoef(seen[0].ravel(), seen[1].ravel())[0, 1]) < 0.05
    assert Grain((90, 160, 3), 0.0, np.random.default_rng(0)).on(flat) is flat


def test_exposure_comes_to_a_mean_grey_slowly_and_only_as_far_as_it_may():
    dark, light = (np.full((36, 64, 3), grey, np.uint8) for grey in (60, 160))
    camera = AutoExposure(1.0)
    assert abs(int(camera.on(dark)[0, 0, 0]) - 107) <= 1, "a camera has seen something before its first picture"
    seen = [int(camera.on(light)[0, 0, 0]) for _ in range(30)]
    assert seen[0] > 200
    assert seen == sorted(seen, reverse=True)
    assert abs(seen[-1] - 107) <= 1
    assert int(AutoExposure(1.0).on(dark // 4)[0, 0, 0]) == 30, "twice as light, and no more"
    assert AutoExposure(0.0).on(dark) is dark


def test_white_stays_white_under_grain():
    white = np.full((36, 64, 3), 255, np.uint8)
    assert Grain((36, 64, 3), 3.0, np.random.default_rng(1)).on(white).min() > 230


def test_planar_pictures_are_what_ffmpeg_makes_of_the_same_colours():
    """Two conversions that round: within two counts for a picture without fine colours."""
    y, x = np.mgrid[0:36, 0:64]
    picture = np.stack([3 * x, 6 * y, 255 - 2 * x - y], axis=-1).astype(np.uint8)
    theirs = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p").to_ndarray()
    assert np.abs(yuv420(picture).astype(int) - theirs).max() <= 2
    assert np.abs(yuv420(picture).astype(int) - theirs).mean() < 0.5
