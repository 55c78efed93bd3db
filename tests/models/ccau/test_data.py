"""How training clips are varied, what is asked of a dataset, and what does not fit."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from made_streams import SMALL, MadeStreams

from firmware_host.errors import ConfigError, SessionError
from ingest.ask import ENVIRONMENT
from ingest.logmel import ROWS_HZ
from models import ccau
from models.ccau import Config, data
from models.ccau.data import Streams, cropped, recoloured, wanted
from models.config import TrainConfig

CONFIG = replace(Config(**SMALL), modalities=("ego", "third", "thermal"), size=35)
INFO = {
    "vocabulary": {"activity": [f"a{i}" for i in range(4)], "atomic": [f"b{i}" for i in range(5)]},
    "objects": ["cup"] * 3,
    "relations": ["left_of", "right_of"],
}


def words(tier):
    return tuple(INFO["vocabulary"].get(tier, ()))


class Recorded(MadeStreams):
    """As `ingest.dataset.Clips` is read."""

    def __init__(self, n=8):
        super().__init__(replace(CONFIG, size=40), n)
        self.dataset, self.read = SimpleNamespace(info=INFO, words=words), 0

    def __getitem__(self, index):
        self.read += 1
        return super().__getitem__(index)


def test_sound_and_pictures_of_a_clip_are_equally_long():
    ask = wanted(Config(), "activity")
    assert ask.span_ns == 4_000_000_000
    assert ask.audio_rows == int(4 * ROWS_HZ)
    assert ask.kinds == ("ego", "third", "audio", "activity", "atomic")
    assert ask.size == 146
    assert Config().channels == len(ENVIRONMENT)


def test_in_use_the_middle_is_taken():
    clips = Recorded()
    item, whole = Streams(clips, 35)[3], clips[3]
    assert torch.equal(item["ego"], whole["ego"][..., 2:37, 2:37])
    assert torch.equal(item["thermal"], whole["thermal"])


def test_variation_is_a_function_of_seed_epoch_and_clip():
    streams = Streams(Recorded(), 35, seed=5)
    first = streams[2]
    streams[6]
    assert all(torch.equal(first[k], streams[2][k]) for k in ("ego", "third", "thermal"))
    streams.set_epoch(1)
    assert not torch.equal(first["ego"], streams[2]["ego"])
    other = Streams(Recorded(), 35, seed=6)
    assert not torch.equal(first["ego"], other[2]["ego"])
    assert torch.equal(first["activity"], streams[2]["activity"])


def test_a_clip_is_mirrored_as_a_whole_or_not_at_all():
    clips = Recorded(16)
    turned = 0
    streams = Streams(clips, 35, seed=0)
    for i in range(16):
        same = torch.equal(streams[i]["thermal"], clips[i]["thermal"])
        assert same or torch.equal(streams[i]["thermal"], clips[i]["thermal"].flip(-1))
        turned += not same
    assert 3 < turned < 13


def test_all_frames_of_a_view_have_the_same_window_and_colours_of_their_own():
    frames = torch.arange(40, dtype=torch.uint8).expand(6, 3, 40, 40)
    window = cropped(frames, 35, torch.Generator().manual_seed(1))
    assert window.shape == (6, 3, 35, 35)
    assert (window == window[:1]).all()
    flat = torch.tensor([200, 100, 50], dtype=torch.uint8)[None, :, None, None].expand(40, 3, 4, 4)
    colours = recoloured(flat, torch.Generator().manual_seed(0))[:, :, 0, 0].float()
    grey = (colours.amax(1) - colours.amin(1)) <= 1
    assert 10 < grey.sum() < 30
    assert len(colours.unique(dim=0)) > 30


def test_kept_clips_are_read_once():
    clips = Recorded()
    streams = Streams(clips, 35, seed=0, megabytes=100)
    for _ in range(3):
        streams[0], streams[1]
    assert clips.read == 2


def test_held_out_activities_are_not_trained_on():
    streams = Streams(Recorded(), 35, held_out=("a1", "a3"))
    assert len(streams) == 4
    assert {int(streams[i]["activity"]) for i in range(4)} == {0, 2}
    assert [int(streams.labels(i)["activity"]) for i in range(4)] == [int(streams[i]["activity"]) for i in range(4)]
    with pytest.raises(ConfigError, match="did you mean 'a3'"):
        Streams(Recorded(), 35, held_out=("a33",))


def test_what_a_dataset_must_have_is_told_with_the_remedy(monkeypatch):
    asked = []

    def clips(root, split, ask):
        asked.append((root, split, ask))
        return Recorded()

    monkeypatch.setattr(data, "Clips", clips)
    streams = ccau.open_split("home", "train", CONFIG, TrainConfig(seed=3))
    assert (streams.seed, streams.activities) == (3, ("a0", "a1", "a2", "a3"))
    assert asked[-1][2].at == "activity"
    assert ccau.open_split("home", "test", CONFIG).seed is None
    assert asked[-1][2].stride_ns == CONFIG.steps * 75_000_000
    with pytest.raises(
        ConfigError, match=r"ccau\.activities must be 4 for these clips \(--set ccau\.activities=4\), not 9"
    ):
        ccau.open_split("home", "train", replace(CONFIG, activities=9))
    monkeypatch.setitem(INFO["vocabulary"], "atomic", [])
    with pytest.raises(ConfigError, match=r"no labels of the tier 'atomic'; leave it out of ccau\.tasks"):
        ccau.open_split("home", "train", CONFIG)
    ccau.open_split("home", "train", replace(CONFIG, tasks="activity"))
    ccau.open_split("home", "train", replace(CONFIG, stage="predict", predicted=1))
    assert asked[-1][2].at == "every"


def test_a_folder_that_is_no_dataset_is_a_sentence(tmp_path):
    with pytest.raises(SessionError):
        ccau.open_split(str(tmp_path), "train", CONFIG)


def test_truth_reads_no_pictures():
    clips = Recorded()
    truth = ccau.truth(Streams(clips, 35))
    assert clips.read == 0
    assert truth.activity.tolist() == [0, 1, 2, 3] * 2
    assert truth.atomic.shape == (8, 5)
    assert truth.session.tolist() == ["s0", "s0", "s1", "s1", "s2", "s2", "s3", "s3"]
