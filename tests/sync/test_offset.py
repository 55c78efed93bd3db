"""What `syncctl offset` makes of sound and tones together."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
from planted_sounds import RATE, noisy, speech, with_tones

from firmware_host.clockmap import ClockMap
from firmware_host.errors import EvidenceError
from recorder.series import Sound
from sync import phat
from sync.alignment import Recording
from sync.offset import _agrees_with_tones, measure
from sync.onsets import Line
from sync.stack import stacked
from sync.tones import match
from sync.waveform import spooled, working

QUIET = 0.003


def sound(x: np.ndarray, name: str) -> Sound:
    return Sound(np.asarray(x, np.float32), float(RATE), 0, name)


def hiss(seconds: float, seed: int) -> np.ndarray:
    return QUIET * np.random.default_rng(seed).standard_normal(int(seconds * RATE))


def toned(at_s: dict[str, float], seed: int, seconds: float = 60.0) -> Sound:
    """Nothing in common but the tones."""
    return sound(with_tones(hiss(seconds, seed), at_s, level=0.001), f"kit-{seed}")


def test_where_the_sound_says_nothing_two_tones_answer():
    found = measure(toned({"start": 5.0, "end": 50.0}, 1), toned({"start": 8.5, "end": 53.5}, 2), 1.0)
    assert found["verdict"] == "ok"
    assert "tones alone" in found["reason"]
    assert found["offset_s"] == pytest.approx(3.5, abs=3e-4)
    assert found["sigma_s"] == pytest.approx(1 / 343 / np.sqrt(3), rel=0.1)


def test_one_tone_in_common_is_no_answer():
    """Every session begins with the start tone."""
    with pytest.raises(EvidenceError):
        measure(toned({"start": 5.0}, 1), toned({"start": 20.0}, 2), 1.0)


def test_tones_that_no_drift_explains_are_no_answer():
    with pytest.raises(EvidenceError):
        measure(toned({"start": 5.0, "end": 40.0}, 1), toned({"start": 8.5, "end": 53.5}, 2), 1.0)


def test_a_tone_that_contradicts_the_sound_is_a_refusal():
    told = match(*(Recording(s.clock, s) for s in (toned({"start": 5.0}, 1), toned({"start": 8.5}, 2))))
    _agrees_with_tones(ClockMap.affine("kit-1", "kit-2", target_ns=3_500_000_000), told)
    with pytest.raises(EvidenceError, match="too quiet to say when"):
        _agrees_with_tones(ClockMap.affine("kit-1", "kit-2", target_ns=500_000_000), told)


def test_an_end_without_anything_in_common_is_named():
    talk = np.concatenate([speech(30, 5), np.zeros(40 * RATE, np.float32)])
    found = measure(*(sound(talk + hiss(70, k), f"kit-{k}") for k in (1, 2)), 1.0)
    assert found["verdict"] == "coarse"
    assert "nothing was heard in common after 3" in found["reason"]


def test_a_loss_that_the_noise_hides_is_not_passed_over():
    x = speech(70, 8)
    one, other = (noisy(x[k * RATE : (k + 55) * RATE], -14, 3 + k) for k in (0, 7))
    found = measure(sound(np.delete(other, slice(40 * RATE, 42 * RATE)), "other"), sound(one, "one"), 0.2)
    assert found["verdict"] == "coarse"
    assert "nothing was heard in common after 33 s" in found["reason"]


@pytest.mark.parametrize("away_s", [0.0, 0.02])
def test_windows_sum_up_where_none_is_sure(away_s):
    x = speech(60, 8)
    one, other = (working(sound(noisy(x[k * RATE : (k + 50) * RATE], -18, 3 + k), str(k))) for k in (0, 7))
    line = Line(0.0, (7.0 + away_s) * 1e9, 80e-6)
    windows = phat.windows(other, one, line, np.linspace(5e9, 38e9, 12), 2**16)
    assert windows.clear.sum() < 3
    found = stacked(other, one, line)
    assert found.standing > 8
    assert found.false_alarm < 1e-3
    assert np.median(np.abs(found.lag_ns - 7e9)) < 0.3e6
    assert found.line.lag(np.array([0.0, 43e9])) == pytest.approx(7e9, abs=1e6)
    assert stacked(other, one, Line(0.0, 5e9, 0.0)).standing < 8


def test_the_scratch_file_gives_back_what_was_decoded(tmp_path):
    """Every block at its own scale: what is quiet after a bang keeps its digits."""
    x = np.random.default_rng(3).standard_normal(2**19 + 999).astype(np.float32)
    x[2**18 :] *= 1e-4
    soundfile.write(tmp_path / "x.wav", x, RATE, subtype="FLOAT")
    wave = spooled(tmp_path / "x.wav")
    assert wave.native_length == len(x)
    for first, count in ((0, 1000), (2**18 - 500, 10_000), (2**17, 2**18 + 2**17), (len(x) - 300, 300)):
        error = np.abs(wave.raw(first, count) - x[first : first + count])
        assert error.max() < 6 / 32767
        assert first + count < 2**18 + 5000 or error[-300:].max() < 6e-4 / 32767
    assert np.all(wave.raw(-5, 5) == 0)
    assert wave.rms == pytest.approx(float(np.sqrt(np.mean(np.square(x, dtype=np.float64)))), rel=1e-4)
