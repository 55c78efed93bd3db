"""Worn IMUs: askew they tell the same turns; what they add is as large as asked; what is too fast they do not tell."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from recorder.imu_flaws import G_M_S2, WARM_S, ImuFlaws, mounting, worn
from recorder.world import World, WorldPlan
from recorder.world.plan import ImuTruth
from recorder.world.tracker import TrackerFlaws

NONE = ImuFlaws(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
AT_S = np.arange(100) / 100
SPIN = np.array([0.3, -1.2, 0.5])


def spinning(at_s: np.ndarray = AT_S) -> ImuTruth:
    """An IMU that turns evenly about a fixed axis."""
    turn = Rotation.from_rotvec(at_s[:, None] * SPIN)
    return ImuTruth(
        orientation=turn.as_quat(scalar_first=True),
        gyro=np.tile(np.degrees(SPIN), (len(at_s), 1)),
        linear=np.zeros((len(at_s), 3)),
        gravity=turn.inv().apply([0, 0, 9.81]),
    )


def test_an_imu_askew_turns_by_the_same_angles_and_weighs_the_same() -> None:
    truth = spinning()
    how = mounting(replace(NONE, mounting_deg=5.0, heading_deg=5.0), np.random.default_rng(2))
    seen = worn(truth, how, AT_S)
    assert not np.allclose(seen.orientation, truth.orientation, atol=0.01)
    turned = Rotation.from_quat(seen.orientation, scalar_first=True)
    assert (turned[0].inv() * turned[-1]).magnitude() == pytest.approx(np.linalg.norm(SPIN) * AT_S[-1], abs=1e-9)
    assert np.linalg.norm(seen.gravity, axis=1) == pytest.approx(9.81)
    step = turned[0].inv() * turned[1]
    assert np.degrees(step.as_rotvec()) * 100 == pytest.approx(seen.gyro[0], abs=1e-6)
    assert turned[3].apply(seen.gravity[3]) == pytest.approx([0, 0, 9.81], abs=1e-9)


def test_an_imu_without_flaws_reports_the_truth() -> None:
    truth = spinning()
    seen = worn(truth, mounting(NONE, np.random.default_rng(0)), AT_S)
    assert [np.allclose(a, b) for a, b in zip(vars(seen).values(), vars(truth).values(), strict=True)] == [True] * 4


def test_north_wanders_as_much_as_asked_and_slowly() -> None:
    t = np.arange(0, 3600, 1.0)
    sizes = []
    for seed in range(8):
        how = mounting(replace(NONE, heading_wander_deg=2.0), np.random.default_rng(seed))
        off = np.degrees(how.north(t).as_rotvec()[:, 2])
        sizes.append(off.std())
        assert np.abs(np.diff(off)).max() < 2.0, "degrees a second"
        still = worn(spinning(t), how, t)
        np.testing.assert_allclose(still.gravity, spinning(t).gravity, atol=1e-9)
    assert np.mean(sizes) == pytest.approx(2.0, rel=0.1)


def test_a_gyroscope_s_rest_changes_as_it_warms() -> None:
    drawn = [mounting(replace(NONE, warming_dps=0.5), np.random.default_rng(k)) for k in range(300)]
    begun, later, warm = (np.array([how.bias(np.array([t]))[0] for how in drawn]) for t in (0.0, WARM_S, 20 * WARM_S))
    assert not begun.any()
    assert warm.std() == pytest.approx(0.5, rel=0.1)
    np.testing.assert_allclose(later, (1 - np.exp(-1)) * warm, rtol=1e-6)


@pytest.mark.parametrize("axis", range(3))
def test_what_is_too_fast_or_too_hard_is_told_as_the_most_there_is(axis: int) -> None:
    truth = spinning()
    hard, fast = truth.linear.copy(), truth.gyro.copy()
    hard[50, axis], fast[50, axis] = -90.0, 2500.0
    truth = replace(truth, linear=hard, gyro=fast)
    seen = worn(truth, mounting(replace(NONE, range_dps=2000.0, range_g=4.0), np.random.default_rng(0)), AT_S)
    assert seen.gyro[50, axis] == 2000.0
    assert (seen.linear + seen.gravity)[50, axis] == pytest.approx(-4 * G_M_S2)
    others = np.arange(100) != 50
    np.testing.assert_allclose(seen.linear[others], truth.linear[others], atol=1e-12)
    np.testing.assert_allclose(seen.gyro[others], truth.gyro[others])


def test_a_tracker_is_as_wrong_as_asked_and_without_flaws_loses_an_eye_in_blinks_alone() -> None:
    world = World(WorldPlan(duration_s=30.0, seed=4))
    t = np.arange(2 * 10**9, 28 * 10**9, 10**7)
    true = world.gaze_truth("eye", t)
    found = {}
    for name, flaws in (
        ("none", TrackerFlaws(0.0, 0.0, 0.0)),
        ("noise", TrackerFlaws(1.0, 0.0, 0.0)),
        ("drift", TrackerFlaws(0.0, 2.0, 0.0)),
        ("losses", TrackerFlaws(0.0, 0.0, 60.0)),
    ):
        xy, valid = world.gaze(t, flaws)
        found[name] = (np.degrees((xy - true)[valid] / world.camera("eye").fx), valid.mean())
    assert np.abs(found["none"][0]).max() < 1e-9
    assert found["noise"][0].std() == pytest.approx(1.0, rel=0.1)
    assert 0.7 < found["drift"][0].std() < 4.0
    assert np.abs(np.diff(found["drift"][0], axis=0)).max() < 1.5, "a drift is no noise"
    assert found["none"][1] == found["noise"][1] > found["losses"][1] + 0.1
