"""The loop: it learns, continues to the bit, stops when asked, and refuses to go on with nonsense."""

from __future__ import annotations

import json
import math
import os
import random
import signal
from dataclasses import replace

import processes
import pytest
import torch
from made_clips import MadeClips
from safetensors.torch import load_file

from firmware_host.errors import ConfigError, SessionError
from models import evaluate, muscles
from models.config import TrainConfig, resolve
from models.journal import read_log
from models.muscles import GROUPS
from models.optimizing import Average, learning_rate
from models.train import DivergedError, train

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
    before = {p.name: p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.is_file()}
    with pytest.raises(ConfigError, match="--resume"):
        train(config, tmp_path / "run", clips)
    assert {p.name: p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.is_file()} == before


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
    fifths = replace(quarters, schedule="fifths")
    assert [learning_rate(fifths, s) for s in (0, 59, 60, 80, 99)] == pytest.approx([1, 1, 0.1, 0.01, 0.01])


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


def equal(one, other):
    """Weights, optimiser and log of two run folders, to the bit."""
    states = [torch.load(folder / "checkpoint.pt", weights_only=True) for folder in (one, other)]
    moments = [state["optimizer"]["state"] for state in states]
    logs = [
        [[line[k] for k in ("step", "loss", "gradient")] for line in read_log(folder / "metrics.jsonl")]
        for folder in (one, other)
    ]
    return (
        logs[0] == logs[1]
        and states[0]["step"] == states[1]["step"]
        and all(torch.equal(states[0]["model"][name], states[1]["model"][name]) for name in states[0]["model"])
        and all(torch.equal(moments[0][i][k], moments[1][i][k]) for i in moments[0] for k in moments[0][i])
        and (one / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()
    )


@pytest.mark.parametrize("world", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_killed_at_a_random_step_and_resumed_equals_uninterrupted_to_the_bit(tmp_path, world):
    """SIGKILL, of one process of one or of two under gloo, somewhere in the run."""
    after = random.randrange(2 * 8 + 1, 7 * 8)  # clips read: after the first checkpoint, before the last step
    config = small("train.steps=7", "train.save_every=2", "train.threads=1")
    dying = processes.start(world, [(config, tmp_path / "killed", False)], processes.Dying(40, after))
    for process in dying[1:]:
        process.join(processes.TIMEOUT_S)
    codes = processes.finished(dying)
    assert -signal.SIGKILL in codes, codes
    reached = torch.load(tmp_path / "killed" / "checkpoint.pt", weights_only=True)["step"]
    assert 0 < reached < 7
    jobs = [(config, tmp_path / "whole", False), (config, tmp_path / "killed", True)]
    assert processes.finished(processes.start(world, jobs, MadeClips(40))) == [0] * world
    assert equal(tmp_path / "whole", tmp_path / "killed"), f"killed when {after} clips had been read"


def test_two_processes_equal_one_that_accumulates_two_batches(tmp_path):
    """Dropout, contrast's queue and batch norm included: the batches are the same, only shared out."""
    one = small("train.steps=3", "train.accumulate=2", "train.threads=1")
    two = replace(one, train=replace(one.train, accumulate=1))
    train(one, tmp_path / "one", MadeClips(40))
    assert processes.finished(processes.start(2, [(two, tmp_path / "two", False)], MadeClips(40))) == [0, 0]
    logs = [read_log(tmp_path / name / "metrics.jsonl") for name in ("one", "two")]
    assert [line["step"] for line in logs[1]] == [1, 2, 3]  # one process writes, and once
    for mine, shared in zip(*logs, strict=True):
        assert shared["gradient"] == pytest.approx(mine["gradient"], rel=1e-3)
    alone, shared = weights(tmp_path / "one"), weights(tmp_path / "two")
    for name in alone:
        if "running" not in name and "tracked" not in name:  # the first process's own statistics are written
            torch.testing.assert_close(shared[name], alone[name], atol=2e-4, rtol=1e-3)
    assert alone["contrast.pointer"] == shared["contrast.pointer"] == 3 * 16 % 16


def test_a_run_of_one_process_is_not_resumed_by_two(tmp_path, clips):
    config = small("train.steps=1")
    train(config, tmp_path / "run", clips)
    path = tmp_path / "run" / "checkpoint.pt"
    torch.save(torch.load(path, weights_only=True) | {"processes": 2}, path)
    with pytest.raises(ConfigError, match="is a run of 2 processes, not of 1; resume it on as many"):
        train(config, tmp_path / "run", clips, resume=True)


def test_a_dataset_of_no_clips_is_refused_and_leaves_nothing(tmp_path):
    with pytest.raises(SessionError, match="has no clips to train on"):
        train(small("train.steps=1"), tmp_path / "run", MadeClips(0))
    assert not (tmp_path / "run").exists()


def test_a_group_that_never_moves_trains_and_is_measured_where_it_can_be(tmp_path):
    clips = MadeClips(16)
    clips.move = clips.move.clone()
    clips.move[..., 2] = 0
    config = small("train.steps=2")
    assert math.isfinite(train(config, tmp_path / "run", clips)["loss_last"])
    document = evaluate.evaluate(tmp_path / "run", config, clips, "test", muscles.truth(clips))
    assert document["metrics"][f"move_balanced_accuracy_{GROUPS[2]}"] is None
    assert document["metrics"][f"move_accuracy_{GROUPS[2]}"] is not None


def test_a_single_session_is_measured_without_an_interval(tmp_path):
    clips = MadeClips(16)
    clips.labels = lambda index: MadeClips.labels(clips, index) | {"session": "only"}
    config = small("train.steps=2")
    train(config, tmp_path / "run", clips)
    document = evaluate.evaluate(tmp_path / "run", config, clips, "test", muscles.truth(clips))
    assert document["sessions"] == 1
    assert set(document["ci95"].values()) == {None}
    assert document["metrics"]["gaze_error"] > 0


def test_tensorboard_has_the_steps_of_the_log(tmp_path, clips):
    from tensorboard.backend.event_processing import event_accumulator as accumulator

    config = small("train.steps=4")
    train(config, tmp_path / "run", Interrupting(len(clips), after=2 * 8 + 1))
    train(config, tmp_path / "run", clips, resume=True)
    events = accumulator.EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    lines = read_log(tmp_path / "run" / "metrics.jsonl")
    assert [(e.step, pytest.approx(e.value, rel=1e-5)) for e in events.Scalars("loss")] == [
        (line["step"], line["loss"]) for line in lines
    ]
    assert {"gaze", "move", "visual", "lr", "data_share"} <= set(events.Tags()["scalars"])


def test_compiling_for_a_cpu_is_refused_and_leaves_nothing(tmp_path, clips):
    with pytest.raises(ConfigError, match=r"train\.compile is for CUDA"):
        train(small("train.steps=1", "train.compile=true"), tmp_path / "run", clips)
    assert not (tmp_path / "run").exists()
