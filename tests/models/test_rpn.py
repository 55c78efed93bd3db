"""The proposal network against loops in float64, and that it learns to find a box."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_boxes import STRANGE, made, plain_overlap

from models import boxes as boxing
from models import rpn
from models.rpn import Rpn

SCALES, RATIOS = (0.25, 0.5, 1.0, 2.0), (0.5, 1.0, 2.0)


def plain_assignment(candidates, boxes, high, low, best):
    """Label and box of each candidate, one after the other."""
    labels, found = [], []
    tops = [max(plain_overlap(c, b) for c in candidates) for b in boxes]
    for candidate in candidates:
        shared = [plain_overlap(candidate, b) for b in boxes]
        label, index = -1, shared.index(max(shared))
        if max(shared) < low:
            label = 0
        if max(shared) >= high:
            label = 1
        elif best:
            mine = [i for i, s in enumerate(shared) if s > 0 and s == tops[i]]
            if mine:
                label, index = 1, mine[0]
        labels.append(label)
        found.append(index)
    return labels, found


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.booleans(), st.sampled_from([(0.7, 0.3), (0.5, 0.5), (0.3, 0.1)]))
def test_assignment_equals_loops(seed, best, limits):
    candidates, boxes = made(seed, 2, 30, spread=1.3), made(seed + 1, 2, 4)
    label, index = rpn.assigned(candidates, boxes, torch.ones(2, 4, dtype=torch.bool), *limits, best=best)
    for k in range(2):
        expected = plain_assignment(candidates[k].tolist(), boxes[k].tolist(), *limits, best)
        assert label[k].tolist() == expected[0]
        person = label[k] == rpn.PERSON
        assert index[k][person].tolist() == [i for i, p in zip(expected[1], person.tolist(), strict=True) if p]


def test_every_box_has_an_anchor_where_the_best_are_taken():
    anchors = rpn.anchors_of(7, 7, 0.64, SCALES, RATIOS)[None].expand(5, -1, -1)
    boxes = made(11, 5, 3).float()
    label, index = rpn.assigned(anchors, boxes, torch.ones(5, 3, dtype=torch.bool), 0.7, 0.3, best=True)
    for k in range(5):
        assert set(index[k][label[k] == rpn.PERSON].tolist()) == {0, 1, 2}


def test_a_candidate_keeps_the_box_it_fits_though_it_is_another_ones_best():
    boxes = torch.tensor([[[0.0, 0.0, 0.2, 0.2], [0.1, 0.0, 0.9, 0.9]]])
    candidates = torch.tensor([[[0.1, 0.0, 0.9, 0.9], [0.8, 0.8, 1.0, 1.0]]])
    label, index = rpn.assigned(candidates, boxes, torch.ones(1, 2, dtype=torch.bool), 0.7, 0.7, best=True)
    assert (label[0, 0], index[0, 0]) == (rpn.PERSON, 1)
    exactly = boxing.overlap(candidates, boxes)[0, 1, 1].item()  # neither below its own overlap nor left out
    label, _ = rpn.assigned(candidates[:, 1:], boxes, torch.ones(1, 2, dtype=torch.bool), 0.7, exactly, best=False)
    assert label.item() == rpn.LEFT_OUT


def test_padding_strange_boxes_and_nobody():
    candidates, boxes = made(1, 1, 20), made(2, 1, 3)
    valid = torch.tensor([[True, True, False]])
    label, index = rpn.assigned(candidates, boxes, valid, 0.3, 0.2, best=True)
    alone = rpn.assigned(candidates, boxes[:, :2], valid[:, :2], 0.3, 0.2, best=True)
    assert (label == alone[0]).all()
    assert (index == alone[1])[label == rpn.PERSON].all()
    assert (label == rpn.PERSON).any()
    for nobody in (torch.zeros(1, 0, 4, dtype=torch.float64), STRANGE[None]):
        there = torch.ones(nobody.shape[:2], dtype=torch.bool)
        label, _ = rpn.assigned(candidates, nobody, there, 0.7, 0.3, best=True)
        assert (label == rpn.BACKGROUND).all()
    label, _ = rpn.assigned(STRANGE[None], boxes, valid, 0.7, 0.3, best=True)
    assert (label == rpn.LEFT_OUT).all()


def test_anchors_stand_at_the_middles_with_their_area_and_shape():
    anchors = rpn.anchors_of(4, 5, 0.6, (0.5, 1.0), (0.5, 2.0)).view(4, 5, 4, 4)
    x1, y1, x2, y2 = anchors[1, 3, 2].tolist()  # second row, fourth column, scale 1, tall
    assert ((x1 + x2) / 2, (y1 + y2) / 2) == pytest.approx((3.5 / 5, 1.5 / 4))
    assert (x2 - x1) / (y2 - y1) == pytest.approx(0.5)
    assert (x2 - x1) * (y2 - y1) == pytest.approx(0.36, abs=1e-6)
    assert boxing.area(anchors[0, 0]).tolist() == pytest.approx([0.09, 0.09, 0.36, 0.36])
    assert len(rpn.anchors_of(25, 25, 0.64, SCALES, RATIOS)) == 7500


def test_count_of_the_paper_size_and_the_order_of_its_outputs():
    with torch.device("meta"):
        module = Rpn(832, 512, 12)
    assert sum(p.numel() for p in module.parameters()) == 3_871_304
    torch.manual_seed(0)
    small = Rpn(3, 4, 2).double()
    maps = torch.randn(1, 3, 5, 6, dtype=torch.float64)
    logits, codes = small(maps)
    hidden = torch.relu(small.conv(maps))
    place = 2 * (6 * 3 + 4) + 1  # row 3, column 4, second anchor
    torch.testing.assert_close(codes[0, place], small.code(hidden)[0, 4:, 3, 4])
    torch.testing.assert_close(logits[0, place], small.objectness(hidden)[0, 2:, 3, 4])


def test_drawing_keeps_its_share_and_fills_up_with_background():
    torch.manual_seed(0)
    label = torch.tensor([[1] * 10 + [0] * 40 + [-1] * 10, [1] * 2 + [0] * 3 + [-1] * 55])
    chosen = rpn.drawn(label, 16, 0.25)
    assert [(chosen & (label == k)).sum(-1).tolist() for k in (1, 0, -1)] == [[4, 2], [12, 3], [0, 0]]
    counts = sum(rpn.drawn(label[:1], 16, 0.25)[0].int() for _ in range(400))
    assert counts[:10].float() / 400 == pytest.approx(np.full(10, 0.4), abs=0.12)  # nobody is preferred
    assert counts[10:50].float() / 400 == pytest.approx(np.full(40, 0.3), abs=0.12)


def test_candidates_that_pad_do_not_change_what_is_drawn():
    label = torch.randint(-1, 2, (3, 60))
    padded = torch.cat([label, torch.full((3, 9), rpn.LEFT_OUT)], dim=1)
    torch.manual_seed(5)
    one = rpn.drawn(label, 16, 0.5)
    torch.manual_seed(5)
    assert (rpn.drawn(padded, 16, 0.5)[:, :60] == one).all()


def smooth_l1(error):
    return error**2 / 2 if abs(error) < 1 else abs(error) - 0.5


def test_losses_equal_loops_when_every_anchor_is_drawn():
    torch.manual_seed(1)
    anchors = rpn.anchors_of(4, 4, 0.5, (0.5, 1.0), (1.0,)).double()
    boxes, valid = made(3, 2, 3), torch.tensor([[True, True, True], [True, False, False]])
    logits, codes = (torch.randn(2, 32, n, dtype=torch.float64) * 3 for n in (2, 4))
    found = rpn.rpn_losses(logits, codes, anchors, boxes, valid, count=10_000)
    entropy, l1, drawn = 0.0, 0.0, 0
    for k in range(2):
        mine = boxes[k][valid[k]].tolist()
        labels, index = plain_assignment(anchors.tolist(), mine, 0.7, 0.3, True)
        for a, (label, i) in enumerate(zip(labels, index, strict=True)):
            if label < 0:
                continue
            drawn += 1
            z = logits[k, a].tolist()
            entropy += math.log(math.exp(z[0]) + math.exp(z[1])) - z[label]
            if label:
                box, anchor = mine[i], anchors[a].tolist()
                w, h = (anchor[j + 2] - anchor[j] for j in (0, 1))
                bw, bh = (box[j + 2] - box[j] for j in (0, 1))
                code = [
                    10 * ((box[0] + box[2]) / 2 - (anchor[0] + anchor[2]) / 2) / w,
                    10 * ((box[1] + box[3]) / 2 - (anchor[1] + anchor[3]) / 2) / h,
                    5 * math.log(bw / w),
                    5 * math.log(bh / h),
                ]
                l1 += sum(smooth_l1(p - c) for p, c in zip(codes[k, a].tolist(), code, strict=True))
    np.testing.assert_allclose([f.item() for f in found], [entropy / drawn, l1 / drawn], rtol=1e-6)


def test_nobody_and_nan_boxes_give_finite_losses_and_gradients():
    anchors = rpn.anchors_of(3, 3, 0.5, (1.0,), (1.0,))
    logits, codes = (torch.randn(1, 9, n, requires_grad=True) for n in (2, 4))
    for boxes in (torch.zeros(1, 0, 4), STRANGE[None].float()):
        losses = rpn.rpn_losses(logits, codes, anchors, boxes, torch.ones(boxes.shape[:2], dtype=torch.bool))
        sum(losses).backward()
        assert losses[0] > 0
        assert losses[1] == 0
        assert torch.isfinite(logits.grad).all()
        assert torch.isfinite(codes.grad).all()


def test_proposals_lie_within_the_picture_by_falling_score():
    torch.manual_seed(2)
    anchors = rpn.anchors_of(5, 5, 0.6, SCALES, RATIOS)
    logits, codes = torch.randn(2, 300, 2), torch.randn(2, 300, 4)
    boxes, scores, valid = rpn.proposals(logits, codes, anchors, most=40)
    assert valid.any()
    assert ((boxes >= 0) & (boxes <= 1)).all()
    assert (scores[:, :-1] >= scores[:, 1:]).all()
    overlap = boxing.overlap(boxes, boxes) - torch.eye(40)
    assert overlap.max() <= 0.7 + 1e-6
    assert (boxes[~valid] == 0).all()


def test_it_learns_to_find_a_bright_square():
    torch.manual_seed(3)
    module, anchors = Rpn(1, 8, 3), rpn.anchors_of(8, 8, 0.5, (0.5, 0.7, 1.0), (1.0,))
    optimizer = torch.optim.Adam(module.parameters(), 2e-2)

    def scene(count):
        cell = torch.randint(0, 6, (count, 2))
        maps = torch.zeros(count, 1, 8, 8)
        for k, (x, y) in enumerate(cell.tolist()):
            maps[k, 0, y : y + 3, x : x + 3] = 1
        return maps, torch.cat([cell / 8, (cell + 3) / 8], dim=-1)[:, None]

    for _ in range(150):
        maps, boxes = scene(16)
        losses = rpn.rpn_losses(*module(maps), anchors, boxes, torch.ones(16, 1, dtype=torch.bool), count=64)
        optimizer.zero_grad()
        sum(losses).backward()
        optimizer.step()
    maps, boxes = scene(32)
    found, _, _ = rpn.proposals(*module(maps), anchors, most=1)
    assert boxing.overlap(found, boxes)[:, 0, 0].mean() > 0.7
