"""Claps of a camera with a rolling shutter, whose latency is known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from firmware_host.errors import EvidenceError
from recorder.camera import H264Encoder
from recorder.clap import BANDS, click_times_ns, estimate, measure_clap
from recorder.microphone import SoundBlock
from recorder.samples import frame_times_ns
from recorder.series import Sound
from recorder.session import Device, Session, open_session
from recorder.writer import KitLayout, KitWriter

MS = 1_000_000
T0 = 40_000_000_000
PERIOD = 33_333_333


def claps_at(rng: np.random.Generator, n: int) -> np.ndarray:
    return T0 + 2_000 * MS + (np.arange(n) * 1_300 * MS + rng.integers(0, 300 * MS, n))


def seen(times, claps, latency, exposure, readout, rows, on=300 * MS) -> np.ndarray:
    """(N, rows) share of light in [0, 1]: each row integrates over its exposure, whose middle is stamped late."""
    at = times[:, None] - latency + (((np.arange(rows) + 0.5) / rows - 0.5) * readout)
    share = np.zeros(at.shape)
    for clap in claps:
        end = lambda until: np.clip((at - until) / exposure + 0.5, 0, 1)  # noqa: E731
        share += end(clap) - end(clap + on)
    return share


def filmed(seed: int, latency: float, exposure: float, readout: float, n: int = 12, noise: float = 0.004):
    rng = np.random.default_rng(seed)
    claps = claps_at(rng, n)
    times = T0 + np.arange(int((claps[-1] - T0) / PERIOD) + 40) * PERIOD + rng.normal(0, 50_000, 1).astype(int)
    light = 0.1 + 0.3 * seen(times, claps, latency, exposure, readout, BANDS) * np.linspace(0.6, 1, BANDS)
    return times, light + rng.normal(0, noise, light.shape), claps


@pytest.mark.parametrize("latency_ms", [-25.0, 42.5, 130.0])
@pytest.mark.parametrize(("exposure_ms", "readout_ms"), [(5, 20), (30, 10), (2, 2)])
def test_the_latency_is_found_whatever_the_exposure(latency_ms: float, exposure_ms: float, readout_ms: float):
    result = estimate(*filmed(1, latency_ms * MS, exposure_ms * MS, readout_ms * MS))
    error_ms = result.latency_ns / MS - latency_ms
    assert abs(error_ms) < 3
    assert abs(error_ms) < 3.5 * result.sigma_ns / MS
    assert result.claps >= 11


def test_sigma_is_as_large_as_the_errors_are():
    rng = np.random.default_rng(0)
    scores, errors = [], []
    for seed in range(12):
        latency, exposure, readout = rng.uniform(-50, 100), rng.uniform(2, 30), rng.uniform(3, 30)
        result = estimate(*filmed(seed, latency * MS, exposure * MS, readout * MS, n=9))
        errors.append(result.latency_ns / MS - latency)
        scores.append(errors[-1] / (result.sigma_ns / MS))
    rms = np.sqrt(np.mean(np.square(scores)))
    assert 0.2 < rms < 1.5, f"rms score {rms:.2f}, rms error {np.sqrt(np.mean(np.square(errors))):.2f} ms"
    assert np.abs(errors).max() < 4


def test_clicks_that_have_nothing_to_do_with_the_flashes_are_refused():
    times, light, claps = filmed(3, 0, 10 * MS, 15 * MS)
    unrelated = claps + np.random.default_rng(1).integers(-250 * MS, 250 * MS, len(claps))
    with pytest.raises(EvidenceError, match="leave the camera's latency open"):
        estimate(times, light, unrelated)


def test_too_few_claps_are_refused():
    times, light, claps = filmed(3, 0, 10 * MS, 15 * MS, n=4)
    with pytest.raises(EvidenceError, match="6 are needed"):
        estimate(times, light, claps)


def test_a_room_in_which_nothing_flashes_is_refused():
    times, light, claps = filmed(3, 0, 10 * MS, 15 * MS)
    with pytest.raises(EvidenceError, match="0 of 12 clicks"):
        estimate(times, np.random.default_rng(2).normal(0.1, 0.004, light.shape), claps)


def click_track(claps: np.ndarray, seconds: float, rng: np.random.Generator) -> np.ndarray:
    x = rng.normal(0, 0.002, int(seconds * 48_000))
    decay = 0.4 * np.exp(-np.arange(4000) / 400) * np.sin(np.arange(4000) * 0.9)
    for clap in claps:
        first = int(np.ceil((clap - T0) * 48e-6))
        x[first : first + 4000] += decay
    return x


def test_clicks_are_found_to_a_tenth_of_a_millisecond():
    rng = np.random.default_rng(4)
    claps = claps_at(rng, 10)
    x = click_track(claps, 18, rng) + 0.03  # with the constant of an I2S microphone
    found = click_times_ns(Sound(x.astype(np.float32), 48_000.0, T0, "kit-01"))
    assert len(found) == 10
    assert np.abs(found - claps).max() < 100_000


def test_silence_has_no_clicks():
    with pytest.raises(EvidenceError, match="silent"):
        click_times_ns(Sound(np.zeros(48_000, np.float32), 48_000.0, T0, "kit-01"))


def test_a_session_is_measured_as_it_was_recorded(tmp_path: Path):
    rng = np.random.default_rng(6)
    claps, latency = claps_at(rng, 9), 31.0 * MS
    seconds = float((claps[-1] - T0) / 1e9 + 1.5)
    layout = KitLayout("kit-01", (), size=(64, 48), fps=30, sound_hz=48_000)
    writer = KitWriter(layout, tmp_path / "kit-01.mkv", tmp_path / "kit-01.log.jsonl", T0)
    times = T0 + 5_000 + np.arange(int(seconds * 30) - 2) * PERIOD
    light = 0.05 + 0.4 * seen(times, claps, latency, 12 * MS, 22 * MS, 48)
    encoder = H264Encoder(64, 48, 30, 2_000_000)
    for t_ns, rows in zip(times.tolist(), light, strict=True):
        picture = np.full((72, 64), 128, np.uint8)
        picture[:48] = np.rint(255 * rows ** (1 / 2.2))[:, None] + rng.integers(-2, 3, (48, 64))
        writer.video(encoder.encode(picture, t_ns))
    counts = np.rint(click_track(claps + 5_831_000, seconds, rng) * 2**23).astype(np.int32)  # heard from two metres
    for first in range(0, len(counts) - 960, 960):
        writer.sound(SoundBlock(first, counts[first : first + 960], T0 + first * 10**9 // 48_000))
    fit = writer.close()
    kit = Device("kit-01", "kit", "third", "kit-01", "kit-01.mkv", writer.streams(fit), log="kit-01.log.jsonl")
    Session(tmp_path, "s", (kit,), sealed=True).save()
    result = measure_clap(tmp_path, distance_m=2.0)
    assert result.latency_ns / MS == pytest.approx(31, abs=2.5)
    assert 0 < result.sigma_ns < 2.5 * MS
    assert result.claps == 9
    camera = replace(kit.of_kind("video")[0], latency_ns=20_000_000, latency_sigma_ns=1_000_000)
    told = replace(kit, streams=(camera, *kit.streams[1:]))
    Session(tmp_path, "s", (told,), sealed=True).save()
    assert np.all(frame_times_ns(open_session(tmp_path), kit) - frame_times_ns(open_session(tmp_path), told) == 20 * MS)
    assert measure_clap(tmp_path, distance_m=2.0) == result  # the whole latency, whatever was believed before
