"""Every key of the batch contract: its shape and type, and that it says what is true."""

import numpy as np
import pytest
import torch
from planted import BODY, FPS, GUEST, HEAD, LOUD_S, SECOND, T0, Turning, acts, box_px, number_in, smpl
from scipy.spatial.transform import Rotation
from torch.utils.data import DataLoader

from firmware_host.errors import ConfigError
from ingest import people
from ingest.ask import IMU, KINDS, Ask, shapes
from ingest.dataset import Clips, ClipSampler
from ingest.logmel import ROWS_HZ
from ingest.transforms import mirrored

EVERYTHING = tuple(kind for kind in KINDS if kind != "features")
STEP = SECOND // 10


def opened(built, split="train", kinds=EVERYTHING, **asked):
    settings = {"frames": 8, "step_ns": STEP, "size": 48, "stride_ns": SECOND // 2, "audio_rows": 100, **asked}
    return Clips(built.out, split, Ask(kinds, **settings))


@pytest.mark.parametrize("at", ["every", "activity", "boxes", "person"])
@pytest.mark.parametrize("split", ["train", "test"])
def test_every_key_has_the_documented_shape_and_type_whether_there_is_something_or_nothing(built, split, at):
    clips = opened(built, split, at=at)
    if split == "test" and at == "boxes":
        assert len(clips) == 0  # nobody drew one
        return
    expected = shapes(clips.ask, clips.dataset.info)
    item = clips[len(clips) // 2]
    assert {k: (tuple(v.shape), str(v.dtype)[6:]) for k, v in item.items() if k in expected} == expected
    assert set(item) - set(expected) == {"clip", "t_ns", "session", "participant"}
    for key, mask in (("tracks", "tracks_valid"), ("boxes", "box_valid"), ("imu", "imu_valid"), ("move", "move_valid")):
        assert not item[key][~item[mask]].any()
    if split == "test":
        assert item["tracks_valid"].tolist() == [[True] * 8, *[[False] * 8] * 4]  # of the sensors that dora wears
        assert item["tracks_joints"][0].sum(dim=1).tolist() == [11] * 8
        assert not item["box_valid"].any()
        assert not item["graph"].any()
        assert not item["atomic_valid"]


def test_pictures_are_the_frames_nearest_to_each_moment(built):
    clips = opened(built, kinds=("ego", "third"))
    for index in range(0, len(clips), 3):
        item = clips[index]
        moments = int(item["t_ns"]) + np.arange(8) * STEP
        shown = {
            "ego": (HEAD.inverse(moments) * FPS / SECOND).round(),
            "third": ((moments - T0) * 15 / SECOND).round(),
        }
        for key, numbers in shown.items():
            assert item[f"{key}_valid"].all()
            seen = [number_in(frame.permute(1, 2, 0).numpy()) for frame in item[key]]
            assert np.abs(np.array(seen) - numbers).max() <= 1


def test_frames_that_were_never_taken_are_masked(built):
    clips = opened(built, kinds=("ego",), at="boxes", stride_ns=STEP)
    first = clips[0]  # its middle is the first box, so that it begins before anything was filmed
    assert not first["ego_valid"][0]
    assert not first["ego"][~first["ego_valid"]].any()
    assert first["ego_valid"].any()


def test_sound_begins_at_its_time(built):
    clips = opened(built, kinds=("audio",), stride_ns=SECOND // 4)
    begins = int(HEAD.forward(round(LOUD_S * SECOND)))
    for index in range(len(clips)):
        item = clips[index]
        assert item["audio_valid"].any()
        loud = item["audio"].amax(dim=0) > -8
        at_ns = int(item["t_ns"]) + np.arange(100) * SECOND / ROWS_HZ
        late, early = at_ns > begins + 0.03 * SECOND, at_ns < begins - 0.03 * SECOND
        known = item["audio_valid"].numpy()
        assert loud.numpy()[late & known].all()
        assert not loud.numpy()[early & known].any()
        assert not item["audio"][:, ~item["audio_valid"]].any()


def test_the_body_is_that_of_the_planted_rotations(built):
    clips = opened(built, kinds=("imu",))
    item, turning = clips[2], Turning.of(0)
    moments = int(item["t_ns"]) + np.arange(8) * STEP
    assert item["imu_valid"].all()
    true = {n: Rotation.from_quat(turning.quaternion(n, moments), scalar_first=True) for n in IMU}
    for place, (name, parent) in enumerate(IMU.items()):
        local = true[name] if parent is None else true[parent].inv() * true[name]
        six = local.as_matrix()[:, :, :2].transpose(0, 2, 1).reshape(8, 6)
        np.testing.assert_allclose(item["imu"][:, place, :6].numpy(), six, atol=0.04)
        rate = np.gradient(np.radians(turning.angle(name, np.arange(moments[0], moments[-1], 10**6))), 1e-3)[
            :: STEP // 10**6
        ]
        spin = item["imu"][:7, place, 6:].norm(dim=1).numpy()
        np.testing.assert_allclose(spin, np.abs(rate[:7]), atol=0.6)
    assert BODY.source == "kit-02"


def test_the_thermal_picture_is_the_last_one_taken(built):
    item = opened(built, kinds=("thermal",))[2]
    moments = int(item["t_ns"]) + np.arange(8) * STEP
    ago = (moments - T0 - 1_700_000) // (SECOND // 10)
    expected = (np.arange(64).reshape(8, 8) + ago[:, None, None]) * 0.25
    np.testing.assert_allclose(item["thermal"].numpy(), expected)


def test_boxes_and_what_is_done_in_them_are_of_the_middle_frame(built):
    clips = opened(built, kinds=("boxes",), at="boxes", stride_ns=1)
    assert len(clips) == 2 * 20
    actions = clips.dataset.info["vocabulary"]["atomic"]
    for k in (0, 1, 6, 19):
        item, at = clips[k], k * SECOND // 5
        here = [w for w in ("anna", GUEST) if w != GUEST or k % 2]
        assert int(item["box_valid"].sum()) == len(here)
        for row, who in enumerate(sorted(here)):
            true = (np.array(box_px(who, k)) + 0.5) / [192, 108, 192, 108]
            np.testing.assert_allclose(item["boxes"][row].numpy(), true, atol=1e-6)
            doing = {v for v, w, a, b in acts("anna") if w == who and a <= at < b}
            assert {actions[i] for i in item["box_actions"][row].nonzero()[:, 0].tolist()} == doing
            assert int(item["box_person"][row]) == ["anna", GUEST].index(who)


def test_the_person_a_clip_is_about_comes_first_and_padding_is_zero(built):
    clips = opened(built, kinds=("tracks", "atomic", "gaze"), at="person", stride_ns=SECOND, tracks=3)
    about = [clips[i]["participant"] for i in range(4)]
    assert about == ["anna", GUEST, "anna", GUEST]
    for i in range(4):
        item = clips[i]
        who = about[i]
        assert item["tracks_valid"].tolist()[2] == [False] * 8
        assert not item["tracks"][2].any()
        at = (np.array([int(item["t_ns"])]) + np.arange(8) * STEP - T0) / (SECOND / 10)
        for row, person in enumerate([who, *({"anna", GUEST} - {who})]):
            true = people.person_vector(np.stack([smpl(person, round(k)) for k in at]))
            np.testing.assert_array_equal(item["tracks"][row].numpy(), true)
        assert item["gaze_valid"].any() == (who == "anna")
    names = clips.dataset.info["vocabulary"]["atomic"]
    assert {names[k] for k in clips[1]["atomic"].nonzero()[:, 0].tolist()} == set()
    assert {names[k] for k in clips[3]["atomic"].nonzero()[:, 0].tolist()} == {"sit"}


def test_the_graph_is_of_whom_the_clip_is_about(built):
    clips = opened(built, kinds=("graph", "activity"), at="person", stride_ns=SECOND, graph_frames=4)
    info = clips.dataset.info
    assert info["objects"] == ["cup", GUEST, "table"]
    holding = (slice(None), info["objects"].index("cup"), info["relations"].index("holding"))
    beside = (slice(None), info["objects"].index(GUEST), info["relations"].index("left_of"))
    for i, expected in ((0, (1, 0)), (2, (1, 1)), (4, (0, 1))):
        graph = clips[i]["graph"]
        assert (float(graph[holding].mean()), float(graph[beside].mean())) == expected
        assert not clips[i + 1]["graph"].any()
    assert info["vocabulary"]["activity"] == ["tea"]
    assert [int(clips[i]["activity"]) for i in (0, 1, 2)] == [0, -1, -1]


def test_a_mirror_twice_is_the_clip_itself_and_once_is_none_but_a_mirror(built):
    clips = opened(built, at="boxes", stride_ns=SECOND // 2)
    item, relations = clips[3], clips.dataset.info["relations"]
    once = mirrored(item, relations)
    twice = mirrored(once, relations)
    for key, value in item.items():
        if isinstance(value, torch.Tensor):
            torch.testing.assert_close(twice[key], value, atol=1e-6, rtol=0)
    assert torch.equal(once["third"], item["third"].flip(-1))
    assert torch.equal(once["thermal"], item["thermal"].flip(-1))
    torch.testing.assert_close(once["boxes"][0, [0, 2]], 1 - item["boxes"][0, [2, 0]])
    elbow = np.array(smpl("anna", 0)[54:57])
    joint = slice(9 * 19, 9 * 20)  # the right elbow now turns as the left one did, seen in the mirror
    true = Rotation.from_rotvec(elbow * [1, -1, -1]).as_matrix().reshape(-1)
    there = item["tracks_valid"][0].nonzero()[0]
    np.testing.assert_allclose(once["tracks"][0, there, joint][0].numpy(), true, atol=1e-6)
    assert not once["tracks"][~item["tracks_valid"]].any()


def test_the_number_of_workers_changes_nothing_and_a_stopped_epoch_goes_on_with_what_was_left(built):
    kinds = ("third", "audio", "imu", "boxes")
    settings = {"frames": 4, "step_ns": STEP, "size": 32, "stride_ns": SECOND // 4, "audio_rows": 50}
    clips = Clips(built.out, "train", Ask(kinds, **settings), seed=7)
    clips.set_epoch(2)
    clips[0]  # files are open before the workers are forked

    def batches(workers: int, start: int = 0):
        order = ClipSampler(len(clips), seed=7, epoch=2, start=start)
        return list(DataLoader(clips, batch_size=4, sampler=order, num_workers=workers, drop_last=True))

    whole = batches(0)
    assert len(whole) >= 4
    for workers in (1, 2, 4):  # torch warns of more workers than cores
        assert same(batches(workers), whole)
    assert same(batches(2, start=8), whole[2:])
    clips.set_epoch(3)
    assert not same(batches(0), whole)


def same(ours: list, theirs: list) -> bool:
    return len(ours) == len(theirs) and all(
        torch.equal(v, t[k]) if isinstance(v, torch.Tensor) else v == t[k]
        for o, t in zip(ours, theirs, strict=True)
        for k, v in o.items()
    )


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"kinds": ("egos",)}, "did you mean 'ego'"),
        ({"kinds": ("ego",), "at": "box"}, "did you mean 'boxes'"),
        ({"kinds": ("features",)}, "needs their name"),
        ({"kinds": ("ego",), "frames": 0}, "'frames' of a clip must be at least 1"),
    ],
)
def test_what_cannot_be_asked_is_said(asked, said):
    with pytest.raises(ConfigError, match=said):
        Ask(**asked)
