"""A camera's turn from how corners moved: exact where they agree, robust where some do not, silent where few do."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from sync.filmed import Filmed
from sync.motion.flow import camera_turning, rotation_field, turn
from sync.motion.shutter import readout

SIZE, FOCAL = (180, 320), 230.0


def moved(corners: np.ndarray, turned: np.ndarray) -> np.ndarray:
    """Where corners of a far scene are after the camera has turned; one rotation vector, or one for each corner."""
    rays = np.column_stack([(corners - [(SIZE[1] - 1) / 2, (SIZE[0] - 1) / 2]) / FOCAL, np.ones(len(corners))])
    rays = Rotation.from_rotvec(turned).inv().apply(rays)
    return rays[:, :2] / rays[:, 2:] * FOCAL + [(SIZE[1] - 1) / 2, (SIZE[0] - 1) / 2]


def corners(n: int = 150, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform([5, 5], [SIZE[1] - 5, SIZE[0] - 5], (n, 2))


@pytest.mark.parametrize("turned", [[0.02, 0, 0], [0, 0.03, 0], [0, 0, 0.04], [0.01, -0.02, 0.015]])
def test_a_turn_comes_back_about_the_right_axis_with_the_right_sign(turned):
    at = corners()
    found = turn(at, moved(at, np.array(turned)), SIZE, FOCAL)
    assert found[:3] == pytest.approx(turned, abs=3e-4)
    assert found[3:] == pytest.approx(np.zeros(3), abs=3e-3)


def test_a_hand_before_the_camera_does_not_turn_it():
    at, turned = corners(), np.array([0.01, -0.02, 0.015])
    after = moved(at, turned) + np.random.default_rng(1).normal(0, 0.1, at.shape)
    hand = at[:, 0] < 120  # more than a third of the picture
    after[hand] += [9.0, -5.0]
    assert turn(at, after, SIZE, FOCAL)[:3] == pytest.approx(turned, abs=1e-3)


def test_rows_that_are_read_later_see_a_growing_turn_larger():
    at, turned, more = corners(400), np.array([0.01, -0.02, 0.015]), np.array([0.004, 0.006, -0.005])
    rows = at[:, 1:] / SIZE[0] - 0.5
    found = turn(at, moved(at, turned + rows * more), SIZE, FOCAL)
    assert found[:3] == pytest.approx(turned, abs=3e-4)
    assert found[3:] == pytest.approx(more, abs=1e-3)


def test_few_corners_or_corners_that_disagree_say_nothing():
    at = corners(10)
    assert np.isnan(turn(at, at, SIZE, FOCAL)).all()
    at = corners()
    assert np.isnan(turn(at, at + np.random.default_rng(2).uniform(-40, 40, at.shape), SIZE, FOCAL)).all()


def test_the_field_of_a_turn_is_how_points_move():
    turned = np.array([0.002, -0.003, 0.004])
    field = rotation_field(turned, SIZE, FOCAL)
    at = np.array([[20, 30], [300, 10], [160, 90]])
    assert field[at[:, 1], at[:, 0]] == pytest.approx(moved(at.astype(float), turned) - at, abs=0.02)


def test_a_bare_wall_and_a_dropped_frame_are_not_known():
    t_ns = np.array([0, 33, 66, 200, 233, 266]) * 1_000_000
    textured = np.random.default_rng(3).integers(0, 255, (18, 32)).astype(np.uint8).repeat(10, 0).repeat(10, 1)
    for picture, known in ((np.full(SIZE, 128, np.uint8), 0), (textured, 4)):
        found = camera_turning(Filmed("film", t_ns, lambda _, p=picture: iter([p] * 6), exposure_ns=4e6))
        assert np.isfinite(found.rate_rad_s).all(axis=1).sum() == known
        assert found.t_ns[0] == 16_500_000 + 2_000_000


def test_a_film_with_more_pictures_than_times_or_none_at_all():
    picture = np.zeros(SIZE, np.uint8)
    t_ns = np.array([0, 33_000_000])
    assert len(camera_turning(Filmed("film", t_ns, lambda _: iter([picture] * 5))).t_ns) == 1
    assert len(camera_turning(Filmed("film", t_ns[:0], lambda _: iter([]))).t_ns) == 0


@pytest.mark.parametrize("true_ms", [2.0, 16.0, 30.0])
def test_the_read_out_time_is_in_the_shear(true_ms):
    rng = np.random.default_rng(4)
    grows, rate = rng.normal(0, 5e-9, (600, 3)), rng.normal(0, 0.5, (600, 3))
    shear = true_ms * 1e6 * grows + rate @ rng.normal(0, 0.05, (3, 3)) + rng.normal(0, 0.05, (600, 3))
    shear[::50] += 3.0
    found = readout(shear, grows, rate, 33.3e6)
    assert abs(found.readout_ns * 1e-6 - true_ms) < 3 * found.sigma_ns * 1e-6 < 4.0


def test_without_growing_turns_the_read_out_is_what_cameras_usually_have():
    found = readout(np.random.default_rng(5).normal(0, 0.1, (600, 3)), np.zeros((600, 3)), np.zeros((600, 3)), 33.3e6)
    assert found.readout_ns == pytest.approx(16.65e6)
    assert found.sigma_ns == pytest.approx(8.325e6)
