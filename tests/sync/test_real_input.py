"""Recordings that nobody here made. No pair with a known offset is among them, so files meet copies of themselves."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from firmware_host.errors import EvidenceError
from recorder.demux import read_sound_file
from sync.add import add_file
from sync.align import align
from sync.offset import measure
from sync.tones import find

GOPRO = Path(__file__).parents[2].parent / "shared" / "data" / "gopro"
KARMA, HEROMODE = GOPRO / "karma.mp4", GOPRO / "max-heromode.mp4"
pytestmark = pytest.mark.skipif(not GOPRO.is_dir(), reason="the shared recordings are not here")
SAMPLES = 150_000
RATE = 48_000


@pytest.fixture(scope="module")
def ffmpeg(tool, tmp_path_factory):
    """Make a copy of the Karma's sound: name and ffmpeg's options."""
    folder = tmp_path_factory.mktemp("copies")

    def made(name: str, *options: str) -> Path:
        command = [tool("ffmpeg"), "-v", "error", "-y", "-i", str(KARMA), "-vn", *options, str(folder / name)]
        subprocess.run(command, check=True, timeout=60)
        return folder / name

    return made


@pytest.fixture(scope="module")
def cut(ffmpeg) -> Path:
    return ffmpeg("cut.wav", "-af", f"atrim=start_sample={SAMPLES},asetpts=PTS-STARTPTS")


def measured(reference: Path, other: Path) -> dict:
    return measure(read_sound_file(other), read_sound_file(reference), 1.0)


def test_a_cut_of_known_length_is_found_to_the_sample(cut):
    assert round(measured(KARMA, cut)["offset_s"] * RATE) == SAMPLES


def test_the_inverse_order_gives_the_inverse_offset(cut):
    there, back = measured(KARMA, cut), measured(cut, KARMA)
    assert back["offset_s"] == pytest.approx(-there["offset_s"], abs=5e-6)
    assert back["skew_ppm"] == pytest.approx(-there["skew_ppm"], abs=0.1)


def test_two_disjoint_halves_agree(ffmpeg, cut):
    first = ffmpeg(
        "first.wav", "-af", f"atrim=start_sample={SAMPLES}:end_sample={SAMPLES + 200_000},asetpts=PTS-STARTPTS"
    )
    second = ffmpeg("second.wav", "-af", f"atrim=start_sample={SAMPLES + 200_000},asetpts=PTS-STARTPTS")
    a, b = measured(cut, first), measured(cut, second)
    assert a["offset_s"] == pytest.approx(0, abs=5e-6)
    assert b["offset_s"] - a["offset_s"] == pytest.approx(200_000 / RATE, abs=5e-6)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("low.m4a", ("-ar", "44100", "-c:a", "aac", "-b:a", "64k")),
        ("low.mp3", ("-c:a", "libmp3lame", "-b:a", "64k")),
        ("low.mkv", ("-ar", "16000", "-c:a", "flac")),
    ],
)
def test_encoding_again_moves_nothing(ffmpeg, name, options):
    found = measured(KARMA, ffmpeg(name, *options))
    assert found["verdict"] == "ok"
    assert found["offset_s"] == pytest.approx(0, abs=1e-4)
    assert found["skew_ppm"] == pytest.approx(0, abs=2)


def test_a_copy_that_runs_fast_shows_its_drift(ffmpeg):
    found = measured(KARMA, ffmpeg("fast.wav", "-af", "asetrate=48010,aresample=48000"))
    assert found["skew_ppm"] == pytest.approx(10 / 48_000 * 1e6, abs=2)


def test_two_different_films_are_refused():
    with pytest.raises(EvidenceError, match="nothing in common"):
        measured(KARMA, HEROMODE)


@pytest.mark.parametrize("path", [KARMA, HEROMODE])
def test_real_sound_holds_no_tone(path):
    with pytest.raises(EvidenceError, match="no start or end tone"):
        find(read_sound_file(path))


def test_a_session_of_a_film_and_its_cut(cut, tmp_path):
    session_root = tmp_path / "s"
    device = add_file(session_root, KARMA, "gopro", name="head", link=True)
    add_file(session_root, cut, "media", name="desk")
    assert [(s.kind, s.size) for s in device.streams[:2]] == [("video", (854, 480)), ("audio", None)]
    assert {s.name for s in device.of_kind("series")} == {"gyroscope", "accelerometer", "exposure"}
    from recorder.session import open_session

    found = align(open_session(session_root), "head")
    assert found.maps[0].forward(0) == pytest.approx(SAMPLES / RATE * 1e9, abs=2e4)
