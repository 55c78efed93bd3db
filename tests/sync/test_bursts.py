"""Plain sine bursts: timed by their edges, refused where one burst may be any other, not heard in music."""

from __future__ import annotations

import json

import click
import numpy as np
import pytest
import soundfile
from planted_sounds import RATE, music, noisy, room, speech

from firmware_host.errors import ConfigError, EvidenceError
from recorder.series import Sound
from sync import cli
from sync.alignment import Recording
from sync.bursts import Sine, find, match

SINE = Sine(1000.0, 0.5)
AT_S = (3.0, 9.0, 13.0)


def with_bursts(x: np.ndarray, at_s: tuple[float, ...], ramp_s: float = 0.005, hz: float = 1000.0) -> np.ndarray:
    """A copy with bursts of half a second that fade in and out."""
    out = np.array(x, np.float64)
    t = np.arange(RATE // 2) / RATE
    wave = 0.3 * np.sin(2 * np.pi * hz * t) * np.minimum(1, np.minimum(t, 0.5 - t) / ramp_s)
    for start_s in at_s:
        out[round(start_s * RATE) :][: len(wave)] += wave
    return out.astype(np.float32)


def hiss(seconds: int, level: float, seed: int) -> np.ndarray:
    return level * np.random.default_rng(seed).standard_normal(seconds * RATE)


def sound(x: np.ndarray, name: str = "kit") -> Sound:
    return Sound(np.asarray(x, np.float32), float(RATE), 2_000_000_000, name)


@pytest.mark.parametrize(("ramp_s", "level"), [(0.001, 0.01), (0.001, 0.1), (0.02, 0.01)])
def test_bursts_are_timed_within_their_sigma_whatever_their_ramps(ramp_s, level):
    found = find(sound(with_bursts(hiss(16, level, 1), AT_S, ramp_s)), SINE)
    assert [b.t_ns * 1e-9 - 2 for b in found] == pytest.approx(AT_S, abs=1.5e-3)
    assert all(b.kind == "sine" and 0 < b.score <= 1 for b in found)


def test_two_microphones_agree_over_speech_in_a_room():
    made = []
    for k, shift in enumerate((0.0, 1.5)):
        x = with_bursts(0.3 * speech(18, 3), AT_S)
        x = noisy(room(x, 5 + k, 0.3), 20, k)[round(shift * RATE) :]
        made.append(Recording(f"kit-{k}", sound(x, f"kit-{k}")))
    found = match(*made, SINE)
    assert len(found.matches) >= 2
    for m in found.matches:
        assert abs(m.offset_ns + 1.5e9) < min(3e6, 3 * m.sigma_ns)


def test_one_burst_in_common_may_be_any_other():
    one, other = (
        Recording(n, sound(with_bursts(hiss(10, 0.01, k), (at,)), n)) for k, (n, at) in enumerate((("a", 3), ("b", 6)))
    )
    with pytest.raises(EvidenceError, match="one burst is like"):
        match(one, other, SINE)


@pytest.mark.parametrize(
    "x", [speech(20, 1), music(20, 2), hiss(20, 0.1, 3), with_bursts(hiss(16, 0.01, 1), AT_S, hz=1100.0)]
)
def test_other_sounds_hold_no_burst(x):
    with pytest.raises(EvidenceError, match="no burst of 1000 Hz"):
        find(sound(x), SINE)


@pytest.mark.parametrize("hz", [Sine(1000, 1.0), Sine(1000, 0.25)])
def test_bursts_of_another_length_are_other_bursts(hz):
    with pytest.raises(EvidenceError):
        find(sound(with_bursts(hiss(16, 0.01, 1), AT_S)), hz)


@pytest.mark.parametrize(("hz", "length_s"), [(50, 1), (9000, 1), (1000, 0.01), (1000, 60), (float("nan"), 1)])
def test_what_cannot_be_found_is_refused_at_once(hz, length_s):
    with pytest.raises(ConfigError, match="cannot be found"):
        Sine(hz, length_s)


def test_the_commands_take_the_sine_of_other_kits(tmp_path, capsys):
    def told(command: click.Command, *arguments: object) -> dict:
        capsys.readouterr()
        command.main([*map(str, arguments), "--json"], standalone_mode=False)
        return json.loads(capsys.readouterr().out)

    x = with_bursts(speech(16, 3) * 0.2 + hiss(16, 0.002, 4), AT_S)
    for name, lead_s in (("a", 0.0), ("b", 0.7)):
        y = np.concatenate([hiss(1, 0.002, 9)[: round(lead_s * RATE)], x])
        soundfile.write(tmp_path / f"{name}.wav", y, RATE)
        told(cli.add, tmp_path / "s", tmp_path / f"{name}.wav", "--name", name)
    heard = told(cli.tones, tmp_path / "a.wav", "--sine", "1000:0.5")
    assert [t["t_s"] for t in heard["tones"]] == pytest.approx(AT_S, abs=3e-3)
    aligned = told(cli.align, tmp_path / "s", "--sine", "1000:0.5", "--only", "tones")
    (piece,) = aligned["maps"][0]["pieces"]
    assert abs(piece["target_ns"] - piece["origin_ns"]) == pytest.approx(0.7e9, abs=3e6)
    with pytest.raises(click.UsageError, match="write HZ:SECONDS"):
        told(cli.tones, tmp_path / "a.wav", "--sine", "1 kHz")


def test_a_room_that_rings_on_has_no_edges_to_time():
    """There the direct sound and its reflections add up to anything: errors of up to 10 ms had sigmas of 1.2."""
    made = []
    for k in (1, 2):
        x = room(with_bursts(hiss(16, 1e-4, k), AT_S), 5 + k, 0.6) + hiss(16, 0.01, 10 + k)
        made.append(Recording(f"kit-{k}", sound(x, f"kit-{k}")))
    assert not any(b.sharp for b in find(made[0].sound, SINE))
    with pytest.raises(EvidenceError, match="sharp edges"):
        match(*made, SINE)
