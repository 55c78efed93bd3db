"""A limb's speed in the picture against its IMU's: an uneven pattern is found, an even one and none are refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from firmware_host.errors import EvidenceError
from sync.align import pattern
from sync.alignment import Recording
from sync.filmed import Filmed, film
from sync.motion.mirror import Moving, alone, felt, match_pattern, seen
from sync.motion.turning import Turning
from sync.recordings import SEEN
from tests.bench.motion import error_ms, sigma_ms
from tests.bench.turns import Arm, Scene, gyroscope, write_film

SCENE = Scene(seed=11, seconds=40.0, movement="still", limb="pattern", offset_s=12.7, skew_ppm=40.0)


def in_a_mirror(scene: Scene) -> Moving:
    """What a film of the arm would say: the hand's speed, foreshortened, with noise, a mean over each frame's time."""
    t_ns = np.rint(scene.t_s * 1e9).astype(np.int64)
    middle = (t_ns[1:] + t_ns[:-1]) // 2
    spread = middle[:, None] * 1e-9 + np.linspace(-0.4, 0.4, 5) / scene.fps
    arm = Arm(scene)
    speed = np.mean([np.abs(arm.rate_rad_s(spread[:, k])[:, 2]) for k in range(5)], axis=0)
    short = 1 - 0.4 * np.abs(np.sin(arm.angle_rad(middle * 1e-9)))
    noise = np.random.default_rng(scene.seed).normal(0, 0.15, len(speed))
    return Moving("film", middle, np.abs(speed * short + noise), round(1e9 / scene.fps))


def test_the_planted_offset_comes_back_within_its_sigma():
    pairing = match_pattern(in_a_mirror(SCENE), felt(gyroscope(SCENE)))
    assert (pairing.method, pairing.verdict) == ("pattern", "ok")
    assert abs(error_ms(pairing, SCENE)) < min(15.0, 2 * sigma_ms(pairing))
    own = np.array([m.sigma_ns for m in pairing.matches])
    t_ns = np.array([m.t_ns for m in pairing.matches])
    error = np.array([m.offset_ns for m in pairing.matches]) - (SCENE.on_gyroscope_ns(t_ns) - t_ns)
    assert np.all(np.abs(error) < 4 * np.hypot(own, 8e6))


def test_swapping_the_arguments_flips_the_sign_and_the_shared_error():
    one, other = in_a_mirror(SCENE), felt(gyroscope(SCENE))
    there, back = match_pattern(one, other), match_pattern(other, one)
    assert [m.offset_ns for m in back.matches] == [-m.offset_ns for m in there.matches]
    (name, error), (again, flipped) = there.matches[0].shared[0], back.matches[0].shared[0]
    assert (name, error) == (again, -flipped)
    assert abs(error) > 1e6


@pytest.mark.parametrize("fault", ["even swings", "another day", "no movement", "nothing known"])
def test_what_fits_everywhere_or_nowhere_is_refused(fault):
    even = replace(SCENE, limb="even")
    still = replace(in_a_mirror(SCENE), speed=np.zeros(len(SCENE.t_s) - 1))
    pairs = {
        "even swings": (in_a_mirror(even), felt(gyroscope(even))),
        "another day": (in_a_mirror(SCENE), felt(gyroscope(replace(SCENE, seed=99)))),
        "no movement": (still, felt(gyroscope(SCENE))),
        "nothing known": (replace(still, speed=np.full(len(still.t_ns), np.nan)), felt(gyroscope(SCENE))),
    }
    with pytest.raises(EvidenceError, match=r"pauses of unequal length"):
        match_pattern(*pairs[fault])


def walked_and_signalled(limbs: int = 9) -> list[Moving]:
    """IMUs of a body that walks about, stands still from 40 s to 60 s while two of them make a pattern, and goes on."""
    t_ns = 50_000_000 * np.arange(20 * 100)
    rng = np.random.default_rng(5)
    arm = np.abs(Arm(SCENE).rate_rad_s(np.clip(t_ns * 1e-9 - 40.0, 0.0, 39.0))[:, 2])
    standing = (t_ns > 40e9) & (t_ns < 60e9)
    found = []
    for k in range(limbs):
        speed = 2.0 * np.abs(np.sin(2 * np.pi * (0.9 * t_ns * 1e-9 + 0.1 * k))) + rng.normal(0, 0.2, len(t_ns)) ** 2
        speed[standing] = (1.0 - 0.1 * k) * arm[standing] if k < 2 else 0.03
        found.append(Moving("imu", t_ns, speed))
    return found


def test_the_pattern_is_sought_where_one_limb_moved_alone():
    limbs = walked_and_signalled()
    (here,) = alone(limbs)
    assert 39.0 < here.t_ns[0] * 1e-9 < 41.0
    assert 59.0 < here.t_ns[-1] * 1e-9 < 61.0
    inside = (limbs[0].t_ns >= here.t_ns[0]) & (limbs[0].t_ns <= here.t_ns[-1])
    assert np.array_equal(here.speed, limbs[0].speed[inside]), "the limb that moved most"


def test_who_never_stands_still_or_wears_too_few_imus_has_no_such_time():
    assert alone(walked_and_signalled(3)) == []
    assert alone([replace(m, speed=np.full(len(m.speed), 1.0)) for m in walked_and_signalled()]) == []
    assert alone([]) == []


def test_a_session_in_which_little_else_is_a_pattern_is_aligned_by_it():
    """Over the whole of it nothing fits: the camera sees somebody walk, as all limbs feel."""
    limbs = walked_and_signalled()
    t_ns = np.arange(0, 100 * 10**9, 33_333_333)
    rng = np.random.default_rng(6)
    speed = 3.0 * np.abs(np.cumsum(rng.normal(0, 0.05, len(t_ns))))
    speed = np.where((t_ns > 40e9) & (t_ns < 60e9), np.interp(t_ns, limbs[0].t_ns, limbs[0].speed), speed)
    camera = Moving("film", t_ns - 7_000_000_000, speed + rng.normal(0, 0.1, len(t_ns)) ** 2, 33_333_333)
    body = Recording("imu", None, wearer="p01", moved={str(k): lambda m=m: m for k, m in enumerate(limbs)})
    film = Recording("film", None, wearer="p01", moved={SEEN: lambda: camera})
    for pairing, sign in ((pattern(body, film), -1), (pattern(film, body), 1)):
        assert np.mean([m.offset_ns for m in pairing.matches]) == pytest.approx(sign * 7e9, abs=8e6)
    with pytest.raises(EvidenceError):
        match_pattern(limbs[0], camera)
    with pytest.raises(EvidenceError, match="not one is a camera"):
        pattern(body, body)


def test_a_camera_that_turns_sees_nothing_move_that_stands_still(tmp_path):
    """Its own turning is taken from the flow; the arm's movement is left."""
    small = {"seconds": 2.0, "fps": 20.0, "size": (160, 90), "focal_px": 120.0, "exposure_s": 0.002, "grain": 2.0}
    turning, swinging = (Scene(seed=12, movement="gentle", limb=limb, **small) for limb in (None, "even"))
    speeds = []
    for k, scene in enumerate((turning, swinging)):
        write_film(scene, tmp_path / f"{k}.mp4")
        speeds.append(seen(film(tmp_path / f"{k}.mp4")).speed)
    assert np.median(speeds[1]) > 2 * np.median(speeds[0])
    arm = np.abs(Arm(swinging).rate_rad_s(swinging.t_s[:-1] + 0.033)[:, 2])
    assert np.corrcoef(speeds[1], arm)[0, 1] > 0.6


def test_times_are_of_the_middle_row_at_the_middle_of_its_exposure():
    picture = np.zeros((90, 160), np.uint8)
    t_ns = np.array([0, 40, 80]) * 1_000_000
    first = seen(Filmed("film", t_ns, lambda _: iter([picture] * 3), exposure_ns=8e6))
    assert first.t_ns[0] == 20_000_000 + 4_000_000 + 10_000_000
    assert dict(first.late) == {"shutter of film's camera": pytest.approx(5e6)}
    known = seen(Filmed("film", t_ns, lambda _: iter([picture] * 3), first_row=False))
    assert (known.t_ns[0], known.late) == (20_000_000, ())


def test_an_imu_s_bias_is_no_movement():
    t_ns = 10_000_000 * np.arange(500)
    rate = np.random.default_rng(0).normal(0, 0.01, (500, 3)) + [0.2, -0.1, 0.05]
    assert felt(Turning("imu", t_ns, rate)).speed.mean() < 0.02
