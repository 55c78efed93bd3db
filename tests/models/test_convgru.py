"""The ConvGRU against loops in float64, its count, its names, its dropout."""

from __future__ import annotations

import ccau_reference as reference
import numpy as np
import pytest
import torch
from test_resnet import plain

import models
from firmware_host.errors import ConfigError
from models.convgru import ConvGRU


@pytest.fixture
def unit():
    torch.manual_seed(0)
    unit = ConvGRU(3, 4).double().eval()
    for name, tensor in unit.named_parameters():
        if name.endswith("bias"):
            tensor.data.uniform_(-1, 1)
    return unit


@pytest.mark.parametrize("started", [False, True])
def test_it_equals_loops(unit, started):
    maps = torch.randn(2, 5, 3, 2, 3, dtype=torch.float64)
    state = torch.randn(2, 4, 2, 3, dtype=torch.float64) if started else None
    states = unit(maps, state)
    for clip in range(2):
        expected = reference.convgru(maps[clip].numpy(), plain(unit), state[clip].numpy() if started else None)
        np.testing.assert_allclose(states[clip].detach().numpy(), expected, atol=1e-9)


def test_going_on_from_a_state_equals_one_run(unit):
    maps = torch.randn(1, 6, 3, 2, 2, dtype=torch.float64)
    whole, first = unit(maps), unit(maps[:, :4])
    torch.testing.assert_close(unit(maps[:, 4:], first[:, -1]), whole[:, 4:])


def test_count_and_start():
    unit = ConvGRU()
    assert sum(p.numel() for p in unit.parameters()) == 393_984
    weight = unit.cell_list[0].out_gate.weight.flatten(1)
    torch.testing.assert_close(weight @ weight.T, torch.eye(256), atol=1e-5, rtol=0)
    assert (unit.cell_list[0].reset_gate.bias == 0).all()


def test_dropout_reaches_the_next_step():
    torch.manual_seed(1)
    unit = ConvGRU(2, 50, dropout=0.5)
    states = unit(torch.randn(1, 2, 2, 1, 1))
    assert 10 < (states[0, 0] == 0).sum() < 40
    unit.dropout = 0.0
    again = unit(torch.randn(1, 1, 2, 1, 1), states[:, 0])
    kept = unit.eval()(torch.randn(1, 1, 2, 1, 1), states[:, 0])
    assert again.shape == kept.shape == (1, 1, 50, 1, 1)


def test_public_names_load_with_the_cell_once_or_twice():
    source = ConvGRU(3, 4)
    own = source.state_dict()
    assert set(own) == {f"cell_list.0.{g}_gate.{p}" for g in ("reset", "update", "out") for p in ("weight", "bias")}
    assert own["cell_list.0.reset_gate.weight"].shape == (4, 7, 1, 1)
    copies = {name.replace("cell_list.0.", "ConvGRUCell_00."): tensor for name, tensor in own.items()}
    x = torch.rand(1, 2, 3, 2, 2)
    for published in (own, own | copies, copies):
        loaded = models.load_reference("convgru", {f"module.{n}": t for n, t in published.items()}, inputs=3, hidden=4)
        torch.testing.assert_close(loaded(x), source.eval()(x))
    with pytest.raises(ConfigError, match="other shapes"):
        models.load_reference("convgru", own, inputs=4, hidden=4)
