import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.logmel import FLOOR, MELS, ROWS_HZ, WINDOW_S, log_mel, row_count


def plain(samples: np.ndarray, rate_hz: float) -> np.ndarray:
    """The same by its definition: one row, one frequency, one band at a time, in float64."""
    size = 2 * round(WINDOW_S * rate_hz / 2)
    hann = [0.5 - 0.5 * np.cos(2 * np.pi * n / size) for n in range(size)]
    tones = np.exp(-2j * np.pi * np.outer(np.arange(size // 2 + 1), np.arange(size)) / size)

    def hertz(mel: float) -> float:
        return mel * 200 / 3 if mel < 15 else 1000 * 6.4 ** ((mel - 15) / 27)

    top = 15 + 27 * np.log(20) / np.log(6.4)
    corners = [hertz(top * i / (MELS + 1)) for i in range(MELS + 2)]
    rows = []
    k = 0
    while k / ROWS_HZ < (len(samples) - 0.5) / rate_hz:
        centre = round(k * rate_hz / ROWS_HZ)
        piece = [samples[i] if 0 <= i < len(samples) else 0 for i in range(centre - size // 2, centre + size // 2)]
        power = np.abs(tones @ (np.array(piece) * hann * 2 / sum(hann))) ** 2
        row = []
        for left, middle, right in zip(corners, corners[1:], corners[2:], strict=False):
            total = 0.0
            for bin_number, p in enumerate(power):
                f = bin_number * rate_hz / size
                if left < f <= middle:
                    total += p * (f - left) / (middle - left)
                elif middle < f < right:
                    total += p * (right - f) / (right - middle)
            row.append(np.log(max(FLOOR, total * (rate_hz / size) / ((right - left) / 2))))
        rows.append(row)
        k += 1
    return np.array(rows).T


@pytest.mark.parametrize("rate_hz", [48_000, 16_000])
def test_it_is_what_the_definition_says(rate_hz):
    sound = np.random.default_rng(1).normal(0, 0.1, rate_hz // 40)
    sound += 0.3 * np.sin(2 * np.pi * 440 * np.arange(len(sound)) / rate_hz)
    found = log_mel(sound, rate_hz)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, plain(sound, rate_hz), atol=2e-3)


def test_there_are_as_many_rows_a_second_as_in_homage_at_any_rate():
    assert [row_count(4 * rate, rate) for rate in (44_100, 48_000, 16_000)] == [int(4 * ROWS_HZ) + 1] * 3 == [345] * 3
    assert log_mel(np.zeros(0, np.float32), 48_000).shape == (MELS, 0)


@pytest.mark.parametrize("rate_hz", [44_100, 48_000])
def test_a_tone_is_in_its_band_with_its_power_whatever_the_rate(rate_hz):
    tone = 0.5 * np.sin(2 * np.pi * 500 * np.arange(rate_hz) / rate_hz)
    power = np.exp(log_mel(tone, rate_hz)[:, 40])
    apart_hz = 200 / 3 * (15 + 27 * np.log(20) / np.log(6.4)) / (MELS + 1)
    assert int(power.argmax()) == round(500 / apart_hz) - 1
    # A Hann window spreads a line over the power of 1.5 bins, and neighbouring triangles add up to one.
    assert power.sum() == pytest.approx(0.5**2 * 1.5 / WINDOW_S / apart_hz, rel=0.01)


def test_silence_is_the_floor_and_a_click_is_in_its_row():
    sound = np.zeros(48_000, np.float32)
    assert np.all(log_mel(sound, 48_000) == np.float32(np.log(FLOOR)))
    sound[24_000] = 1.0
    loud = log_mel(sound, 48_000).mean(axis=0)
    assert abs(int(loud.argmax()) - 0.5 * ROWS_HZ) <= 0.5


@settings(max_examples=30)
@given(st.integers(0, 5000), st.sampled_from([44_100, 48_000, 16_000]))
def test_there_is_a_row_for_each_centre_in_the_sound(samples, rate):
    rows = row_count(samples, rate)
    assert log_mel(np.zeros(samples, np.float32), rate).shape == (MELS, rows)
    if rows:
        assert round((rows - 1) * rate / ROWS_HZ) < samples
