"""Foretelling against loops: what follows from what, and who is whose negative."""

from __future__ import annotations

import math

import ccau_reference as reference
import numpy as np
import pytest
import torch
from test_resnet import plain

from models.ccau.predict_next import contrast_loss, foretell, predictor
from models.convgru import ConvGRU


def unit(x):
    return x / np.linalg.norm(x, axis=0, keepdims=True)


def test_each_step_follows_from_the_ones_foretold():
    torch.manual_seed(0)
    aggregator, phi = ConvGRU(4, 3).double().eval(), predictor(3, 4).double()
    features = torch.randn(2, 5, 4, 2, 2, dtype=torch.float64)
    found = foretell(features, 3, aggregator, phi)
    assert found.shape == (2, 3, 4, 2, 2)
    agg, own = plain(aggregator), plain(phi)
    for clip in range(2):
        state = unit(reference.convgru(features[clip].numpy(), agg)[-1])
        for step in range(3):
            following = np.zeros((4, 2, 2))
            for i, j in np.ndindex(2, 2):
                hidden = np.maximum(own["0.weight"][:, :, 0, 0] @ state[:, i, j] + own["0.bias"], 0)
                following[:, i, j] = own["2.weight"][:, :, 0, 0] @ hidden + own["2.bias"]
            following = unit(following)
            np.testing.assert_allclose(found[clip, step].detach().numpy(), following, atol=1e-6)
            state = unit(reference.convgru(following[None], agg, state)[-1])


def test_contrast_loss_equals_loops():
    rng = np.random.default_rng(0)
    foretold, true = rng.normal(size=(2, 3, 4, 2, 1)), rng.normal(size=(2, 3, 4, 2, 1))
    places = list(np.ndindex(2, 3, 2, 1))
    each = []
    for b, p, i, j in places:
        scores = {q: foretold[b, p, :, i, j] @ true[q[0], q[1], :, q[2], q[3]] / 0.07 for q in places}
        top = max(scores.values())
        total = sum(math.exp(s - top) for s in scores.values())
        each.append(-(scores[b, p, i, j] - top - math.log(total)))
    found = contrast_loss(torch.from_numpy(foretold), torch.from_numpy(true), 0.07)
    assert found.item() == pytest.approx(np.mean(each), abs=1e-4)


def test_count_of_phi():
    assert sum(p.numel() for p in predictor(256, 256).parameters()) == 131_584
