"""What a report shows beside the measures, of made clips."""

from __future__ import annotations

import dataclasses
import json
from types import SimpleNamespace

import pytest
import torch
from made_streams import SMALL, MadeStreams

from models import evaluate
from models.ccau import PRESETS, Model, after


@pytest.fixture(scope="module")
def made():
    """A model of two streams, and what it says of twelve clips."""
    net = dataclasses.replace(PRESETS["tiny"]().net, **SMALL | {"modalities": ("third", "audio")})
    torch.manual_seed(0)
    model, clips = Model(net), MadeStreams(net, 12)
    return net, model, clips, evaluate.predict(model, clips, torch.device("cpu"))


def test_contexts_are_laid_out_with_a_dot_a_clip_and_attention_is_shown(made, tmp_path):
    net, model, clips, said = made
    plane, *attended = after.illustrate(tmp_path, SimpleNamespace(net=net), model, clips, said)
    assert plane.count("<circle") == 12
    assert "Contexts of third by t-SNE" in plane
    assert attended
    assert all("data:image/png;base64," in figure for figure in attended)
    assert not list(tmp_path.iterdir())


def test_few_clips_are_not_laid_out(made):
    net, _, clips, said = made
    few = {name: value.copy() for name, value in said.items()}
    few["third.present"][after.FEWEST - 1 :] = 0
    plane = next(after._plane(clips, few, net.modalities))
    assert "Contexts of audio" in plane


def test_what_was_held_out_is_told_from_a_few_clips(made, tmp_path, monkeypatch):
    net, model, clips, said = made
    config = SimpleNamespace(
        net=dataclasses.replace(net, held_out=("activity 1",)), data="", train=SimpleNamespace(device="cpu")
    )
    monkeypatch.setattr(after, "open_split", lambda *_: MadeStreams(net, 12, seed=1))
    *_, shots = after.illustrate(tmp_path, config, model, clips, said)
    assert "Of activity 1, which were not learned" in shots
    scores = json.loads((tmp_path / "few_shot.json").read_text())
    assert {score["shots"] for score in scores["third"]} == {1, 5, 10, 20}
