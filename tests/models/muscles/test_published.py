"""Muscles as it was published: forward pass, counts, presets, names."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from plain_muscles import SMALL, batch_of, leaky, lstm, outputs, parameters, scaled
from test_resnet import conv, lived_in, maps, plain

import models
from firmware_host.errors import ConfigError
from models import muscles
from models.muscles import Config, Model
from models.muscles import config as presets
from models.muscles.contrast import embedded
from models.resnet import normalised

CONV = "imu_pointwise_conv.0."


def test_counts_of_the_paper_size():
    with torch.device("meta"):
        model = Model(Config())
    assert parameters(model) == 69_364_208
    assert parameters(model, trained=True) == 58_122_032
    assert parameters(model.imu_pointwise_conv) == 32_832
    for name in ("lstm", "decoder_lstm", "imu_lstm", "imu_decoder_lstm"):
        assert parameters(getattr(model, name)) == 11_677_696


def test_shape_table_of_the_docstring():
    with torch.device("meta"):
        model = Model(Config())
        frames = torch.empty(2, 5, 3, 224, 224)
        assert model.feature_extractor(frames).shape == (2, 5, 512, 7, 7)
        assert Config().cells * Config().channels == 3136
        predicted = model(frames)
        embedding = embedded(model.feature_extractor(frames)[:, 0], model.feature_linear)
    assert predicted["gaze"].shape == (2, 5, 2)
    assert predicted["move"].shape == (2, 5, 6)
    assert embedding.shape == (2, 128)


def test_tiny_is_tiny():
    assert parameters(Model(presets.tiny().net)) <= 2_000_000


def test_forward_equals_plain_reference():
    torch.manual_seed(0)
    model = lived_in(Model(SMALL))
    frames = torch.rand(2, 3, 3, 33, 33, dtype=torch.float64)
    predicted = model(frames)
    for clip in range(2):
        gaze, move = outputs(frames[clip].numpy(), plain(model), SMALL.layers)
        np.testing.assert_allclose(predicted["gaze"][clip].detach().numpy(), gaze, atol=1e-6)
        np.testing.assert_allclose(predicted["move"][clip].detach().numpy(), move, atol=1e-6)


def test_difference_gives_the_step_from_the_frame_before():
    model = Model(replace(SMALL, difference=True)).eval()
    seen = []
    model.feature_extractor.resnet.conv1.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    frames = torch.rand(1, 3, 3, 33, 33)
    model(frames)
    given, x = seen[0], normalised(frames)[0]
    torch.testing.assert_close(given[:, :3], x)
    torch.testing.assert_close(given[1:, 3:], x[1:] - x[:-1])
    assert (given[0, 3:] == 0).all()


def test_bytes_and_fractions_are_the_same_picture():
    model = Model(SMALL).eval()
    frames = torch.randint(0, 256, (1, 3, 3, 33, 33), dtype=torch.uint8)
    torch.testing.assert_close(model(frames)["gaze"], model(frames.float() / 255)["gaze"])


def test_presets_differ_as_the_paper_and_its_code_do():
    code, printed = presets.default().net, presets.paper().net
    assert (code.visual_weight, code.gaze_weight, code.move_weight) == (0.09, 0.9, 0.009)
    assert (printed.visual_weight, printed.gaze_weight, printed.move_weight) == (0.9, 0.09, 0.01)
    assert presets.paper().train.weight_decay == 0.1
    weights = {name: muscles.PRESETS[name]().net for name in ("attn", "move", "rebuild")}
    assert (weights["attn"].visual_weight, weights["attn"].gaze_weight) == (0.1, 0.9)
    assert (weights["move"].visual_weight, weights["move"].move_weight) == (0.95, 0.5)
    assert (weights["rebuild"].visual_weight, weights["rebuild"].gaze_weight, weights["rebuild"].move_weight) == (
        0.48, 0.48, 0.04,
    )  # fmt: skip
    baseline = muscles.PRESETS["moco"]()
    assert (baseline.train.optimizer, baseline.train.lr, baseline.train.weight_decay) == ("sgd", 0.03, 1e-4)
    assert (baseline.train.schedule, baseline.net.two_views) == ("fifths", True)


def test_movement_from_frames_and_gaze_equals_plain_reference_and_has_its_count():
    with torch.device("meta"):
        full = Model(Config(objectives="move", gaze_input=True))
    assert parameters(full.imu_lstm) == parameters(full.imu_decoder_lstm) == 12_726_272
    torch.manual_seed(10)
    config = replace(SMALL, objectives="move", gaze_input=True)
    model = lived_in(Model(config))
    batch = {name: value.double() if value.is_floating_point() else value for name, value in batch_of(config).items()}
    predicted, state = model.predict(batch)["move"], plain(model)
    for clip in range(2):
        sequence = []
        for t, frame in enumerate(batch["frames"][clip].numpy()):
            cells = conv(maps(scaled(frame), state, "feature_extractor.resnet."), state[CONV + "weight"], 1, 0)
            cells = leaky(cells + state[CONV + "bias"][:, None, None]).ravel()
            gaze = batch["gaze"][clip, t].numpy() if batch["gaze_valid"][clip, t] else np.array([-1.0, -1.0])
            hidden = leaky(state["gaze_embed.0.0.weight"] @ gaze + state["gaze_embed.0.0.bias"])
            gaze = state["gaze_embed.1.0.weight"] @ hidden + state["gaze_embed.1.0.bias"]
            sequence.append(np.concatenate([cells, gaze]))
        _, end = lstm(sequence, state, "imu_lstm", config.layers)
        states, _ = lstm(sequence, state, "imu_decoder_lstm", config.layers, start=end)
        hidden = leaky(states @ state["imu_unembed.0.0.weight"].T + state["imu_unembed.0.0.bias"])
        move = hidden @ state["imu_unembed.1.0.weight"].T + state["imu_unembed.1.0.bias"]
        np.testing.assert_allclose(predicted[clip].detach().numpy(), move, atol=1e-6)


def test_gaze_under_a_false_changes_nothing():
    config = replace(SMALL, objectives="move", gaze_input=True)
    model, batch = Model(config).eval(), batch_of(config)
    strange = batch | {"gaze": torch.where(batch["gaze_valid"][..., None], batch["gaze"], math.nan)}
    torch.testing.assert_close(model.predict(strange)["move"], model.predict(batch)["move"])


def test_published_weights_of_the_model_that_reads_gaze():
    config = vars(replace(SMALL, objectives="move", gaze_input=True))
    source = Model(Config(**config)).eval()
    theirs = {"imu_lstm": "lstm", "imu_decoder_lstm": "decoder_lstm", "imu_unembed": "imu_moves_unembed"}
    theirs["imu_pointwise_conv"] = "pointwise_conv"
    published = {"module.embedding_input.weight": torch.zeros(2, 2)}
    for name, tensor in source.state_dict().items():
        part, _, rest = name.partition(".")
        published[f"module.{theirs.get(part, part)}.{rest}"] = tensor
    loaded = models.load_reference("muscles", published, **config)
    frames, gaze = torch.rand(1, 3, 3, 33, 33), torch.rand(1, 3, 2)
    torch.testing.assert_close(loaded(frames, gaze)["move"], source(frames, gaze.flip(-1))["move"])  # theirs is (y, x)


def test_published_weights_load_by_their_names():
    """The authors' file: one shared 1x1 convolution, an idle one, gaze as (y, x), no queue pointer."""
    torch.manual_seed(6)
    source = lived_in(Model(SMALL))
    published = {f"module.{k}": v for k, v in source.state_dict().items() if k != "contrast.pointer"}
    published["module.contrast.params"] = torch.tensor([-1])
    loaded = models.load_reference("muscles", published, **vars(SMALL)).double()
    frames = torch.rand(1, 3, 3, 33, 33, dtype=torch.float64)
    gaze_yx, move = outputs(frames[0].numpy(), plain(source), SMALL.layers, shared=True)
    predicted = loaded(frames)
    np.testing.assert_allclose(predicted["move"][0].detach().numpy(), move, atol=1e-6)
    np.testing.assert_allclose(predicted["gaze"][0].detach().numpy(), gaze_yx[:, ::-1], atol=1e-6)


def test_published_names_that_are_absent_or_strange_are_told():
    published = Model(SMALL).state_dict()
    del published["decoder_lstm.weight_hh_l1"]
    published["scene_unembed.weight"] = torch.zeros(1)
    with pytest.raises(ConfigError, match=r"missing decoder_lstm.weight_hh_l1; unexpected scene_unembed.weight"):
        models.load_reference("muscles", published, **vars(SMALL))


@pytest.mark.parametrize(
    "change",
    [
        {"visual": "rebuilt"},
        {"ignored": ("tail",)},
        {"gaze_input": True},
        {"two_views": True},
        {"dropout": 1.0},
        {"widths": (1, 2)},
        {"objectives": "vis/gaze"},
        {"objectives": "vis/vis"},
        {"queue": 0},
    ],
)
def test_impossible_configurations_name_the_field(change):
    with pytest.raises(ConfigError, match=rf"muscles\.{next(iter(change))}"):
        replace(SMALL, **change)
