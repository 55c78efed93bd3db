"""Interrupted sessions: cut at any byte, killed while being mended, on a full disk."""

import json
import os
import shutil
from pathlib import Path

import av
import numpy as np
import pytest
from cutting import Held, held
from smallkit import SETTINGS, recorded

from firmware_host.errors import SessionError
from recorder.inspect import inspect_session
from recorder.layout import scan
from recorder.log import KitLog
from recorder.recover import recover, recover_all
from recorder.session import open_session


@pytest.fixture(scope="module")
def cut_off(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A session of 5 s as a kill leaves it. Do not write into it."""
    folder = tmp_path_factory.mktemp("cut") / "small"
    folder.mkdir()
    recorded(folder)
    return folder


@pytest.fixture(scope="module")
def contents(cut_off: Path) -> dict[str, Held]:
    return {name: held(cut_off / f"{name}.mkv") for name in ("kit-01", "kit-02")}


@pytest.fixture
def session(cut_off: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(cut_off, tmp_path / "small"))


def test_a_killed_recording_becomes_whole_and_says_what_it_lost(session: Path, run_syncctl):
    result = run_syncctl("recover", session, "--json")
    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["recovered"]
    assert {f["state"] for f in told["files"].values()} == {"mended"}
    assert set(told["lost_s"]["kit-01"]) == {s.name for s in open_session(session).device("kit-01").streams}
    assert 0 < max(told["lost_s"]["kit-01"].values()) < 1
    opened = open_session(session)
    assert opened.sealed
    assert opened.device("kit-01").settings == SETTINGS, "the log knows what conversions need"
    report = json.loads(run_syncctl("inspect", session, "--json").stdout)
    assert (report["complete"], report["recovered"]) == (False, True)
    assert report["lost_s"] == max(max(lost.values()) for lost in told["lost_s"].values())
    assert report["counters"]["kit-01"]["light.FRESH"] > 40


def test_a_player_seeks_in_a_recovered_file(session: Path):
    with av.open(str(session / "kit-01.mkv")) as container:
        assert container.duration is None
    recover(session)
    with av.open(str(session / "kit-01.mkv")) as container:
        assert container.duration == pytest.approx(4_700_000, abs=350_000)
        for second in (3, 1, 2):
            container.seek(second * 1_000_000 + 500_000)
            packet = next(container.demux(video=0))
            assert packet.is_keyframe
            assert float(packet.pts * packet.time_base) == pytest.approx(second, abs=0.05)


def test_a_second_recovery_has_nothing_to_do(session: Path):
    recover(session)
    before = {p.name: p.read_bytes() for p in session.iterdir()}
    again = recover(session)
    assert not again.done
    assert "nothing to do" in again.lines()[0]
    assert {p.name: p.read_bytes() for p in session.iterdir()} == before


def cut_copies(rng: np.random.Generator, source: Path, target: Path, kit: str, log: bool) -> int:
    """Copy a session with one of its files cut at a random byte; returns where its media file ends."""
    shutil.copytree(source, target)
    victim = target / (f"{kit}.log.jsonl" if log else f"{kit}.mkv")
    os.truncate(victim, int(rng.integers(0, victim.stat().st_size)))
    return (target / f"{kit}.mkv").stat().st_size


def check_cut(folder: Path, whole: dict[str, Held], kit: str, size: int) -> None:
    """Inspect, recover, decode: no traceback, nothing before the cut lost, the rest named."""
    inspect_session(open_session(folder))
    recovery = recover(folder)
    report = inspect_session(open_session(folder))
    assert not report.complete
    if kit in recovery.never_written:
        assert not any(whole[kit].before(size).values()), "it held whole blocks"
        assert any(kit in w for w in report.warnings)
        return
    assert scan(folder / f"{kit}.mkv").whole
    left = held(folder / f"{kit}.mkv")
    for name, n in whole[kit].before(size).items():
        got = left.rows.get(name, whole[kit].rows[name][:0])
        assert len(got) >= n, (name, n)
        assert np.array_equal(got, whole[kit].rows[name][: len(got)]), name


@pytest.mark.parametrize("seed", range(20))
def test_a_cut_at_any_byte_loses_nothing_before_it(cut_off: Path, contents: dict[str, Held], tmp_path: Path, seed: int):
    rng = np.random.default_rng(seed)
    kit = ("kit-01", "kit-02")[seed % 2]
    size = cut_copies(rng, cut_off, tmp_path / "small", kit, log=seed % 5 == 4)
    check_cut(tmp_path / "small", contents, kit, size)


def test_a_sealed_file_that_lost_its_end_is_mended_too(tmp_path: Path):
    folder = tmp_path / "small"
    folder.mkdir()
    recorded(folder, sealed=True)
    assert not recover(folder).done
    whole = held(folder / "kit-01.mkv")
    os.truncate(folder / "kit-01.mkv", 200_000)
    size = (folder / "kit-01.mkv").stat().st_size
    assert recover(folder).files["kit-01"].state == "mended"
    left = held(folder / "kit-01.mkv")
    for name, n in whole.before(size).items():
        assert len(left.rows[name]) >= n
    report = inspect_session(open_session(folder))
    assert report.recovered
    assert report.lost_s > 1


class PowerCut(BaseException):
    """Not an Exception: nobody may catch it."""


def test_a_power_cut_while_mending_leaves_what_can_be_mended_again(cut_off: Path, tmp_path: Path, monkeypatch):
    """Cut at every write, and in its middle: the next recovery ends with the same bytes."""
    source = tmp_path / "torn"
    shutil.copytree(cut_off, source)
    os.truncate(source / "kit-01.mkv", (source / "kit-01.mkv").stat().st_size - 700)
    recover(Path(shutil.copytree(source, tmp_path / "reference")))
    expected = (tmp_path / "reference" / "kit-01.mkv").read_bytes()
    real = {name: getattr(os, name) for name in ("pwrite", "ftruncate")}
    for n in range(1, 9):
        folder = Path(shutil.copytree(source, tmp_path / f"cut{n}"))
        left = [n]

        def cutting(name: str, left: list[int] = left):
            def call(descriptor: int, data, *rest):
                left[0] -= 1
                if left[0] == 0:
                    if name == "pwrite" and len(data) > 250:  # the header is one sector and is written whole or not
                        real[name](descriptor, data[: len(data) // 2], *rest)
                    raise PowerCut
                return real[name](descriptor, data, *rest)

            return call

        with monkeypatch.context() as patch:
            for name in real:
                patch.setattr(f"recorder.mend.os.{name}", cutting(name))
            try:
                recover(folder)
            except PowerCut:
                held(folder / "kit-01.mkv")  # it still decodes
        recover(folder)
        assert (folder / "kit-01.mkv").read_bytes() == expected, n
    assert left[0] > 0, "the last round came through: every write was cut once"


def test_a_full_disk_is_told_with_what_is_needed_and_nothing_is_touched(session: Path, monkeypatch):
    before = (session / "kit-01.mkv").read_bytes()
    full = shutil._ntuple_diskusage(10**9, 10**9, 0)
    monkeypatch.setattr("recorder.recover.shutil.disk_usage", lambda _: full)
    with pytest.raises(SessionError, match=r"needs \d+ kB and the disk has 0 kB left"):
        recover(session)
    assert (session / "kit-01.mkv").read_bytes() == before


def test_damage_that_is_followed_by_whole_clusters_is_left_as_it_is(session: Path):
    path = session / "kit-01.mkv"
    data = bytearray(path.read_bytes())
    second = data.find(b"\x1f\x43\xb6\x75", data.find(b"\x1f\x43\xb6\x75") + 4)
    data[second : second + 64] = bytes(64)
    path.write_bytes(data)
    recovery = recover(session)
    assert recovery.files["kit-01"].state == "unmended"
    assert "damaged" in recovery.files["kit-01"].why
    assert path.read_bytes() == data


def test_zeros_at_the_end_are_no_recording(session: Path, contents: dict[str, Held]):
    """What some file systems leave after a power cut: a length that was promised, and nothing in it."""
    with (session / "kit-01.mkv").open("ab") as file:
        file.write(bytes(100_000))
    assert recover(session).files["kit-01"].torn_bytes >= 100_000
    left = held(session / "kit-01.mkv")
    assert {n: len(r) for n, r in left.rows.items()} == {n: len(r) for n, r in contents["kit-01"].rows.items()}


def test_a_kit_cut_before_its_first_sound_is_told_stream_by_stream(session: Path, contents: dict[str, Held]):
    first = {name: ends[0] for name, ends in contents["kit-02"].ends.items()}
    os.truncate(session / "kit-02.mkv", min(first.values()))
    recover(session)
    report = inspect_session(open_session(session))
    empty = {s.name for s in report.streams if s.device == "kit-02" and not s.duration_s}
    assert empty == set(first) - {min(first, key=first.__getitem__)}
    assert all(f"kit-02: the {name} recorded nothing" in report.warnings for name in empty)


def test_a_kit_that_was_never_written_is_named_and_the_rest_goes_on(session: Path):
    (session / "kit-02.mkv").unlink()
    recovery = recover(session)
    assert recovery.never_written == {"kit-02": "kit-02.mkv was never written"}
    opened = open_session(session)
    assert [d.name for d in opened.devices] == ["kit-01"]
    assert any("kit-02.mkv was never written" in w for w in inspect_session(opened).warnings)


def test_a_recording_under_way_is_left_alone(session: Path):
    log = KitLog(session / "kit-02.log.jsonl")
    with pytest.raises(SessionError, match="is being recorded now"):
        recover(session)
    assert recover_all(session.parent) == []
    assert "being recorded now" in inspect_session(open_session(session)).warnings[0]
    log.close()
    assert [r.session.root for r in recover_all(session.parent)] == [session]


def test_recording_into_an_interrupted_session_is_refused_with_what_to_do(session: Path, run_syncctl):
    before = (session / "session.json").read_bytes()
    result = run_syncctl("record", session, "--simulate", "--duration", 8)
    assert result.returncode == 1
    assert f"run `syncctl recover {session}`" in result.stderr
    assert (session / "session.json").read_bytes() == before


def test_the_recorder_mends_its_neighbours_when_it_starts(session: Path, tmp_path: Path, run_syncctl):
    kit = tmp_path / "kit.toml"
    kit.write_text(
        'name = "k"\nrole = "third"\n[[lanes]]\nname = "u"\nbus = "uart"\ndevice = "/dev/none"\n'
        '[[sensors]]\nname = "b"\nmodel = "bno055"\nlane = "u"\n'
    )
    result = run_syncctl("record", tmp_path / "next", "--config", kit, "--duration", 2)
    assert "recovered" in result.stderr
    assert open_session(session).sealed


def test_a_folder_without_a_session_is_one_sentence(tmp_path: Path, run_syncctl):
    result = run_syncctl("recover", tmp_path)
    assert result.returncode == 1
    assert "is not a session" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
