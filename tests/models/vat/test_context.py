"""The made task of `tests.bench.context`, small: what is in the clips, and that attention finds what the box lacks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.synthetic.vat import CLASSES, OBJECT, PERSON, scenes
from tests.bench import context


def test_every_clip_says_its_labels_and_the_box_says_only_the_first():
    made = scenes(300, torch.Generator().manual_seed(0))
    for k in range(300):
        x1, y1, x2, y2 = (made.boxes[k, 0] * 9).round().int().tolist()
        maps = made.maps[k]
        own = int(maps[PERSON.start + 1, :, y1 : y2 + 1, x1 : x2 + 1].mean() > 0.5)
        step, row, column = np.unravel_index(int(maps[OBJECT.start].argmax()), (4, 10, 10))
        told = int(maps[OBJECT.start + 2, step, row, column] > 1)
        assert column < x1 - 1 or column > x2 + 1
        expected = [own, own & told, own ^ told, int(column > x2)]
        assert made.labels[k, 0].tolist() == expected
        assert maps[OBJECT][:, :, y1 : y2 + 1, x1 : x2 + 1].max() < 0.6
    for name, rate in zip(CLASSES, (0.5, 0.25, 0.5, 0.5), strict=True):
        assert made.labels[:, 0, CLASSES.index(name)].mean() == pytest.approx(rate, abs=0.1)


def test_rules_of_the_benchmark_can_fail():
    right = {"I3D head": [1, 0.5, 0.5, 0.5], "Tx, no location": [1, 1, 1, 0.5], "Tx": [1, 1, 1, 1]}
    found = {arm: dict(zip(CLASSES, map(float, values), strict=True)) for arm, values in right.items()}
    assert context.faults(found) == []
    found["Tx"]["both"] = 0.7
    found["Tx, no location"]["right"] = 0.6
    found["I3D head"]["own"] = 0.9
    assert len(context.faults(found)) == 3


def test_attention_finds_what_the_box_does_not_show_but_not_where_it_stands():
    config = replace(context.ARMS["Tx, no location"], heads=1)
    found = context.measured(context.trained(config, 260, seed=0, lr=4e-3, batch=32), seed=0)
    assert found["both"] > 0.85  # a head that sees the box alone reaches 0.5
    assert found["either"] > 0.85
    assert found["right"] < 0.6
