"""What eye trackers and LabRecorder write: planted times and values come out, and what is another's is refused."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from firmware_host.errors import ConfigError, SessionError
from recorder.samples import frame_times_ns
from recorder.session import Device, Session, open_session
from sync.add import SETTINGS, add_file
from sync.cli import add
from sync.gaze import read_gaze
from sync.importers import IMPORTERS, kind_of
from sync.importers.found import place, read_events, read_series
from tests.sync.importers import made_recordings as made

MAKERS = {
    "neon": made.neon,
    "tobii": made.glasses3,
    "xdf": lambda p: made.lab(p.with_suffix(".xdf")),
    "media": lambda p: made.film(p.with_suffix(".mp4")),
}


def added(tmp_path: Path, recording: Path, **options) -> tuple[Session, Device]:
    device = add_file(tmp_path / "s", recording, **{"name": "it", **options})
    session = open_session(tmp_path / "s")
    assert session.device(device.name) == device, "the manifest holds what was told"
    return session, device


def series(session: Session, device: Device, stream: str):
    return read_series(session, device, device.stream(stream))


@pytest.mark.parametrize("kind", MAKERS)
def test_the_kind_is_seen_and_the_originals_come_as_they_were(tmp_path, kind):
    recording = MAKERS[kind](tmp_path / "recording")
    assert kind_of(recording) == kind
    _, device = added(tmp_path, recording)
    assert device.settings[SETTINGS]["as"] == kind
    originals = [recording] if recording.is_file() else [p for p in recording.rglob("*") if p.is_file()]
    for original in originals:
        kept = device.file if recording.is_file() else f"it/{original.relative_to(recording)}"
        assert (tmp_path / "s" / kept).read_bytes() == original.read_bytes()


@pytest.mark.parametrize(
    ("kind", "asked"),
    [(k, a) for k in MAKERS for a in IMPORTERS if a not in (k, "media") and (k, a) != ("media", "gopro")],
)
def test_every_importer_refuses_what_is_not_its_own_and_says_what_it_looks_like(tmp_path, kind, asked):
    recording = MAKERS[kind](tmp_path / "recording")
    with pytest.raises(SessionError, match=rf"it looks like --as {kind}$"):
        add_file(tmp_path / "s", recording, asked)
    assert not (tmp_path / "s").exists()


def test_xdf_puts_every_source_on_the_recorders_clock_and_keeps_what_was_recorded(tmp_path):
    session, device = added(tmp_path, made.lab(tmp_path / "lab.xdf"))
    force = series(session, device, "force-plate")
    assert force.channels == ("left", "right")
    expected = 1050.25 + np.arange(1000) / 100
    np.testing.assert_allclose(force.t_ns * 1e-9, expected, atol=2e-9, rtol=0)
    np.testing.assert_allclose(force.x[:, 0], np.sin(expected - 1000.25), atol=1e-6)
    with np.load(session.path(place("it", "force-plate"))) as table:
        np.testing.assert_array_equal(table["recorded_s"], 50 + np.arange(1000) / 100)
        np.testing.assert_array_equal(table["offset_s"], np.full(10, 1000.25))
    told = read_events(session, device, device.stream("markers"))
    assert [(e.t_ns, e.value) for e in told] == [(1_052_750_000_000, "begin"), (1_057_750_000_000, "end")]


def test_an_xdf_clock_that_begins_anew_has_two_offsets_and_no_gap(tmp_path):
    """The source is started again after 5 s: its clock falls from 900 to 3 s, the recorder's goes on."""
    true = 1000 + np.arange(1000) / 100
    t = np.where(true < 1005, true - 100, true - 1002)
    rows = [made.chunk(2, made.header("eeg", "double64", 100, ["a"]), 7)]
    for k in range(10):
        own = float(1000 + k + 0.3 - (100 if k < 5 else 1002))
        part = slice(100 * k, 100 * k + 100)
        rows.append(made.chunk(3, made.samples(t[part].tolist(), true[part, None].astype("<f8")), 7))
        rows.append(made.chunk(4, struct.pack("<dd", own, 1000 + k + 0.3 - own), 7))
    session, device = added(tmp_path, made.xdf_file(tmp_path / "x.xdf", rows))
    eeg = series(session, device, "eeg")
    np.testing.assert_allclose(eeg.t_ns * 1e-9, true, atol=1e-6, rtol=0)
    assert [round(a["offset_s"]) for a in device.settings["eeg"]["applied"]] == [100, 1002]
    assert any("began anew" in n for n in device.settings[SETTINGS]["notes"])


def test_xdf_drift_is_followed_and_one_wild_answer_moves_nothing(tmp_path):
    t = np.arange(600, dtype=float)
    offset = 5 + 80e-6 * t
    offset[300] += 0.05
    rows = [made.chunk(2, made.header("imu", "int16", 1, ["a"]), 1)]
    rows += [made.chunk(4, struct.pack("<dd", a, b), 1) for a, b in zip(t, offset, strict=True)]
    rows.append(made.chunk(3, made.samples([0.0, *[None] * 599], np.arange(600, dtype="<i2")[:, None]), 1))
    session, device = added(tmp_path, made.xdf_file(tmp_path / "x.xdf", rows))
    imu = series(session, device, "imu")
    np.testing.assert_allclose(imu.t_ns * 1e-9, t + 5 + 80e-6 * t, atol=1e-6, rtol=0)
    np.testing.assert_array_equal(imu.x[:, 0], np.arange(600))


def test_a_damaged_place_of_an_xdf_costs_its_chunk_alone(tmp_path):
    path = made.lab(tmp_path / "lab.xdf")
    data = bytearray(path.read_bytes())
    at = data.index(struct.pack("<Bd", 8, 53.0)) - 16  # inside the head of the fourth chunk of samples
    data[at : at + 8] = b"\xff" * 8
    path.write_bytes(bytes(data))
    session, device = added(tmp_path, path)
    force = series(session, device, "force-plate")
    assert len(force.t_ns) == 900
    assert any("damaged" in n for n in device.settings[SETTINGS]["notes"])


def test_a_packed_xdf_is_read_and_a_cut_one_as_far_as_it_goes(tmp_path):
    path = made.lab(tmp_path / "lab.xdf")
    packed = tmp_path / "lab.xdfz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    session, device = added(tmp_path, packed)
    assert len(series(session, device, "force-plate").t_ns) == 1000
    path.write_bytes(path.read_bytes()[:9000])
    session, device = added(tmp_path, path, name="cut")
    assert 100 < len(series(session, device, "force-plate").t_ns) < 1000


def test_neon_gaze_lies_on_the_scene_pictures(tmp_path):
    session, device = added(tmp_path, made.neon(tmp_path / "neon"))
    assert (device.role, device.file) == ("eye", "it/Neon Scene Camera v1 ps1.mp4")
    frames_ns = frame_times_ns(session, device)
    np.testing.assert_array_equal(
        frames_ns, np.arange(made.FRAMES) * 100_000_000 + np.arange(made.FRAMES) % 3 * 1_000_000
    )
    gaze = read_gaze(session.path(device.gaze or ""))
    np.testing.assert_array_equal(gaze.t_ns, np.arange(600) * 5_000_000)
    np.testing.assert_allclose(gaze.xy_px[:100, 0], np.arange(100))
    assert np.isnan(gaze.xy_px[100:110]).all(), "the glasses were not worn"
    imu = series(session, device, "imu")
    assert imu.channels == ("gyro_x", "accel_z")
    np.testing.assert_allclose(imu.x[0], [np.pi, 9.80665], rtol=1e-6)
    told = read_events(session, device, device.stream("events"))
    assert [(e.t_ns, e.value) for e in told] == [(-500_000_000, "recording.begin"), (500_000_000, "blink")]
    assert told[1].until_ns == 550_000_000


def test_neon_without_its_scene_video_keeps_the_gaze_and_says_so(tmp_path):
    session, device = added(tmp_path, made.neon(tmp_path / "neon", scene=False))
    assert len(read_gaze(session.path(device.gaze or "")).t_ns) == 600
    assert not device.of_kind("video")
    assert "no scene video" in device.settings[SETTINGS]["notes"][0]


def test_neon_as_pupil_cloud_exports_it(tmp_path):
    session, device = added(tmp_path, made.neon_export(tmp_path / "export"))
    gaze = read_gaze(session.path(device.gaze or ""))
    np.testing.assert_array_equal(gaze.t_ns, np.arange(600) * 5_000_000)
    assert gaze.xy_px[6].tolist() == [6.5, 24.0]
    assert np.isnan(gaze.xy_px[7, 1])
    assert [e.t_ns for e in read_events(session, device, device.stream("events"))] == [500_000_000]


def test_glasses3(tmp_path):
    session, device = added(tmp_path, made.glasses3(tmp_path / "g3"))
    gaze = read_gaze(session.path(device.gaze or ""))
    np.testing.assert_array_equal(gaze.t_ns, np.arange(150) * 20_000_000)
    assert gaze.xy_px[75].tolist() == [31.5, 23.5], "the middle of a picture of 64 x 48"
    assert np.isnan(gaze.xy_px[9]).all()
    np.testing.assert_allclose(series(session, device, "rotation").x[0], [np.pi / 2, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(series(session, device, "magnetic").x[0], [50e-6, 0, 0], rtol=1e-6)
    assert len(series(session, device, "acceleration").t_ns) == 300
    assert "not been tried on a real recording" in device.settings[SETTINGS]["notes"][0]


def test_glasses2_times_go_through_the_videos(tmp_path):
    session, device = added(tmp_path, made.glasses2(tmp_path / "g2"))
    gaze = read_gaze(session.path(device.gaze or ""))
    np.testing.assert_allclose(gaze.t_ns[:100], np.arange(100) * 20_000_000, atol=1000)
    assert np.isnan(gaze.xy_px[9]).all(), "a line with a status is no gaze"
    assert gaze.xy_px[75].tolist() == [31.5, 23.5]
    assert len(series(session, device, "rotation").t_ns) == 150


def test_glasses2_with_two_segments_are_two_devices(tmp_path):
    session, device = added(tmp_path, made.glasses2(tmp_path / "g2", segments=2), wearer="p01")
    assert [d.name for d in session.devices] == ["it", "it-2"]
    assert [d.file for d in session.devices] == ["it/segments/1/fullstream.mp4", "it/segments/2/fullstream.mp4"]
    assert all(session.path(d.file).is_file() and d.wearer == "p01" for d in session.devices)
    assert device.name == "it"


@pytest.mark.parametrize(
    ("head", "scale"), [("t_ns", 1), ("timestamp [ns]", 1), ("t_us", 1000), ("t_s", 1_000_000_000)]
)
def test_times_of_pictures_out_of_a_table(tmp_path, head, scale):
    taken = START + np.cumsum(100_000_000 + np.arange(made.FRAMES) % 4 * 7_000_000)
    cells = [str(t) if scale == 1 else f"{t // scale}.{t % scale:0{len(str(scale)) - 1}d}" for t in taken.tolist()]
    times = tmp_path / "times.csv"
    times.write_text(f"frame,{head}\n" + "".join(f"{k},{c}\n" for k, c in enumerate(cells)))
    session, device = added(tmp_path, made.film(tmp_path / "film.mp4"), times=times)
    np.testing.assert_array_equal(frame_times_ns(session, device), taken - taken[0])
    assert (tmp_path / "s" / "it.times.csv").read_bytes() == times.read_bytes()


START = 1_700_000_000_123_456_789


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("timestamp\n1\n", "column that says the unit"),
        ("t_ns\n1\n2\n", "2 times and film.mp4 30 pictures"),
        ("t_s\n" + "".join(f"{k if k != 4 else 2}\n" for k in range(30)), "line 6: the time does not go forward"),
        ("t_s\n" + "".join(f"{k if k != 4 else 'nan'}\n" for k in range(30)), "line 6 has no time: 'nan'"),
        ("t_ns\n" + "".join(f"{k if k != 4 else 10**30}\n" for k in range(30)), "line 6 has no time"),
        ("\0\0\0", "column that says the unit"),
    ],
)
def test_a_table_of_times_that_cannot_be_is_refused(tmp_path, text, sentence):
    (tmp_path / "times.csv").write_text(text)
    with pytest.raises(SessionError, match=sentence):
        added(tmp_path, made.film(tmp_path / "film.mp4"), times=tmp_path / "times.csv")
    assert not (tmp_path / "s").exists()


def test_times_are_for_films_alone(tmp_path):
    (tmp_path / "times.csv").write_text("t_ns\n1\n")
    with pytest.raises(ConfigError, match="--times is for a film"):
        added(tmp_path, made.lab(tmp_path / "lab.xdf"), times=tmp_path / "times.csv")


def test_a_folder_is_linked_file_by_file(tmp_path):
    recording = made.glasses3(tmp_path / "g3")
    _, device = added(tmp_path, recording, link=True)
    assert (tmp_path / "s" / device.file).samefile(recording / "scenevideo.mp4")


def test_a_failure_on_the_way_leaves_nothing_behind(tmp_path, monkeypatch):
    added(tmp_path, made.film(tmp_path / "film.mp4"), name="first")
    before = sorted(p.name for p in (tmp_path / "s").rglob("*"))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sync.add.write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        added(tmp_path, made.neon(tmp_path / "neon"))
    assert sorted(p.name for p in (tmp_path / "s").rglob("*")) == before


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (("info.player.json",), "Pupil Core or Player"),
        (("readme.txt",), "no recording of Tobii glasses or a Neon"),
        (("info.json", "gaze ps1.raw", "PI world v1 ps1.mp4"), "Pupil Invisible"),
    ],
)
def test_folders_of_others_are_refused_by_name(tmp_path, names, sentence):
    (tmp_path / "folder").mkdir()
    for name in names:
        (tmp_path / "folder" / name).write_text("{}")
    with pytest.raises(SessionError, match=sentence):
        add_file(tmp_path / "s", tmp_path / "folder", name="it")


def test_inspect_tells_how_long_the_tables_are(tmp_path):
    from recorder.inspect import inspect_session

    session, _ = added(tmp_path, made.lab(tmp_path / "lab.xdf"))
    assert {s.name: s.duration_s for s in inspect_session(session).streams} == {"force-plate": 9.99, "markers": 5.0}


def test_the_command_sees_the_kind_and_says_what_to_mind(tmp_path):
    result = CliRunner().invoke(add, [str(tmp_path / "s"), str(made.glasses3(tmp_path / "g3")), "--name", "eye"])
    assert result.exit_code == 0, result.output
    assert "note: the Tobii importer follows the published format and has not been tried" in result.stderr
    assert result.stdout.startswith("added eye (tobii, eye): camera 10 Hz, microphone 48000 Hz, gaze 50 Hz")


def test_the_command_says_in_its_help_that_tobii_is_untested():
    assert "untested on real recordings" in " ".join(CliRunner().invoke(add, ["--help"]).output.split())
