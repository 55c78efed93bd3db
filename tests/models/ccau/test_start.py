"""Weights of other runs: what is taken, what is not, and whose teacher is missing."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from made_streams import SMALL
from safetensors.torch import save_file

from firmware_host.errors import ConfigError, SessionError
from models.ccau import Config, Model
from models.ccau.start import adopt

BASE = replace(Config(**SMALL), modalities=("audio", "imu"), cooperation=0.0)


def run_of(config, folder, seed):
    torch.manual_seed(seed)
    model = Model(config)
    folder.mkdir()
    save_file({n: t.contiguous() for n, t in model.state_dict().items()}, folder / "model.safetensors")
    return str(folder), model.state_dict()


def test_each_run_fills_its_towers(tmp_path):
    audio, of_audio = run_of(replace(BASE, modalities=("audio",)), tmp_path / "audio", 1)
    imu, of_imu = run_of(replace(BASE, modalities=("imu",)), tmp_path / "imu", 2)
    torch.manual_seed(3)
    model = Model(replace(BASE, start=(audio, imu)))
    model.begin()
    assert all(torch.equal(model.state_dict()[n], t) for n, t in (of_audio | of_imu).items())


def test_a_static_teacher_needs_weights(tmp_path):
    imu, _ = run_of(replace(BASE, modalities=("imu",)), tmp_path / "imu", 2)
    config = replace(BASE, distillation="static", students=("audio",), teacher_weight=1.0)
    with pytest.raises(ConfigError, match="teacher 'imu' is to stay as it is"):
        Model(config).begin()
    Model(replace(config, start=(imu,))).begin()


def test_foretelling_leaves_its_towers_to_recognition(tmp_path):
    config = replace(BASE, modalities=("ego",), stage="predict", predicted=1)
    before, weights = run_of(config, tmp_path / "before", 1)
    model = Model(replace(config, stage="recognise"))
    filled = adopt(model, [before])
    assert {n for n in weights if "network_pred" not in n} == filled
    assert torch.equal(
        model.state_dict()["towers.ego.backbone.conv1.weight"], weights["towers.ego.backbone.conv1.weight"]
    )


def test_what_does_not_fit_is_told(tmp_path):
    imu, _ = run_of(replace(BASE, modalities=("imu",)), tmp_path / "imu", 1)
    with pytest.raises(ConfigError, match=r"nothing in .*imu has a place"):
        adopt(Model(replace(BASE, modalities=("audio",))), [imu])
    with pytest.raises(ConfigError, match=r"towers\.imu\..* is \(.*\) and not \("):
        adopt(Model(replace(BASE, modalities=("imu",), hidden=7)), [imu])
    with pytest.raises(SessionError, match="has no weights"):
        adopt(Model(BASE), [str(tmp_path / "none")])
    (tmp_path / "imu" / "model.safetensors").write_bytes(b"\0" * 20)
    with pytest.raises(SessionError, match="damaged"):
        adopt(Model(BASE), [imu])
