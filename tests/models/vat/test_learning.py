"""The tiny preset learns, from random weights, to find people and to say what they do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from made_scenes import MadeScenes
from torch.utils.data import DataLoader

from models import vat
from models.config import RunConfig
from models.evaluate import predict
from models.process import Place
from models.train import Run
from models.vat.data import Scenes


@pytest.mark.slow
def test_it_says_what_people_do_who_were_boxed():
    start = vat.PRESETS["tiny"]()
    net = replace(start.net, size=64, frames=4, test_frames=4, actions=3, base=32, dropout=0.0, rois="truth")
    config = RunConfig("vat", "tiny", "made", net, replace(start.train, steps=75, device="cpu"))
    torch.manual_seed(0)
    run = Run(config, Scenes(MadeScenes(256, frames=4, size=64), net), Place(0, 1, torch.device("cpu")))
    batches = run.batches()
    losses = [run.advance(batches)["loss"] for _ in range(config.train.steps)]
    assert np.mean(losses[-20:]) < 0.6 * np.mean(losses[:20])
    others = Scenes(MadeScenes(64, frames=4, size=64, seed=1), net)
    predicted = predict(run.model, others, torch.device("cpu"))
    (acts,) = vat.truth(others).comparisons(predicted, vat.truth(run.dataset).trivial())
    once = np.ones((1, 4))
    assert acts.own(once)["map"][0] > acts.trivial(once)["map"][0] + 0.25


def test_the_loader_makes_batches_of_its_clips():
    net = replace(vat.PRESETS["tiny"]().net, size=48, frames=4, actions=3)
    batch = next(iter(DataLoader(Scenes(MadeScenes(6, frames=4, size=55), net, seed=1), 3)))
    assert batch["third"].shape == (3, 4, 3, 48, 48)
    assert batch["boxes"].shape == (3, 3, 4)
