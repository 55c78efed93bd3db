"""The truth beside a simulated session: the two files agree, and what the pictures show is told when asked for."""

import json
from pathlib import Path

import numpy as np
import pytest

from recorder.homeplan import plan_home
from recorder.truth import arrays, relations, write_video
from recorder.world import World, WorldPlan, smpl


def test_the_two_files_tell_of_the_same_session(recorded_home: Path):
    told = json.loads((recorded_home / "truth.json").read_text())
    with np.load(recorded_home / "truth.npz") as packed:
        assert packed["t_ns"].tolist() == told["pose"]["t_ns"]
        count, who = len(packed["t_ns"]), told["people"][0]
        assert packed[f"{who}.smpl"].shape == (count, 85)
        assert packed[f"{who}.joints"].shape == (count, len(smpl.JOINTS), 3)
        delay_s = packed["kit-01.delay_s"]
        assert np.allclose(delay_s, delay_s[0])
        assert 0.0002 < delay_s[0] < 0.001
        assert packed["kit-02.delay_s"].max() > 0.004
    assert {"living room", "kitchen", "bedroom"} == set(told["home"]["rooms"])


def test_what_is_held_is_where_a_hand_is():
    plan = plan_home(WorldPlan(30.0, 3, activity="make_tea", width=64, height=48))
    world = World(plan.world)
    told, who = arrays(plan, world), plan.world.participant
    held = [row for row in relations(world) if row[1] == "holding"]
    assert held
    for _, _, thing, t0_ns, t1_ns in held:
        inside = (told["t_ns"] > t0_ns + 4e8) & (told["t_ns"] < t1_ns - 4e8)
        palms = told[f"{who}.joints"][inside][:, [smpl.JOINTS.index(f"{s}_hand") for s in ("left", "right")]]
        away = np.linalg.norm(palms - told[f"{thing}.at"][inside][:, None], axis=2).min(axis=1)
        assert (away < 0.35).all(), thing


def test_a_video_of_the_truth_says_what_each_pixel_is(tmp_path: Path):
    plan = plan_home(WorldPlan(6.0, 4, width=64, height=48, people=2))
    write_video(tmp_path, plan)
    assert {p.name for p in (tmp_path / "truth-video").iterdir()} == {"third.npz", "head.npz", "eye.npz"}
    with np.load(tmp_path / "truth-video" / "third.npz") as packed:
        assert packed["seen"].shape == packed["depth_mm"].shape == (30, 48, 64)
        names = packed["classes"][np.unique(packed["seen"])].tolist()
        assert {"still", "floor", "body"} <= set(names)
        assert 500 < np.median(packed["depth_mm"]) < 7000
        assert packed["moved_px"].shape == (30, len(packed["classes"]), 2)
        frames = len(packed["frame_ns"])
        assert frames == pytest.approx(30 * 6, abs=15), "every picture that the camera took, not five a second"
        assert set(packed["box_frame"][packed["box_name"] == plan.world.participant]) == set(range(frames))
        low, high = packed["boxes"].reshape(-1, 2, 2).swapaxes(0, 1)
        assert ((low >= -0.5) & (low <= high) & (high <= [63.5, 47.5])).all()
    assert f"{plan.world.names[1]}.smpl" in arrays(plan, World(plan.world))
