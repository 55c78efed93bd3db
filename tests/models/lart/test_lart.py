"""LART against plain float64, its counts and names, and what must not change anything."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

import models
from firmware_host.errors import ConfigError
from models import lart
from models.config import TrainConfig
from models.lart import Config, Model
from models.lart.model import openable
from models.lart.positions import positions
from models.lart.tracks import VECTOR, at_moment, hidden_share, known, order_for, random_order, rest, taken
from models.lart.transformer import Attention, Part, Transformer

SMALL = Config(
    inputs="pose/appearance",
    people=3,
    pose_hidden=(7,),
    pose_width=8,
    appearance=6,
    appearance_hidden=(5, 5),
    appearance_width=4,
    layers=2,
    heads=2,
    head=5,
    hidden=9,
    dropout=0.0,
    drop_path=0.0,
    classes=4,
)
STEPS = 5


def batch_of(config=SMALL, clips=2, tracks=3, steps=STEPS, seed=0, dtype=torch.float64):
    rng = torch.Generator().manual_seed(seed)
    valid = torch.rand(clips, tracks, steps, generator=rng) > 0.3
    valid[:, 0, 0] = True
    return {
        "tracks": torch.randn(clips, tracks, steps, VECTOR, generator=rng, dtype=dtype),
        "tracks_valid": valid,
        "appearance": torch.randn(clips, tracks, steps, config.appearance, generator=rng, dtype=dtype),
        "joints": torch.randn(clips, tracks, steps, 135, generator=rng, dtype=dtype),
        "track_actions": (torch.rand(clips, tracks, steps, config.classes, generator=rng) > 0.5).to(dtype),
    }


def made(config=SMALL, seed=1):
    torch.manual_seed(seed)
    return Model(config).double().eval()


def plain_state(model):
    return {name: tensor.detach().numpy() for name, tensor in model.state_dict().items()}


def layers_of(x, state, name):
    """Linear layers with ReLU between."""
    for k in range(0, 20, 2):
        if f"{name}.{k}.weight" not in state:
            break
        x = np.maximum(x, 0) if k else x
        x = x @ state[f"{name}.{k}.weight"].T + state[f"{name}.{k}.bias"]
    return x


def norm(x, state, name):
    scaled = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    return scaled * state[f"{name}.weight"] + state[f"{name}.bias"]


def attention(x, state, name, heads, both, column):
    """The authors' attention for one clip: scores are held, and -1000 where they must not count.

    Args:
        x: (M, width).
        both: (M,) 1 where a token has a detection; a score counts where both have.
        column: (M,) 1 where a token is masked and must not be looked at.
    """
    q, k, v = np.split(x @ state[f"{name}.to_qkv.weight"].T, 3, axis=1)
    outputs = []
    for qh, kh, vh in zip(*(np.split(part, heads, axis=1) for part in (q, k, v)), strict=True):
        scores = qh @ kh.T / math.sqrt(qh.shape[1])
        scores[np.outer(both, both) == 0] = -1e3
        scores[:, column == 1] = -1e3
        weights = np.exp(scores - scores.max(1, keepdims=True))
        outputs.append(weights / weights.sum(1, keepdims=True) @ vh)
    return np.concatenate(outputs, axis=1) @ state[f"{name}.to_out.0.weight"].T + state[f"{name}.to_out.0.bias"]


def gelu(x):
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def feed_forward(x, state, name):
    hidden = gelu(x @ state[f"{name}.net.0.weight"].T + state[f"{name}.net.0.bias"])
    return hidden @ state[f"{name}.net.3.weight"].T + state[f"{name}.net.3.bias"]


def plain(batch, clip, config, state, hidden, training):
    """Logits (N, T, A) of one clip as the authors' code computes them, in training or in testing."""
    valid = batch["tracks_valid"][clip].numpy()
    zeroed = {n: np.where(valid[..., None], batch[n][clip].numpy(), 0) for n in ("appearance", "joints")}
    vectors = (batch["tracks"][clip].numpy() - state["mean"]) / state["deviation"]
    parts = {
        "pose": ("pose_shape_encoder", np.where(valid[..., None], vectors, 0)),
        "joints": ("joint_encoder", zeroed["joints"]),
        "appearance": ("apperance_encoder", zeroed["appearance"]),
    }
    tokens = np.concatenate([layers_of(parts[p][1], state, parts[p][0]) for p in config.parts], axis=-1)
    if training:
        masked, both = valid & hidden, valid
    else:
        masked, both = ~valid, np.ones_like(valid)
    tokens[masked] = state["mask_token"]
    people, steps, width = tokens.shape
    x = np.zeros((steps * people, width))
    for t in range(steps):
        for i in range(people):
            if config.learned_positions:
                place = state["pos_embedding"][:, t, i]
            else:
                place = plain_position(width, t, i)
            x[t * people + i] = tokens[i, t] + place
    both, masked = both.T.ravel(), masked.T.ravel()
    for layer in range(config.layers):
        first, second = (f"transformer.layers.{layer}.{k}" for k in (0, 1))
        if config.norm == "pre":
            x = x + attention(norm(x, state, f"{first}.norm"), state, f"{first}.fn", config.heads, both, masked)
            x = x + feed_forward(norm(x, state, f"{second}.norm"), state, f"{second}.fn")
        else:
            x = norm(x + attention(x, state, f"{first}.fn", config.heads, both, masked), state, f"{first}.norm")
            x = norm(x + feed_forward(x, state, f"{second}.fn"), state, f"{second}.norm")
    logits = x @ state["action_head_ava.0.0.weight"].T + state["action_head_ava.0.0.bias"]
    return logits.reshape(steps, people, -1).transpose(1, 0, 2)


def plain_position(width, step, track):
    """The paper's: time in the first half."""
    place = np.zeros(width)
    for start, index in ((0, step), (width // 2, track)):
        for k in range(width // 4):
            angle = index / 10000 ** (4 * k / width)
            place[start + 2 * k], place[start + 2 * k + 1] = math.sin(angle), math.cos(angle)
    return place


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


def test_a_person_without_a_detection_changes_nothing_to_the_bit():
    model, batch = made(), batch_of()
    batch["tracks_valid"][:, 2] = False
    before = model(batch)["actions"]
    for name in ("tracks", "appearance"):
        batch[name][:, 2] = math.nan
    assert torch.equal(model(batch)["actions"][:, :2], before[:, :2])
    without = {name: value[:, :2] for name, value in batch.items()}
    torch.testing.assert_close(model(without)["actions"], before[:, :2], atol=1e-12, rtol=0)


def test_what_is_under_a_false_does_not_reach_the_gradient():
    model, batch = made(replace(SMALL, partial=True)), batch_of()
    batch["tracks_joints"] = torch.rand(2, 3, 24) > 0.3
    gone = ~batch["tracks_valid"][..., None]
    gradients = []
    for under in (0.0, math.nan):
        model.zero_grad()
        hidden = {name: torch.where(gone, under, batch[name]) for name in ("tracks", "appearance")}
        model.loss(batch | hidden)[0].backward()
        gradients.append([p.grad.clone() for p in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_steps_without_anybody_at_the_end_change_nothing():
    model, batch = made(), batch_of(steps=7)
    batch["tracks_valid"][:, :, STEPS:] = False
    short = {name: value[:, :, :STEPS] for name, value in batch.items()}
    found = model(batch)["actions"][:, :, :STEPS]
    torch.testing.assert_close(found, model(short)["actions"], atol=1e-12, rtol=0)


def test_companions_matter_only_through_the_tracks_half_of_the_position():
    config = replace(SMALL, learned_positions=True)
    model, batch = made(config), batch_of(config)
    order = torch.tensor([[0, 2, 1]] * 2)
    turned = {name: taken(value, order) for name, value in batch.items()}
    before, after = (model(b)["actions"][:, 0] for b in (batch, turned))
    assert (before - after).abs().max() > 1e-6
    with torch.no_grad():
        model.pos_embedding[:, :, 2] = model.pos_embedding[:, :, 1]
    before, after = (model(b)["actions"][:, 0] for b in (batch, turned))
    torch.testing.assert_close(before, after, atol=1e-12, rtol=0)


def test_companions_change_the_answer():
    model, batch = made(), batch_of()
    other = batch | {"tracks": batch["tracks"].clone()}
    other["tracks"][:, 1] += 1
    batch["tracks_valid"][:, 1] = True
    assert (model(batch)["actions"][:, 0] - model(other)["actions"][:, 0]).abs().max() > 1e-6


def test_a_softmax_never_runs_over_nothing():
    """Some versions of torch answer with zeros, others with no number."""
    seen = torch.tensor([[False, False], [False, True]])
    assert openable(seen).tolist() == [[True, False], [False, True]]


def test_a_clip_without_any_detection_has_a_number_and_no_loss():
    model, batch = Model(SMALL).double(), batch_of()
    batch["tracks_valid"][:] = False
    assert torch.isfinite(model(batch)["actions"]).all()
    loss, _ = model.loss(batch)
    assert loss.item() == 0
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
    assert torch.isfinite(model.eval().predict(batch)["actions"]).all()


def test_two_hundred_persons_each_have_an_answer():
    model, batch = made(replace(SMALL, layers=1)), batch_of(clips=1, tracks=200, steps=3)
    batch["tracks_valid"][:] = True
    found = model.everybody(batch)
    assert found.shape == (1, 200, 3, 4)
    assert torch.isfinite(found).all()
    torch.testing.assert_close(model.predict(batch)["actions"][:, 0], found[:, 0].mean(dim=1))


def test_everybody_is_the_person_of_interest_in_turn():
    model, batch = made(), batch_of()
    batch["tracks_valid"][:] = True
    found = model.everybody(batch)
    for who in range(3):
        order = order_for(who, batch["tracks_valid"].any(2), 3)
        assert (order[:, 0] == who).all()
        alone = torch.sigmoid(model({k: taken(v, order) for k, v in batch.items()})["actions"][:, 0])
        torch.testing.assert_close(found[:, who].double(), alone, atol=1e-6, rtol=0)
    assert torch.equal(found, model.everybody(batch))


def test_orders_hold_everybody_there_once_and_nobody_else():
    there = torch.rand(50, 8) > 0.4
    there[:, 3] = True
    drawn = random_order(there, 5)
    for clip in range(50):
        chosen = drawn[clip].tolist()
        assert len(set(chosen)) == 5
        assert there[clip, chosen].sum() == min(5, there[clip].sum())
    firsts = random_order(torch.ones(4000, 4, dtype=torch.bool), 2)[:, 0].bincount(minlength=4)
    assert (firsts > 850).all()
    fixed = order_for(3, there, 5)
    assert (fixed[:, 0] == 3).all()
    assert torch.equal(fixed, order_for(3, there, 5))


def test_hidden_share_is_of_the_detections():
    valid = torch.rand(6, 4, 30) > 0.5
    hidden = hidden_share(valid, 0.4)
    assert not (hidden & ~valid).any()
    assert hidden.flatten(1).sum(1).tolist() == [int(0.4 * n) for n in valid.flatten(1).sum(1).tolist()]
    assert not torch.equal(hidden_share(valid, 0.4), hidden)


def test_loss_equals_loops_over_detections_with_labels():
    model = made(replace(SMALL, mask=0.0))
    batch = batch_of()
    labelled = torch.rand(batch["tracks_valid"].shape) > 0.5
    order = order_for(0, batch["tracks_valid"].any(2), 3)
    chosen = {name: taken(value, order) for name, value in batch.items()}
    logits, keep = model(chosen)["actions"].detach().numpy(), taken(labelled, order) & chosen["tracks_valid"]
    terms = []
    for index in np.argwhere(keep.numpy()):
        for score, wanted in zip(logits[tuple(index)], chosen["track_actions"][tuple(index)].numpy(), strict=True):
            p = 1 / (1 + math.exp(-score))
            terms.append(-(wanted * math.log(p) + (1 - wanted) * math.log(1 - p)))
    loss, parts = model.loss(batch | {"track_actions_valid": labelled})
    assert loss.item() == pytest.approx(10 * np.mean(terms), rel=1e-5)
    assert parts["actions"].item() == pytest.approx(np.mean(terms), rel=1e-5)


def test_companions_labels_can_be_left_out():
    torch.manual_seed(2)
    model = made(replace(SMALL, others=False, people=1, mask=0.0))
    more = made(replace(SMALL, others=False, mask=0.0))
    more.load_state_dict(model.state_dict())
    batch = batch_of(tracks=1)
    torch.testing.assert_close(model.loss(batch)[0], more.loss(batch)[0])


def test_the_answer_for_a_moment_is_the_mean_over_twelve():
    probabilities = torch.arange(30.0)[:, None].expand(30, 2)
    assert at_moment(probabilities, 15)[0].item() == np.mean(range(9, 21))
    assert at_moment(probabilities, 2)[0].item() == np.mean(range(0, 8))
    assert at_moment(probabilities, 29)[0].item() == np.mean(range(23, 30))


def test_rotations_that_are_not_measured_stand_at_rest():
    vectors = torch.randn(2, 3, VECTOR)
    measured = torch.zeros(2, 3, 24, dtype=torch.bool)
    measured[..., 5] = True
    found = known(vectors, measured)
    torch.testing.assert_close(found[..., 45:54], vectors[..., 45:54])
    torch.testing.assert_close(found[..., :45], rest()[:45].expand(2, 3, 45))
    torch.testing.assert_close(found[..., 216:], vectors[..., 216:])


def test_what_body_sensors_do_not_measure_does_not_matter_and_the_model_knows_it():
    config = replace(SMALL, inputs="pose", partial=True)
    model, batch = made(config), batch_of(config)
    batch["tracks_joints"] = torch.rand(2, 3, STEPS, 24) > 0.5
    before = model(batch)["actions"]
    other = batch | {"tracks": batch["tracks"].clone()}
    unmeasured = ~batch["tracks_joints"].repeat_interleave(9, dim=-1)
    other["tracks"][..., :216][unmeasured] = math.nan
    assert torch.equal(model(other)["actions"], before)
    fewer = batch | {"tracks_joints": torch.zeros(2, 3, 24, dtype=torch.bool)}
    assert (model(fewer)["actions"] - before).abs().max() > 1e-6


def test_standardising_takes_the_published_statistics():
    model, batch = made(), batch_of()
    mean, deviation = torch.randn(226).double(), torch.rand(226).double() + 0.5
    model.standardise(mean[None], deviation[None])
    expected = plain(batch, 0, SMALL, plain_state(model), None, training=False)
    np.testing.assert_allclose(model(batch)["actions"][0].detach().numpy(), expected, atol=1e-9)
    assert (model.mean[226:] == 0).all()
    assert (model.deviation[226:] == 1).all()
    torch.testing.assert_close(model.mean[:226], mean)


def test_layers_learn_at_their_share_of_the_rate():
    model = Model(replace(SMALL, layers=3))
    groups = model.parameter_groups(TrainConfig(layer_decay=0.5, weight_decay=0.1))
    share = {id(p): (g["share"], g["weight_decay"]) for g in groups for p in g["params"]}
    assert len(share) == len(list(model.parameters()))
    named = dict(model.named_parameters())
    assert share[id(named["mask_token"])] == (0.5**4, 0.0)
    assert share[id(named["pos_embedding"])] == (0.5**4, 0.1)
    assert share[id(named["pose_shape_encoder.0.weight"])] == (0.5**4, 0.1)
    for layer in range(3):
        assert share[id(named[f"transformer.layers.{layer}.0.fn.to_qkv.weight"])] == (0.5 ** (3 - layer), 0.1)
        assert share[id(named[f"transformer.layers.{layer}.1.norm.weight"])] == (0.5 ** (3 - layer), 0.0)
    assert share[id(named["action_head_ava.0.0.weight"])] == (1.0, 0.1)


def test_drop_path_leaves_out_whole_samples_and_keeps_the_mean():
    torch.manual_seed(0)
    part = Part(4, torch.nn.Identity(), "pre", 0.4)
    x = torch.randn(4000, 3, 4)
    added = part(x) - x
    gone = (added == 0).all(dim=(1, 2))
    assert gone.float().mean().item() == pytest.approx(0.4, abs=0.03)
    torch.testing.assert_close(added[~gone], part.norm(x[~gone]) / 0.6)
    torch.testing.assert_close(part.eval()(x), x + part.norm(x))


def test_heads_need_not_add_up_to_the_width():
    assert Attention(12, 3, 7, 0.0).to_qkv.weight.shape == (63, 12)


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
