"""The Action Transformer head against loops in float64, over each box, head and cell."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from made_maps import CHANNELS, SMALL, lived_in, made_maps, plain
from plain_boxes import made, plain_crop

from models.vat import PRESETS
from models.vat.attention import ActionTransformer, HighRes, Location
from models.vat.heads import Heads

ARMS = [
    {"query": "low"},
    {"query": "high"},
    {"query": "high", "preprocessor": "per_unit"},
    {"query": "low", "location": 0, "layers": 2, "heads": 3},
]


def linear(x, state, name):
    return state[f"{name}.weight"] @ x + state[f"{name}.bias"]


def own(x, state, name, head):
    """The linear map of one head."""
    return x @ state[f"{name}.weight"][head] + state[f"{name}.bias"][head]


def norm(x, state, name, head):
    scaled = (x - x.mean()) / math.sqrt(((x - x.mean()) ** 2).mean() + 1e-5)
    return scaled * state[f"{name}.weight"][head] + state[f"{name}.bias"][head]


def location(state, time, row, column):
    """Channels of one cell from its place in the clip, each already centred and scaled."""
    found = []
    for name, where in (("place", np.array([row, column])), ("time", np.array([time]))):
        hidden = np.maximum(linear(where, state, f"location.{name}.0"), 0)
        found.append(linear(hidden, state, f"location.{name}.2"))
    return np.concatenate(found)


def placed(maps, state, config):
    """(C, T, H, W) with the channels of location."""
    if not config.location:
        return maps
    _, steps, height, width = maps.shape
    out = np.zeros((len(maps) + config.location, steps, height, width))
    for t, y, x in np.ndindex(steps, height, width):
        where = [(i - (n - 1) / 2) / n for i, n in ((t, steps), (y, height), (x, width))]
        out[:, t, y, x] = np.concatenate([maps[:, t, y, x], location(state, *where)])
    return out


def high(cells, state, name, heads, head):
    """HighRes preprocessing for one head: 1x1, all cells side by side, one vector."""
    weight = state[f"{name}.cell.weight"].reshape(heads, -1, len(cells))[head]
    bias = state[f"{name}.cell.bias"].reshape(heads, -1)[head]
    each = [weight @ cells[:, y, x] + bias for y, x in np.ndindex(7, 7)]
    return own(np.concatenate(each), state, f"{name}.whole", head)


def transformed(maps, box, state, config):
    """The published head for one clip (C, T, H, W) and one box; also where the last layer looks, (H, cells)."""
    maps = placed(maps, state, config)
    points = plain_crop(maps[:, maps.shape[1] // 2], box, 14)
    cells = points.reshape(len(maps), 7, 2, 7, 2).max((2, 4))
    memory = maps.reshape(len(maps), -1).T
    each = config.query == "high" and config.preprocessor == "per_unit"
    if config.query == "low":
        query = cells.mean((1, 2))
    elif not each:
        query = high(cells, state, "transformer.preprocessor", 1, 0)
    products = state["transformer.memory.weight"].reshape(config.layers, 2, config.heads, config.width, len(maps))
    shifts = state["transformer.memory.bias"].reshape(config.layers, 2, config.heads, config.width)
    for layer in range(config.layers):
        name, outputs, seen = f"transformer.units.{layer}", [], []
        for head in range(config.heads):
            rows = slice(head * config.width, (head + 1) * config.width)
            q = np.zeros(config.width)
            if f"{name}.query.weight" in state:
                q = q + state[f"{name}.query.weight"][rows] @ query + state[f"{name}.query.bias"][rows]
            if each:
                q = q + own(high(cells, state, f"{name}.preprocessor", config.heads, head), state, f"{name}.own", head)
            k, v = (memory @ products[layer, i, head].T + shifts[layer, i, head] for i in (0, 1))
            weights = np.exp(k @ q / math.sqrt(config.width))
            weights /= weights.sum()
            seen.append(weights)
            q = norm(q + weights @ v, state, f"{name}.norm1", head)
            inner = np.maximum(own(q, state, f"{name}.inner", head), 0)
            outputs.append(norm(q + own(inner, state, f"{name}.outer", head), state, f"{name}.norm2", head))
        query = np.concatenate(outputs)
    return query, np.array(seen)


@pytest.mark.parametrize("arm", ARMS, ids=lambda arm: "-".join(map(str, arm.values())))
def test_head_equals_loops(arm):
    config = replace(SMALL, **arm)
    torch.manual_seed(0)
    heads = lived_in(Heads(config, CHANNELS))
    maps, boxes = made_maps(), made(1, 2, 2, spread=1.3)
    state = plain(heads)
    logits, codes = heads(maps, boxes)
    seen = heads.transformer.attention(*heads.placed(maps, boxes))
    for b in range(2):
        for r in range(2):
            feature, weights = transformed(maps[b].numpy(), boxes[b, r].tolist(), state, config)
            np.testing.assert_allclose(logits[b, r].detach().numpy(), linear(feature, state, "action"), atol=1e-6)
            np.testing.assert_allclose(codes[b, r, 0].detach().numpy(), linear(feature, state, "code"), atol=1e-6)
            np.testing.assert_allclose(seen[b, r, -1].flatten(1).numpy(), weights, atol=1e-6)


@pytest.mark.parametrize("arm", ARMS, ids=lambda arm: "-".join(map(str, arm.values())))
def test_a_box_alone_equals_the_same_box_among_three_hundred(arm):
    torch.manual_seed(1)
    heads = lived_in(Heads(replace(SMALL, **arm), CHANNELS))
    maps, boxes = made_maps(1), made(2, 1, 300, spread=1.2)
    together = heads(maps, boxes)
    for place in (0, 150, 299):
        alone = heads(maps, boxes[:, place : place + 1])
        for one, all_of_them in zip(alone, together, strict=True):
            torch.testing.assert_close(one[:, 0], all_of_them[:, place], atol=1e-9, rtol=0)


def test_location_is_relative_to_the_middle_and_to_the_size():
    torch.manual_seed(2)
    module = Location(6).double()
    maps = torch.zeros(2, 3, 5, 3, 9, dtype=torch.float64)
    found = module(maps)
    assert found.shape == (2, 9, 5, 3, 9)
    middle = torch.zeros(1, dtype=torch.float64)
    expected = torch.cat([module.place(torch.cat([middle, middle])), module.time(middle)])
    torch.testing.assert_close(found[1, 3:, 2, 1, 4], expected)
    longer = module(torch.zeros(1, 3, 15, 3, 9, dtype=torch.float64))  # three times the cells: the same fractions
    torch.testing.assert_close(longer[0, 3:, 4, 0, 0], found[0, 3:, 1, 0, 0])
    assert not torch.allclose(found[0, :, 0, 0, 0], found[0, :, 0, 2, 0])


def test_a_longer_clip_is_taken_as_it_is():
    """The paper tests on 96 frames what learned from 64."""
    torch.manual_seed(3)
    config = replace(SMALL, head="tx+i3d")
    heads = lived_in(Heads(config, CHANNELS))
    maps, boxes = made_maps(1, (6, 5, 5)), made(3, 1, 2)
    feature, _ = transformed(maps[0].numpy(), boxes[0, 1].tolist(), plain(heads), config)
    logits, codes = heads(maps, boxes)
    np.testing.assert_allclose(logits[0, 1].detach().numpy(), linear(feature, plain(heads), "action"), atol=1e-6)
    assert codes.shape == (1, 2, 1, 4)


def test_attention_sums_to_one_and_keeps_the_shape_of_the_map():
    heads = Heads(SMALL, CHANNELS).double().eval()
    seen = heads.transformer.attention(*heads.placed(made_maps(1, (3, 4, 5)), made(4, 1, 2)))
    assert seen.shape == (1, 2, 3, 2, 3, 4, 5)
    torch.testing.assert_close(seen.sum((4, 5, 6)), torch.ones(1, 2, 3, 2).to(seen.dtype))


def parameters(module):
    return sum(p.numel() for p in module.parameters())


def test_high_res_of_many_heads_is_many_of_one():
    torch.manual_seed(4)
    both = HighRes(3, 5, 2).double()
    cells = torch.randn(1, 2, 3, 7, 7, dtype=torch.float64)
    state = plain(both)
    for head in range(2):
        expected = [high(cells[0, r].numpy(), {f"x.{k}": v for k, v in state.items()}, "x", 2, head) for r in (0, 1)]
        np.testing.assert_allclose(both(cells)[0, :, head].detach().numpy(), expected, atol=1e-9)


@pytest.mark.parametrize(
    ("change", "millions"),
    [
        ({"location": 0}, 13.84),
        ({"location": 16}, 13.87),
        ({"location": 32}, 13.90),
        ({"location": 48}, 13.93),
        ({"hidden": 128}, 13.3),
        ({"hidden": 2048}, 16.3),
        ({"query": "high"}, 14.6),
        ({"query": "high", "preprocessor": "per_unit"}, 19.26),
        ({"query": "high", "preprocessor": "per_unit", "location": 48}, 19.29),
    ],
)
def test_parameters_are_those_counted_from_the_paper(change, millions):
    from models.vat import Model

    with torch.device("meta"):
        model = Model(replace(PRESETS["low"]().net, **change))
    digits = len(str(millions).split(".")[1])
    assert round(parameters(model) / 1e6, digits) == millions


def test_more_layers_and_heads_of_table_5_are_built():
    for layers in (2, 3, 6):
        for count in (2, 3, 6):
            with torch.device("meta"):
                transformer = ActionTransformer(replace(PRESETS["low"]().net, layers=layers, heads=count), 864)
                out = transformer(torch.empty(1, 864, 16, 25, 25), torch.empty(1, 5, 864, 7, 7))
            assert out.shape == (1, 5, count * 128)
            assert len(transformer.units) == layers
