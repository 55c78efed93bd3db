import shutil
from dataclasses import dataclass

import numpy as np
import pyarrow.parquet as pq
import pytest
from planted import GUEST, SECOND, T0, number_in

from firmware_host.errors import ConfigError
from ingest.ask import Ask, shapes
from ingest.dataset import Clips
from ingest.features import store


@dataclass
class Numbered:
    """A backbone whose scene is the painted number of the middle frame, and whose person is the box."""

    frames: int = 3
    step_ns: int = SECOND // 15
    size: int = 40
    dims: int = 5
    key: str = "one"
    clips: int = 0

    def __call__(self, frames, boxes):
        self.clips += 1
        number = number_in(frames[1].transpose(1, 2, 0))
        return np.full(5, number, np.float32), np.pad(boxes, ((0, 0), (0, 1)), constant_values=number)


def test_features_are_of_their_moment_and_their_box_and_come_back_in_clips(built):
    root = built.out.parent / "featured"
    shutil.copytree(built.out, root)
    backbone = Numbered()
    made = store(root, "numbers", backbone, every_ns=SECOND // 2)
    features: dict[str, dict] = {}
    for r in pq.read_table(root / "features/numbers.parquet").to_pylist():
        features.setdefault(r["session"], {})[r["t_ns"], r["actor"]] = r["x"]
    assert made["sessions"] == 4
    ask = Ask(
        ("boxes", "features", "tracks"),
        at="boxes",
        frames=3,
        keyframes=3,
        keyframe_step_ns=SECOND // 2,
        features="numbers",
    )
    clips = Clips(root, "train", ask)
    expected = shapes(ask, clips.dataset.info, dims=5)
    found = 0
    for i in range(0, len(clips) // 2):
        item = clips[i]
        assert {k: tuple(item[k].shape) for k in expected} == {k: shape for k, (shape, _) in expected.items()}
        key_ns = int(item["t_ns"]) + ask.step_ns
        for k in range(3):
            at_s = (key_ns + (k - 1) * SECOND // 2 - T0) / SECOND
            if item["scene_features_valid"][k]:
                assert float(item["scene_features"][k, 0]) == pytest.approx(15 * at_s, abs=15 * 0.26)
            else:
                assert not item["scene_features"][k].any()
        people = sorted([item["participant"], GUEST])
        near = min((t for t, _ in features[item["session"]]), key=lambda t: (abs(t - key_ns), t))
        for p in range(8):
            if item["person_features_valid"][1, p] and item["box_valid"][p]:
                found += 1
                expected_x = features[item["session"]][near, people[int(item["box_person"][p])]]
                assert item["person_features"][1, p].tolist() == expected_x
        assert item["appearance_valid"][0].any()
    assert found >= 5
    assert GUEST in clips.dataset.rows.of("features/numbers", "s-anna")["actor"].to_pylist()


def test_what_is_stored_is_not_computed_again_and_other_weights_are(built):
    root = built.out.parent / "featured-twice"
    shutil.copytree(built.out, root)
    first = Numbered()
    store(root, "numbers", first)
    before = (root / "features" / "numbers.parquet").read_bytes()
    again = Numbered()
    store(root, "numbers", again)
    assert (again.clips, (root / "features" / "numbers.parquet").read_bytes()) == (0, before)
    other = Numbered(key="two")
    store(root, "numbers", other)
    assert other.clips == first.clips > 0
    with pytest.raises(ConfigError, match="cannot name features"):
        store(root, "../numbers", other)
