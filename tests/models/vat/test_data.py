"""Windows of training pictures, truth and its measures, pictures of what the model does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made_scenes import ACTIONS, MadeScenes

from firmware_host.errors import ConfigError
from models import vat
from models.ava.matching import evaluate
from models.metrics import interval
from models.vat import data, measures, pictures
from models.vat.data import Scenes

CONFIG = replace(vat.PRESETS["tiny"]().net, size=64, frames=8, actions=3)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_a_window_shows_what_its_boxes_say(seed):
    frames = torch.zeros(2, 3, 40, 40, dtype=torch.uint8)
    frames[..., 10:20, 8:28] = 200
    item = {"third": frames, "boxes": torch.tensor([[0.2, 0.25, 0.7, 0.5]]), "box_valid": torch.tensor([True])}
    found = data.windowed(item, 30, torch.Generator().manual_seed(seed))
    assert found["third"].shape == (2, 3, 30, 30)
    if not found["box_valid"][0]:
        assert (found["third"][0, 0] == 200).sum() < 100
        assert (found["boxes"] == 0).all()
        return
    x1, y1, x2, y2 = (found["boxes"][0] * 30).round().int().tolist()
    assert (found["third"][0, 0, y1:y2, x1:x2] == 200).all()
    assert (found["third"][0, 0] == 200).sum() == (x2 - x1) * (y2 - y1) >= 100


def test_windows_depend_on_seed_epoch_and_clip_alone():
    scenes = Scenes(MadeScenes(4, size=73), CONFIG, seed=3)
    first = [scenes[i]["third"] for i in range(4)]
    assert all(f.shape == (8, 3, 64, 64) for f in first)
    assert all(torch.equal(scenes[i]["third"], f) for i, f in enumerate(first))
    scenes.set_epoch(1)
    assert scenes.clips.epoch == 1
    assert any(not torch.equal(scenes[i]["third"], f) for i, f in enumerate(first))
    assert torch.equal(Scenes(MadeScenes(4), CONFIG)[2]["third"], MadeScenes(4)[2]["third"])


def test_too_few_actions_are_refused(monkeypatch):
    monkeypatch.setattr(data, "Clips", lambda *_, **__: MadeScenes(4))
    with pytest.raises(ConfigError, match=r"vat\.actions must be 3 .*--set vat\.actions=3"):
        vat.open_split("made", "train", replace(CONFIG, actions=5))


def test_a_split_asks_for_the_clips_the_model_reads(monkeypatch):
    asked = []
    monkeypatch.setattr(data, "Clips", lambda *args, **more: asked.append((args[2], more["seed"])) or MadeScenes(4))
    config = replace(CONFIG, frames=64, test_frames=96, size=400)
    vat.open_split("made", "train", config, vat.PRESETS["tiny"]().train)
    vat.open_split("made", "test", config)
    (training, seed), (use, none) = asked
    assert (seed, none) == (0, None)
    assert (training.frames, use.frames) == (64, 96)
    assert training.step_ns == use.step_ns == 3_000_000_000 // 64
    assert (training.size, use.size) == (457, 400)
    assert training.at == use.at == "boxes"


def truth_of(n=24, rois="proposals"):
    return data.truth(Scenes(MadeScenes(n), replace(CONFIG, rois=rois)))


def answers(truth, seed=0, boxes=7):
    """Detections, some of them near true boxes."""
    rng = np.random.default_rng(seed)
    clips = len(truth.boxes)
    near = truth.boxes[:, rng.integers(0, 3, boxes)] + rng.normal(0, 0.03, (clips, boxes, 4))
    scores = rng.random((clips, boxes, 3)) * (rng.random((clips, boxes, 3)) > 0.3)
    return {"boxes": near[:, :, None], "scores": scores, "person": scores.max(-1), "person_boxes": near}


def test_frame_map_is_that_of_ava_and_its_trivial_predictor_knows_the_training_split_alone():
    truth = truth_of()
    predicted = answers(truth)
    trivial = truth_of(40).trivial()
    found, *persons = truth.comparisons(predicted, trivial)
    once = np.ones((1, 4))
    values = found.own(once)
    acts = measures._rows(predicted["boxes"], predicted["scores"])
    labels = measures.LabelMap(dict(enumerate(ACTIONS, 1)), dict.fromkeys((1, 2, 3), measures.MOVEMENT))
    result = evaluate(truth.acts(), acts, labels)
    assert values["map"][0] == pytest.approx(result.mean)
    for i, name in enumerate(ACTIONS, start=1):
        assert values[f"ap_{name}"][0] == pytest.approx(result.ap[i])
    assert [list(p.own(once)) for p in persons] == [["person_ap_50"], ["person_ap_75"]]
    assert persons[0].own(once)["person_ap_50"] > persons[1].own(once)["person_ap_75"]
    blind = found.trivial(once)["map"][0]
    assert 0 <= blind < values["map"][0]
    assert set(interval(found.sessions, found.own)) == {"map", *(f"ap_{name}" for name in ACTIONS)}


def test_a_session_that_counts_twice_is_as_if_it_were_there_twice():
    truth = truth_of()
    predicted = answers(truth)
    twice = np.concatenate([np.arange(24), np.arange(6)])  # s0 is the first quarter
    other = measures.Truth(
        *(getattr(truth, name)[twice] for name in ("boxes", "valid", "actions", "session")), truth.names, truth.given
    )
    trivial = truth.trivial()
    weighed = truth.comparisons(predicted, trivial)[0].own(np.array([[2.0, 1, 1, 1], [0, 0, 0, 0]]))
    there = other.comparisons({k: v[twice] for k, v in predicted.items()}, trivial)[0].own(np.ones((1, 4)))
    assert weighed["map"][0] == pytest.approx(there["map"][0], abs=0.02)  # equal scores stand in another order
    assert np.isnan(weighed["map"][1])


def test_given_boxes_leave_actions_to_be_told():
    truth = truth_of(rois="truth")
    right = {
        "boxes": truth.boxes[:, :, None],
        "scores": 0.1 + 0.8 * truth.actions,
        "person": truth.valid * 1.0,
        "person_boxes": truth.boxes,
    }
    right["scores"] = right["scores"] * truth.valid[..., None]
    (found,) = truth.comparisons(right, truth.trivial())
    assert found.own(np.ones((1, 4)))["map"][0] == pytest.approx(1)
    assert found.trivial(np.ones((1, 4)))["map"][0] < 0.6


def test_nobody_found_and_nobody_there():
    truth = truth_of(8)
    nothing = {k: np.zeros_like(v) for k, v in answers(truth).items()}
    for found in truth.comparisons(nothing, truth.trivial()):
        assert all(value[0] == 0 for value in found.own(np.ones((1, 4))).values())
    empty = measures.Truth(truth.boxes, truth.valid & False, truth.actions, truth.session, truth.names, truth.given)
    assert empty.counts() == {"persons": 0, "actions": 0}
    for found in empty.comparisons(answers(truth), empty.trivial()):
        assert all(np.isnan(value[0]) for value in found.own(np.ones((1, 4))).values())


def test_principal_components_are_those_of_the_covariance():
    vectors = torch.randn(2, 50, 6, generator=torch.Generator().manual_seed(0)) * torch.tensor([9.0, 4, 2, 1, 0.5, 0.1])
    found = pictures.principal(vectors)
    assert found.shape == (2, 50, 3)
    assert found.amin(1).abs().max() < 1e-6
    assert (found.amax(1) - 1).abs().max() < 1e-6
    values, axes = np.linalg.eigh(np.cov(vectors[1].double().numpy().T))
    expected = vectors[1].double().numpy() @ axes[:, np.argsort(-values)[:3]]
    correlation = [np.corrcoef(found[1, :, k], expected[:, k])[0, 1] for k in range(3)]
    np.testing.assert_allclose(np.abs(correlation), 1, atol=1e-6)
    torch.testing.assert_close(pictures.principal(vectors.flip(1)), found.flip(1))


def test_examples_show_persons_where_they_look_and_keys():
    scenes = Scenes(MadeScenes(8), CONFIG)
    truth = data.truth(scenes)
    torch.manual_seed(0)
    model = vat.Model(CONFIG).eval()
    items = [scenes[i] for i in range(8)]
    batch = {k: torch.stack([item[k] for item in items]) for k in items[0] if isinstance(items[0][k], torch.Tensor)}
    with torch.no_grad():
        predicted = {name: value.numpy() for name, value in model.predict(batch).items()}
    assert predicted["attention"].shape == (8, 4, 4)
    assert predicted["embedding"].shape == (8, 2, 4, 4, 3)
    shown = truth.examples(scenes, predicted)
    assert len(shown) == 18
    assert all(example.frame.shape == (64, 64, 3) and example.frame.dtype == np.uint8 for example in shown)
    assert shown[0].caption.startswith("s0: ")


def test_attention_makes_bright_what_is_looked_at():
    frame, attention = np.full((40, 40, 3), 200, np.uint8), np.zeros((4, 4))
    attention[3, 0] = 0.5
    shown = pictures.seen_by(frame, attention)
    assert shown[38, 1, 0] == 200
    assert shown[1, 38, 0] == 50
    outlined = pictures.boxed(frame, np.array([[0.25, 0.5, 2.0, 0.75]]), (1, 2, 3))
    assert (outlined[20, 10:40] == (1, 2, 3)).all()
    assert (outlined[20:30, 39] == (1, 2, 3)).all()
    assert (outlined[24, 11:39] == 200).all()
