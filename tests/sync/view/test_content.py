"""What the page is told, and the bytes that players ask for."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import struct
import subprocess
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("starlette")
pytest.importorskip("httpx2")

from starlette.testclient import TestClient

from firmware_host.errors import SessionError
from recorder.session import Session, open_session
from sync.add import add_file
from sync.view.content import Content, opened
from sync.view.curves import columns
from sync.view.media import chapters
from sync.view.server import make_app
from sync.view.timeline import thinned
from tests.sync.importers import made_recordings as made
from tests.sync.view.planted_view import FPS, KIT_NS, kit_pictures, web_times_ns, world_s


@pytest.fixture(scope="module")
def content(planted: Session) -> Content:
    return opened(planted)


@pytest.fixture(scope="module")
def page(content: Content) -> TestClient:
    return TestClient(make_app(content), base_url="http://127.0.0.1:8600")


def at_page(media: dict, player_s: float) -> float:
    """The page's time at a player's time, by the knots alone."""
    page_s, own_s = np.array(media["knots"]).T
    return float(np.interp(player_s, own_s, page_s))


def video(content: Content, device: str) -> dict:
    return next(v for v in content.document["videos"] if v["device"] == device)


def test_every_picture_has_the_page_time_of_its_moment(content):
    assert content.document["aligned"]["reference"] == "kit-01"
    for n, player_s in ((0, 0.0), (99, 99 / FPS), (150, 150 / FPS)):
        assert at_page(video(content, "head"), player_s) == pytest.approx(world_s("head", n), abs=2e-3)
    for k in range(len(web_times_ns())):
        assert at_page(video(content, "web"), k / 20) == pytest.approx(world_s("web", k), abs=2e-3)


def test_a_kits_pictures_and_sound_are_its_files_bytes_behind_a_head(content, planted, tool):
    """FFmpeg finds in what is served what it finds in the kit's file, picture for picture, at the true times."""
    ffmpeg = tool("ffmpeg")
    original = planted.path("kit-01.mkv")
    for kind, selected in (("video", "0:v"), ("audio", "0:a:0")):
        of_kind = content.document["videos" if kind == "video" else "sounds"][0]
        body = content.bodies[of_kind["body"]]
        served = body.head + original.read_bytes()
        assert hashes(ffmpeg, served, "0") == hashes(ffmpeg, original.read_bytes(), selected)
    shown = [float(t) for t in probed(tool("ffprobe"), content.bodies[0].head + original.read_bytes())]
    np.testing.assert_allclose(shown, [n / FPS for n in kit_pictures()], atol=1.1e-6)


def hashes(ffmpeg: str, data: bytes, selected: str) -> list[str]:
    command = [ffmpeg, "-v", "error", "-i", "pipe:0", "-map", selected, "-vsync", "passthrough", "-f", "framemd5", "-"]
    with io.BytesIO(data) as given:
        out = subprocess.run(command, input=given.read(), capture_output=True, check=True, timeout=60).stdout.decode()
    return [line.split(",")[-1] for line in out.splitlines() if not line.startswith("#")]


def probed(ffprobe: str, data: bytes) -> list[str]:
    command = [
        ffprobe,
        "-v",
        "error",
        "-select_streams",
        "v",
        "-show_entries",
        "packet=pts_time",
        "-of",
        "csv=p=0",
        "-",
    ]
    out = subprocess.run(command, input=data, capture_output=True, check=True, timeout=60).stdout.decode()
    return out.replace(",", "").split()


def test_an_imported_film_is_served_as_it_is(page, content, planted):
    body = video(content, "head")["body"]
    assert hashlib.sha256(page.get(f"/body/{body}").content).digest() == (
        hashlib.sha256(planted.path("head.mp4").read_bytes()).digest()
    )


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [("bytes=0-", 0, None), ("bytes=100-199", 100, 200), ("bytes=-50", -50, None), ("bytes=5-99999999999", 5, None)],
)
def test_any_range_of_head_and_file_is_had(page, content, planted, asked, start, stop):
    whole = content.bodies[0].head + planted.path("kit-01.mkv").read_bytes()
    answer = page.get("/body/0", headers={"Range": asked})
    assert answer.status_code == 206
    assert answer.content == whole[start:stop]
    first = start if start >= 0 else len(whole) + start
    assert answer.headers["content-range"] == f"bytes {first}-{first + len(answer.content) - 1}/{len(whole)}"


def test_a_long_range_is_answered_in_part_so_that_no_connection_is_held(page, monkeypatch):
    monkeypatch.setattr("sync.view.server.LONGEST", 1000)
    answer = page.get("/body/0", headers={"Range": "bytes=7-"})
    assert answer.status_code == 206
    assert len(answer.content) == 1000
    assert answer.headers["content-range"].startswith("bytes 7-1006/")


def test_a_range_across_the_seam(page, content, planted):
    seam = len(content.bodies[0].head)
    answer = page.get("/body/0", headers={"Range": f"bytes={seam - 3}-{seam + 2}"})
    assert answer.content == content.bodies[0].head[-3:] + planted.path("kit-01.mkv").read_bytes()[:3]


@pytest.mark.parametrize("asked", ["bytes=99999999999-", "bytes=9-3", "bytes=-", "lines=1-2", "bytes=a-b"])
def test_ranges_that_are_none_are_refused(page, asked):
    assert page.get("/body/0", headers={"Range": asked}).status_code == 416


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/body/99", 404),
        ("/curve/99?from=0&to=1&columns=10", 404),
        ("/curve/1?from=nan&to=1&columns=10", 422),
        ("/curve/1?from=1&to=0&columns=10", 422),
        ("/curve/1?from=0&to=1&columns=999999999", 422),
        ("/curve/1", 422),
        ("/gaze/0", 404),
        ("/../session.json", 404),
        ("/session.json", 404),
    ],
)
def test_what_is_not_there_is_told(page, path, status):
    answer = page.get(path)
    assert answer.status_code == status
    assert "Traceback" not in answer.text


def test_another_sites_name_is_refused(page):
    assert page.get("/session", headers={"Host": "evil.example"}).status_code == 421


def test_curves_keep_every_extreme(page, content):
    (curve,) = [c for c in content.document["curves"] if c["stream"] == "odd.level"]
    assert curve["channels"] == [{"name": "up", "unit": "m"}, {"name": "down", "unit": "m"}]
    found = page.get(f"/curve/{curve['curve']}?from=0&to=8&columns=8").json()
    np.testing.assert_allclose(found["low"][0], np.arange(8) * 0.06, atol=1e-6)
    np.testing.assert_allclose(found["high"][0], np.arange(8) * 0.06 + 0.059, atol=1e-6)
    np.testing.assert_allclose(found["ranges"][1], [-0.479, 0], atol=1e-6)


def test_columns_without_samples_and_samples_without_values():
    t = np.array([0.1, 0.2, 2.5, 2.6])
    x = np.array([[1.0], [np.nan], [np.nan], [np.nan]])
    assert columns(t, x, 0, 3, 3) == {"low": [[1.0, None, None]], "high": [[1.0, None, None]], "ranges": [[1.0, 1.0]]}
    assert columns(t, x, 10, 11, 2)["low"] == [[None, None]]


def test_the_thermal_image_comes_as_it_was_measured(page, content):
    (heat,) = content.document["heat"]
    data = page.get(f"/heat/{heat['curve']}").content
    n, _ = struct.unpack_from("<II", data)
    times = np.frombuffer(data, "<f8", n, 8)
    pictures = np.frombuffer(data, "<f4", 64 * n, 8 + 8 * n).reshape(n, 8, 8)
    np.testing.assert_allclose(times, np.arange(n) / 10, atol=1e-6)
    assert n == 80
    assert [int(p[:, 3].argmax()) for p in pictures[::10]] == list(range(8))
    assert pictures.min() == 20.0


def test_labels_are_on_the_pages_time(content):
    (tier,) = content.document["labels"]
    assert tier["intervals"] == [{"begin_s": 1.0, "end_s": 5.0, "value": "make_tea", "actor": "p01"}]


def test_without_an_alignment_everything_is_shown_and_said(planted, tmp_path):
    root = tmp_path / "session"
    shutil.copytree(planted.root, root)
    (root / "alignment.json").unlink()
    document = opened(open_session(root)).document
    assert document["aligned"] is None
    assert "syncctl align" in document["warnings"][0]
    assert [v["begin_s"] for v in document["videos"]] == [0.0, 0.0, 0.0]
    (root / "alignment.json").write_text("{}")
    assert "damaged" in opened(open_session(root)).document["warnings"][0]


def test_a_device_whose_file_is_gone_costs_itself_alone(planted, tmp_path):
    root = tmp_path / "session"
    shutil.copytree(planted.root, root)
    (root / "head.mp4").write_bytes(b"")
    document = opened(open_session(root)).document
    assert [v["device"] for v in document["videos"]] == ["kit-01", "web"]
    assert any(w.startswith("head cannot be shown") for w in document["warnings"])


def test_a_cut_recording_is_shown_as_far_as_it_goes(planted, tmp_path):
    root = tmp_path / "session"
    shutil.copytree(planted.root, root)
    data = (root / "kit-01.mkv").read_bytes()
    (root / "kit-01.mkv").write_bytes(data[: len(data) // 2])
    kit = video(opened(open_session(root)), "kit-01")
    assert 2 < kit["end_s"] < 6


def test_an_empty_session_is_refused(tmp_path):
    Session(tmp_path, "empty", (), sealed=True).save()
    with pytest.raises(SessionError, match="no devices"):
        opened(open_session(tmp_path))


def test_thinning_misses_nothing_by_more_than_it_may():
    rng = np.random.default_rng(0)
    x = np.cumsum(rng.uniform(0.01, 0.1, 500))
    y = x + 0.02 * np.sin(x) + (x > 10) * 0.5
    keep = thinned(x, y, 0.001)
    assert np.abs(np.interp(x, x[keep], y[keep]) - y).max() <= 0.001
    assert len(keep) < 250
    assert thinned(x, 2 * x + 1, 0.001) == [0, 499]


def test_times_are_counted_from_the_first_moment(content):
    assert content.timeline.page_s("kit-01", np.array([KIT_NS]))[0] == 0.0
    assert content.document["duration_s"] == pytest.approx(8.0, abs=0.1)


def test_a_film_in_chapters_is_played_one_after_another(planted, tmp_path):
    """As a GoPro leaves it: files side by side, and a list that FFmpeg reads as one film."""
    root = tmp_path / "session"
    (root / "head").mkdir(parents=True)
    for part in ("a", "b"):
        shutil.copyfile(planted.path("head.mp4"), root / "head" / f"{part}.mp4")
    (root / "head.ffconcat").write_text(
        "ffconcat version 1.0\nfile head/a.mp4\nduration 6\nfile head/b.mp4\nduration 6\n"
    )
    head = replace(planted.device("head"), file="head.ffconcat")
    Session(root, "chapters", (head,), sealed=True).save()
    content = opened(open_session(root))
    assert [(v["part"], v["parts"]) for v in content.document["videos"]] == [(0, 2), (1, 2)]
    assert [at_page(v, 1.0) for v in content.document["videos"]] == pytest.approx([1.0, 7.0], abs=2e-3)
    assert [at_page(s, 1.0) for s in content.document["sounds"]] == pytest.approx([1.0, 7.0], abs=2e-3)
    assert content.document["duration_s"] == pytest.approx(12, abs=0.1)


@pytest.mark.parametrize("named", ["../secret.mp4", "{outside}/secret.mp4", "gone.mp4"])
def test_a_list_of_chapters_leads_nowhere_else(planted, tmp_path, named):
    root = tmp_path / "session"
    root.mkdir()
    shutil.copyfile(planted.path("head.mp4"), tmp_path / "secret.mp4")
    listed = named.format(outside=tmp_path)
    (root / "head.ffconcat").write_text(f"ffconcat version 1.0\nfile {listed}\nduration 6\n")
    session = Session(root, "chapters", (replace(planted.device("head"), file="head.ffconcat"),), sealed=True)
    with pytest.raises(SessionError, match="no file of this session"):
        chapters(session, root / "head.ffconcat")
    content = opened(session)
    assert content.bodies == []
    assert content.document["warnings"][0].startswith("head cannot be shown")


def test_what_has_neither_picture_nor_sound_is_shown_in_its_whole_length(tmp_path):
    add_file(tmp_path / "s", made.lab(tmp_path / "lab.xdf"))
    add_file(tmp_path / "s", made.neon(tmp_path / "neon", scene=False), name="eye")
    content = opened(open_session(tmp_path / "s"))
    curves = {c["stream"]: c for c in content.document["curves"]}
    assert list(curves) == ["force-plate", "imu", "gaze"]
    assert content.document["duration_s"] == pytest.approx(9.99, abs=1e-3)
    assert content.curve(curves["gaze"]["curve"], 0, 4, 1)["ranges"] == [[0.0, 599.0], [24.0, 24.0]]
    assert {t["tier"] for t in content.document["labels"]} == {"lab markers", "eye events"}


def test_a_cameras_measured_latency_is_taken_off(planted, tmp_path):
    root = tmp_path / "session"
    shutil.copytree(planted.root, root)
    manifest = json.loads((root / "session.json").read_text())
    manifest["devices"][0]["streams"][0]["latency_ns"] = 40_000_000
    (root / "session.json").write_text(json.dumps(manifest))
    assert video(opened(open_session(root)), "kit-01")["begin_s"] == pytest.approx(-0.04)
