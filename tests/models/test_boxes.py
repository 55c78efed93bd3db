"""Boxes against loops in float64, and what strange boxes do."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_boxes import INF, NAN, STRANGE, made, plain_crop, plain_overlap, plain_suppression

from models import boxes as boxing


def test_overlap_equals_loops():
    one, other = made(0, 3, 7), made(1, 3, 5)
    found = boxing.overlap(one, other)
    expected = [[[plain_overlap(a, b) for b in other[k].tolist()] for a in one[k].tolist()] for k in range(3)]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)
    assert (found > 0).any()


def test_strange_boxes_overlap_nothing_not_even_themselves():
    fine = torch.tensor([[0.0, 0.0, 1.0, 1.0]], dtype=torch.float64)
    assert not boxing.usable(STRANGE).any()
    assert (boxing.overlap(STRANGE, fine) == 0).all()
    assert (boxing.overlap(STRANGE, STRANGE) == 0).all()
    assert boxing.overlap(fine, fine).item() == 1


def test_clipping_and_mirroring():
    boxes = torch.tensor([[-0.2, 0.1, 0.5, 1.3], [1.2, 0.0, 1.5, 1.0]])
    torch.testing.assert_close(boxing.clipped(boxes), torch.tensor([[0.0, 0.1, 0.5, 1.0], [1.0, 0.0, 1.0, 1.0]]))
    assert not boxing.usable(boxing.clipped(boxes))[1]
    torch.testing.assert_close(boxing.mirrored(boxes[:1]), torch.tensor([[0.5, 0.1, 1.2, 1.3]]))
    torch.testing.assert_close(boxing.mirrored(boxing.mirrored(boxes)), boxes)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000))
def test_decoding_undoes_encoding(seed):
    boxes, anchors = made(seed, 9, spread=1.5), made(seed + 1, 9, spread=1.5)
    torch.testing.assert_close(boxing.decode(boxing.encode(boxes, anchors), anchors), boxes, atol=1e-9, rtol=0)


def test_code_is_that_of_faster_rcnn_times_its_scales():
    anchor, box = torch.tensor([[0.2, 0.2, 0.4, 0.6]]), torch.tensor([[0.3, 0.2, 0.5, 1.0]])
    expected = [10 * 0.1 / 0.2, 10 * 0.2 / 0.4, 5 * math.log(1), 5 * math.log(2)]
    np.testing.assert_allclose(boxing.encode(box, anchor)[0].numpy(), expected, atol=1e-5)


def test_a_wild_prediction_decodes_to_something_finite():
    wild = boxing.decode(torch.full((1, 4), 1e6), torch.tensor([[0.4, 0.4, 0.6, 0.6]]))
    assert torch.isfinite(wild).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.3, 0.6]), st.integers(1, 12))
def test_suppression_equals_loops(seed, threshold, most):
    boxes = made(seed, 2, 25)
    scores = torch.rand(2, 25, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).round(decimals=1)
    index, kept = boxing.suppressed(boxes, scores, threshold, most)
    for k in range(2):
        expected = plain_suppression(boxes[k].tolist(), scores[k].tolist(), threshold, most)
        assert index[k][kept[k]].tolist() == expected


def test_strange_boxes_and_scores_are_never_kept():
    fine = made(3, 3)
    boxes = torch.cat([STRANGE, fine])
    scores = torch.tensor([9.0, 9, 9, 9, 9, NAN, -INF, 0.5], dtype=torch.float64)
    index, kept = boxing.suppressed(boxes, scores, 0.5, 4)
    assert index.tolist() == [7, 0, 0, 0]
    assert kept.tolist() == [True, False, False, False]


def test_suppression_of_nothing():
    index, kept = boxing.suppressed(torch.zeros(2, 0, 4), torch.zeros(2, 0), 0.5, 3)
    assert index.shape == kept.shape == (2, 3)
    assert not kept.any()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 6), st.integers(2, 9), st.integers(2, 9))
def test_crop_equals_loops(seed, cells, height, width):
    maps = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    boxes = made(seed, 2, 4, spread=1.6)
    found = boxing.crop(maps, boxes, cells)
    assert found.shape == (2, 4, 3, cells, cells)
    for b in range(2):
        for r in range(4):
            expected = plain_crop(maps[b].numpy(), boxes[b, r].tolist(), cells)
            np.testing.assert_allclose(found[b, r].numpy(), expected, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_whole_picture_is_the_map_itself_to_its_last_row(dtype):
    maps = torch.rand(1, 2, 25, 25, dtype=dtype)
    whole = boxing.crop(maps, torch.tensor([[[0.0, 0.0, 1.0, 1.0]]], dtype=dtype), 25)
    torch.testing.assert_close(whole[0, 0], maps[0], atol=1e-5, rtol=0)
    ragged = torch.tensor([[[0.3, 0.7, 1.0, 1.0]]], dtype=dtype)  # its end must not fall out by rounding
    assert (boxing.crop(maps + 1, ragged, 14) > 0.99).all()


def test_strange_boxes_show_zeros_or_one_point():
    maps = torch.rand(1, 2, 6, 5, dtype=torch.float64) + 1
    found = boxing.crop(maps, STRANGE[None], 3)[0]
    assert (found[:2] == 0).all()
    torch.testing.assert_close(found[3], found[3][:, :1, :1].expand(2, 3, 3))
    assert (found[2:] > 0).all()
    outside = boxing.crop(maps, torch.tensor([[[1.1, 0.0, 1.6, 1.0]]], dtype=torch.float64), 3)
    assert (outside == 0).all()


def test_gradients_past_strange_boxes_are_finite():
    maps = torch.rand(1, 2, 6, 5, dtype=torch.float64, requires_grad=True)
    boxing.pooled(maps, torch.cat([STRANGE, made(4, 2)])[None]).sum().backward()
    assert torch.isfinite(maps.grad).all()
    assert maps.grad.abs().sum() > 0


def test_pooled_is_the_maximum_of_each_four_points():
    maps, boxes = torch.randn(1, 3, 8, 8, dtype=torch.float64), made(5, 1, 2)
    points = boxing.crop(maps, boxes, 14).numpy()
    expected = points.reshape(1, 2, 3, 7, 2, 7, 2).max((4, 6))
    np.testing.assert_allclose(boxing.pooled(maps, boxes).numpy(), expected)


def test_two_hundred_boxes_and_none():
    maps = torch.rand(2, 3, 5, 5)
    assert boxing.pooled(maps, made(6, 2, 200).float()).shape == (2, 200, 3, 7, 7)
    assert boxing.pooled(maps, torch.zeros(2, 0, 4)).shape == (2, 0, 3, 7, 7)


def test_bfloat16_maps_are_read_at_exact_places():
    maps = torch.rand(1, 1, 25, 25).bfloat16()
    boxes = made(7, 1, 3).float()
    torch.testing.assert_close(boxing.crop(maps, boxes, 7), boxing.crop(maps.float(), boxes, 7))
