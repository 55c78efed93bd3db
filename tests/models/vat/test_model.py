"""The model whole: its counts and shapes, its lessons and losses against loops, what strange batches do."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from made_maps import CHANNELS, SMALL, lived_in, made_maps, plain
from plain_boxes import STRANGE, made, plain_crop, plain_overlap, plain_suppression
from test_i3d import mixed, pool

from firmware_host.errors import ConfigError
from models import boxes as boxing
from models.i3d import I3D
from models.vat import PRESETS, Config, Model
from models.vat.heads import Heads, detections
from models.vat.model import action_loss, box_loss, true_boxes
from models.vat.tube import Tube

TINY = replace(
    PRESETS["tiny"]().net, size=64, frames=8, actions=3, narrow=16, width=4, hidden=8, proposals=6, sampled=8, base=32
)


def batch_of(config=TINY, clips=3, persons=2, seed=0):
    rng = torch.Generator().manual_seed(seed)
    frames = torch.randint(0, 256, (clips, config.frames, 3, config.size, config.size), generator=rng)
    return {
        "third": frames.to(torch.uint8),
        "third_valid": torch.ones(clips, config.frames, dtype=torch.bool),
        "boxes": made(seed + 1, clips, persons, spread=1.2).float(),
        "box_valid": torch.ones(clips, persons, dtype=torch.bool),
        "box_actions": (torch.rand(clips, persons, config.actions, generator=rng) > 0.5).float(),
    }


def parameters(module):
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    ("preset", "count"),
    [("low", 13_897_037), ("i3d", 16_245_693), ("default", 14_622_285), ("per_unit", 19_256_653)],
)
def test_counts_of_the_presets(preset, count):
    with torch.device("meta"):
        model = Model(PRESETS[preset]().net)
    assert parameters(model) == count
    assert parameters(model.trunk) == 7_528_256
    assert parameters(model.rpn) == 3_871_304


def test_shape_table_of_the_docstring():
    with torch.device("meta"):
        model = Model(replace(PRESETS["paper"]().net, proposals=2)).eval()
        clip = {"third": torch.empty(1, 64, 3, 400, 400), "third_valid": torch.empty(1, 64, dtype=torch.bool)}
        maps = model.maps(clip)
        placed, cells = model.head.placed(maps, torch.empty(1, 2, 4))
        keys, values = model.head.transformer.remembered(placed)
        assert maps.shape == (1, 832, 16, 25, 25)
        assert len(model.anchors(maps)) == 7500
        assert placed.shape == (1, 864, 16, 25, 25)
        assert cells.shape == (1, 2, 864, 7, 7)
        assert [k.shape for k in (*keys, *values)] == [(1, 2, 10_000, 128)] * 6
        assert model.head.transformer(placed, cells).shape == (1, 2, 256)
        assert model.head.tube(maps, torch.empty(1, 2, 4)).shape == (1, 2, 1024)
        logits, codes = model.head(maps, torch.empty(1, 2, 4))
    assert logits.shape == (1, 2, 81)
    assert codes.shape == (1, 2, 1, 4)


def test_tiny_is_tiny():
    assert parameters(Model(PRESETS["tiny"]().net)) <= 1_000_000


def test_tube_equals_loops():
    torch.manual_seed(0)
    module = Tube(CHANNELS, narrow=64)
    for part in module.modules():
        if isinstance(part, torch.nn.BatchNorm3d):
            for tensor in (part.weight.data, part.bias.data, part.running_mean, part.running_var):
                tensor.uniform_(0.5, 1.5)
    module = module.double().eval()
    state = {name.removeprefix("tail."): value for name, value in plain(module).items()}
    maps, boxes = made_maps(2, (3, 5, 6)).abs(), made(5, 2, 20, spread=1.3)
    found = module(maps, boxes)
    for b, r in ((0, 0), (0, 17), (1, 19)):
        box = boxes[b, r].tolist()
        tube = [plain_crop(maps[b, :, t].numpy(), box, 14).reshape(CHANNELS, 7, 2, 7, 2).max((2, 4)) for t in range(3)]
        x = pool(np.stack(tube, axis=1), (2, 2, 2), (2, 2, 2))
        x = mixed(mixed(x, state, "Mixed_5b"), state, "Mixed_5c")
        np.testing.assert_allclose(found[b, r].detach().numpy(), x.mean((1, 2, 3)), atol=1e-9)


def test_the_tube_does_not_see_what_is_outside_it():
    torch.manual_seed(0)
    heads = Heads(replace(SMALL, head="i3d", narrow=32), CHANNELS).double().eval()
    maps, box = made_maps(1, (4, 10, 10)).abs(), torch.tensor([[[0.0, 0.0, 0.4, 0.4]]], dtype=torch.float64)
    other = maps.clone()
    other[..., 6:, :] += 5
    torch.testing.assert_close(heads(maps, box)[0], heads(other, box)[0], atol=0, rtol=0)
    looking = Heads(SMALL, CHANNELS).double().eval()
    assert not torch.allclose(looking(maps, box)[0], looking(other, box)[0])


def test_tx_and_i3d_takes_actions_from_one_and_boxes_from_the_other():
    torch.manual_seed(1)
    both = lived_in(Heads(replace(SMALL, head="tx+i3d"), CHANNELS))
    maps, boxes = made_maps(1).abs(), made(6, 1, 3)
    logits, codes = both(maps, boxes)
    torch.testing.assert_close(logits, both.action(both.transformer(*both.placed(maps, boxes))))
    torch.testing.assert_close(codes[:, :, 0], both.code(both.tube(maps, boxes)))


def test_frozen_norm_keeps_its_statistics_and_free_norm_learns_them():
    for frozen in (True, False):
        torch.manual_seed(2)
        model = Model(replace(TINY, frozen_norm=frozen)).train()
        norm = model.trunk.Conv3d_1a_7x7.bn
        before = norm.running_mean.clone()
        model.loss(batch_of())
        assert torch.equal(norm.running_mean, before) == frozen
        assert norm.training != frozen


@pytest.mark.parametrize("rois", ["proposals", "truth"])
def test_padding_a_batch_changes_nothing(rois):
    torch.manual_seed(3)
    model = Model(replace(TINY, rois=rois, dropout=0.0)).eval()
    batch = batch_of()
    padded = dict(batch)
    padded["boxes"] = torch.cat([batch["boxes"], torch.full((3, 4, 4), math.nan)], dim=1)
    padded["box_valid"] = torch.cat([batch["box_valid"], torch.zeros(3, 4, dtype=torch.bool)], dim=1)
    padded["box_actions"] = torch.cat([batch["box_actions"], torch.full((3, 4, 3), math.nan)], dim=1)
    one, other = model.predict(batch), model.predict(padded)
    for name, value in one.items():
        torch.testing.assert_close(other[name][:, : value.shape[1]], value, atol=1e-6, rtol=1e-5)
        assert (other[name][:, value.shape[1] :] == 0).all()
    losses = []
    for each in (batch, padded):
        torch.manual_seed(4)
        losses.append(model.loss(each)[1])
    for name, value in losses[0].items():
        torch.testing.assert_close(losses[1][name], value, atol=1e-6, rtol=1e-5)


def test_frames_that_are_not_valid_are_never_seen():
    torch.manual_seed(5)
    model = Model(TINY).eval()
    batch = batch_of()
    batch["third_valid"][:, 5:] = False
    other = dict(batch, third=batch["third"].clone())
    other["third"][:, 5:] = 77
    torch.testing.assert_close(model.maps(other), model.maps(batch), atol=0, rtol=0)
    batch["third_valid"][:] = False
    assert all(torch.isfinite(value).all() for value in model.predict(batch).values())


def test_clips_together_equal_each_alone():
    torch.manual_seed(6)
    model = Model(replace(TINY, rois="truth")).eval()
    batch = batch_of()
    together, alone = model.predict(batch), model.predict({k: v[1:2] for k, v in batch.items()})
    for name, value in alone.items():
        torch.testing.assert_close(together[name][1:2], value, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("head", ["tx", "i3d", "tx+i3d"])
@pytest.mark.parametrize("rois", ["proposals", "truth"])
def test_strange_boxes_nobody_and_two_hundred_persons(head, rois):
    torch.manual_seed(7)
    model = Model(replace(TINY, head=head, rois=rois)).train()
    strange = torch.cat([STRANGE.float(), torch.tensor([[1.2, 0.1, 1.5, 0.4], [-0.5, -0.5, 2.0, 2.0]])])
    for boxes in (torch.zeros(0, 4), strange, made(8, 200).float()):
        batch = batch_of(clips=2)
        batch["boxes"] = boxes.expand(2, -1, -1)
        batch["box_valid"] = torch.ones(batch["boxes"].shape[:2], dtype=torch.bool)
        batch["box_actions"] = torch.ones(*batch["boxes"].shape[:2], 3)
        there = true_boxes(batch)[1]
        assert there[0].sum() == {0: 0, 7: 1, 200: 200}[len(boxes)]  # of the strange ones the last reaches beyond
        loss, losses = model.loss(batch)
        assert all(torch.isfinite(value) for value in losses.values())
        model.zero_grad()
        loss.backward()
        assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
        found = model.predict(batch)
        assert all(torch.isfinite(value).all() for value in found.values())
        if rois == "truth":
            assert (found["scores"][~there] == 0).all()


def test_every_weight_learns():
    for change in ({"head": "tx+i3d"}, {"query": "low"}, {"query": "high", "preprocessor": "per_unit"}):
        torch.manual_seed(8)
        model = Model(replace(TINY, **change)).train()
        model.loss(batch_of())[0].backward()
        idle = [name for name, p in model.named_parameters() if p.grad is None]
        assert idle == []


def test_lessons_are_proposals_and_true_boxes_a_quarter_persons():
    torch.manual_seed(9)
    model = Model(replace(TINY, sampled=8))
    truth, there = true_boxes(batch_of(clips=2, persons=3))
    there[1, 2] = False
    near = truth + 0.01
    found = torch.cat([near, made(10, 2, 9).float() * 0.1 + 5], dim=1)  # the latter far away from everybody
    boxes, valid, person, index = model._lesson(found, truth, there)
    assert boxes.shape == (2, 8, 4)
    assert person.sum(-1).tolist() == [2, 2]
    assert valid.all()
    for b in range(2):
        for s in range(8):
            overlaps = [plain_overlap(boxes[b, s].tolist(), t) for t in truth[b][there[b]].tolist()]
            assert (max(overlaps) >= 0.5) == person[b, s].item()
            if person[b, s]:
                assert index[b, s] == int(np.argmax(overlaps))


def test_action_loss_equals_loops():
    rng = np.random.default_rng(0)
    logits, wanted = rng.normal(size=(2, 4, 4)) * 3, (rng.random((2, 4, 3)) > 0.5).astype(float)
    valid = np.array([[1, 1, 1, 0], [1, 0, 0, 0]], bool)
    person = np.array([[1, 0, 1, 0], [1, 0, 0, 0]], bool)
    wanted = wanted * person[..., None]
    total = 0.0
    for b, s in np.argwhere(valid):
        for a in range(4):
            y = wanted[b, s, a] if a < 3 else float(not person[b, s])
            p = 1 / (1 + math.exp(-logits[b, s, a]))
            total -= y * math.log(p) + (1 - y) * math.log(1 - p)
    found = action_loss(*(torch.from_numpy(x) for x in (logits, wanted, person, valid)))
    assert found.item() == pytest.approx(total / valid.sum(), rel=1e-6)
    assert action_loss(torch.zeros(1, 0, 4), torch.zeros(1, 0, 3), *torch.zeros(2, 1, 0, dtype=torch.bool)) == 0


def smooth_l1(error):
    return error**2 / 2 if abs(error) < 1 else abs(error) - 0.5


@pytest.mark.parametrize("kinds", [1, 3])
def test_box_loss_equals_loops(kinds):
    rng = np.random.default_rng(1)
    codes, goals = rng.normal(size=(2, 3, kinds, 4)) * 2, rng.normal(size=(2, 3, 4))
    person, wanted = rng.random((2, 3)) > 0.3, (rng.random((2, 3, 3)) > 0.4).astype(float)
    total = 0.0
    for b, s in np.argwhere(person):
        shares = [1.0] if kinds == 1 else [w / max(wanted[b, s].sum(), 1) for w in wanted[b, s]]
        for k, share in enumerate(shares):
            total += share * sum(smooth_l1(p - g) for p, g in zip(codes[b, s, k], goals[b, s], strict=True))
    found = box_loss(*(torch.from_numpy(x) for x in (codes, goals)), torch.from_numpy(person), torch.from_numpy(wanted))
    assert found.item() == pytest.approx(total, rel=1e-5)


def test_each_class_is_suppressed_for_itself():
    boxes, scores = made(11, 1, 12)[:, :, None], torch.rand(1, 12, 3, dtype=torch.float64)
    valid = torch.ones(1, 12, dtype=torch.bool)
    valid[0, 4] = False
    found = detections(boxes, scores, valid, threshold=0.2)
    for k in range(3):
        left = [i for i in range(12) if i != 4]
        mine = [boxes[0, i, 0].tolist() for i in left]
        kept = [left[i] for i in plain_suppression(mine, scores[0, left, k].tolist(), 0.2, 12)]
        assert sorted(kept) == torch.nonzero(found[0, :, k])[:, 0].tolist()
        assert (found[0, kept, k] == scores[0, kept, k]).all()
    assert (found == 0).any()


def test_predicted_boxes_are_the_proposals_moved():
    torch.manual_seed(12)
    model = Model(replace(TINY, specific=True)).eval()
    batch = batch_of()
    raw, found = model(batch), model.predict(batch)
    assert raw["codes"].shape == (3, 6, 3, 4)
    moved = boxing.clipped(boxing.decode(raw["codes"], raw["boxes"][:, :, None].expand(-1, -1, 3, -1)))
    torch.testing.assert_close(found["boxes"], moved)
    best = torch.sigmoid(raw["logits"][..., :3]).argmax(-1)
    for r in range(6):
        torch.testing.assert_close(found["person_boxes"][0, r], moved[0, r, best[0, r]])


def test_truth_mode_answers_for_the_boxes_it_was_given():
    model = Model(replace(TINY, rois="truth")).eval()
    batch = batch_of()
    found = model.predict(batch)
    torch.testing.assert_close(found["boxes"][:, :, 0], boxing.clipped(batch["boxes"]))
    assert ((found["scores"] > 0) & (found["scores"] < 1)).all()


def test_weights_of_a_whole_i3d_go_to_trunk_and_tail():
    torch.manual_seed(13)
    whole = I3D(classes=5, narrow=16)
    model = Model(replace(TINY, head="i3d"))
    model.load_i3d(whole.state_dict())
    torch.testing.assert_close(model.trunk.Mixed_4f.b0.conv3d.weight, whole.Mixed_4f.b0.conv3d.weight)
    torch.testing.assert_close(model.head.tube.tail.Mixed_5c.b0.bn.bias, whole.Mixed_5c.b0.bn.bias)
    assert model.trunk.training
    with pytest.raises(ConfigError, match="vat's I3D: missing Conv3d_1a"):
        model.load_i3d({})


@pytest.mark.parametrize(
    "change",
    [{"location": 3}, {"dropout": 1.0}, {"head": "txi3d"}, {"scales": ()}, {"proposals": 0}, {"box_weight": -1.0}],
)
def test_impossible_configurations_name_the_field(change):
    with pytest.raises(ConfigError, match=rf"vat\.{next(iter(change))}"):
        replace(TINY, **change)


def test_every_field_of_the_configuration_is_explained():
    for field in dataclasses.fields(Config):
        assert field.name in Config.__doc__, field.name
