"""What was blanked cannot be had back; what was not is as it was, to the byte."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from firmware_host.errors import ConfigError, SessionError
from recorder import blank, demux
from recorder.blank import read_blocks, titles_of
from recorder.redact import redact
from recorder.samples import frame_times_ns, read_sound
from recorder.session import open_session

FROM_S, TO_S = 8.3, 11.6


@pytest.fixture(scope="session")
def one_kit(recorded_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The room kit's share of the simulated session: one kit, one clock. Shared: do not write into it."""
    folder = tmp_path_factory.mktemp("redact") / "kitchen"
    folder.mkdir()
    document = json.loads((recorded_home / "session.json").read_text())
    document["devices"] = [d for d in document["devices"] if d["name"] == "kit-01"]
    (folder / "session.json").write_text(json.dumps(document))
    for name in ("kit-01.mkv", "kit-01.log.jsonl"):
        shutil.copy(recorded_home / name, folder / name)
    shutil.copytree(recorded_home / "labels", folder / "labels")
    (folder / "report.html").write_text("pictures")
    for place in ("head/GX01.MP4", "head.tables/gyroscope.npz"):
        (folder / place).parent.mkdir()
        (folder / place).write_text("imported")
    return folder


@pytest.fixture(scope="session")
def redacted(one_kit: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("redacted") / "shared"
    redact(one_kit, out, FROM_S, TO_S, video=True, audio=True, sensors=False)
    return out


def luma(path: Path) -> np.ndarray:
    """(F,) mean brightness of each picture, 0 to 255."""
    return np.array([picture.mean() for _, _, picture in demux.video_frames(path / "kit-01.mkv")])


def test_no_picture_of_the_stretch_is_left_and_every_other_is_as_it_was(one_kit: Path, redacted: Path):
    before, after = open_session(one_kit), open_session(redacted)
    times_ns = frame_times_ns(before, before.device("kit-01"))
    assert np.array_equal(times_ns, frame_times_ns(after, after.device("kit-01"))), "times are kept"
    t0_ns = next(s.t0_ns for s in before.device("kit-01").streams if s.kind == "sensor")
    at_s = (times_ns - t0_ns) / 1e9
    was, now = luma(one_kit), luma(redacted)
    assert len(now) == len(was) == len(times_ns)
    inside = (at_s >= FROM_S) & (at_s < TO_S)
    assert inside.sum() > 90
    assert now[inside].max() < 20
    assert was[inside].min() > 40, "there was something to blank"
    far = (at_s < FROM_S - 1.1) | (at_s > TO_S + 1.1)
    assert np.array_equal(now[far], was[far])


def test_no_sample_of_the_stretch_is_left_and_every_other_is_as_it_was(one_kit: Path, redacted: Path):
    before, after = open_session(one_kit), open_session(redacted)
    was, now = (demux.read_sound_file(s.path("kit-01.mkv")) for s in (before, after))  # constant and all
    assert len(was.x) == len(now.x)
    t0_ns = next(s.t0_ns for s in before.device("kit-01").streams if s.kind == "sensor")
    at_s = (read_sound(before, before.device("kit-01")).times_ns(np.arange(len(was.x))) - t0_ns) / 1e9
    inside = (at_s >= FROM_S) & (at_s < TO_S)
    assert not now.x[inside].any()
    assert np.abs(was.x[inside]).max() > 0
    far = (at_s < FROM_S - 0.1) | (at_s > TO_S + 0.1)
    assert np.array_equal(was.x[far], now.x[far])


def test_sensors_stay_unless_they_are_meant(one_kit: Path, redacted: Path, tmp_path: Path):
    names = [s.name for s in open_session(one_kit).device("kit-01").streams if s.kind in ("sensor", "timing")]
    was, now = (demux.read_rows(folder / "kit-01.mkv", names) for folder in (one_kit, redacted))
    assert all(np.array_equal(was[n], now[n]) for n in names)
    redact(one_kit, tmp_path / "blind", FROM_S, TO_S, video=False, audio=False, sensors=True)
    blind = demux.read_rows(tmp_path / "blind" / "kit-01.mkv", names)
    for name in names:
        assert was[name].shape == blind[name].shape
        rows = slice(round((FROM_S + 0.3) * 60), round((TO_S - 0.3) * 60))
        if name.endswith(".timing"):
            assert np.array_equal(was[name], blind[name])
        elif was[name].shape[0] <= 30 * 60:
            assert not blind[name][rows].any()
    assert np.array_equal(luma(tmp_path / "blind"), luma(one_kit))


def test_outside_the_stretch_the_file_is_the_same_byte_for_byte_and_place_for_place(one_kit: Path, redacted: Path):
    a, b = (folder / "kit-01.mkv" for folder in (one_kit, redacted))
    assert a.stat().st_size == b.stat().st_size
    with a.open("rb") as before, b.open("rb") as after:
        titles = titles_of(before, a)
        for was, now in zip(read_blocks(before, a), read_blocks(after, b), strict=True):
            assert (was.track, was.time_ms, was.element.start) == (now.track, now.time_ms, now.element.start)
            near = FROM_S - 1.1 <= was.time_ms / 1000 <= TO_S + 1.1
            if titles[was.track] not in ("camera", "microphone") or not near:
                before.seek(was.element.start)
                after.seek(was.element.start)
                length = was.element.stop - was.element.start
                assert before.read(length) == after.read(length)


def test_the_bytes_of_what_was_blanked_are_no_longer_where_they_were(one_kit: Path, redacted: Path):
    path, copy = one_kit / "kit-01.mkv", (redacted / "kit-01.mkv").read_bytes()
    checked = 0
    with path.open("rb") as file:
        titles = titles_of(file, path)
        for block in read_blocks(file, path):
            if titles[block.track] in ("camera", "microphone") and FROM_S <= block.time_ms / 1000 < TO_S:
                file.seek(block.payload)
                payload = file.read(block.element.stop - block.payload)
                left = copy[block.element.start : block.element.stop]
                assert payload[-8:] not in left
                assert payload[-len(payload) // 2 :][:8] not in left
                checked += 1
    assert checked > 120


def test_others_tools_find_no_fault_in_the_copy(redacted: Path, tool):
    command = [tool("ffmpeg"), "-v", "error", "-xerror", "-i", str(redacted / "kit-01.mkv"), "-f", "null", "-"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""


def test_the_copy_says_what_was_done_and_leaves_out_what_shows_pictures(one_kit: Path, redacted: Path):
    session = open_session(redacted)
    (note,) = session.receipt["redacted"]
    low, high = note["blanked"]["kit-01"]["camera"]
    assert low <= FROM_S < TO_S <= high
    assert high - low < TO_S - FROM_S + 2.1
    assert not (redacted / "report.html").exists()
    assert not list(redacted.glob("head*")), "imported recordings and what was read from them"
    assert (redacted / "labels").is_dir()
    assert open_session(one_kit).receipt.get("redacted") is None, "the original is not touched"


def test_a_session_of_several_clocks_is_refused_until_it_is_aligned(recorded_home: Path, tmp_path: Path):
    with pytest.raises(SessionError, match="syncctl align"):
        redact(recorded_home, tmp_path / "copy", FROM_S, TO_S, video=True, audio=True, sensors=False)
    assert not (tmp_path / "copy").exists()


def test_a_copy_that_cannot_be_trusted_is_not_left(one_kit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("recorder.redact.black_pictures", lambda count, **_: [b"\0\0\1\x65" + b"x" * 99_999] * count)
    with pytest.raises(SessionError, match="larger"):
        redact(one_kit, tmp_path / "copy", FROM_S, TO_S, video=True, audio=False, sensors=False)
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize(("low", "high"), [(5, 5), (6, 5), (-1, 3)])
def test_a_stretch_that_is_none_is_refused(one_kit: Path, tmp_path: Path, low: float, high: float):
    with pytest.raises(ConfigError, match="no stretch"):
        redact(one_kit, tmp_path / "copy", low, high, video=True, audio=True, sensors=False)


def test_a_track_of_nothing_has_nothing_to_blank():
    assert list(blank._sounding([], 0, 1000)) == []
