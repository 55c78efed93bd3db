"""From a trained run to numbers that can be believed, and a page that shows them."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from made_clips import MadeClips
from test_train import small

from firmware_host.errors import SessionError
from models import evaluate, report
from models.muscles import truth
from models.train import train


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "run"
    clips = MadeClips(64)
    config = small("train.steps=60", "train.batch=16", "train.lr=8e-3", "muscles.difference=true", "train.seed=1")
    train(config, folder, clips)
    return folder, config


def measured(trained, clips):
    folder, config = trained
    return evaluate.evaluate(folder, config, clips, "test", truth(clips))


def test_a_model_that_learned_beats_the_trivial_predictor(trained):
    document = measured(trained, MadeClips(40, seed=9))
    assert document["n"] == 40
    assert document["sessions"] == 4
    assert document["split"] == "test"
    assert document["step"] == 60
    assert set(document["metrics"]) == set(document["baseline"]) == set(document["chance"]) == set(document["ci95"])
    assert document["metrics"]["move_accuracy"] > 0.65  # the first frame shows nothing of the step before it
    assert document["verdict"]["move_accuracy"] == "better than trivial"
    assert document["baseline"]["move_balanced_accuracy"] == 0.5
    low, high = document["ci95"]["move_accuracy"]
    assert low <= document["metrics"]["move_accuracy"] <= high
    assert json.loads((trained[0] / "metrics.json").read_text()) == document


def test_a_model_that_learned_nothing_is_said_to_be_no_better(tmp_path):
    clips = MadeClips(16)
    config = small("train.steps=1")
    train(config, tmp_path / "run", clips)
    noise = MadeClips(40, seed=9)
    noise.frames = torch.randint(0, 256, noise.frames.shape, dtype=torch.uint8)
    document = measured((tmp_path / "run", config), noise)
    assert document["verdict"]["move_accuracy"] != "better than trivial"
    assert document["verdict"]["gaze_error"] != "better than trivial"


def test_missing_labels_are_null_and_one_session_has_no_interval(trained):
    clips = MadeClips(8)
    clips.move_valid[..., 0] = False
    clips.gaze_valid[:] = False
    folder, config = trained
    one_session = replace(truth(clips), session=np.array(["only"] * 8))
    document = evaluate.evaluate(folder, config, clips, "test", one_session)
    assert document["metrics"]["move_accuracy_neck"] is None
    assert document["metrics"]["gaze_error"] is None
    assert document["ci95"]["move_accuracy"] is None
    assert document["verdict"]["move_accuracy"] == "not better than trivial"
    json.dumps(document, allow_nan=False)


def test_an_empty_split_and_a_folder_that_is_no_run_are_sentences(trained, tmp_path):
    with pytest.raises(SessionError, match="no clips in the split 'test'"):
        measured(trained, MadeClips(0))
    with pytest.raises(SessionError, match="is not a run"):
        evaluate.read_config(tmp_path)
    folder, config = trained
    with pytest.raises(SessionError, match="no weights yet"):
        evaluate.load_model(tmp_path, config)
    with pytest.raises(SessionError, match="does not hold this run's weights"):
        evaluate.load_model(folder, replace(config, net=replace(config.net, hidden=9)))


def test_predictions_are_the_same_in_any_batch(trained):
    folder, config = trained
    model, _ = evaluate.load_model(folder, config)
    clips = MadeClips(5)
    together = evaluate.predict(model, clips, torch.device("cpu"))
    with torch.no_grad():
        alone = model(clips[3]["frames"][None])["gaze"][0].numpy()
    np.testing.assert_allclose(together["gaze"][3], alone, atol=1e-5)


def test_the_report_needs_nothing_beside_it_and_shows_the_frames(trained):
    clips = MadeClips(40, seed=9)
    document = measured(trained, clips)
    page = (trained[0] / "report.html").read_text()
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert f"{document['metrics']['move_accuracy']:.3f}" in page
    assert page.count("<circle") >= report.EXAMPLES
    picture = base64.b64decode(re.search(r"base64,([^\"]+)", page).group(1))
    shown = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert (shown == clips.frames[0, -1].permute(1, 2, 0).numpy()).all()
    assert len(page) < 300_000


def test_loss_curve_falls_on_the_page_when_the_loss_falls():
    svg = report.loss_curve([(i, 10 - i) for i in range(1, 9)])
    heights = [float(pair.split(",")[1]) for pair in re.search(r'points="([^"]+)"', svg).group(1).split()]
    assert heights == sorted(heights)  # SVG counts y downwards
    assert "No loss" in report.loss_curve([])
