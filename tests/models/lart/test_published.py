"""LART as it was published: the authors' masks, positions, counts, names and statistics."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from plain_lart import SMALL, batch_of, made, plain, plain_position, plain_state

import models
from firmware_host.errors import ConfigError
from models import lart
from models.lart import Config, Model
from models.lart.positions import positions
from models.lart.tracks import hidden_share
from models.lart.transformer import Attention, Transformer

VARIANTS = {
    "code": {},
    "paper": {"norm": "post", "learned_positions": False},
    "pose": {"inputs": "pose"},
    "all": {"inputs": "pose/joints/appearance", "joints_hidden": (6,), "joints_width": 4},
}


@pytest.mark.parametrize("change", VARIANTS.values(), ids=VARIANTS)
def test_testing_equals_the_authors_masks(change):
    """Missing detections are replaced by the mask, and only the column mask is left."""
    config = replace(SMALL, **change)
    model, batch = made(config), batch_of(config)
    predicted = model(batch)["actions"].detach().numpy()
    for clip in range(2):
        expected = plain(batch, clip, config, plain_state(model), None, training=False)
        np.testing.assert_allclose(predicted[clip], expected, atol=1e-6)


@pytest.mark.parametrize("change", VARIANTS.values(), ids=VARIANTS)
def test_training_equals_the_authors_masks_wherever_a_loss_is_taken(change):
    """There a pair mask lies over every score; one mask over the columns gives the same at every detection."""
    config = replace(SMALL, **change)
    model, batch = made(config), batch_of(config, seed=3)
    hidden = hidden_share(batch["tracks_valid"], 0.4)
    predicted = model(batch, hidden)["actions"].detach().numpy()
    for clip in range(2):
        expected = plain(batch, clip, config, plain_state(model), hidden[clip].numpy(), training=True)
        at = batch["tracks_valid"][clip].numpy()
        np.testing.assert_allclose(predicted[clip][at], expected[at], atol=1e-6)


def count(module):
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    ("sizes", "number"),
    [
        ((512, 16, 16, 64, 512), 42_000_384),
        ((512, 16, 16, 32, 2048), 50_413_568),
        ((512, 16, 16, 32, 512), 25_223_168),
        ((512, 16, 16, 64, 2048), 67_190_784),
        ((128, 16, 16, 64, 512), 10_506_240),
    ],
)
def test_counts_of_the_transformer(sizes, number):
    with torch.device("meta"):
        assert count(Transformer(*sizes)) == number


def test_counts_of_the_model():
    model = Model(Config())
    encoders = (model.pose_shape_encoder, model.joint_encoder, model.apperance_encoder)
    assert [count(e) for e in encoders] == [82_110, 133_504, 1_443_072]
    assert model.pos_embedding.numel() == 1_280_000
    assert count(model.action_head_ava) == 30_780
    assert count(model) == 44_970_362
    idle = 512 + 2 * 1_835_520 + 526_851 + 730_512  # class token, convolutions, places, Kinetics
    assert count(model) + idle == 49_899_277  # all of the authors' modules without the SMPL head


def test_presets_have_the_sizes_that_were_counted():
    def sizes(name):
        net = lart.PRESETS[name]().net
        return net.width, net.layers, net.heads, net.head, net.hidden

    assert sizes("default") == (512, 16, 16, 64, 512)
    assert sizes("paper") == (512, 16, 16, 32, 2048)
    assert sizes("pose") == (128, 16, 16, 64, 512)
    assert lart.PRESETS["paper"]().net.norm == "post"
    assert (lart.PRESETS["finetune"]().net.mask, lart.PRESETS["finetune"]().train.layer_decay) == (0.0, 0.9)


def test_shape_table_of_the_docstring():
    with torch.device("meta"):
        model = Model(replace(Config(), layers=1)).eval()
        batch = {k: v.to("meta") for k, v in batch_of(Config(), 1, 5, 125, dtype=torch.float32).items()}
        assert model._tokens(batch).shape == (1, 5, 125, 512)
        assert model.pose_shape_encoder(batch["tracks"]).shape == (1, 5, 125, 128)
        assert model.apperance_encoder(batch["appearance"]).shape == (1, 5, 125, 256)


def test_positions_of_the_code_and_of_the_paper():
    code, paper = positions(12, 6, 4, time_first=False), positions(12, 6, 4, time_first=True)
    for step in range(6):
        for track in range(4):
            np.testing.assert_allclose(paper[:, step, track], plain_position(12, step, track), atol=1e-6)
            np.testing.assert_allclose(code[:, step, track], plain_position(12, track, step), atol=1e-6)


def test_heads_need_not_add_up_to_the_width():
    assert Attention(12, 3, 7, 0.0).to_qkv.weight.shape == (63, 12)


def test_standardising_takes_the_published_statistics():
    model, batch = made(), batch_of()
    mean, deviation = torch.randn(226).double(), torch.rand(226).double() + 0.5
    model.standardise(mean[None], deviation[None])
    expected = plain(batch, 0, SMALL, plain_state(model), None, training=False)
    np.testing.assert_allclose(model(batch)["actions"][0].detach().numpy(), expected, atol=1e-9)
    assert (model.mean[226:] == 0).all()
    assert (model.deviation[226:] == 1).all()
    torch.testing.assert_close(model.mean[:226], mean)


def published(config, model):
    """A checkpoint as the authors' training writes it."""
    state = {
        f"encoder.{name}": tensor for name, tensor in model.state_dict().items() if name not in ("mean", "deviation")
    }
    state["encoder.pe"] = state["encoder.pos_embedding"]
    state["encoder.class_token"] = torch.zeros(1, 1, config.width)
    for name in ("conv_en", "conv_de", "smpl_head.0.decpose", "loca_head.0.0", "action_head_kinetics.0"):
        state[f"encoder.{name}.weight"] = torch.zeros(2, 2)
    state["smpl.shapedirs"] = torch.zeros(3)
    return state


def test_public_names_load():
    model, batch = made(), batch_of()
    loaded = models.load_reference("lart", published(SMALL, model), **vars(SMALL)).double()
    assert not loaded.training
    torch.testing.assert_close(loaded(batch)["actions"], model(batch)["actions"])
    names = set(Model(replace(SMALL, inputs="pose/joints/appearance")).state_dict())
    assert {"transformer.layers.0.0.fn.to_qkv.weight", "transformer.layers.1.1.fn.net.3.bias"} <= names
    assert {"joint_encoder.0.weight", "apperance_encoder.4.bias", "action_head_ava.0.0.weight"} <= names


def test_names_that_do_not_fit_are_told():
    state = published(SMALL, made())
    del state["encoder.transformer.layers.0.0.norm.weight"]
    state["encoder.pooler.weight"] = torch.zeros(1)
    with pytest.raises(
        ConfigError, match=r"missing transformer\.layers\.0\.0\.norm\.weight; unexpected pooler\.weight"
    ):
        models.load_reference("lart", state, **vars(SMALL))


@pytest.mark.parametrize(
    "change",
    [
        {"inputs": "pose/gaze"},
        {"inputs": "pose/pose"},
        {"norm": "both"},
        {"mask": 1.0},
        {"people": 11},
        {"weight": 0.0},
    ],
)
def test_impossible_configurations_name_the_field(change):
    with pytest.raises(ConfigError, match=rf"lart\.{next(iter(change))}"):
        replace(SMALL, **change)
