"""HGRNN and LART through the one loop: they learn, are measured beside the trivial predictor, and follow a teacher."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from made_people import HGRNN_SMALL, LART_SMALL, MadePeople, keyframes

from firmware_host.errors import ConfigError, SessionError
from models import evaluate, hgrnn, lart
from models.config import resolve
from models.lart.data import Taught, shared_by_second, teacher_of
from models.process import Place
from models.synthetic import hgrnn as made_frames
from models.synthetic import lart as made_tracks
from models.train import Run, learning_rate, train


def settings(model, small, *more):
    return resolve(
        model,
        "tiny",
        "made",
        settings=[f"{model}.{k}={list(v) if isinstance(v, tuple) else v}" for k, v in small.items()] + list(more),
    )


@pytest.fixture(scope="module")
def tracks():
    return MadePeople(made_tracks.clips(96, seed=1), made_tracks.CLASSES)


@pytest.fixture(scope="module")
def first(tmp_path_factory, tracks):
    """A run of LART on true labels."""
    folder = tmp_path_factory.mktemp("runs") / "first"
    config = settings("lart", LART_SMALL, "train.steps=40", "train.batch=24", "train.lr=5e-3", "lart.rate_hz=4")
    train(config, folder, tracks)
    return folder, config


def test_hgrnn_learns_and_is_measured(tmp_path):
    clips = MadePeople(keyframes(128), made_frames.CLASSES)
    config = settings("hgrnn", HGRNN_SMALL, "train.steps=30", "train.batch=32", "train.lr=2e-2")
    document = train(config, tmp_path / "run", clips)
    assert document["loss_last"] < 0.7 * document["loss_first"]
    test = MadePeople(keyframes(80, seed=9), made_frames.CLASSES)
    found = evaluate.evaluate(tmp_path / "run", config, test, "test", hgrnn.truth(test))
    assert found["metrics"]["ap_u"] > 0.9
    assert found["verdict"]["ap_u"] == "better than trivial"
    assert found["baseline"]["ap_u"] == pytest.approx(found["chance"]["ap_u"])
    assert found["labels"]["persons"] == int(test.batch["box_valid"].sum())
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Average precision over the persons" in page
    assert "gaze" not in page
    assert "<h2>Frames" not in page


def test_lart_learns_and_is_measured(first):
    folder, config = first
    test = MadePeople(made_tracks.clips(60, seed=8), made_tracks.CLASSES)
    truth = lart.truth(test)
    found = evaluate.evaluate(folder, config, test, "test", truth)
    assert found["metrics"]["map"] > found["baseline"]["map"] + 0.1
    there = test.batch["tracks_valid"][:, 0, made_tracks.STEPS // 2].numpy()
    np.testing.assert_array_equal(truth.valid[:, 0], there)
    np.testing.assert_array_equal(truth.actions[:, 0], test.batch["track_actions"][:, 0, 0])


def test_a_second_stage_begins_with_the_weights_of_the_first(first, tmp_path, tracks):
    folder, config = first
    second = dataclasses.replace(config, net=dataclasses.replace(config.net, start=str(folder)))
    model = lart.Model(second.net)
    model.begin()
    before = evaluate.load_model(folder, config)[0].state_dict()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert model.training
    document = train(
        dataclasses.replace(second, train=dataclasses.replace(second.train, steps=2)), tmp_path / "second", tracks
    )
    fresh = train(
        dataclasses.replace(config, train=dataclasses.replace(config.train, steps=2)), tmp_path / "fresh", tracks
    )
    assert document["loss_first"] < fresh["loss_first"]
    with pytest.raises(SessionError, match="is not a run"):
        lart.Model(dataclasses.replace(config.net, start=str(tmp_path))).begin()


def test_a_teachers_answers_are_the_labels(first, tmp_path, tracks):
    folder, config = first
    teacher = teacher_of(folder, config.net)
    taught = Taught(tracks, teacher, rate_hz=4)
    item = taught[5]
    answers = teacher.everybody({k: v[None] for k, v in tracks[5].items() if isinstance(v, torch.Tensor)})[0]
    assert item["track_actions"].shape == answers.shape
    for step in range(made_tracks.STEPS):
        torch.testing.assert_close(item["track_actions"][:, step], answers[:, 4 * (step // 4) + 2])
    torch.testing.assert_close(item["tracks"], tracks[5]["tracks"])
    torch.testing.assert_close(taught.labels(5)["track_actions"], tracks[5]["track_actions"])
    pupil = dataclasses.replace(config, train=dataclasses.replace(config.train, steps=1, batch=8))
    assert train(pupil, tmp_path / "pupil", taught)["step"] == 1
    with pytest.raises(ConfigError, match=r"lart\.teacher: .* is no run of lart with 7 classes"):
        teacher_of(folder, dataclasses.replace(config.net, classes=7))


def test_a_second_shares_the_answer_of_its_middle():
    answers = torch.arange(10.0)[:, None]
    assert shared_by_second(answers, 4)[:, 0].tolist() == [2, 2, 2, 2, 6, 6, 6, 6, 9, 9]


def test_the_papers_rate_stays_and_early_layers_learn_slower(tracks):
    paper = hgrnn.PRESETS["paper"]().train
    assert learning_rate(paper, 0) == learning_rate(paper, 999) == paper.lr
    config = settings("lart", LART_SMALL, "train.layer_decay=0.5", "train.warmup=0", "train.batch=8")
    run = Run(config, tracks, Place.here("cpu"))
    run.advance(run.batches())
    rates = {group["lr"] for group in run.optimizer.param_groups}
    assert rates == {config.train.lr * share for share in (0.25, 0.5, 1.0)}


def test_what_a_dataset_cannot_give_is_said():
    with pytest.raises(ConfigError, match="datasets have no joints"):
        lart.open_split("nowhere", "train", dataclasses.replace(lart.Config(), steps=5))
    with pytest.raises(ConfigError, match="a clip with features needs their name"):
        hgrnn.open_split("nowhere", "train", hgrnn.Config())
    tiny = lart.PRESETS["tiny"]().net
    with pytest.raises(SessionError, match="nowhere"):
        lart.open_split("nowhere", "train", tiny)


def test_what_is_asked_of_a_dataset():
    tiny = lart.PRESETS["tiny"]().net
    ask = lart.data.wanted(dataclasses.replace(tiny, inputs="pose/appearance", stored="i3d"), training=False)
    assert (ask.frames, ask.tracks, ask.features, ask.at) == (25, 5, "i3d", "person")
    assert ask.stride_ns == ask.span_ns
    keys = hgrnn.data.wanted(dataclasses.replace(hgrnn.Config(), stored="i3d"))
    assert (keys.keyframes, keys.persons, keys.at) == (7, 8, "boxes")
