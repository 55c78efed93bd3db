"""The person vector from ten worn sensors beside the true one, and appearance from our own I3D: a kit in place of a
motion-capture model, all the way into LART's clips."""

from __future__ import annotations

import dataclasses
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from ingest.build import build, find_sessions
from ingest.dataset import Clips
from ingest.targets.pose import PARENTS, SEGMENT_OF, body_pose
from models import lart
from models.lart.data import wanted
from models.lart.tracks import JOINTS, ROTATIONS
from recorder.imu_flaws import ImuFlaws, mounting, worn
from recorder.world import WorldPlan
from recorder.world.world import World

SECOND = 1_000_000_000
NET = dataclasses.replace(lart.PRESETS["tiny"]().net, partial=True, layers=1, steps=10)


def apart(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Degrees between the joints of person vectors: (M, 229), (M, 229) -> (M, 24)."""
    a, b = (Rotation.from_matrix(x[:, :ROTATIONS].reshape(-1, 3, 3)) for x in (one, other))
    return np.degrees((a.inv() * b).magnitude()).reshape(-1, JOINTS)


def above(joint: int) -> int | None:
    """The next joint towards the pelvis that has a sensor of its own."""
    joint = PARENTS[joint]
    while joint >= 0 and joint not in SEGMENT_OF:
        joint = PARENTS[joint]
    return joint if joint >= 0 else None


@pytest.mark.parametrize("seed", range(3))
def test_a_joint_is_wrong_by_no_more_than_its_two_sensors_are(seed):
    """Whatever the body does: how askew the two sit, and by what their norths differ, add up and no more."""
    world = World(WorldPlan(duration_s=8, seed=seed))
    t = np.arange(0, 7 * SECOND, SECOND // 100)
    random = np.random.default_rng(seed)
    how = {name: mounting(ImuFlaws(), random) for name in world.segments}
    seconds = t / SECOND
    told = {name: (t, worn(world.imu(name, t), how[name], seconds).orientation) for name in how}
    true = {name: (t, world.orientation(name, t)) for name in how}
    at = t[::50]
    (found, measured), (exact, _) = body_pose(told, at), body_pose(true, at)
    wrong = apart(found, exact)
    assert measured[:, list(SEGMENT_OF)].all()
    north = {name: each.north(at / SECOND) for name, each in how.items()}
    askew = {name: np.degrees(each.turn.magnitude()) for name, each in how.items()}
    for joint, name in SEGMENT_OF.items():
        parent = above(joint)
        if parent is None:
            most = askew[name] + np.degrees(north[name].magnitude())
        else:
            other = SEGMENT_OF[parent]
            most = askew[name] + askew[other] + np.degrees((north[other].inv() * north[name]).magnitude())
        assert (wrong[:, joint] <= most + 0.1).all(), name
        assert wrong[:, joint].max() > 0.1 * np.max(most) / 2  # the two share the head's with the neck
    assert not wrong[:, ~measured.any(axis=0)].any()


def clips_of(folder, session) -> Clips:
    with ThreadPoolExecutor(1) as here:
        build(find_sessions([session]), folder, here)
    return Clips(folder, "train", wanted(NET, training=False))


@pytest.mark.slow
def test_worn_sensors_and_truth_make_clips_of_the_same_body(home, run_syncctl, tmp_path):
    """A recorded session through register-level chips, their clocks and alignment; built with its truth and without."""
    aligned = run_syncctl("align", home)
    assert aligned.returncode == 0, aligned.stderr
    exact = clips_of(tmp_path / "exact", home)
    bare = shutil.copytree(home, tmp_path / "bare" / home.name)
    for name in ("truth.json", "truth.npz"):
        (bare / name).unlink()
    sensed = clips_of(tmp_path / "sensed", bare)
    start = {int(exact[i]["t_ns"]): i for i in range(len(exact))}
    compared = []
    for i in range(len(sensed)):
        item = sensed[i]
        near = min(start, key=lambda t: abs(t - int(item["t_ns"])))
        shift = round((int(item["t_ns"]) - near) / (SECOND / 10))
        other = exact[start[near]]
        steps = [(k, k + shift) for k in range(NET.steps) if 0 <= k + shift < NET.steps]
        mine, theirs = (np.array(s) for s in zip(*steps, strict=True))
        there = item["tracks_valid"][0, mine].numpy() & other["tracks_valid"][0, theirs].numpy()
        wrong = apart(item["tracks"][0, mine[there]].numpy(), other["tracks"][0, theirs[there]].numpy())
        compared.append(np.where(item["tracks_joints"][0, mine[there]].numpy(), wrong, np.nan))
        model = lart.Model(NET)
        answer = model.eval().predict({k: v[None] for k, v in item.items() if isinstance(v, torch.Tensor)})
        assert torch.isfinite(answer["actions"]).all()
    every = np.concatenate(compared)
    wrong = np.nanmedian(every[:, [*SEGMENT_OF]], axis=0)
    assert wrong.max() < 20, wrong  # straps 3 degrees askew about each axis, on both sides of a joint; and north
    assert wrong.mean() < 8, wrong
    assert np.isnan(every[:, [3, 6, 9, 22]]).all()  # the spine and the hands have no sensor
