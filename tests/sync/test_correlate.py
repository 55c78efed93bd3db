"""Correlation: right within its sigma, or refused; lost samples are seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from planted_sounds import RATE, Pair, music, noisy, pair, speech

from firmware_host.errors import EvidenceError
from recorder.series import Sound
from sync.correlate import compare


def worst_error_ns(made: Pair, apart_m: float = 1.0) -> float:
    matches = compare(made.source, made.target, apart_m).matches
    t_ns = np.array([m.t_ns for m in matches])
    return float(np.max(np.abs([m.offset_ns for m in matches] - made.true_offset_ns(t_ns))))


def sound(x: np.ndarray, name: str) -> Sound:
    return Sound(np.asarray(x, np.float32), float(RATE), 0, name)


@pytest.mark.parametrize(("snr_db", "reverberant"), [(10, False), (0, True), (-10, True)])
def test_noise_and_reverberation(snr_db, reverberant):
    assert worst_error_ns(pair(seconds=40, snr_db=snr_db, reverberant=reverberant, seed=30)) < 50e3


@pytest.mark.parametrize("skew_ppm", [-500, 0, 300])
def test_drift(skew_ppm):
    assert worst_error_ns(pair(seconds=40, skew_ppm=skew_ppm, snr_db=0, seed=40)) < 50e3


@pytest.mark.parametrize(("seconds", "offset_s"), [(6, 1.5), (30, -20.0)])
def test_short_recordings_and_small_overlaps(seconds, offset_s):
    assert worst_error_ns(pair(seconds=seconds, offset_s=offset_s, seed=2)) < 50e3


def test_another_sample_rate_and_level():
    made = pair(seconds=15, seed=3)
    from scipy.signal import resample_poly

    quick = Sound(0.01 * resample_poly(made.target.x, 441, 160).astype(np.float32), 44_100.0, 0, "target")
    assert worst_error_ns(replace(made, target=quick)) < 50e3


@pytest.mark.parametrize("lost_s", [0.005, 0.18, 5.0])
def test_lost_samples_are_found_placed_and_not_averaged_in(lost_s):
    made = pair(seconds=60, offset_s=2.0, skew_ppm=30, snr_db=5, seed=50)
    x, at = made.target.x, 30 * RATE
    found = compare(made.source, replace(made.target, x=np.concatenate([x[:at], x[at + int(lost_s * RATE) :]])))
    assert "samples were lost" in found.reason
    first = [m for m in found.matches if m.piece == 0]
    last = [m for m in found.matches if m.piece == max(m.piece for m in found.matches)]
    for matches, shift_ns in ((first, 0), (last, -lost_s * 1e9)):
        t_ns = np.array([m.t_ns for m in matches])
        error = np.array([m.offset_ns for m in matches]) - made.true_offset_ns(t_ns) - shift_ns
        assert np.median(np.abs(error)) < 1e6
    step_ns = (first[-1].t_ns + last[0].t_ns) / 2 + made.offset_ns
    assert step_ns == pytest.approx(30e9, abs=4e9)


def test_who_lost_samples_is_told_whichever_way_they_are_compared():
    made = pair(seconds=30, offset_s=2.0, snr_db=10, seed=51)
    x, at = made.target.x, 15 * RATE
    cut = replace(made.target, x=np.concatenate([x[:at], x[at + RATE // 5 :]]))
    reasons = {compare(made.source, cut).reason, compare(cut, made.source).reason}
    assert reasons == {"samples were lost: 200.0 ms by target"}


def test_a_talker_who_walks_is_no_lost_sample():
    """A path that changes by metres and back widens the error bar, and is not called a step."""
    made = pair(seconds=60, offset_s=1.0, skew_ppm=20, seed=9)
    t = np.arange(len(made.target.x)) / RATE
    late = 0.004 * np.sign(np.sin(2 * np.pi * t / 20))
    moved = np.interp(t - late, t, made.target.x).astype(np.float32)
    found = compare(made.source, replace(made.target, x=moved))
    assert found.reason == ""
    assert found.matches[0].sigma_ns > 2e6


@pytest.mark.parametrize("seed", [0, *(pytest.param(k, marks=pytest.mark.slow) for k in range(1, 6))])
def test_unrelated_recordings_are_refused(seed):
    one = noisy(speech(20, 100 + seed) + music(20, 200 + seed), 20, 1)
    other = noisy(speech(20, 300 + seed) + music(20, 400 + seed), 20, 2)
    with pytest.raises(EvidenceError):
        compare(sound(one, "one"), sound(other, "other"))


def test_loops_and_machines_are_refused():
    clicks = np.zeros(24 * RATE)
    clicks[:: RATE // 2] = 1
    t = np.arange(24 * RATE) / RATE
    hum = sum(np.sin(2 * np.pi * 50 * k * t) / k for k in (1, 2, 3, 5))
    for x in (np.tile(music(4, 7), 6), clicks, hum):
        with pytest.raises(EvidenceError):
            compare(sound(noisy(x, 20, 1), "one"), sound(noisy(np.roll(x, 12_345), 20, 2), "other"))


def test_one_recording_against_itself_has_the_path_as_its_error():
    x = noisy(speech(30, 1), 30, 1)
    found = compare(sound(x, "one"), sound(x, "other"), apart_m=2.0)
    assert all(abs(m.offset_ns) < 5e3 for m in found.matches)
    assert found.matches[0].shared[0][1] == pytest.approx(2 / 343 * 1e9)


def test_evidence_counts_what_was_tried():
    made = pair(seconds=50, offset_s=1.0, seed=8)
    x = made.target.x.copy()
    x[15 * RATE : 40 * RATE] = 0.01 * np.random.default_rng(1).standard_normal(25 * RATE)
    found = compare(made.source, replace(made.target, x=x)).evidence
    assert found["windows_used"] < 0.75 * found["windows_tried"]
    assert found["longest_silent_s"] == pytest.approx(25, abs=5)


@pytest.mark.parametrize(("after_s", "lost_s"), [(4.0, 0.05), (5.0, 0.8)])
def test_samples_lost_seconds_from_an_end_are_found(after_s, lost_s):
    """One long window lies beyond the loss; no line goes through one."""
    made = pair(seconds=40, offset_s=2.0, skew_ppm=20, seed=6)
    last = len(made.target.x) - round(after_s * RATE)
    x = np.delete(made.target.x, slice(last, last + round(lost_s * RATE)))
    found = compare(made.source, replace(made.target, x=x), 0.2)
    (step_ns,) = found.breaks_ns
    assert step_ns - made.source.t0_ns + 2e9 == pytest.approx(last / RATE * 1e9, abs=1e9)
    for m in found.matches:
        error_ns = m.offset_ns - made.true_offset_ns(m.t_ns) + m.piece * lost_s * 1e9
        assert abs(error_ns) < 2e6


def test_what_precedes_a_loss_just_after_the_other_began_is_not_promised():
    """The recorder lost five seconds as the other began: what it heard before has no partner."""
    made = pair(seconds=50, offset_s=0.0, seed=2)
    one, other = made.source.x[12 * RATE :], np.delete(made.target.x, slice(12 * RATE, 17 * RATE))
    found = compare(sound(one, "one"), sound(other, "other"))
    assert found.verdict == "coarse"
    assert "each hears something else" in found.reason


def test_a_bang_in_each_of_two_strangers_is_no_wrong_rate():
    """One loud moment fits another at any ratio; only what precedes and follows it tells."""
    rng = np.random.default_rng(0)
    one, other = (0.01 * rng.standard_normal(int(s * RATE)) for s in (10.5, 12.0))
    for x, at_s in ((one, 4.0), (other, 7.0)):
        x[int(at_s * RATE) :][:4000] += rng.standard_normal(4000) * np.exp(-np.arange(4000) / 600)
    with pytest.raises(EvidenceError) as error:
        compare(sound(one, "one"), sound(other, "other"))
    assert "sample rate" not in str(error.value)


@pytest.mark.parametrize(
    ("true_hz", "said_hz"), [(48_000, 44_100), (48_000, 47_000), (16_000, 48_000), (48_000, 48_100)]
)
def test_a_header_that_names_a_wrong_rate_is_a_refusal(true_hz, said_hz):
    made = pair(seconds=25, offset_s=1.0, seed=3)
    wrong = Sound(made.target.x, RATE * said_hz / true_hz, 0, "target")
    with pytest.raises(EvidenceError, match="ppm apart.*wrong sample rate" if said_hz < 2 * true_hz else "in common"):
        compare(made.source, wrong)
