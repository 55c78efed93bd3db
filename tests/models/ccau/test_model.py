"""The towers together: missing streams, one stream alone, teachers, foretelling."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations

import pytest
import torch
from made_streams import SMALL, batch_of

from firmware_host.errors import ConfigError
from models.ccau import PRESETS, Config, Model

CONFIG = replace(Config(**SMALL), modalities=("ego", "audio", "imu"), head_dropout=0.0, gru_dropout=0.0)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Model(CONFIG)


def gradients(part):
    return sum(float(p.grad.abs().sum()) for p in part.parameters() if p.grad is not None)


def test_every_pair_is_aligned_and_every_modality_learns(model):
    batch = batch_of(CONFIG)
    loss, terms = model.loss(batch)
    pairs = {f"{a}-{b}.align" for a, b in combinations(CONFIG.modalities, 2)}
    assert set(terms) == pairs | {f"{m}.{t}" for m in CONFIG.modalities for t in ("activity", "atomic")}
    expected = sum(v for k, v in terms.items() if not k.endswith("atomic"))
    expected = expected + 10 * sum(v for k, v in terms.items() if k.endswith("atomic"))
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    loss.backward()
    assert all(gradients(part) > 0 for part in (*model.towers.values(), *model.pairs.values()))


def test_without_cooperation_modalities_do_not_touch_each_other():
    torch.manual_seed(0)
    alone = Model(replace(CONFIG, cooperation=0.0))
    _, terms = alone.loss(batch_of(CONFIG))
    assert not len(alone.pairs)
    sum(v for k, v in terms.items() if k.startswith("ego")).backward()
    assert gradients(alone.towers["ego"]) > 0
    assert gradients(alone.towers["imu"]) == 0


def test_one_stream_alone_says_the_same_as_among_others(model):
    model.eval()
    batch = batch_of(CONFIG)
    whole = model.predict(batch)
    alone = model.predict({name: batch[name] for name in ("imu", "imu_valid")})
    assert set(alone) == set(whole)
    for key in ("activity", "atomic", "context", "present"):
        torch.testing.assert_close(alone[f"imu.{key}"], whole[f"imu.{key}"])
        assert not alone[f"ego.{key}"].any()
        assert alone[f"ego.{key}"].shape == whole[f"ego.{key}"].shape
    assert alone["ego.attention"].shape == whole["ego.attention"].shape
    torch.testing.assert_close(alone["all.activity"], whole["imu.activity"])
    mean = (whole["ego.activity"] + whole["audio.activity"] + whole["imu.activity"]) / 3
    torch.testing.assert_close(whole["all.activity"], mean)


def test_a_clip_without_a_stream_is_not_in_that_towers_batch(model):
    """Neither its batch statistics nor its alignment see it, and no other clip's numbers change."""
    batch = batch_of(CONFIG)
    batch["ego_valid"][2:5] = False
    batch["ego"][2:5] = 77
    _, terms = model.loss(batch)
    kept = torch.tensor([0, 1, 5, 6, 7])
    torch.manual_seed(0)
    fewer = Model(CONFIG)
    _, others = fewer.loss({name: value[kept] for name, value in batch.items()})
    for name in ("ego.activity", "ego.atomic"):
        torch.testing.assert_close(terms[name], others[name])
    own, theirs = (m.towers["ego"].final_bn.running_mean for m in (model, fewer))
    torch.testing.assert_close(own, theirs)
    said = model.eval().predict(batch)
    assert said["ego.present"].tolist() == [1, 1, 0, 0, 0, 1, 1, 1]
    assert said["all.present"].tolist() == [1] * 8
    pair = (said["audio.activity"] + said["imu.activity"]) / 2
    torch.testing.assert_close(said["all.activity"][3], pair[3])


def test_alignment_is_of_the_clips_that_have_both():
    config = replace(CONFIG, modalities=("audio", "imu"))
    torch.manual_seed(0)
    model = Model(config).eval()
    for weight in model.pairs.parameters():
        weight.data *= 8  # untrained, every clip resembles every other
    batch = batch_of(config)
    batch["audio_valid"][0], batch["imu_valid"][3] = False, False
    _, terms = model.loss(batch)
    rows = [1, 2, 4, 5, 6, 7]
    _, whole = model.loss({name: value[rows] for name, value in batch.items()})
    torch.testing.assert_close(terms["audio-imu.align"], whole["audio-imu.align"])


def test_a_batch_without_any_stream_or_label_costs_nothing_and_breaks_nothing(model):
    batch = batch_of(CONFIG)
    for name in CONFIG.modalities:
        batch[f"{name}_valid"][:] = False
    loss, terms = model.loss(batch)
    assert loss.item() == 0
    assert all(term.item() == 0 for term in terms.values())
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
    batch = batch_of(CONFIG)
    batch["activity"][:], batch["atomic_valid"][:], batch["atomic"][:] = -1, False, math.nan
    loss, terms = model.loss(batch)
    assert terms["ego.activity"].item() == terms["ego.atomic"].item() == 0
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_static_teachers_stay_as_they_are():
    config = replace(
        CONFIG, distillation="static", students=("ego",), cooperation=0.0, label_weight=0.9, teacher_weight=0.6
    )
    model = Model(config).train()
    before = {n: t.clone() for n, t in model.state_dict().items() if ".imu." in n or ".audio." in n}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.1)
    loss, terms = model.loss(batch_of(CONFIG))
    assert set(terms) == {"ego.activity", "ego.atomic", "ego.distill"}
    expected = 0.9 * terms["ego.activity"] + 10 * terms["ego.atomic"] + 0.6 * terms["ego.distill"]
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    loss.backward()
    optimizer.step()
    assert all(torch.equal(model.state_dict()[n], t) for n, t in before.items())
    with torch.no_grad():
        readings = model(batch_of(CONFIG))
        lessons = [
            -(readings[t][1].logits["activity"] / 2.5).softmax(1)
            * (readings["ego"][1].logits["activity"] / 2.5).log_softmax(1)
            for t in ("audio", "imu")
        ]
        again = model.loss(batch_of(CONFIG))[1]["ego.distill"]
    assert again.item() == pytest.approx(sum(x.sum(1).mean().item() for x in lessons) / 2, rel=1e-4)


def test_cooperative_teachers_all_learn():
    model = Model(replace(CONFIG, distillation="cooperative", cooperation=0.0, teacher_weight=1.0))
    loss, terms = model.loss(batch_of(CONFIG))
    assert {f"{m}.distill" for m in CONFIG.modalities} <= set(terms)
    loss.backward()
    assert all(gradients(part) > 0 for part in model.towers.values())


def test_foretelling_needs_no_labels_and_leaves_no_heads():
    config = replace(CONFIG, modalities=("ego", "third", "imu"), stage="predict", blocks=3, predicted=1)
    torch.manual_seed(0)
    model = Model(config)
    batch = {n: v for n, v in batch_of(config).items() if n.split("_")[0] in config.modalities}
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    values = []
    for _ in range(8):
        loss, terms = model.loss(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    assert set(terms) == {"ego.next", "third.next", "ego-third.align", "ego-imu.align", "third-imu.align"}
    assert values[-1] < values[0] - 0.2
    assert all(gradients(part) > 0 for part in model.towers.values())
    assert not any("final_fc" in name or "towers.ego.attention" in name for name in model.state_dict())
    later = Model(replace(config, stage="recognise")).state_dict()
    shared = {n for n in model.state_dict() if n in later}
    assert {"towers.ego.backbone.conv1.weight", "towers.third.agg.cell_list.0.out_gate.bias"} <= shared


def test_counts_of_the_presets():
    with torch.device("meta"):
        towers = Model(PRESETS["pretext"]().net).towers
    assert sum(p.numel() for p in towers["ego"].parameters()) == 14_583_104
    assert sum(p.numel() for p in Model(PRESETS["tiny"]().net).parameters()) <= 2_000_000
    assert (PRESETS["paper"]().net.atomics, PRESETS["paper"]().net.head_dropout) == (453, 0.5)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"modalities": ("ego", "sound")}, "modality"),
        ({"modalities": ("ego", "ego")}, "each once"),
        ({"modalities": ()}, "at least one"),
        ({"tasks": "activity/speech"}, r"ccau\.tasks"),
        ({"distillation": "static"}, r"needs ccau\.students"),
        ({"distillation": "cooperative"}, r"teacher_weight above 0"),
        ({"students": ("thermal",)}, r"ccau\.students"),
        ({"weighting": "learned"}, r"ccau\.weighting"),
        ({"stage": "predict", "predicted": 2}, r"ccau\.predicted"),
        ({"atomic_weight": -1.0}, r"ccau\.atomic_weight"),
    ],
)
def test_impossible_configurations_are_named(changes, sentence):
    with pytest.raises(ConfigError, match=sentence):
        replace(CONFIG, **changes)
