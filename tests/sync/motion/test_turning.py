"""Rates of turning: averaged without lag, differentiated from orientations, unknown where they are."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from sync.motion.turning import Turning, from_orientation, mean_over

EVERY_NS = 10_000_000


def ramp(n: int = 200) -> tuple[np.ndarray, np.ndarray]:
    t_ns = 5_000_000_000_000_000 + EVERY_NS * np.arange(n)
    return t_ns, (np.arange(n)[:, None] * [1.0, -2.0, 0.5]) * 0.01


@pytest.mark.parametrize("width_ns", [0, 3_000_000, 33_333_333])
def test_the_mean_of_a_ramp_is_its_value_in_the_middle(width_ns):
    t_ns, x = ramp()
    asked = t_ns[50:150] + 3_700_000
    assert mean_over(t_ns, x, asked, width_ns) == pytest.approx(x[50:150] + 0.37 * np.diff(x[:2], axis=0), abs=1e-12)


def test_a_mean_is_the_difference_of_the_integral():
    rng = np.random.default_rng(0)
    t_ns, _ = ramp(400)
    x = rng.standard_normal((400, 3))
    asked, width_ns = t_ns[100:300:7] + 1_234_567, 47_000_000
    fine = np.linspace(-0.5, 0.5, 4001)
    slow = [np.trapezoid(mean_over(t_ns, x, t + np.rint(fine * width_ns).astype(int), 0), fine, axis=0) for t in asked]
    assert mean_over(t_ns, x, asked, width_ns) == pytest.approx(np.array(slow), abs=1e-3)


def test_what_reaches_beyond_the_samples_or_into_a_hole_is_not_known():
    t_ns, x = ramp()
    t_ns = np.concatenate([t_ns[:100], t_ns[100:] + 400_000_000])
    asked = np.array([t_ns[0], t_ns[99], t_ns[99] + 200_000_000, t_ns[100], t_ns[150], t_ns[-1]])
    known = np.isfinite(mean_over(t_ns, x, asked, 30_000_000)).all(axis=1)
    assert known.tolist() == [False, False, False, False, True, False]
    assert np.isnan(mean_over(t_ns, np.full_like(x, np.nan), asked, 0)).all()


def test_a_sample_that_is_not_known_is_bridged():
    t_ns, x = ramp()
    holed = x.copy()
    holed[60] = np.nan
    assert mean_over(t_ns, holed, t_ns[50:70], 0) == pytest.approx(x[50:70], abs=1e-12)


def test_orientations_give_the_rate_about_the_body_s_own_axes():
    rate = np.array([0.3, -0.8, 0.5])
    t_ns, _ = ramp(50)
    start = Rotation.from_rotvec([0.4, 1.0, -2.0])
    turned = start * Rotation.from_rotvec(np.arange(50)[:, None] * EVERY_NS * 1e-9 * rate)
    wxyz = turned.as_quat(scalar_first=True) * np.where(np.arange(50) % 3 == 0, -1, 1)[:, None]  # q and -q are one
    wxyz[20] = 0  # a chip that lost its power
    found = from_orientation("kit", t_ns, wxyz)
    assert found.rate_rad_s == pytest.approx(np.tile(rate, (48, 1)), abs=1e-9)
    assert found.t_ns[0] == t_ns[0] + EVERY_NS // 2
    assert found.width_ns == EVERY_NS


def test_rates_after_a_hole_in_the_orientations_are_not_known():
    t_ns, _ = ramp(20)
    t_ns = np.where(np.arange(20) < 10, t_ns, t_ns + 1_000_000_000)
    found = from_orientation("kit", t_ns, np.tile([1.0, 0, 0, 0], (20, 1)))
    assert np.isnan(found.rate_rad_s).any(axis=1).nonzero()[0].tolist() == [9]
    assert len(from_orientation("kit", t_ns[:1], np.ones((1, 4))).t_ns) == 0


def test_rates_of_another_shape_are_no_turning():
    with pytest.raises(ValueError, match="200 times"):
        Turning("kit", ramp()[0], np.zeros((200, 2)))
