"""The loop: it learns, continues to the bit, stops when asked, and refuses to go on with nonsense."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from made_clips import MadeClips
from safetensors.torch import load_file

from firmware_host.errors import ConfigError, SessionError
from models.config import TrainConfig, resolve
from models.journal import read_log
from models.train import Average, DivergedError, learning_rate, train

SMALL = [
    "muscles.size=32", "muscles.widths=[4, 4, 8, 8]", "muscles.channels=4", "muscles.hidden=8",
    "muscles.unembed=8", "muscles.queue=16", "muscles.embedding=8", "train.batch=8", "train.device=cpu",
    "train.warmup=2",
]  # fmt: skip


def small(*settings, data="made"):
    return resolve("muscles", "tiny", data, settings=[*SMALL, *settings])


def weights(folder):
    return load_file(folder / "model.safetensors")


class Interrupting(MadeClips):
    """Clips that send this process a signal when one has been read for the `after`-th time."""

    def __init__(self, n, after, number=signal.SIGTERM):
        super().__init__(n)
        self.left, self.number = after, number

    def __getitem__(self, index):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), self.number)
        return super().__getitem__(index)


def test_the_loss_falls_and_is_logged(tmp_path, clips):
    config = small("train.steps=25", "train.lr=5e-3")
    document = train(config, tmp_path / "run", clips)
    assert document["loss_last"] < 0.8 * document["loss_first"]
    assert document["step"] == 25
    assert not document["interrupted"]
    lines = read_log(tmp_path / "run" / "metrics.jsonl")
    assert [line["step"] for line in lines] == list(range(1, 26))
    assert {"loss", "visual", "gaze", "move", "lr", "gradient", "ms_per_step", "data_share"} <= set(lines[0])
    assert 0 <= document["data_share"] < 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopped_in_mid_epoch_and_resumed_equals_uninterrupted_to_the_bit(tmp_path, clips, number):
    config = small("train.steps=9", "train.accumulate=2", "train.ema=0.5")  # 3 steps an epoch
    train(config, tmp_path / "whole", clips)
    stopping = Interrupting(len(clips), after=4 * 16 + 3, number=number)
    document = train(config, tmp_path / "parts", stopping)
    assert document["interrupted"]
    assert document["step"] == 5
    document = train(config, tmp_path / "parts", clips, resume=True)
    assert document["step"] == 9
    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert set(whole) == set(parts)
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    states = [torch.load(tmp_path / d / "checkpoint.pt", weights_only=True) for d in ("whole", "parts")]
    one, other = (state["optimizer"]["state"] for state in states)
    assert all(torch.equal(one[i][k], other[i][k]) for i in one for k in one[i])
    logs = [read_log(tmp_path / d / "metrics.jsonl") for d in ("whole", "parts")]
    assert [[line[k] for k in ("step", "loss", "gradient")] for line in logs[0]] == [
        [line[k] for k in ("step", "loss", "gradient")] for line in logs[1]
    ]


def test_killed_between_checkpoints_continues_from_the_last_one(tmp_path, clips):
    """What a SIGKILL leaves: an old checkpoint, a longer log, its last line cut off."""
    config = small("train.steps=6")
    train(config, tmp_path / "whole", clips)
    folder = tmp_path / "killed"
    train(config, folder, Interrupting(len(clips), after=3 * 8 + 1))
    log = folder / "metrics.jsonl"
    lines = [json.dumps(line | {"step": 5}) + "\n" for line in read_log(log)[-1:]]
    log.write_text(log.read_text() + lines[0] + '{"step": 6, "lo')
    train(config, folder, clips, resume=True)
    assert [line["step"] for line in read_log(log)] == [1, 2, 3, 4, 5, 6]
    whole, killed = tmp_path / "whole", folder
    assert (whole / "model.safetensors").read_bytes() == (killed / "model.safetensors").read_bytes()


def test_each_epoch_is_augmented_anew_also_after_resuming(tmp_path):
    class Noting(Interrupting):
        def set_epoch(self, epoch):
            super().set_epoch(epoch)
            epochs.append(epoch)

    epochs = []
    config = small("train.steps=5")  # two steps an epoch
    train(config, tmp_path / "run", Noting(16, after=3 * 8 + 1))
    assert epochs == [0, 1]
    train(config, tmp_path / "run", Noting(16, after=-1), resume=True)
    assert epochs == [0, 1, 2]


def test_equal_seeds_give_equal_weights_and_others_do_not(tmp_path, clips):
    runs = {}
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(small("train.steps=2", f"train.seed={seed}"), tmp_path / name, clips)
        runs[name] = weights(tmp_path / name)["imu_lstm.weight_ih_l0"]
    assert torch.equal(runs["a"], runs["b"])
    assert not torch.equal(runs["a"], runs["c"])


def test_an_existing_folder_is_refused(tmp_path, clips):
    config = small("train.steps=1")
    train(config, tmp_path / "run", clips)
    before = {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir()}
    with pytest.raises(ConfigError, match="--resume"):
        train(config, tmp_path / "run", clips)
    assert {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir()} == before


def test_resuming_with_other_settings_is_refused_by_name(tmp_path, clips):
    train(small("train.steps=1"), tmp_path / "run", clips)
    with pytest.raises(ConfigError, match=r"train\.lr \(0\.002, 0\.1\)"):
        train(small("train.steps=1", "train.lr=0.1"), tmp_path / "run", clips, resume=True)


def test_a_damaged_checkpoint_is_one_sentence(tmp_path, clips):
    config = small("train.steps=1")
    train(config, tmp_path / "run", clips)
    path = tmp_path / "run" / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(SessionError, match=r"checkpoint\.pt cannot be read"):
        train(config, tmp_path / "run", clips, resume=True)


def test_nan_names_the_loss_and_the_clips_and_overwrites_nothing(tmp_path):
    clips = MadeClips(16)
    config = small("train.steps=5", "train.save_every=1")
    clips.gaze[3, 0, 0] = math.nan
    clips.gaze_valid[3, 0] = True
    with pytest.raises(DivergedError, match=r"the gaze loss is not a finite number at step \d \(clips .*\b3 of s0"):
        train(config, tmp_path / "run", clips)
    for path in (tmp_path / "run").glob("model.safetensors"):
        assert all(torch.isfinite(tensor).all() for tensor in load_file(path).values())


def test_too_few_clips_for_a_batch(tmp_path):
    with pytest.raises(ConfigError, match="fewer than one batch of 8"):
        train(small("train.steps=1"), tmp_path / "run", MadeClips(7))
    assert not (tmp_path / "run").exists()


def test_accumulation_equals_a_larger_batch(tmp_path):
    """Of one clip repeated, so that batch norm sees the same statistics in batches of 4 and of 8."""
    clips = MadeClips(8)
    for tensor in (clips.frames, clips.gaze, clips.gaze_valid, clips.move_valid):
        tensor[:] = tensor[0].clone()
    clips.move = clips.move[:1].expand_as(clips.move)
    lines = []
    for batch, accumulate in ((8, 1), (4, 2)):
        plain = ("muscles.objectives=move/attn", "muscles.dropout=0", "train.clip_norm=0", "train.steps=1")
        config = small(*plain, f"train.batch={batch}", f"train.accumulate={accumulate}")
        train(config, tmp_path / str(batch), clips)
        lines += read_log(tmp_path / str(batch) / "metrics.jsonl")
    assert lines[0]["loss"] == pytest.approx(lines[1]["loss"], rel=1e-4)
    assert lines[0]["gradient"] == pytest.approx(lines[1]["gradient"], rel=1e-4)


def test_learning_rate_schedules():
    cosine = TrainConfig(steps=100, lr=1.0, warmup=4)
    assert [learning_rate(cosine, s) for s in (0, 4)] == pytest.approx([0.2, 0.9961], abs=1e-3)
    assert learning_rate(cosine, 50) == pytest.approx(0.5)
    assert learning_rate(cosine, 99) == pytest.approx(0, abs=1e-3)
    quarters = replace(cosine, schedule="quarters", warmup=0)
    assert [learning_rate(quarters, s) for s in (0, 24, 25, 50, 99)] == pytest.approx([1, 1, 0.1, 0.01, 0.001])


def test_average_of_weights():
    model = torch.nn.Linear(1, 1, bias=False)
    model.weight.data.fill_(1.0)
    average = Average(model, 0.75)
    model.weight.data.fill_(5.0)
    average.update(model)
    assert average.weights["weight"].item() == 2.0


def test_bf16_trains(tmp_path, clips):
    document = train(small("train.steps=2", "train.bf16=true"), tmp_path / "run", clips)
    assert math.isfinite(document["loss_last"])


@pytest.mark.slow
def test_two_processes_agree_and_write_once(tmp_path):
    """Under torchrun's variables, with gloo: equal weights in both, one log, and a resumed run goes on."""
    script = tmp_path / "go.py"
    script.write_text(
        "import sys, torch\n"
        f"sys.path[:0] = [{str(Path(__file__).parent)!r}]\n"
        "from made_clips import MadeClips\nfrom pathlib import Path\n"
        "from test_train import small\nfrom models.train import train\n"
        "folder = Path(sys.argv[1]); config = small('train.steps=4')\n"
        "document = train(config, folder, MadeClips(48))\n"
        "print('processes', document['processes'])\n"
    )
    environment = os.environ | {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29517"}
    started = [
        subprocess.Popen(
            [sys.executable, str(script), str(tmp_path / "run")],
            env=environment | {"RANK": str(rank)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    said = [process.communicate(timeout=120)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0]
    assert all("processes 2" in text for text in said)
    assert [line["step"] for line in read_log(tmp_path / "run" / "metrics.jsonl")] == [1, 2, 3, 4]
    assert weights(tmp_path / "run")["contrast.pointer"] == 4 * 16 % 16
