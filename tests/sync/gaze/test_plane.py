"""Gaze by one plane: carried over where pictures match, refused where they do not, missing where it was missing."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from sync.gaze import Gaze, Row, plane
from sync.gaze.carry import carry
from sync.gaze.features import detect, matched

SIZE = (640, 360)
STEP_NS = 33_000_000


def texture(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    big = cv2.resize(rng.integers(0, 255, (90, 160), np.uint8), SIZE, interpolation=cv2.INTER_CUBIC)
    fine = cv2.GaussianBlur(rng.integers(0, 255, SIZE[::-1], np.uint8), (0, 0), 2)
    return cv2.addWeighted(big, 0.5, fine, 0.5, 0)


@pytest.fixture(scope="module")
def warp() -> np.ndarray:
    return np.array([[1.05, 0.08, -12.0], [-0.05, 0.98, 9.0], [6e-5, -4e-5, 1.0]])


def moved(image: np.ndarray, warp: np.ndarray) -> np.ndarray:
    return cv2.warpPerspective(image, warp, SIZE)


def through(warp: np.ndarray, point: np.ndarray) -> np.ndarray:
    q = warp @ [*point, 1.0]
    return q[:2] / q[2]


def steady(point: tuple[float, float], count: int = 20) -> Gaze:
    return Gaze(np.arange(count) * STEP_NS, np.tile(np.array(point, float), (count, 1)))


def rows_of(scene, head, gaze, scene_size=SIZE, head_size=SIZE):
    return list(carry(scene, head, gaze, scene_size, head_size, tracker_deg=0.0))


def test_a_known_warp_carries_the_gaze(warp):
    picture = texture(1)
    point = np.array([300.0, 170.0])
    a, b = detect(picture, 800), detect(moved(picture, warp), 800)
    i, j = matched(a, b)
    xy, covariance = plane.transfer(a.xy[i], b.xy[j], point)
    assert np.linalg.norm(xy - through(warp, point)) < 0.5
    assert np.sqrt(np.linalg.eigvalsh(covariance)).max() < 2


def test_rows_are_in_pixels_of_the_full_pictures(warp):
    """The pictures are halves of what the cameras took; gaze comes and goes in full pixels."""
    picture = texture(2)
    rows = rows_of([(0, picture)], [(0, moved(picture, warp))], steady((500.0, 300.0)), (1280, 720), (1280, 720))
    expected = 2 * (through(warp, np.array([(500 + 0.5) / 2 - 0.5, (300 + 0.5) / 2 - 0.5])) + 0.5) - 0.5
    assert (rows[0].x_px, rows[0].y_px) == pytest.approx(expected, abs=1.0)
    assert rows[0].verdict == "homography"
    assert rows[0].minor_px <= rows[0].sigma_px < 6


def test_pictures_without_features_or_of_another_place_are_refused():
    blank = np.full(SIZE[::-1], 90, np.uint8)
    frames = [(0, texture(3)), (STEP_NS, texture(4))]
    for scene, head in (([(0, blank)], [(0, blank)]), (frames[:1], [(0, texture(5))])):
        (row,) = rows_of(scene, head, steady((320, 180)))
        assert row == Row(0, None, None, None, "refused")


def test_gaze_that_is_missing_stays_missing(warp):
    picture = texture(6)
    gaze = steady((320, 180))
    gaze.xy_px[2:5] = np.nan
    scene = [(k * STEP_NS, picture) for k in range(6)]
    rows = rows_of(scene, [(k * STEP_NS, moved(picture, warp)) for k in range(6)], gaze)
    assert [r.verdict for r in rows] == ["homography"] * 2 + ["missing"] * 3 + ["homography"]


def test_gaze_outside_the_other_picture_is_refused():
    picture = texture(7)
    shift = np.array([[1.0, 0, 250], [0, 1.0, 0], [0, 0, 1.0]])
    (row,) = rows_of([(0, picture)], [(0, moved(picture, shift))], steady((600.0, 180.0)))
    assert row.verdict == "refused"


def test_a_frame_without_a_scene_frame_near_it_is_refused():
    picture = texture(8)
    rows = rows_of([(0, picture)], [(0, picture), (400_000_000, picture)], steady((320, 180)))
    assert [r.verdict for r in rows] == ["homography", "refused"]
