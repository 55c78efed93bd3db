"""`syncctl gaze` and `syncctl calibrate` as a user types them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from recorder.session import Device, Session, Stream
from sync import gaze_files
from sync.cli import calibrate, gaze
from sync.gaze import read_rows


def table(path, t_ns, xy):
    lines = [f"{t * 1e-9:.9f},{x},{y}" for t, (x, y) in zip(t_ns, xy, strict=True)]
    path.write_text("\n".join(["t_s,x_px,y_px", *lines]).replace("nan", "") + "\n")
    return path


def typed(command, *arguments):
    return CliRunner().invoke(command, [str(a) for a in arguments])


def test_every_frame_gets_a_row_in_its_own_time(desk, desk_files, desk_rig, tmp_path, monkeypatch):
    def known(scene, head, done):
        assert (scene.path, head.path) == desk_files
        done(1.0)
        return desk_rig

    monkeypatch.setattr(gaze_files, "find_rig", known)  # it was found in these very films, and takes seconds
    t_ns, xy = desk.gaze()
    own = table(tmp_path / "gaze.csv", t_ns, xy)
    # The film of the head camera begins 13 ms late, so its time 0 is 13 ms of the scene's: t_ref = -0.013 + t_scene.
    out = tmp_path / "out.csv"
    result = typed(gaze, *desk_files, own, "-o", out, "--offset", -1e-9 * desk.late_ns, "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    rows = read_rows(out)
    assert told["rows"] == len(rows) == len(desk.times_ns("head"))
    assert told["rig"]["share"] > 0.8
    assert sum(told["verdicts"].values()) == len(rows)
    assert [r.t_ns for r in rows] == pytest.approx((desk.times_ns("head") - desk.late_ns).tolist(), abs=2e6)
    true = desk.looked_at(desk.times_ns("head"), "head")
    error = [np.hypot(r.x_px - x, r.y_px - y) for r, (x, y) in zip(rows, true, strict=True) if r.x_px and x > 0]
    assert np.median(error) < 2


def test_ctrl_c_keeps_what_is_done(desk, desk_files, tmp_path, monkeypatch):
    def interrupted(*_):
        yield from (gaze_files.Row(int(t), 1.0, 2.0, 3.0, "homography") for t in (0, 33_333_333))
        raise KeyboardInterrupt

    monkeypatch.setattr(gaze_files, "carried", interrupted)
    monkeypatch.setattr(gaze_files, "find_rig", lambda *_: None)
    own = table(tmp_path / "gaze.csv", *desk.gaze())
    result = typed(gaze, *desk_files, own, "--out", tmp_path / "out.csv")
    assert result.exit_code != 0
    assert not (tmp_path / "out.csv").exists()
    assert len(read_rows(tmp_path / "out.part.csv")) == 2


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"offset": 900}, "no time in common"),
        ({"gaze": "none.csv"}, "does not exist"),
        ({"out": "away/out.csv"}, "does not exist; make it"),
        ({"scene": "gaze.csv"}, "gaze.csv"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(desk, desk_files, tmp_path, change, why):
    table(tmp_path / "gaze.csv", *desk.gaze())
    scene = tmp_path / change["scene"] if "scene" in change else desk_files[0]
    own, out = tmp_path / change.get("gaze", "gaze.csv"), tmp_path / change.get("out", "out.csv")
    result = typed(gaze, scene, desk_files[1], own, "-o", out, "--offset", change.get("offset", 0))
    assert result.exit_code == 1
    assert why in str(result.exception)
    assert not out.exists()


def test_a_film_without_a_board_is_refused_and_nothing_is_stored(desk_files, tmp_path):
    camera = Stream("camera", "video", 0, 30.0, size=(480, 270))
    Session(tmp_path, "s", (Device("head", "media", "ego", "head", "head.mp4", (camera,)),), sealed=True).save()
    before = (tmp_path / "session.json").read_bytes()
    result = typed(calibrate, desk_files[1], "--board", "9x6", "--device", "head", "--session", tmp_path)
    assert result.exit_code == 1
    assert "seen whole in 0 pictures" in str(result.exception)
    assert (tmp_path / "session.json").read_bytes() == before
