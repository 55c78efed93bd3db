"""Damaged sound files: one sentence, or an answer that does not pretend; never a traceback, never a hang."""

from __future__ import annotations

import json
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from planted_sounds import RATE, noisy, speech

from firmware_host.errors import SyncctlError
from sync import cli

SECONDS, SHIFT_S = 6, 1.25
FORMATS = ("wav", "float.wav", "flac", "m4a", "mp3", "mkv")
DAMAGES = ("cut", "flipped", "rate", "nan", "zeroed", "doubled")


@pytest.fixture(scope="module")
def whole(tool, tmp_path_factory) -> Path:
    """The same sound in every format, and what it is compared with."""
    folder = tmp_path_factory.mktemp("sound")
    x = noisy(speech(SECONDS + SHIFT_S, 21), 20, 1)
    soundfile.write(folder / "reference.wav", x, RATE)
    y = x[round(SHIFT_S * RATE) :]
    soundfile.write(folder / "other.wav", y, RATE)
    soundfile.write(folder / "other.float.wav", y, RATE, subtype="FLOAT")
    for suffix in ("flac", "m4a", "mp3", "mkv"):
        command = [tool("ffmpeg"), "-v", "error", "-i", str(folder / "other.wav"), str(folder / f"other.{suffix}")]
        subprocess.run(command, check=True, timeout=60)
    return folder


def damaged(data: bytes, damage: str, rng: np.random.Generator) -> bytes:
    """A damaged copy."""
    out = bytearray(data)
    if damage == "cut":
        return bytes(out[: int(rng.integers(0, len(out)))])
    if damage == "flipped":
        for at in rng.integers(0, len(out), int(rng.integers(1, 60))):
            out[at] ^= 1 << int(rng.integers(8))
    if damage == "rate" and data[:4] == b"RIFF":
        rate = int(rng.choice([0, 1, 800, 8000, 15_500, 44_100, 192_000, 2**31 - 1, 2**32 - 1]))
        out[24:28] = struct.pack("<I", rate)
    if damage == "nan":
        first = int(rng.integers(len(out) // 3, len(out) // 2)) // 4 * 4
        junk = struct.pack("<f", rng.choice([np.nan, np.inf, -np.inf, 1e38])) * int(rng.integers(1, 4000))
        out[first : first + len(junk)] = junk
    if damage == "zeroed":
        first, last = sorted(rng.integers(0, len(out), 2))
        out[first:last] = bytes(int(last - first))
    if damage == "doubled":
        at = int(rng.integers(len(out)))
        out[at:at] = out[at // 2 : at]
    return bytes(out)


def outcome(capsys, reference: Path, other: Path) -> str:
    """What a user gets: a refusal, a sentence, or an answer; anything else fails the test."""
    sentence = ""
    try:
        status = cli.offset.main([str(reference), str(other), "--json"], standalone_mode=False)
    except SyncctlError as error:
        sentence = str(error)
    if sentence:
        assert 20 < len(sentence) < 500
        assert "\n" not in sentence
        return "sentence"
    found = json.loads(capsys.readouterr().out)
    assert status == (found["verdict"] == "refused")
    if found["verdict"] == "refused":
        assert found["reason"]
        return "refused"
    numbers = [found[k] for k in ("offset_s", "skew_ppm", "sigma_s", "score")]
    assert np.isfinite(numbers).all()
    assert found["sigma_s"] > 0
    return "answer"


def check(capsys, whole: Path, folder: Path, seed: int) -> str:
    rng = np.random.default_rng([seed, 41])
    suffix, damage = FORMATS[seed % len(FORMATS)], DAMAGES[seed // len(FORMATS) % len(DAMAGES)]
    other = folder / f"damaged.{suffix}"
    other.write_bytes(damaged((whole / f"other.{suffix}").read_bytes(), damage, rng))
    sides = (whole / "reference.wav", other)
    return outcome(capsys, *(sides if seed % 2 else sides[::-1]))


def test_the_undamaged_files_are_answered(whole, capsys):
    for suffix in FORMATS:
        assert outcome(capsys, whole / "reference.wav", whole / f"other.{suffix}") == "answer"


@pytest.mark.parametrize(
    "seed", [pytest.param(k, marks=pytest.mark.slow) if (k + k // 6) % 2 else k for k in range(36)]
)
def test_a_damaged_file_is_a_sentence_or_an_honest_answer(whole, tmp_path, capsys, seed):
    check(capsys, whole, tmp_path, seed)


@pytest.mark.slow
def test_hundreds_of_damaged_files(whole, tmp_path, capsys):
    found = [check(capsys, whole, tmp_path, seed) for seed in range(36, 336)]
    assert {"sentence", "answer"} <= set(found)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
def test_samples_that_are_no_numbers_do_not_reach_the_answer(whole, tmp_path, capsys, value):
    x, rate = soundfile.read(whole / "other.wav", dtype="float32")
    x[rate : rate + 500] = value
    soundfile.write(tmp_path / "x.wav", x, rate, subtype="FLOAT")
    assert outcome(capsys, whole / "reference.wav", tmp_path / "x.wav") == "answer"
