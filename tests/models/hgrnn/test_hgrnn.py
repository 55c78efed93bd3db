"""HGRNN against plain loops over ragged persons, its counts, and what must not change anything."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from firmware_host.errors import ConfigError
from models import hgrnn
from models.hgrnn import Config, Model, focal_loss
from models.hgrnn.graph import GraphGRU, masked_max
from models.hgrnn.scene import SceneGRU

SMALL = Config(inputs=5, features=4, context=2, iterations=3, hidden=6, classes=3)
RAGGED = (5, 2, 1)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def batch_of(config, people=RAGGED, seed=0, dtype=torch.float64):
    """A clip for each number of people; in the frames around the keyframe one fewer."""
    rng = torch.Generator().manual_seed(seed)
    clips, steps, most = len(people), 2 * config.context + 1, max(people)
    width = config.inputs * config.streams
    valid = torch.zeros(clips, steps, most, dtype=torch.bool)
    for clip, number in enumerate(people):
        valid[clip, :, : max(0, number - 1)] = True
        valid[clip, config.context, :number] = True
    corner = torch.rand(clips, most, 2, generator=rng, dtype=dtype) * 0.5
    return {
        "scene_features": torch.randn(clips, steps, width, generator=rng, dtype=dtype),
        "person_features": torch.randn(clips, steps, most, width, generator=rng, dtype=dtype),
        "person_features_valid": valid,
        "box_actions": (torch.rand(clips, most, config.classes, generator=rng) > 0.5).to(dtype),
        "boxes": torch.cat([corner, corner + 0.3], dim=-1),
        "box_score": torch.rand(clips, most, generator=rng, dtype=dtype),
    }


def plain_gru(rows, w, u, b, c):
    """The last state of torch's GRU over rows; gates in the order r, z, n."""
    h = np.zeros(u.shape[1])
    for x in rows:
        wr, wz, wn = np.split(w @ x + b, 3)
        ur, uz, un = np.split(u @ h + c, 3)
        r, z = sigmoid(wr + ur), sigmoid(wz + uz)
        h = (1 - z) * np.tanh(wn + r * un) + z * h
    return h


def plain_cell(a, h, state, cell):
    wr, wz, wg = np.split(state["graph.weight"] @ a + state["graph.bias"], 3)
    ur, uz, ug = np.split(state["graph.recurrent"], 3)
    if cell == "classic":
        z, r = sigmoid(wz + uz @ h), sigmoid(wr + ur @ h)
        return (1 - z) * h + z * np.tanh(wg + ug @ (r * h))
    br, bz, bg = np.split(state["graph.recurrent_bias"], 3)
    z, r = sigmoid(wz + uz @ h + bz), sigmoid(wr + ur @ h + br)
    return (1 - z) * np.tanh(wg + r * (ug @ h + bg)) + z * h


def plain(batch, clip, config, state):
    """Logits of each person of one clip, person after person, frame after frame."""
    scene = batch["scene_features"][clip].numpy()
    valid = batch["person_features_valid"][clip].numpy()
    persons = [frame[there] for frame, there in zip(batch["person_features"][clip].numpy(), valid, strict=True)]

    def reduced(x):
        parts = np.split(x, config.streams)
        pairs = [(state[f"reduce.{k}.weight"], state[f"reduce.{k}.bias"]) for k in range(config.streams)]
        return np.concatenate([w @ part + b for (w, b), part in zip(pairs, parts, strict=True)])

    scene, persons = [reduced(x) for x in scene], [[reduced(x) for x in frame] for frame in persons]
    width, middle = config.features * config.streams, config.context
    context = np.zeros(0)
    if config.context:
        rows = [
            np.concatenate([x, np.max(frame, axis=0) if frame else np.zeros(width)])
            for x, frame in zip(scene, persons, strict=True)
        ]
        names = [f"{kind}_{part}_l0" for kind in ("weight", "bias") for part in ("ih", "hh")]
        past, future = ([state[f"scene.{side}.{n}"] for n in names] for side in ("before", "after"))
        context = np.concatenate(
            [plain_gru(rows[: middle + 1], *past), plain_gru(list(reversed(rows[middle:])), *future)]
        )
    hs = [np.zeros(config.hidden) for _ in persons[middle]]
    for _ in range(config.iterations):
        seen = np.max(hs, axis=0)
        hs = [
            plain_cell(np.concatenate([x, context, seen]), h, state, config.cell)
            for x, h in zip(persons[middle], hs, strict=True)
        ]
    read = hs if config.iterations else [np.concatenate([x, context]) for x in persons[middle]]
    if config.head:
        first, last = "classify.0", "classify.2"
        read = [np.maximum(state[f"{first}.weight"] @ x + state[f"{first}.bias"], 0) for x in read]
    else:
        last = "classify"
    return np.array([state[f"{last}.weight"] @ x + state[f"{last}.bias"] for x in read])


VARIANTS = {
    "whole": {},
    "torch's cell": {"cell": "torch"},
    "once": {"iterations": 1},
    "torch's cell once": {"cell": "torch", "iterations": 1},
    "graph alone": {"context": 0},
    "scene alone": {"iterations": 0},
    "scene alone, deep head": {"iterations": 0, "head": 5},
    "neither": {"iterations": 0, "context": 0},
    "two streams": {"streams": 2},
}


@pytest.mark.parametrize("change", VARIANTS.values(), ids=VARIANTS)
def test_it_equals_loops_over_ragged_persons(change):
    config = replace(SMALL, **change)
    torch.manual_seed(1)
    model = Model(config).double().eval()
    batch = batch_of(config)
    predicted = model(batch)["actions"].detach().numpy()
    state = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    for clip, number in enumerate(RAGGED):
        np.testing.assert_allclose(predicted[clip, :number], plain(batch, clip, config, state), atol=1e-9)
        assert (predicted[clip, number:] == 0).all()


def test_torchs_form_is_torchs_cell():
    torch.manual_seed(2)
    graph, cell = GraphGRU(3, 2, 4, 1, "torch").double(), torch.nn.GRUCell(9, 4).double()
    graph.iterations = 3
    with torch.no_grad():
        for own, other in (
            ("weight", "weight_ih"),
            ("recurrent", "weight_hh"),
            ("bias", "bias_ih"),
            ("recurrent_bias", "bias_hh"),
        ):
            getattr(cell, other).copy_(getattr(graph, own))
    person, scene = torch.randn(1, 5, 3).double(), torch.randn(1, 2).double()
    state = torch.zeros(5, 4).double()
    for _ in range(3):
        seen = state.amax(0).expand(5, 4)
        state = cell(torch.cat([person[0], scene.expand(5, 2), seen], dim=1), state)
    torch.testing.assert_close(graph(person, scene, torch.ones(1, 5, dtype=torch.bool))[0], state)


def test_half_the_frames_each_way_equal_the_whole_bidirectional_gru():
    """What torch's bidirectional GRU says at the middle of all 2l + 1 frames, though neither half reads on past it."""
    torch.manual_seed(3)
    scene = SceneGRU(4, 6).double()
    both = torch.nn.GRU(8, 6, batch_first=True, bidirectional=True).double()
    named = {
        f"{name}{'_reverse' * (side == 'after')}": tensor
        for side in ("before", "after")
        for name, tensor in getattr(scene, side).state_dict().items()
    }
    both.load_state_dict(named)
    batch = batch_of(replace(SMALL, inputs=4, features=4))
    x, persons, valid = (batch[k] for k in ("scene_features", "person_features", "person_features_valid"))
    frames = torch.cat([x, masked_max(persons, valid)], dim=-1)
    torch.testing.assert_close(scene(x, persons, valid), both(frames)[0][:, 2])


def test_counts_of_the_paper():
    def count(module):
        return sum(p.numel() for p in module.parameters())

    with torch.device("meta"):
        model, other = Model(Config()), Model(Config(cell="torch"))
    assert count(model.scene) == 1_182_720
    assert count(model.graph) == 983_808
    assert count(other.graph) == 984_576
    assert count(model.classify) == 15_420
    assert count(model.reduce) == 262_400
    assert count(model) == sum((1_182_720, 983_808, 15_420, 262_400))


def test_shape_table_of_the_docstring():
    with torch.device("meta"):
        model = Model(Config())
        batch = {
            "scene_features": torch.empty(2, 7, 1024),
            "person_features": torch.empty(2, 7, 9, 1024),
            "person_features_valid": torch.ones(2, 7, 9, dtype=torch.bool),
        }
        reduced = model._reduced(batch["person_features"])
        context = model.scene(model._reduced(batch["scene_features"]), reduced, batch["person_features_valid"])
        assert reduced.shape == (2, 7, 9, 256)
        assert context.shape == (2, 512)
        assert model.graph(reduced[:, 3], context, batch["person_features_valid"][:, 3]).shape == (2, 9, 256)
        assert model(batch)["actions"].shape == (2, 9, 60)


@pytest.fixture
def model():
    torch.manual_seed(4)
    return Model(SMALL).double().eval()


def test_the_order_of_persons_changes_nothing(model):
    batch = batch_of(SMALL, (5, 5))
    order = torch.tensor([3, 0, 4, 1, 2])
    names = ("person_features", "person_features_valid")
    turned = batch | {name: batch[name][:, :, order] for name in names}
    torch.testing.assert_close(model(turned)["actions"], model(batch)["actions"][:, order], atol=1e-12, rtol=0)


def test_padding_and_what_is_under_it_change_nothing(model):
    batch = batch_of(SMALL)
    valid = batch["person_features_valid"]
    more = torch.full((3, 5, 4, SMALL.inputs), math.nan, dtype=torch.float64)
    persons = torch.where(valid[..., None], batch["person_features"], math.nan)
    padded = {
        "scene_features": batch["scene_features"],
        "person_features": torch.cat([persons, more], dim=2),
        "person_features_valid": torch.cat([valid, torch.zeros(3, 5, 4, dtype=torch.bool)], dim=2),
    }
    answer = model(padded)["actions"]
    assert torch.equal(answer[:, :5], model(batch)["actions"])
    assert (answer[:, 5:] == 0).all()


def test_what_is_under_a_false_does_not_reach_the_gradient():
    torch.manual_seed(5)
    model, batch = Model(SMALL).double(), batch_of(SMALL)
    gone = ~batch["person_features_valid"][..., None]
    gradients = []
    for under in (0.0, math.nan):
        model.zero_grad()
        model.loss(batch | {"person_features": torch.where(gone, under, batch["person_features"])})[0].backward()
        gradients.append([p.grad.clone() for p in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_a_clip_among_others_and_alone(model):
    batch = batch_of(SMALL)
    alone = {name: value[1:2] for name, value in batch.items()}
    torch.testing.assert_close(model(batch)["actions"][1:2], model(alone)["actions"], atol=1e-12, rtol=0)


def test_frames_beyond_the_context_are_not_read(model):
    wide = batch_of(replace(SMALL, context=4))
    inner = wide | {
        name: wide[name][:, 2:-2] for name in ("scene_features", "person_features", "person_features_valid")
    }
    torch.testing.assert_close(model(wide)["actions"], model(inner)["actions"])
    with pytest.raises(ConfigError, match=r"hgrnn\.context does not fit clips of 3 frames"):
        model(batch_of(replace(SMALL, context=1)))


def test_nobody_in_the_keyframe_is_no_loss_and_no_detection():
    model = Model(SMALL).double()
    batch = batch_of(SMALL, (2, 3))
    batch["person_features_valid"][:] = False
    loss, _ = model.loss(batch)
    assert loss.item() == 0
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
    assert torch.isnan(model.detect(batch)).all()
    nobody = {name: value[:, :, :0] for name, value in batch.items() if name.startswith("person")}
    assert model(batch | nobody)["actions"].shape == (2, 0, 3)


def test_two_hundred_persons(model):
    batch = batch_of(SMALL, (200,))
    torch.testing.assert_close(
        model(batch)["actions"][0, :200],
        torch.from_numpy(plain(batch, 0, SMALL, {n: t.numpy() for n, t in model.state_dict().items()})),
    )
    assert torch.isfinite(model.detect(batch)).any()


@pytest.mark.parametrize("gamma", [0.0, 1.0, 2.0])
def test_focal_loss_equals_loops(gamma):
    rng = np.random.default_rng(0)
    logits, wanted = rng.normal(0, 3, (3, 4, 5)), (rng.random((3, 4, 5)) > 0.5).astype(float)
    valid = rng.random((3, 4)) > 0.4
    terms = []
    for b, p in np.argwhere(valid):
        for score, truth in zip(logits[b, p], wanted[b, p], strict=True):
            right = sigmoid(score) if truth else 1 - sigmoid(score)
            terms.append(-((1 - right) ** gamma) * math.log(right))
    wanted[~valid] = np.nan
    loss = focal_loss(*(torch.from_numpy(x) for x in (logits, wanted, valid)), gamma)
    assert loss.item() == pytest.approx(np.mean(terms), abs=1e-9)


def test_focal_loss_of_extreme_logits_is_finite():
    logits = torch.tensor([[500.0, -500.0, 500.0]], requires_grad=True)
    focal_loss(logits, torch.tensor([[0.0, 1.0, 1.0]]), torch.tensor([True]), 2.0).backward()
    assert torch.isfinite(logits.grad).all()


def test_scores_are_confidence_times_probability_and_the_worse_of_two_goes(model):
    batch = batch_of(SMALL, (3, 1))
    batch["boxes"][0, 1] = batch["boxes"][0, 0]
    batch["boxes"][0, 2] = torch.tensor([0.9, 0.9, 0.8, 1.0])  # turned inside out
    scores = model.detect(batch)
    probability = torch.sigmoid(model(batch)["actions"])
    expected = (batch["box_score"][..., None] * probability).detach()
    for label in range(SMALL.classes):
        best = expected[0, :2, label].argmax()
        assert scores[0, best, label] == expected[0, best, label]
        assert torch.isnan(scores[0, 1 - best, label])
    assert torch.isnan(scores[0, 2]).all()
    torch.testing.assert_close(scores[1, 0], expected[1, 0])
    assert torch.isnan(scores[1, 1:]).all()


def test_detections_of_true_boxes_have_the_probability():
    model = Model(SMALL).double().eval()
    batch = batch_of(SMALL, (1,))
    batch["box_score"][:] = 1
    torch.testing.assert_close(model.detect(batch)[0, 0], torch.sigmoid(model(batch)["actions"][0, 0]).detach())


@pytest.mark.parametrize("change", [{"hidden": 0}, {"context": -1}, {"cell": "lstm"}, {"gamma": 0.5}, {"overlap": 0.0}])
def test_impossible_configurations_name_the_field(change):
    with pytest.raises(ConfigError, match=rf"hgrnn\.{next(iter(change))}"):
        replace(SMALL, **change)


def test_presets_are_those_of_the_tables():
    paper = hgrnn.PRESETS["paper"]()
    assert (paper.net.context, paper.net.iterations, paper.net.gamma) == (3, 2, 2.0)
    assert (paper.train.steps, paper.train.batch, paper.train.lr, paper.train.schedule) == (1000, 50, 1e-4, "constant")
    assert hgrnn.PRESETS["flow"]().net.streams == 2
