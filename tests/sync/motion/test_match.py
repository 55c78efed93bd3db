"""The contract of the method: the planted truth comes back within its sigma, its sign right, or an EvidenceError."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from firmware_host.errors import EvidenceError
from sync.alignment import Pairing
from sync.filmed import film
from sync.fuse import fuse
from sync.motion.flow import camera_turning
from sync.motion.match import match_turning
from sync.motion.turning import Turning
from tests.bench.motion import error_ms, sigma_ms, simulated
from tests.bench.turns import Head, Scene, gyroscope, write_film

SCENE = Scene(seed=1, seconds=40.0, offset_s=-7.3, skew_ppm=-180.0)


@pytest.fixture(scope="module")
def seen() -> Turning:
    return simulated(SCENE)


@pytest.fixture(scope="module")
def imu() -> Turning:
    return gyroscope(SCENE)


def errors_ns(pairing: Pairing, scene: Scene) -> np.ndarray:
    """What the matches of a film with its gyroscope are wrong by, the film being the source."""
    t_ns = np.array([m.t_ns for m in pairing.matches])
    return np.array([m.offset_ns for m in pairing.matches]) - (scene.on_gyroscope_ns(t_ns) - t_ns)


def test_planted_offset_and_drift_come_back_within_their_sigma(seen, imu):
    pairing = match_turning(seen, imu)
    assert (pairing.method, pairing.source, pairing.target, pairing.verdict) == ("turning", "film", "imu", "ok")
    own = np.array([m.sigma_ns for m in pairing.matches])
    assert np.all(np.abs(errors_ns(pairing, SCENE)) < 4 * own)
    assert 0.1e6 < np.median(own) < 2e6
    long = replace(SCENE, seconds=150.0)
    pairing = match_turning(simulated(long), gyroscope(long))
    found = fuse([pairing], {"film": (0, 150 * 10**9), "imu": (0, 150 * 10**9)}, "imu").maps[0]
    assert found.pieces[0].skew_ppm == pytest.approx(-180.0, abs=3)
    ends = np.array([0, 150 * 10**9])
    assert np.all(np.abs(found.forward(ends) - long.on_gyroscope_ns(ends)) < 3 * found.pieces[0].sigma_ns)


def test_swapping_the_arguments_flips_the_sign(seen, imu):
    there, back = match_turning(seen, imu), match_turning(imu, seen)
    assert (there.source, there.target) == (back.target, back.source) == ("film", "imu")
    for m, n in zip(there.matches, back.matches, strict=True):
        assert (n.t_ns, n.offset_ns) == (m.t_ns + m.offset_ns, -m.offset_ns)


def test_errors_that_all_times_share_have_the_sign_of_their_side(seen, imu):
    seen, imu = replace(seen, late=(("exposure", 3e6),)), replace(imu, late=(("age", 5e6),))
    assert match_turning(seen, imu).matches[0].shared == (("exposure", -3e6), ("age", 5e6))
    assert match_turning(imu, seen).matches[0].shared == (("age", -5e6), ("exposure", 3e6))


def test_a_slow_imu_and_two_gyroscopes_are_compared_as_well(imu):
    slow = gyroscope(replace(SCENE, gyro_hz=20.0, mount=(0.1, 0.2, 0.3)))
    slow = replace(slow, clock="kit", t_ns=slow.t_ns + 90_000_000_000)
    offsets = np.array([m.offset_ns for m in match_turning(imu, slow).matches])
    assert np.abs(offsets - 90_000_000_000).max() < 1e6


def test_a_short_film_of_a_long_recording_is_found_in_it():
    scene = Scene(seed=3, seconds=100.0)
    whole, at = simulated(scene), slice(1500, 2100)
    pairing = match_turning(replace(whole, t_ns=whole.t_ns[at], rate_rad_s=whole.rate_rad_s[at]), gyroscope(scene))
    assert abs(error_ms(pairing, scene)) < 3 * sigma_ms(pairing) < 3.0


def test_frames_that_are_not_known_are_left_out(seen, imu):
    holed = seen.rate_rad_s.copy()
    holed[np.random.default_rng(0).random(len(holed)) < 0.3] = np.nan
    assert np.abs(errors_ns(match_turning(replace(seen, rate_rad_s=holed), imu), SCENE)).max() < 4e6


@pytest.mark.parametrize("movement", ["still", "nodding", "burst"])
def test_movement_that_tells_nothing_is_refused(movement):
    scene = replace(SCENE, movement=movement)
    with pytest.raises(EvidenceError, match=r"turn the body in all directions"):
        match_turning(simulated(scene), gyroscope(scene))


@pytest.mark.parametrize("fault", ["still camera", "still imu", "nan", "short", "empty", "noise"])
def test_nothing_to_compare_raises(seen, imu, fault):
    noise = np.random.default_rng(0).standard_normal(seen.rate_rad_s.shape)
    wrong = {
        "still camera": (replace(seen, rate_rad_s=0.005 * noise), imu),
        "still imu": (seen, replace(imu, rate_rad_s=np.zeros_like(imu.rate_rad_s))),
        "nan": (replace(seen, rate_rad_s=np.full_like(noise, np.nan)), imu),
        "short": (replace(seen, t_ns=seen.t_ns[:60], rate_rad_s=seen.rate_rad_s[:60]), imu),
        "empty": (replace(seen, t_ns=seen.t_ns[:0], rate_rad_s=seen.rate_rad_s[:0]), imu),
        "noise": (replace(seen, rate_rad_s=noise), imu),
    }
    with pytest.raises(EvidenceError, match=r"film|imu"):
        match_turning(*wrong[fault])


@pytest.mark.parametrize("seed", range(12))
def test_two_different_recordings_are_refused(seed):
    scene = Scene(seed=100 + seed, seconds=(12.0, 20.0, 40.0)[seed % 3], movement=("lively", "gentle")[seed % 2])
    other = replace(scene, seed=500 + seed, seconds=scene.seconds * (1 + seed % 2))
    with pytest.raises(EvidenceError, match="did not move together"):
        match_turning(simulated(scene), gyroscope(other))


def test_a_stretch_in_which_the_camera_was_in_another_hand_is_not_averaged_in(seen, imu):
    rate = seen.rate_rad_s.copy()
    rate[400:700] = simulated(replace(SCENE, seed=77)).rate_rad_s[400:700]
    pairing = match_turning(replace(seen, rate_rad_s=rate), imu)
    assert pairing.evidence["windows_used"] < pairing.evidence["windows_tried"]
    assert pairing.evidence["longest_silent_s"] > 8
    assert abs(error_ms(pairing, SCENE)) < 3 * sigma_ms(pairing) < 3.0


@pytest.mark.slow
def test_a_film_with_a_rolling_shutter_blur_and_grain(tmp_path):
    """Drawn, compressed and read back; the exposure is not told, so its sigma must cover it."""
    scene = Scene(
        seed=5, seconds=10.0, fps=25.0, size=(240, 136), focal_px=180.0, readout_s=0.028, exposure_s=0.005, grain=4.0
    )
    write_film(scene, tmp_path / "film.mp4")
    turning = camera_turning(film(tmp_path / "film.mp4"))
    true, known = Head(scene).rate_rad_s(turning.t_ns * 1e-9 + 0.01), np.isfinite(turning.rate_rad_s).all(axis=1)
    assert known.mean() > 0.8
    for axis in range(3):
        assert np.corrcoef(turning.rate_rad_s[known, axis], true[known, axis])[0, 1] > 0.95
    pairing = match_turning(turning, gyroscope(scene))
    assert pairing.evidence["readout_ms of film"] == pytest.approx(28, abs=3)
    assert abs(error_ms(pairing, scene)) < min(5.0, 3 * sigma_ms(pairing))
    assert [n for n, _ in pairing.matches[0].shared] == ["exposure of film's camera", "read-out of film's camera"]
