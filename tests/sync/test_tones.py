"""Tones: found to a few microseconds, told apart, and never heard where there is none."""

from __future__ import annotations

import numpy as np
import pytest
from planted_sounds import RATE, music, noisy, room, speech, with_tones

from firmware_host.errors import EvidenceError
from recorder.series import Sound
from recorder.tone import tone
from sync.alignment import Recording
from sync.tones import find, match


def sound(x: np.ndarray, rate: float = RATE, name: str = "kit") -> Sound:
    return Sound(np.asarray(x, np.float32), float(rate), 1_000_000_000, name)


@pytest.mark.parametrize("snr_db", [20, 0, -10])
def test_both_tones_are_found_between_the_samples(snr_db):
    truth = {"start": 5.0000123, "end": 31.7000456}
    x = with_tones(np.zeros(40 * RATE, np.float32), truth)
    loud = x.std() * np.sqrt(len(x) / (2 * RATE))
    rng = np.random.default_rng(4)
    x = x + rng.standard_normal(len(x)).astype(np.float32) * loud * 10 ** (-snr_db / 20)
    heard = find(sound(x))
    assert [t.kind for t in heard] == ["start", "end"]
    for t in heard:
        error = t.t_ns - 1_000_000_000 - truth[t.kind] * 1e9
        assert abs(error) < 3 * t.sigma_ns
        assert t.sigma_ns < 100e3
        assert 0 < t.score <= 1


def test_tones_are_found_over_speech_and_music_in_a_room():
    scene = speech(20, 1) + music(20, 2)
    x = noisy(room(with_tones(scene, {"start": 4.0, "end": 15.0}, level=0.15), 3), 20, 4)
    heard = find(sound(x))
    assert [t.kind for t in heard] == ["start", "end"]
    assert [t.t_ns * 1e-9 for t in heard] == pytest.approx([5.0, 16.0], abs=2e-4)


def test_a_tone_survives_other_sample_rates():
    for rate in (44_100, 48_000):
        x = np.zeros(12 * rate, np.float32)
        x[3 * rate : 4 * rate] = tone("end", rate)
        (heard,) = find(sound(x, rate))
        assert heard.kind == "end"
        assert heard.t_ns == pytest.approx(4_000_000_000, abs=60_000)


def test_the_first_and_the_last_second_of_a_long_sound_count():
    x = np.zeros(30 * RATE, np.float32)
    x[:RATE] = tone("start", RATE)
    x[-RATE:] = tone("end", RATE)
    assert [t.kind for t in find(sound(x))] == ["start", "end"]


@pytest.mark.parametrize("seed", [0, *(pytest.param(k, marks=pytest.mark.slow) for k in range(1, 6))])
def test_speech_music_and_noise_hold_no_tone(seed):
    rng = np.random.default_rng(seed)
    for x in (speech(40, 50 + seed), music(40, 60 + seed), rng.standard_normal(40 * RATE)):
        with pytest.raises(EvidenceError, match="no start or end tone"):
            find(sound(x))


def test_sweeps_of_another_rate_are_no_tones():
    t = np.arange(20 * RATE) / RATE
    for seconds in (0.5, 2.0, 4.0):
        x = 0.3 * np.sin(2 * np.pi * (500 * (t % seconds) + 3250 / seconds * (t % seconds) ** 2))
        with pytest.raises(EvidenceError):
            find(sound(x))


def heard_at(times: dict[str, float], name: str, distance_m: float | None) -> Recording:
    x = with_tones(np.random.default_rng(len(name)).standard_normal(30 * RATE) * 0.01, times)
    return Recording(name, sound(x, name=name), tone_distance_m=distance_m)


def test_a_head_that_moves_while_the_tone_sounds_is_followed():
    """Five centimetres in a second are 0.15 ms: as much as a clock 150 ppm off, but in one tone only."""
    t = np.arange(20 * RATE) / RATE
    x = with_tones(np.zeros(20 * RATE, np.float32), {"start": 3.0, "end": 15.0})
    late = 150e-6 * np.clip(t - 3.0, 0.0, 1.0)
    x = np.interp(t - late, t, x) + 0.002 * np.random.default_rng(3).standard_normal(len(t))
    heard = {tone.kind: tone.t_ns - 1_000_000_000 for tone in find(sound(x), worn=True)}
    assert heard["start"] == pytest.approx(3e9 + 75e3, abs=80e3)
    assert heard["end"] == pytest.approx(15e9 + 150e3, abs=20e3)


def test_a_part_of_a_tone_is_none():
    """A household now and then sounds like the last quarter of one."""
    x = np.random.default_rng(6).standard_normal(20 * RATE).astype(np.float32) * 0.01
    whole = tone("end", RATE)
    x[5 * RATE : 6 * RATE] += whole
    with_whole = find(sound(x))
    assert [t.kind for t in with_whole] == ["end"]
    x[5 * RATE : 6 * RATE - RATE // 4] -= whole[: -RATE // 4]
    with pytest.raises(EvidenceError):
        find(sound(x))


def test_the_way_to_the_speaker_is_taken_off():
    near = heard_at({"start": 3.0 + 1 / 343, "end": 20.0 + 1 / 343}, "near", 1.0)
    far = heard_at({"start": 5.0 + 4 / 343, "end": 22.0 + 4 / 343}, "far", 4.0)
    for m in match(near, far).matches:
        assert m.offset_ns == pytest.approx(2_000_000_000, abs=100_000)


def test_an_unknown_distance_is_a_larger_error():
    times = {"start": 3.0, "end": 20.0}
    known, unknown = (match(heard_at(times, "a", d), heard_at(times, "bb", d)).matches[0] for d in (2.0, None))
    assert dict(unknown.shared)["distance of a to the speaker"] < dict(known.shared)["distance of a to the speaker"] < 0


def test_one_common_tone_is_used_and_said_to_be_one():
    pairing = match(heard_at({"start": 3.0, "end": 20.0}, "a", 1.0), heard_at({"start": 4.0}, "bb", 1.0))
    assert len(pairing.matches) == 1
    assert "drift is not measured" in pairing.reason


def test_tones_that_fit_in_two_ways_are_refused():
    twice = heard_at({"start": 3.0}, "a", 1.0)
    x = with_tones(
        with_tones(np.random.default_rng(1).standard_normal(30 * RATE) * 0.01, {"start": 4.0}), {"start": 15.0}
    )
    with pytest.raises(EvidenceError, match="more than one way"):
        match(twice, Recording("bb", sound(x, name="bb")))


def test_different_tones_have_nothing_in_common():
    with pytest.raises(EvidenceError, match="none in common"):
        match(heard_at({"start": 3.0}, "a", 1.0), heard_at({"end": 3.0}, "bb", 1.0))


@pytest.mark.parametrize("ppm", [-500, 100, 500])
def test_a_clock_that_drifts_moves_no_tone(ppm):
    """Unstretched, the filter on a clock 500 ppm off has a plateau half a millisecond long with many tops."""
    at = {"start": 4.0, "end": 9.0}
    t = np.arange(12 * RATE) / RATE * (1 + ppm * 1e-6)
    x = sum(np.interp(t - s, np.arange(48_000) / 48_000, tone(k), left=0, right=0) for k, s in at.items())
    x = x + 0.02 * np.random.default_rng(1).standard_normal(len(t))
    heard = find(sound(x))
    assert [h.t_ns * 1e-9 - 1 for h in heard] == pytest.approx([s / (1 + ppm * 1e-6) for s in at.values()], abs=6e-5)
