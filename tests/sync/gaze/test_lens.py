"""Lenses: there and back, and what OpenCV means by the same numbers."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from firmware_host.errors import SessionError
from sync.gaze.lens import Lens, assumed

GOPRO = Lens((1920, 1080), "fisheye", (880.0, 878.0), (961.0, 538.0), (0.12, 0.03, -0.01, 0.002))
TRACKER = Lens((1920, 1080), "brown", (920.0, 921.0), (955.0, 541.0), (-0.09, 0.03, 0.001, -0.0005, -0.004))


@pytest.fixture
def pixels() -> np.ndarray:
    x, y = np.meshgrid(np.linspace(0, 1919, 12), np.linspace(0, 1079, 9))
    return np.column_stack([x.ravel(), y.ravel()])


@pytest.mark.parametrize("lens", [GOPRO, TRACKER, assumed((1920, 1080))], ids=["fisheye", "brown", "assumed"])
def test_pixels_to_rays_and_back(lens, pixels):
    rays = lens.rays(pixels)
    assert np.linalg.norm(rays, axis=1) == pytest.approx(np.ones(len(rays)))
    assert np.abs(lens.pixels(3.0 * rays) - pixels).max() < 0.05


def test_the_numbers_mean_what_opencv_means(pixels):
    points = GOPRO.rays(pixels) * 2.0
    camera = [
        np.diag([*lens.focal, 1.0]) + np.pad(np.array([lens.middle]).T, ((0, 1), (2, 0))) for lens in (GOPRO, TRACKER)
    ]
    zero = np.zeros(3)
    seen = cv2.fisheye.projectPoints(points[:, None], zero, zero, camera[0], np.array(GOPRO.bend))[0][:, 0]
    assert np.abs(GOPRO.pixels(points) - seen).max() < 1e-6
    seen = cv2.projectPoints(points[:, None], zero, zero, camera[1], np.array(TRACKER.bend))[0][:, 0]
    assert np.abs(TRACKER.pixels(points) - seen).max() < 1e-6


@pytest.mark.parametrize("width", [320, 960, 3840])
def test_a_scaled_lens_sees_the_scaled_picture(width):
    small = GOPRO.scaled(width)
    ray = np.array([[0.3, -0.2, 1.0]])
    assert (small.pixels(ray) + 0.5) * (1920 / width) - 0.5 == pytest.approx(GOPRO.pixels(ray), abs=1e-6)


def test_behind_the_camera_nothing_is_seen():
    assert np.isnan(GOPRO.pixels(np.array([[0.1, 0.1, -1.0]]))).all()
    assert np.isnan(TRACKER.pixels(np.array([[9.0, 0.1, 1.0]]))).all()


def test_a_manifest_keeps_a_lens():
    assert Lens.from_json(json.loads(json.dumps(TRACKER.to_json())), "eye") == TRACKER


@pytest.mark.parametrize(
    "change", [{"focal": [0, 900]}, {"model": "glass"}, {"bend": None}, {"middle": ["a", 1]}, {"size": []}]
)
def test_damaged_intrinsics_are_a_sentence(change):
    with pytest.raises(SessionError, match=r"head.*calibrate"):
        Lens.from_json({**GOPRO.to_json(), **change}, "head")
