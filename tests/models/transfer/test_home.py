"""The simulated home in the five layouts: what is asked of a picture, and a whole session."""

from __future__ import annotations

import json
import shutil

import cv2
import numpy as np
import pytest

from firmware_host.errors import SessionError
from models import transfer
from models.transfer import Config, home
from models.transfer.home import Home, actions, box_of, heading
from recorder.session import Session


def label(value, t0_s, t1_s, actor="p01", tier="atomic"):
    return {"tier": tier, "t0_ns": round(t0_s * 1e9), "t1_ns": round(t1_s * 1e9), "value": value, "actor": actor}


@pytest.mark.parametrize(
    ("moved", "name"),
    [((0, 0), "still"), ((2, -2), "still"), ((9, 1), "right"), ((-9, 8), "left"), ((1, -9), "up"), ((0, 9), "down")],
)
def test_headings_are_of_the_larger_part(moved, name):
    assert heading(np.array(moved, float), width=100) == name


def test_box_is_half_open_and_small_things_have_none():
    seen = np.zeros((50, 80), bool)
    seen[10:14, 20:25] = True
    assert box_of(seen) == (20, 10, 25, 14)
    seen[10:14, 20:25] = False
    seen[10, 20] = True
    assert box_of(seen) is None


def test_actions_are_the_wearers_that_change_something():
    truth = {
        "plan": {"participant": "p01"},
        "labels": [
            label("pick_up_cup", 1, 2),
            label("put_in_cup", 2, 2.4),  # too short
            label("pour_kettle", 3, 5),
            label("open_cabinet", 6, 7, actor="guest03"),
            label("walk_to", 7, 9),
            label("cut_bread", 9, 12, tier="activity"),
            label("cutlery", 12, 14),
        ],
    }
    assert actions(Home(None, truth, "train")) == [(10**9, 2 * 10**9, "take"), (3 * 10**9, 5 * 10**9, "pour")]


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04cut"])
def test_damaged_pixels_are_named(tmp_path, data):
    (tmp_path / "truth-video").mkdir()
    (tmp_path / "truth-video" / "head.npz").write_bytes(data)
    with pytest.raises(SessionError, match=r"head\.npz cannot be read"):
        Home(Session(tmp_path, "s", ()), {}, "train").pixels("head")


def test_a_folder_that_is_full_or_no_simulation_is_refused(tmp_path, home):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("keep")
    with pytest.raises(SessionError, match="full exists"):
        transfer.home.export([home], tmp_path / "full")
    with pytest.raises(SessionError, match="record the session with --truth-video"):
        transfer.home.export([home], tmp_path / "out")
    shutil.copytree(home, tmp_path / "more" / home.name)
    with pytest.raises(SessionError, match=f"two sessions are called '{home.name}'"):
        transfer.home.export([home, tmp_path / "more" / home.name], tmp_path / "out")
    shutil.rmtree(tmp_path / "more")
    (home / "truth.json").unlink()
    with pytest.raises(SessionError, match="is no simulated session"):
        transfer.home.export([home], tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["full", "session"]


@pytest.mark.slow
def test_a_session_becomes_all_five_layouts(tmp_path, run_syncctl):
    session = tmp_path / "session"
    made = run_syncctl(
        "record", session, "--simulate", "--fast", "--duration", 24, "--seed", 4, "--size", "160x96", "--truth-video",
        "--activity", "blow_dry_hair",
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    found = json.loads(run_syncctl("transfer", "export", tmp_path, "--out", tmp_path / "t", "--json").stdout)
    counts = {task: splits["train"] for task, splits in found["examples"].items()}
    assert counts["walkable"] == counts["depth"] == counts["scene"] >= 22
    opened = home.opened([session])[0]
    assert counts["action"] == len(actions(opened))
    assert counts["dynamics"] >= 6
    for task, count in counts.items():
        if not count:  # some time passes before anything is taken up
            continue
        config = transfer.completed(Config(task=task, size=64), str(tmp_path / "t"))
        clips = transfer.open_split(str(tmp_path / "t"), "train", config)
        assert len(clips) == count
        assert {clips[i]["session"] for i in range(count)} == {opened.session.id}
    with np.load(session / "truth-video" / "head.npz") as packed:
        at = 5 * home.PICTURE_EVERY
        written = sorted((tmp_path / "t" / "depth" / "train").glob("*__0005.depth.png"))
        np.testing.assert_array_equal(cv2.imread(str(written[0]), cv2.IMREAD_UNCHANGED), packed["depth_mm"][at])


def test_no_more_still_things_are_asked_about_than_move():
    box = (0, 0, 4, 4)
    rows = [(at, box, "left" if at in (4, 12) else "still") for at in range(0, 40, 2)]
    kept = home.as_many_still(rows)
    assert [row for row in kept if row[2] == "left"] == [(4, box, "left"), (12, box, "left")]
    assert [row[0] for row in kept if row[2] == "still"] == [0, 38]  # from the whole session
    assert home.as_many_still([r for r in rows if r[2] == "still"]) == []
    assert home.as_many_still([r for r in rows if r[2] == "left"]) == [(4, box, "left"), (12, box, "left")]
