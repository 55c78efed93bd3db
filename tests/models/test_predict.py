"""The whole way from a dataset to frame mAP, by the commands a user types: features, train, predict, ava, evaluate."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from planted import GUEST, SECOND, SIZE, acts, box_px, make_session
from safetensors.torch import save_file

import syncctl
from firmware_host.errors import ConfigError, SessionError
from ingest.build import build, find_sessions
from models.ava import answers, read_label_map, read_rows
from models.hgrnn.features import FeatureNet
from models.people import PersonTruth
from models.workflow import answer

REACH = SECOND // 10
"""From the moment that a clip is about to the nearest that has boxes."""
NAMES = ("hold", "pour", "sit")
SMALL = {
    "vat": ["size=48", "frames=4", "test_frames=4", "narrow=16", "proposals=8", "sampled=8"],
    "hgrnn": ["features=12", "hidden=8", "streams=2", "context=1", "stored=both"],
    "lart": ["layers=1", "steps=10", "inputs=pose/appearance", "stored=both"],
}
SMALL["lart"] += ["appearance_hidden=[8]", "appearance_width=64"]


def run(*arguments: object) -> dict:
    """What a command prints with --json."""
    result = CliRunner().invoke(syncctl.cli, [*map(str, arguments), "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    """Four seconds of anna and her guest, with features of RGB and flow for every box."""
    root = tmp_path_factory.mktemp("answered")
    make_session(root / "sessions" / "s-anna", participant="anna", truth=True)
    with ThreadPoolExecutor(1) as here:
        build(find_sessions([root / "sessions"]), root / "dataset", here)
    torch.manual_seed(0)
    files = []
    for kind, channels in (("rgb", 3), ("flow", 2)):
        files += ["--weights", root / f"{kind}.safetensors"]
        save_file(FeatureNet(3, channels, features=12, narrow=32).state_dict(), files[-1])
    made = run("features", root / "dataset", "--name", "both", "--size", 32, *files)
    assert (made["dims"], made["sessions"]) == (24, 1)
    return root / "dataset"


@pytest.fixture(scope="module", params=list(SMALL))
def answered(request, dataset, tmp_path_factory):
    """A model that was trained for two steps, its run and its answers."""
    model, folder = request.param, tmp_path_factory.mktemp(request.param)
    settings = [word for each in SMALL[model] for word in ("--set", f"{model}.{each}")]
    few = ["--set", "train.batch=2", "--steps", 2, "--preset", "tiny"]
    run("train", model, "--data", dataset, "--out", folder / "run", *few, *settings)
    pictures = ["--pictures", 2] if model == "vat" else []
    made = run("predict", folder / "run", "--out", folder / "found", "--split", "train", *pictures)
    return model, folder, made


def test_what_is_true_is_what_was_planted(answered):
    model, folder, made = answered
    truth, labels = (
        read(folder / "found" / name)
        for read, name in zip((read_rows, read_label_map), (answers.TRUE, answers.MAP), strict=True)
    )
    assert labels.names == dict(enumerate(NAMES, start=1))
    assert made["truth"] == len(truth) >= 3
    done = {"anna": [a for a in acts("anna") if a[1] == "anna"], GUEST: [a for a in acts("anna") if a[1] == GUEST]}
    for frame, box, label in zip(truth.frame, truth.boxes, truth.label, strict=True):
        session, second = frame.split(",")
        assert session == "s-anna"
        fits = [
            who
            for who in done
            for k in range(20)  # five moments with boxes a second
            if k // 5 == int(second)
            and np.allclose(box, (np.array(box_px(who, k)) + 0.5) / np.tile(SIZE, 2), atol=1e-6)
            for value, _, start, stop in done[who]
            if value == NAMES[label - 1] and start - REACH <= k * SECOND // 5 < stop + REACH
        ]
        assert fits, (model, frame, box, label)


def test_ava_measures_what_predict_wrote(answered):
    model, folder, made = answered
    found = folder / "found"
    measured = run("ava", found / "truth.csv", found / "detections.csv", "--labels", found / "labels.pbtxt")
    assert 0 <= measured["map"] <= 1
    assert measured["frames"] == len(np.unique(read_rows(found / "truth.csv").frame))
    assert measured["kinds"] == {}
    perfect = run("ava", found / "truth.csv", found / "truth.csv", "--labels", found / "labels.pbtxt")
    assert perfect["map"] == 1.0
    assert made["detections"] == len(read_rows(found / "detections.csv")) > 0
    if model == "vat":  # the other two are told the boxes, and are judged by precision over persons
        document = run("evaluate", folder / "run", "--split", "train")
        assert document["metrics"]["map"] == pytest.approx(measured["map"])
        page = (folder / "run" / "report.html").read_text()
        assert "frame mAP" in page
        assert "gaze" not in page
        assert page.count("<figure") == 3 * document["n"]  # fewer clips than are shown of a long split


def test_pictures_of_what_was_found_and_looked_at(answered):
    model, folder, made = answered
    if model != "vat":
        with pytest.raises(ConfigError, match="reads no pictures; leave --pictures out"):
            answer(folder / "run", folder / "more", split="train", pictures=1)
        return
    files = sorted(p.name for p in (folder / "found" / "pictures").iterdir())
    assert len(files) == 6
    assert {name.rsplit("-", 1)[1] for name in files} == {"found.png", "attention.png", "keys.png"}
    assert set(made["files"][3:]) == {f"pictures/{name}" for name in files}
    assert all((folder / "found" / "pictures" / name).read_bytes().startswith(b"\x89PNG") for name in files)


def test_a_split_without_clips_is_said(answered):
    _, folder, _ = answered
    with pytest.raises(SessionError, match="no clips in the split 'test'"):
        answer(folder / "run", folder / "none")


def test_a_run_that_finds_nobody_is_refused(tmp_path, monkeypatch):
    from models import workflow

    monkeypatch.setattr(workflow, "_opened", lambda *_: (type("C", (), {"model": "muscles"}), [], object()))
    with pytest.raises(ConfigError, match="run of muscles, which says of no box"):
        answer(tmp_path, tmp_path / "out")


def test_people_outside_the_picture_give_no_row():
    boxes = np.array([[[0.1, 0.1, 0.5, 0.9], [0, 0, 0, 0], [0.2, np.nan, 0.4, 0.5], [0.3, 0.3, 0.3, 0.8]]])
    truth = PersonTruth(np.ones((1, 4, 2)), np.ones((1, 4), bool), np.array(["s"]), ("a", "b"), boxes)
    assert truth.acts().label.tolist() == [1, 2]
    found = truth.found({"actions": np.full((1, 4, 2), 0.25)})
    assert found.score.tolist() == [0.25, 0.25]
    sure = PersonTruth(
        *[getattr(truth, n) for n in ("actions", "valid", "session", "names")], boxes, np.full((1, 4), 0.5)
    )
    assert sure.found({"actions": np.full((1, 4, 2), 0.25)}).score.tolist() == [0.125, 0.125]
    assert sure.found({"detections": np.array([[[0.5, np.nan]] * 4])}).score.tolist() == [0.5]
    with pytest.raises(SessionError, match="do not say where anybody is"):
        PersonTruth(*[getattr(truth, n) for n in ("actions", "valid", "session", "names")]).acts()
