"""`syncctl train` and `syncctl evaluate` as a user types them, on clips made in memory."""

from __future__ import annotations

import json

import pytest
from made_clips import MadeClips
from test_train import SMALL

import syncctl
from models import muscles


@pytest.fixture
def command(monkeypatch, capsys):
    """Run `syncctl ...`: status, stdout, stderr. The training split has 48 clips, the others 24 of other seeds."""
    seeds = {"train": (48, 0), "val": (24, 1), "test": (24, 2)}

    def open_split(data, split, config, train=None):  # noqa: ARG001
        n, seed = seeds[split]
        return MadeClips(n, size=config.size, seed=seed)

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            syncctl.main([str(a) for a in arguments])
        said = capsys.readouterr()
        return ended.value.code, said.out, said.err

    run.on_made_clips = lambda: monkeypatch.setattr(muscles, "open_split", open_split)
    return run


def training(out, *more):
    settings = [text for setting in SMALL for text in ("--set", setting)]
    return ("train", "muscles", "--data", "made", "--out", out, "--preset", "tiny", *settings, *more)


def test_train_and_evaluate(command, tmp_path):
    command.on_made_clips()
    out = tmp_path / "run"
    status, said, _ = command(*training(out, "--steps", 3, "--seed", 7, "--json"))
    document = json.loads(said)
    assert status == 0
    assert (document["step"], document["steps"], document["clips"]) == (3, 3, 48)
    assert document["loss_first"] > 0
    names = {path.name for path in out.iterdir()}
    assert names - {"tensorboard"} == {
        "config.toml",
        "metrics.jsonl",
        "checkpoint.pt",
        "model.safetensors",
        "trivial.json",
    }

    status, said, _ = command("evaluate", out, "--json")
    document = json.loads(said)
    assert status == 0
    for name in ("metrics", "baseline", "chance", "ci95"):
        assert {"move_accuracy", "move_accuracy_rarmu", "move_balanced_accuracy", "gaze_error"} <= set(document[name])
    assert (document["split"], document["n"]) == ("test", 24)
    status, said, _ = command("evaluate", out, "--split", "val")
    assert status == 0
    assert "on 'val': 24 clips of 4 sessions" in said
    assert "trivial" in said


def test_the_same_command_twice_is_refused_and_resume_accepts_it(command, tmp_path):
    command.on_made_clips()
    out = tmp_path / "run"
    assert command(*training(out, "--steps", 2))[0] == 0
    status, said, error = command(*training(out, "--steps", 2))
    assert status == 1
    assert said == ""
    assert error.startswith("syncctl: ")
    assert "--resume" in error
    assert len(error.splitlines()) == 1
    status, said, _ = command(*training(out, "--steps", 2, "--resume"))
    assert status == 0
    assert "done at step 2 of 2" in said
    assert command("train", "muscles", "--out", out, "--resume")[0] == 0
    status, _, error = command(*training(out, "--steps", 3, "--resume"))
    assert status == 1
    assert "train.steps (2, 3)" in error


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("train", "muscle", "--data", "d", "--out", "r"), "did you mean 'muscles'"),
        (("train", "muscles", "--data", "d", "--out", "r", "--preset", "tinny"), "did you mean 'tiny'"),
        (("train", "muscles", "--data", "d", "--out", "r", "--set", "train.stepz=1"), "did you mean 'steps'"),
        (("train", "muscles", "--out", "r"), "name it with --data"),
        (("train", "muscles", "--data", "nowhere", "--out", "r"), "nowhere"),
        (("train", "muscles", "--out", "nowhere", "--resume"), "nowhere is not a run"),
        (("evaluate", "nowhere"), "nowhere is not a run"),
    ],
)
def test_wrong_input_is_one_sentence_and_leaves_nothing(command, tmp_path, monkeypatch, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    status, said, error = command(*arguments)
    assert status == 1
    assert said == ""
    assert sentence in error
    assert len(error.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["train", "evaluate"])
def test_help_has_an_example(command, name):
    status, said, _ = command(name, "--help")
    assert status == 0
    assert f"syncctl {name} " in said.split("Example:")[1]
