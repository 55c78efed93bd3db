"""Blocks appended to a Matroska file: nothing waits long, nothing is kept, and closing is mending."""

import errno
import os
import random
import subprocess
from pathlib import Path

import numpy as np
import pytest
from probing import probe

from recorder.annexb import length_prefixed, nal_units
from recorder.demux import read_rows
from recorder.ebml import number, vint
from recorder.layout import scan
from recorder.mend import mend, mending
from recorder.mux import MatroskaWriter, RowTrack

TRACKS = [RowTrack("a", 60, 2, {}), RowTrack("b", 60, 1, {}), RowTrack("wide", 480, 8, {})]


def begun(path: Path) -> MatroskaWriter:
    return MatroskaWriter(path, TRACKS)


def give(writer: MatroskaWriter, ticks: int, seed: int = 0) -> dict[str, np.ndarray]:
    """As the recorder does: ticks by the dozen, and settled after each."""
    rng = np.random.default_rng(seed)
    rows = {t.title: rng.integers(-999, 999, (ticks * t.rate_hz // 60, t.channels), np.int32) for t in TRACKS}
    for first in range(0, ticks, 12):
        for t in TRACKS:
            per = t.rate_hz // 60
            writer.rows(t.title, rows[t.title][first * per : (first + 12) * per])
        writer.settle()
    return rows


def test_what_was_given_is_on_the_disk_but_for_two_blocks(tmp_path: Path):
    writer = begun(tmp_path / "k.mkv")
    for _ in range(20):
        rows = give(writer, 60)
    on_disk = read_rows(tmp_path / "k.mkv", ["a"])["a"]
    assert 1200 - len(on_disk) < 2 * 16
    assert np.array_equal(on_disk[:60], rows["a"])
    writer.close()


def test_nothing_on_the_disk_is_moved_by_closing(tmp_path: Path):
    writer = begun(tmp_path / "k.mkv")
    give(writer, 300)
    before = (tmp_path / "k.mkv").read_bytes()
    begins = scan(tmp_path / "k.mkv").header[-1].stop
    writer.close()
    assert (tmp_path / "k.mkv").read_bytes()[begins : len(before)] == before[begins:]


def test_a_closed_file_is_a_mended_one(tmp_path: Path):
    """What only the end knows is the same, whether the recorder closed the file or a recovery did.

    But for the duration: of the last block a recovery knows only how long the one before it was, to the millisecond.
    """
    writer = begun(tmp_path / "k.mkv")
    give(writer, 288)  # whole blocks, so that nothing waits
    cut = tmp_path / "cut.mkv"
    cut.write_bytes((tmp_path / "k.mkv").read_bytes())
    writer.close()
    mend(cut, mending(cut, scan(cut)))
    closed, mended = scan(tmp_path / "k.mkv"), scan(cut)
    assert closed.whole
    begins = closed.header[0].stop
    assert cut.read_bytes()[begins:] == (tmp_path / "k.mkv").read_bytes()[begins:]
    assert mended.cues == closed.cues
    assert mended.duration_ms == pytest.approx(4800, abs=1)


def test_a_days_places_to_seek_to_are_few(tmp_path: Path):
    """One a second and file, not one a track and cluster."""
    writer = begun(tmp_path / "k.mkv")
    give(writer, 60 * 60)
    writer.close()
    times = [c.time_ms for c in scan(tmp_path / "k.mkv").cues]
    assert len(times) == pytest.approx(60, abs=3)
    assert times == sorted(times)
    video = subprocess.run(
        ["ffmpeg", "-v", "error", "-ss", "50", "-i", str(tmp_path / "k.mkv"), "-map", "0:0", "-f", "s32le", "-"],
        capture_output=True,
        check=True,
    )
    assert len(video.stdout) / 8 / 60 == pytest.approx(10, abs=0.1), "ffmpeg finds second 50 of the first track"


def test_others_tools_agree_on_the_length(tmp_path: Path):
    writer = begun(tmp_path / "k.mkv")
    give(writer, 303)
    writer.close()
    told = subprocess.run(
        ["ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", str(tmp_path / "k.mkv")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(told.stdout) == pytest.approx(303 / 60, abs=0.001)
    assert len(probe(tmp_path / "k.mkv")) == 3


def test_a_full_disk_ends_the_file_and_leaves_it_readable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    writer = begun(tmp_path / "k.mkv")
    rows = give(writer, 300)
    true_write, room = os.write, 700

    def until_full(descriptor: int, data: bytes) -> int:
        nonlocal room
        if not room:
            raise OSError(errno.ENOSPC, "No space left on device")
        done = true_write(descriptor, data[:room])
        room -= done
        return done

    monkeypatch.setattr("recorder.clusters.os.write", until_full)
    give(writer, 300, seed=1)
    writer.close()
    assert writer.fault is not None
    assert writer.fault.errno == errno.ENOSPC
    monkeypatch.undo()
    mend(tmp_path / "k.mkv", mending(tmp_path / "k.mkv", scan(tmp_path / "k.mkv")))
    left = read_rows(tmp_path / "k.mkv", ["a"])["a"]
    assert len(left) >= 272
    assert np.array_equal(left[:272], rows["a"][:272])


def test_tracks_that_come_late_keep_their_times(tmp_path: Path):
    """Clusters go forward in time although one track's blocks come a second after another's."""
    writer = begun(tmp_path / "k.mkv")
    rng = random.Random(0)
    ahead = np.arange(6000, dtype=np.int32)[:, None]
    for first in range(0, 6000, 16):
        writer.rows("b", ahead[first : first + 16])
        if first >= 64:
            writer.rows("a", np.repeat(ahead[first - 64 : first - 48], 2, axis=1))
        if rng.random() < 0.7:
            writer.settle()
    writer.close()
    got = read_rows(tmp_path / "k.mkv", ["a", "b"])
    assert np.array_equal(got["b"], ahead)
    assert np.array_equal(got["a"][:, 0], ahead[:5936, 0])
    times = [c.time_ms for c in scan(tmp_path / "k.mkv").cues]
    assert times == sorted(times)


def test_a_track_that_comes_minutes_late_keeps_its_times(tmp_path: Path):
    """A kit that waited for its camera hands over each track's first minutes at once, one track after the other."""
    writer = begun(tmp_path / "k.mkv")
    ticks = np.arange(60 * 200, dtype=np.int32)[:, None]
    writer.rows("b", ticks)
    writer.rows("a", np.repeat(ticks, 2, axis=1))
    writer.close()
    got = read_rows(tmp_path / "k.mkv", ["a", "b"])
    assert np.array_equal(got["b"], ticks)
    assert np.array_equal(got["a"][:, 0], ticks[:, 0])
    assert scan(tmp_path / "k.mkv").duration_ms == pytest.approx(200_000, abs=1)


def test_numbers_of_variable_length():
    for value in (0, 1, 126, 127, 128, 16382, 16383, 16384, 1 << 40):
        assert number(vint(value), 0) == (value, len(vint(value)))
    assert [len(vint(v)) for v in (126, 127, 16382, 16383)] == [1, 2, 2, 3], "all ones would mean that nobody knows"


def test_nal_units_lose_their_start_codes_and_nothing_else():
    units = [b"\x67\x42\x00\x1f", b"\x68\xce", b"\x65" + bytes(range(1, 200))]
    stream = b"\0\0\0\1" + units[0] + b"\0\0\0\1" + units[1] + b"\0\0\1" + units[2]
    assert list(nal_units(stream)) == units
    assert length_prefixed(stream) == b"".join(len(u).to_bytes(4, "big") + u for u in units)
