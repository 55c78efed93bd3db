import shutil

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from planted import HEAD, SIZE, T0, all_frames, change_json, number_in
from torch.utils.data import DataLoader

from firmware_host.errors import ConfigError, SessionError
from ingest import tables
from ingest.dataset import GROUPS, ClipSampler, MuscleClips, open_dataset


@pytest.fixture
def clips(built) -> MuscleClips:
    return MuscleClips(built.out, "train", size=64)


def test_an_item_is_what_models_were_promised(clips):
    item = clips[7]
    shapes = {k: (tuple(v.shape), v.dtype) for k, v in item.items() if isinstance(v, torch.Tensor)}
    assert shapes == {
        "frames": ((5, 3, 64, 64), torch.uint8),
        "gaze": ((5, 2), torch.float32),
        "gaze_valid": ((5,), torch.bool),
        "move": ((5, 6), torch.float32),
        "move_valid": ((5, 6), torch.bool),
        "move_deg": ((5, 6), torch.float32),
        "clip": ((), torch.int64),
    }
    assert (item["session"], item["participant"], int(item["clip"])) == ("s-anna", "anna", 7)


def test_frames_gaze_and_movement_are_of_the_same_moment(clips, built):
    rows = tables.read(built.out, "targets").to_pylist()
    at = {(r["session"], r["frame"]): r for r in rows}
    thirds = open_dataset(built.out).info["thirds_deg"]
    for i in range(len(clips)):
        item = clips[i]
        numbers = [number_in(f.permute(1, 2, 0).numpy()) for f in item["frames"]]
        assert np.diff(numbers).tolist() == [5, 5, 5, 5]
        assert item["gaze_valid"].any()
        for k, number in enumerate(numbers):
            row = at[item["session"], number]
            if item["gaze_valid"][k]:
                assert item["gaze"][k].tolist() == pytest.approx([row["gaze_x"], row["gaze_y"]])
            else:
                assert row["gaze_x"] is None
                assert item["gaze"][k].tolist() == [0, 0]
            for g, group in enumerate(GROUPS):
                low, high = thirds[group]
                degrees = row[f"deg_{group}"]
                assert float(item["move_deg"][k, g]) == pytest.approx(degrees)
                assert bool(item["move_valid"][k, g]) == (degrees <= low or degrees > high)
                assert float(item["move"][k, g]) == float(degrees > high)


def test_a_split_has_its_own_people_and_every_clip_of_theirs(built):
    people = {
        s: {MuscleClips(built.out, s, size=32)[i]["participant"] for i in range(16)} for s in ("train", "val", "test")
    }
    assert people == {"train": {"anna"}, "val": {"carl"}, "test": {"dora"}}
    assert {s: len(MuscleClips(built.out, s, size=32)) for s in people} == built.counts["clips"]
    assert len(MuscleClips(built.out, "train", size=32, stride=5)) == 2 * 4
    with pytest.raises(ConfigError, match="did you mean 'train'"):
        MuscleClips(built.out, "trains", size=32)


@pytest.mark.parametrize("original", [False, True])
def test_clips_are_the_frames_of_a_full_decode(built, sessions, original):
    clips = MuscleClips(built.out, "test", size=48, original=original)
    cache = built.out / "cache" / str(clips.dataset.info["cache"]) / "s-dora.head.mp4"
    every = all_frames(sessions / "s-dora" / "head.mp4" if original else cache, (48, 48))
    for i in np.random.default_rng(0).permutation(len(clips)):
        frames = clips[int(i)]["frames"].permute(0, 2, 3, 1).numpy()
        start = number_in(frames[0])
        np.testing.assert_array_equal(frames, every[start : start + 25 : 5])


def test_without_its_cache_a_dataset_still_reads(built):
    out = built.out.parent / "uncached"
    shutil.copytree(built.out, out)
    shutil.rmtree(out / "cache")
    a, b = MuscleClips(built.out, "val", size=40)[3], MuscleClips(out, "val", size=40)[3]
    assert number_in(a["frames"][2].permute(1, 2, 0).numpy()) == number_in(b["frames"][2].permute(1, 2, 0).numpy())
    assert torch.equal(a["gaze"], b["gaze"])


def test_the_number_of_workers_changes_nothing(built):
    clips = MuscleClips(built.out, "train", size=32, seed=11)
    clips.set_epoch(3)
    order = list(ClipSampler(len(clips), seed=11, epoch=3))[:12]
    clips[0]  # a file is open before the workers are forked
    batches = [list(DataLoader(clips, batch_size=4, sampler=order, num_workers=n)) for n in (0, 2)]
    for one, two in zip(*batches, strict=True):
        for name, value in one.items():
            assert torch.equal(value, two[name]) if isinstance(value, torch.Tensor) else value == two[name]
    clips.set_epoch(4)
    later = next(iter(DataLoader(clips, batch_size=4, sampler=order)))
    assert not torch.equal(later["frames"], batches[0][0]["frames"])


def test_labels_cost_no_pictures_and_are_never_augmented(built, monkeypatch):
    clips = MuscleClips(built.out, "train", size=32, seed=1)
    monkeypatch.setattr(clips, "_reader", None)
    plain = MuscleClips(built.out, "train", size=32)
    for i in (0, 9):
        labels = clips.labels(i)
        assert "frames" not in labels
        assert torch.equal(labels["move_deg"], plain[i]["move_deg"])


@given(st.integers(1, 60), st.integers(0, 9), st.integers(0, 9), st.integers(1, 5), st.data())
def test_processes_share_what_is_left_of_an_epoch_and_nothing_twice(n, seed, epoch, world, data):
    start = data.draw(st.integers(0, n))
    whole = list(ClipSampler(n, seed, epoch))
    assert sorted(whole) == list(range(n))
    shares = [list(ClipSampler(n, seed, epoch, start, rank, world)) for rank in range(world)]
    assert [len(s) for s in shares] == [(n - start) // world] * world
    together = [clip for turn in zip(*shares, strict=True) for clip in turn]
    assert together == whole[start : start + len(together)]


def test_epochs_and_seeds_order_differently():
    orders = {tuple(ClipSampler(50, seed, epoch)) for seed in range(4) for epoch in range(4)}
    assert len(orders) == 16


def test_an_interval_of_any_stream_can_be_had(built, sessions):
    dataset = open_dataset(built.out)
    t_ns, frames = dataset.get("s-ben", "kit-01", "camera", T0 + 500_000_000, T0 + 900_000_000, SIZE)
    assert [number_in(f) for f in frames] == [8, 9, 10, 11, 12, 13]
    t_ns, frames = dataset.get("s-ben", "head", "camera", T0, T0 + 400_000_000)
    np.testing.assert_array_equal(t_ns, HEAD.forward(np.arange(5) * 1_000_000_000 // 30))
    np.testing.assert_array_equal(frames, all_frames(sessions / "s-ben" / "head.mp4", SIZE)[:5])
    t_ns, q = dataset.get("s-ben", "kit-02", "neck.quaternion", T0 + 10**9, T0 + 2 * 10**9)
    assert q.shape == (20, 4)
    assert (t_ns >= T0 + 10**9).all()
    assert (t_ns < T0 + 2 * 10**9).all()
    with pytest.raises(SessionError, match=r"did you mean 'kit-02/neck\.quaternion'"):
        dataset.get("s-ben", "kit-02", "neck.quaternions", 0, 1)


def test_a_dataset_of_another_version_is_refused(built, tmp_path):
    shutil.copy(built.out / "info.json", tmp_path)
    change_json(tmp_path / "info.json", version=3)
    with pytest.raises(SessionError, match="version 3; this syncctl reads version 2"):
        open_dataset(tmp_path)
