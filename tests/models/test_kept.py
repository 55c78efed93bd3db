"""Kept clips are decoded once, stay within their memory, and are augmented as if they were not kept."""

from __future__ import annotations

import torch
from made_clips import MadeClips

from ingest.transforms import augment, clip_seed
from models.kept import KeptClips


class Counting(MadeClips):
    """Counts how often a clip is decoded."""

    def __init__(self, n):
        super().__init__(n)
        self.decoded = []

    def __getitem__(self, index):
        self.decoded.append(index)
        return super().__getitem__(index)


def test_same_items_as_without_keeping_and_each_decoded_once():
    clips = Counting(3)
    kept = KeptClips(clips, seed=5, megabytes=1)
    for epoch in (0, 1):
        kept.set_epoch(epoch)
        for index in (0, 2, 1):
            expected = augment(MadeClips(3)[index], clip_seed(5, epoch, index))
            item = kept[index]
            assert torch.equal(item["frames"], expected["frames"])
            assert torch.equal(item["key"], expected["key"])
            assert torch.equal(item["move"], expected["move"])
    assert sorted(clips.decoded) == [0, 1, 2]


def test_what_does_not_fit_is_decoded_each_time():
    clips = Counting(100)  # 15 kB of frames each
    kept = KeptClips(clips, seed=5, megabytes=1)
    for _ in range(2):
        for index in range(100):
            kept[index]
    fitting = 1_000_000 // clips[0]["frames"].nbytes
    assert len(clips.decoded) - 1 == 200 - fitting


def test_two_views_are_views_of_the_first_frame_of_which_neither_is_the_other():
    kept = KeptClips(MadeClips(3), seed=5, megabytes=0, two_views=True)
    item = kept[1]
    plain = KeptClips(MadeClips(3), seed=5, megabytes=0)[1]
    assert torch.equal(item["key"], plain["key"])
    assert not torch.equal(item["query"], plain["query"])
    assert not torch.equal(item["query"], item["key"])
    assert torch.equal(item["query"], kept[1]["query"])
