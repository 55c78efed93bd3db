"""What Muscles learns from pictures alone: contrast with its queue and second encoder, or rebuilding."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from plain_muscles import SMALL, batch_of, leaky, scaled
from test_resnet import conv, lived_in, maps, plain

from models.muscles import Config, Model
from models.muscles.contrast import Queue, contrastive_loss, embedded
from models.resnet import normalised


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
