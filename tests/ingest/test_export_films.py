"""MP4 copies for annotation tools: what ffprobe and a decoder of its own see in them, and that their times are true."""

import csv
import json
import shutil
import subprocess

import numpy as np
import pympi
import pytest
from click.testing import CliRunner
from planted import FPS, HEAD, LOUD_S, SECOND, SIZE, T0, all_frames, make_session, number_in

import syncctl
from ingest.ego import open_aligned
from ingest.export.proxy import write_elan, write_films
from ingest.labels import table
from ingest.labels.label import Label
from recorder.demux import read_sound_file
from recorder.proxy import write_proxy


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    folder = make_session(tmp_path_factory.mktemp("films") / "s-ann", participant="ann", seconds=3)
    (folder / "labels" / "truth.csv").unlink()
    table.write([Label("activity", T0 + SECOND // 8, T0 + SECOND, "tea", "ann")], folder / "labels" / "mine.csv")
    return folder


@pytest.fixture(autouse=True)
def ffmpeg(tool):
    for name in ("ffmpeg", "ffprobe"):
        tool(name)


def probed(path) -> dict[str, dict]:
    """What ffprobe says of each kind of stream."""
    asked = ["-show_entries", "stream=codec_name,codec_type,start_time,nb_frames,channels", "-of", "json"]
    said = subprocess.run(["ffprobe", "-v", "error", *asked, str(path)], capture_output=True, check=True).stdout
    return {s["codec_type"]: s for s in json.loads(said)["streams"]}


def onset_s(path) -> float:
    sound = read_sound_file(path)
    return (sound.t0_ns + np.flatnonzero(np.abs(sound.x) > 0.2)[0] * SECOND / sound.rate_hz) / SECOND


def test_a_copy_has_the_films_own_pictures_and_its_sound_at_the_same_time(session, tmp_path):
    assert write_films(open_aligned(session), tmp_path) == []
    for film, copy in (("kit-01.mkv", "kit-01.mp4"), ("head.mp4", "head.mp4")):
        ours = all_frames(tmp_path / copy, SIZE)
        np.testing.assert_array_equal(ours, all_frames(session / film, SIZE))  # packets, not a second encoding
        found = probed(tmp_path / copy)
        assert (found["video"]["codec_name"], float(found["video"]["start_time"])) == ("h264", 0.0)
        with (tmp_path / copy).with_suffix(".frames.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == len(ours) == int(found["video"]["nb_frames"])
    assert found["audio"]["codec_name"] == "aac"
    assert onset_s(tmp_path / "head.mp4") == pytest.approx(LOUD_S, abs=0.003)
    assert [int(r["t_ns"]) for r in rows] == [HEAD.forward(int(r["t_device_ns"])) for r in rows]
    assert float(rows[31]["film_s"]) == pytest.approx(31 / FPS, abs=1e-6)


def test_elan_opens_all_films_in_step_with_the_labels(session, tmp_path):
    assert write_elan(open_aligned(session), tmp_path) == []
    opened = pympi.Eaf(str(tmp_path / "s-ann.eaf"))
    assert [m["RELATIVE_MEDIA_URL"] for m in opened.get_linked_files()] == ["./kit-01.mp4", "./head.in-step.mp4"]
    assert opened.get_annotation_data_for_tier("activity@ann") == [(125, 1000, "tea")]
    lead_s = 0.25  # the head camera began so much later
    with (tmp_path / "head.in-step.frames.csv").open() as file:
        rows = list(csv.DictReader(file))
    shown = [r["film_s"] for r in rows]
    assert float(shown[0]) == 0
    assert float(shown[20]) == pytest.approx(20 / FPS + lead_s, abs=1e-6)
    times = subprocess.run(
        ["ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "packet=pts_time", "-of", "csv=p=0"]
        + [str(tmp_path / "head.in-step.mp4")],
        capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    np.testing.assert_allclose(np.float64([t.strip(",") for t in times]), np.float64(shown), atol=1e-3)
    assert onset_s(tmp_path / "head.in-step.mp4") == pytest.approx(LOUD_S + lead_s, abs=0.003)


def test_what_was_annotated_on_a_copy_comes_back_for_its_film(session, tmp_path):
    folder = tmp_path / "s-ann"
    shutil.copytree(session, folder)
    out = tmp_path / "for-elan" / "s.eaf"
    arguments = ["labels", "export", folder, "--format", "elan", "--film", "kit-01", "--mp4", "--out", out]
    runner = CliRunner()
    assert runner.invoke(syncctl.cli, [*map(str, arguments)], catch_exceptions=False).exit_code == 0
    assert pympi.Eaf(str(out)).get_linked_files()[0]["RELATIVE_MEDIA_URL"] == "./kit-01.mp4"
    (folder / "labels" / "mine.csv").unlink()
    assert (
        runner.invoke(syncctl.cli, ["labels", "import", str(out), str(folder)], catch_exceptions=False).exit_code == 0
    )
    (label,) = table.read(folder / "labels" / "s.csv")
    assert (label.value, label.t0_ns, label.t1_ns) == ("tea", T0 + SECOND // 8, T0 + SECOND)


def test_a_film_of_another_codec_is_encoded_and_said(tmp_path):
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=size=192x108:rate=25:duration=1", "-c:v", "mpeg4"]
        + [str(tmp_path / "old.avi")],
        check=True,
    )
    assert not write_proxy(tmp_path / "old.avi", tmp_path / "new.mp4")
    assert probed(tmp_path / "new.mp4")["video"]["codec_name"] == "h264"
    ours, theirs = all_frames(tmp_path / "new.mp4", SIZE), all_frames(tmp_path / "old.avi", SIZE)
    assert len(ours) == 25
    assert np.abs(ours.astype(int) - theirs).mean() < 4


def test_a_torn_film_is_copied_up_to_the_tear(session, tmp_path):
    data = (session / "kit-01.mkv").read_bytes()
    (tmp_path / "kit-01.mkv").write_bytes(data[: len(data) * 6 // 10])
    assert write_proxy(tmp_path / "kit-01.mkv", tmp_path / "kit-01.mp4")
    shown = [number_in(f) for f in all_frames(tmp_path / "kit-01.mp4", SIZE)]
    assert shown == list(range(len(shown)))
    assert len(shown) > 15
