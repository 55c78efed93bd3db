"""Muscles against plain references in float64, its counts, its masks and the contrastive side task."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from made_clips import MadeClips
from test_resnet import conv, lived_in, maps, plain
from torch.utils.data import default_collate

import models
from firmware_host.errors import ConfigError
from models import muscles
from models.muscles import GROUPS, Config, Model
from models.muscles import config as presets
from models.muscles.contrast import Queue, contrastive_loss, embedded
from models.muscles.data import WithoutParts
from models.muscles.losses import gaze_loss, move_loss
from models.resnet import normalised

CONV = "imu_pointwise_conv.0."
SMALL = Config(size=33, frames=3, widths=(2, 3, 3, 4), channels=2, hidden=5, layers=2, unembed=4, embedding=6, queue=8)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm(x, state, name, layers, start=None):
    """An LSTM over (T, D): gates in the order input, forget, cell, output. Gives outputs and (h, c) per layer."""
    end = []
    for layer in range(layers):
        w, u = state[f"{name}.weight_ih_l{layer}"], state[f"{name}.weight_hh_l{layer}"]
        bias = state[f"{name}.bias_ih_l{layer}"] + state[f"{name}.bias_hh_l{layer}"]
        h, c = start[layer] if start else (np.zeros(u.shape[1]), np.zeros(u.shape[1]))
        rows = []
        for row in x:
            i, f, g, o = np.split(w @ row + u @ h + bias, 4)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
            rows.append(h)
        x, end = np.array(rows), [*end, (h, c)]
    return x, end


def leaky(x):
    return np.where(x > 0, x, 0.01 * x)


def branch(features, state, pointwise, encoder, decoder, head, layers):
    """One task for one clip: features (T, C, h, w) -> (T, outputs)."""
    sequence = []
    for feature in features:
        cells = conv(feature, state[f"{pointwise}.0.weight"], 1, 0)
        sequence.append(leaky(cells + state[f"{pointwise}.0.bias"][:, None, None]).ravel())
    _, end = lstm(sequence, state, encoder, layers)
    states, _ = lstm(sequence, state, decoder, layers, start=end)
    hidden = leaky(states @ state[f"{head}.0.0.weight"].T + state[f"{head}.0.0.bias"])
    return hidden @ state[f"{head}.1.0.weight"].T + state[f"{head}.1.0.bias"]


def scaled(frames):
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    return (frames - mean[:, None, None]) / deviation[:, None, None]


def outputs(frames, state, layers, shared=False):
    """The published forward pass for one clip (T, 3, S, S) in [0, 1]; the authors share one 1x1 convolution."""
    features = [maps(scaled(frame), state, "feature_extractor.resnet.") for frame in frames]
    gaze = branch(features, state, "pointwise_conv", "lstm", "decoder_lstm", "gaze_unembed", layers)
    conv_of_move = "pointwise_conv" if shared else "imu_pointwise_conv"
    move = branch(features, state, conv_of_move, "imu_lstm", "imu_decoder_lstm", "imu_unembed", layers)
    return gaze, move


def batch_of(config, clips=4, seed=0):
    rng = torch.Generator().manual_seed(seed)
    shape = (clips, config.frames)

    def rand(*size):
        return torch.rand(*size, generator=rng)

    return {
        "frames": rand(*shape, 3, config.size, config.size),
        "gaze": rand(*shape, 2),
        "gaze_valid": rand(*shape) > 0.3,
        "move": (rand(*shape, config.groups) > 0.5).float(),
        "move_valid": rand(*shape, config.groups) > 0.3,
        "query": rand(clips, 3, config.size, config.size),
        "key": rand(clips, 3, config.size, config.size),
    }


def parameters(module, trained=False):
    return sum(p.numel() for p in module.parameters() if p.requires_grad or not trained)


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


def huber(error):
    return error**2 / 2 if abs(error) < 1 else abs(error) - 0.5


def test_gaze_loss_equals_loops_and_ignores_missing_gaze():
    rng = np.random.default_rng(0)
    predicted, gaze = rng.normal(0, 2, (3, 4, 2)), rng.random((3, 4, 2))
    valid = rng.random((3, 4)) > 0.4
    gaze[~valid] = np.nan
    errors = [
        huber(predicted[b, t, k] - gaze[b, t, k]) for b in range(3) for t in range(4) for k in range(2) if valid[b, t]
    ]
    leaf = torch.from_numpy(predicted).float().requires_grad_()
    loss = gaze_loss(leaf, torch.from_numpy(gaze).float(), torch.from_numpy(valid))
    assert loss.item() == pytest.approx(np.mean(errors), abs=1e-6)
    loss.backward()
    assert (leaf.grad[~torch.from_numpy(valid)] == 0).all()


def test_move_loss_equals_loops_and_ignores_grey_labels():
    rng = np.random.default_rng(1)
    logits, move = rng.normal(0, 3, (2, 3, 6)), (rng.random((2, 3, 6)) > 0.5).astype(float)
    valid = rng.random((2, 3, 6)) > 0.4
    each = []
    for index in np.argwhere(valid):
        p, y = sigmoid(logits[tuple(index)]), move[tuple(index)]
        each.append(-(y * math.log(p) + (1 - y) * math.log(1 - p)))
    loss = move_loss(torch.tensor(logits).float(), torch.tensor(move).float(), torch.from_numpy(valid))
    assert loss.item() == pytest.approx(np.mean(each), abs=1e-6)


def test_a_batch_without_labels_has_loss_zero_and_finite_gradients():
    model = Model(SMALL)
    batch = batch_of(SMALL) | {"gaze": torch.full((4, 3, 2), math.nan)}
    batch["gaze_valid"][:], batch["move_valid"][:] = False, False
    loss, terms = model.loss(batch)
    assert terms["gaze"].item() == 0
    assert terms["move"].item() == 0
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_contrastive_loss_equals_loops():
    rng = np.random.default_rng(2)
    query, key, memory = (rng.normal(size=(n, 5)) for n in (3, 3, 7))
    query, key = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (query, key))
    expected = []
    for q, k in zip(query, key, strict=True):
        positive = math.exp(q @ k / 0.07)
        expected.append(-math.log(positive / (positive + sum(math.exp(q @ m / 0.07) for m in memory))))
    loss = contrastive_loss(*(torch.from_numpy(x) for x in (query, key, memory)), 0.07)
    assert loss.item() == pytest.approx(np.mean(expected), abs=1e-6)
    with torch.autocast("cpu", torch.bfloat16):
        loss = contrastive_loss(*(torch.from_numpy(x).float() for x in (query, key, memory)), 0.07)
    assert loss.item() == pytest.approx(np.mean(expected), abs=1e-4)


def test_embeddings_have_length_one_and_equal_the_pooled_map():
    torch.manual_seed(4)
    model = lived_in(Model(SMALL))
    image = torch.rand(1, 3, 33, 33, dtype=torch.float64)
    state = plain(model)
    pooled = maps(image[0].numpy(), state, "feature_extractor.resnet.").mean((1, 2))
    expected = state["feature_linear.weight"] @ pooled + state["feature_linear.bias"]
    embedding = embedded(model.feature_extractor(image[:, None])[:, 0], model.feature_linear)[0].detach().numpy()
    np.testing.assert_allclose(embedding, expected / np.linalg.norm(expected), atol=1e-6)


def test_queue_is_a_ring():
    queue = Queue(5, 2)
    spread = math.sqrt(3 / 2)
    assert queue.memory.abs().max() <= spread
    rows = torch.arange(16.0).view(8, 2)
    queue.push(rows[:3])
    queue.push(rows[3:6])
    torch.testing.assert_close(queue.memory, rows[[5, 1, 2, 3, 4]])
    queue.push(rows)  # more than it holds: the last five stay
    assert {tuple(row) for row in queue.memory.tolist()} == {tuple(row) for row in rows[3:].tolist()}


def test_momentum_encoder_starts_equal_follows_slowly_and_learns_nothing_itself():
    torch.manual_seed(5)
    model = Model(replace(SMALL, momentum=0.9, dropout=0.0))
    name = "resnet.layer3.0.conv1.weight"
    own = dict(model.feature_extractor.named_parameters())[name]
    copy = dict(model.moco_feature_extractor.named_parameters())[name]
    torch.testing.assert_close(copy, own)
    before = copy.clone()
    model.loss(batch_of(SMALL))[0].backward()
    assert copy.grad is None
    with torch.no_grad():
        own += 1
    model.after_step()
    torch.testing.assert_close(copy.detach(), 0.9 * before + 0.1 * own.detach())
    assert model.contrast.pointer == 4


def test_accumulated_batches_see_the_same_queue_and_all_their_keys_are_kept():
    model = Model(SMALL)
    queue = model.contrast.memory.clone()
    model.loss(batch_of(SMALL, 2, seed=1))
    model.loss(batch_of(SMALL, 2, seed=2))
    torch.testing.assert_close(model.contrast.memory, queue)
    model.after_step()
    assert model.contrast.pointer == 4
    torch.testing.assert_close(model.contrast.memory[:4].norm(dim=1), torch.ones(4))
    model.eval().loss(batch_of(SMALL, 2, seed=3))
    model.loss(batch_of(SMALL, 2, seed=3))
    assert model._keys == []  # measuring leaves no trace


@pytest.mark.parametrize(
    ("objectives", "terms"),
    [
        ("attn", {"gaze"}),
        ("move/attn", {"move", "gaze"}),
        ("vis", {"visual"}),
        ("vis/attn", {"visual", "gaze"}),
        ("vis/move", {"visual", "move"}),
        ("vis/move/attn", {"visual", "move", "gaze"}),
        ("move", {"move"}),
    ],
)
def test_objectives_build_and_train_only_their_parts(objectives, terms):
    config = replace(SMALL, objectives=objectives, visual_weight=2.0, gaze_weight=3.0, move_weight=5.0)
    model = Model(config)
    loss, losses = model.loss(batch_of(SMALL))
    assert set(losses) == terms
    weighted = {"visual": 2.0, "gaze": 3.0, "move": 5.0}
    torch.testing.assert_close(loss, sum(weighted[name] * value for name, value in losses.items()))
    loss.backward()
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)  # nothing idle


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


def test_the_query_is_the_first_frame_of_the_clip_read_once():
    torch.manual_seed(8)
    model = lived_in(Model(SMALL)).float()
    batch = batch_of(SMALL)
    runs = []
    model.feature_extractor.register_forward_hook(lambda *_: runs.append(1))
    loss, terms = model.loss(batch)
    assert len(runs) == 1
    query = embedded(model.feature_extractor(normalised(batch["frames"][:, :1]))[:, 0], model.feature_linear)
    key = model._key(batch["key"])
    expected = contrastive_loss(query, key, model.contrast.memory, SMALL.temperature)
    torch.testing.assert_close(terms["visual"], expected, atol=1e-5, rtol=1e-5)
    other = batch | {"query": torch.zeros_like(batch["query"])}
    torch.testing.assert_close(model.loss(other)[0], loss)


def test_vis_alone_reads_two_views_and_no_clip():
    model = Model(replace(SMALL, objectives="vis", two_views=True)).eval()
    batch = batch_of(SMALL)
    loss, terms = model.loss({name: batch[name] for name in ("query", "key")})
    assert set(terms) == {"visual"}
    assert not torch.equal(loss, model.loss(batch | {"query": batch["key"]})[0])


def test_rebuilding_equals_loops():
    torch.manual_seed(9)
    model = lived_in(Model(replace(SMALL, size=64, visual="rebuild", objectives="vis")))
    state, image = plain(model), torch.rand(1, 3, 64, 64, dtype=torch.float64)
    x = maps(scaled(image[0].numpy()), state, "feature_extractor.resnet.")
    name = "builder.pointwise_conv.0"
    x = leaky(conv(x, state[f"{name}.weight"], 1, 0) + state[f"{name}.bias"][:, None, None])
    for stage, factor in enumerate((2, 2, 2, 1, 1), start=1):
        name = f"builder.up{stage}.0"
        x = conv(x, state[f"{name}.weight"], 1, 1) + state[f"{name}.bias"][:, None, None]
        out = np.zeros((len(x) // factor**2, factor * x.shape[1], factor * x.shape[2]))
        for k, channel in enumerate(x):  # sub-pixels: channel c*f*f + i*f + j is cell (i, j) of channel c
            c, i, j = k // factor**2, k % factor**2 // factor, k % factor
            out[c, i::factor, j::factor] = channel
        x = out if stage == 5 else leaky(out)
    small = scaled(image[0].numpy()).reshape(3, 16, 4, 16, 4).mean((2, 4))
    loss, terms = model.loss({"query": image})
    assert terms["visual"].item() == pytest.approx(((x - small) ** 2).mean(), abs=1e-6)
    assert loss.item() == pytest.approx(0.09 * terms["visual"].item(), abs=1e-6)


def test_rebuilding_at_full_size_gives_56_pixels_of_every_frame():
    with torch.device("meta"):
        model = Model(Config(visual="rebuild"))
        assert model.builder(torch.empty(10, 512, 7, 7)).shape == (10, 3, 56, 56)
    assert set(Model(replace(SMALL, visual="rebuild")).loss(batch_of(SMALL))[1]) == {"visual", "gaze", "move"}


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


@pytest.mark.parametrize("group", GROUPS)
def test_an_ignored_part_teaches_nothing_and_is_not_measured(group):
    clips = WithoutParts(MadeClips(6), (group,))
    column = GROUPS.index(group)
    truth = muscles.truth(clips)
    assert not truth.move_valid[..., column].any()
    others = [i for i in range(6) if i != column]
    np.testing.assert_array_equal(truth.move_valid[..., others], muscles.truth(clips.clips).move_valid[..., others])
    batch = {k: v for k, v in default_collate([clips[i] for i in range(6)]).items() if isinstance(v, torch.Tensor)}
    model = Model(replace(SMALL, size=32, frames=5, objectives="move"))
    model.loss(batch)[0].backward()
    last = model.imu_unembed[1][0].bias.grad
    assert last[column] == 0
    assert (last[others] != 0).all()


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


def test_truth_is_the_labels_of_every_clip_in_order():
    clips = MadeClips(6)
    truth = muscles.truth(clips)
    assert truth.move.shape == truth.move_valid.shape == (6, 5, 6)
    np.testing.assert_array_equal(truth.gaze[4], clips[4]["gaze"])
    np.testing.assert_array_equal(truth.gaze_valid[3], clips[3]["gaze_valid"])
    assert truth.session.tolist() == [clips[i]["session"] for i in range(6)]
    assert muscles.truth(MadeClips(0)).move_valid.shape == (0, 5, 6)


@pytest.mark.parametrize(
    ("change", "sentence"), [({"frames": 4}, "frames must be 5"), ({"groups": 3}, "groups must be 6")]
)
def test_clips_that_do_not_fit_the_model_are_refused(change, sentence):
    with pytest.raises(ConfigError, match=f"muscles.{sentence}"):
        muscles.open_split("nowhere", "train", replace(SMALL, **({"frames": 5} | change)))


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
