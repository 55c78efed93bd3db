"""What every model promises; each line of `models.MODELS` runs through all of it."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import made_people
import made_streams
import pytest
import torch
from made_clips import MadeClips
from made_scenes import MadeScenes
from torch.utils.data import default_collate

import models
from models.config import Preset, TrainConfig

SMALLER = {
    "hgrnn": made_people.HGRNN_SMALL,
    "hgrnn.tuning": {"size": 32, "frames": 5, "features": 8, "narrow": 32, "classes": 3, "persons": 2},
    "lart": made_people.LART_SMALL,
    "ccau": made_streams.SMALL
    | {"modalities": ("ego", "audio", "thermal"), "size": 32, "hidden": 8, "head_dropout": 0.0},
    "transfer": {"dropout": 0.0, "classes": ("still", "moving")},
    "muscles": {"size": 32, "widths": (4, 4, 8, 8), "channels": 4, "hidden": 16, "queue": 16},
    "vat": {"size": 64, "frames": 8, "actions": 3, "narrow": 32, "width": 8, "rois": "truth", "dropout": 0.0},
}
"""Changes to each model's ``tiny`` preset that make it run in milliseconds."""


@pytest.fixture(params=list(models.MODELS))
def module(request):
    return models.module_of(request.param)


@pytest.fixture
def config(module):
    name = module.__name__.removeprefix("models.")
    return dataclasses.replace(module.PRESETS["tiny"]().net, **SMALLER[name])


def batch_of(config, seed=0):
    """Eight clips of what that model reads."""
    if type(config).__module__.startswith("models.ccau"):
        return made_streams.batch_of(config, 8, seed)
    if type(config).__module__ == "models.hgrnn.tuning":
        return made_people.pictures(8, seed)
    if type(config).__module__.startswith(("models.hgrnn", "models.lart")):
        return made_people.keyframes(8, seed) if hasattr(config, "context") else made_people.tracks(8, seed)
    made = MadeScenes if type(config).__module__ == "models.vat.config" else MadeClips
    clips = made(8, size=config.size, frames=config.frames, seed=seed)
    batch = {k: v for k, v in default_collate([clips[i] for i in range(8)]).items() if isinstance(v, torch.Tensor)}
    if type(config).__module__ == "models.transfer.config":
        return {"frames": batch["frames"][:, 1:2], "label": batch["move"][:, 1, 0].long()}
    return batch


def test_presets_are_frozen_and_serialisable(module):
    assert {"default", "paper", "tiny"} <= set(module.PRESETS)
    for preset in module.PRESETS.values():
        start = preset()
        assert isinstance(start, Preset)
        assert isinstance(start.net, module.Config)
        assert isinstance(start.train, TrainConfig)
        with pytest.raises(dataclasses.FrozenInstanceError):
            start.net.size = 1


def test_every_field_of_the_configuration_is_explained(module):
    for field in dataclasses.fields(module.Config):
        assert field.name in module.Config.__doc__, field.name


def test_outputs_have_a_row_for_each_clip_and_are_finite(module, config):
    model = module.Model(config).eval()
    outputs = model.predict(batch_of(config))
    assert outputs
    for value in outputs.values():
        assert len(value) == 8
        assert torch.isfinite(value).all()


def test_eight_clips_together_equal_each_alone(module, config):
    model = module.Model(config).eval()
    batch = batch_of(config)
    together, alone = model.predict(batch), model.predict({name: value[5:6] for name, value in batch.items()})
    for name in together:
        torch.testing.assert_close(together[name][5:6], alone[name], atol=1e-5, rtol=1e-4)


def test_it_can_learn_eight_clips_by_heart(module, config):
    torch.manual_seed(0)
    model = module.Model(config)
    batch = batch_of(config)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], 1e-2)
    losses = []
    for _ in range(25):
        loss, terms = model.loss(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        model.after_step()
        losses.append(loss.item())
    assert terms
    assert sum(losses[-3:]) < 0.7 * sum(losses[:3])


def test_weights_round_trip(module, config):
    torch.manual_seed(1)
    one, other = module.Model(config).eval(), module.Model(config).eval()
    batch = batch_of(config)
    other.load_state_dict(one.state_dict())
    for name, value in one.predict(batch).items():
        torch.testing.assert_close(other.predict(batch)[name], value)


def test_building_prints_nothing_and_seeds_nothing(module, config, capsys):
    def drawn_after_building(seed):
        torch.manual_seed(seed)
        module.Model(config)
        return torch.rand(3)

    assert not torch.equal(drawn_after_building(1), drawn_after_building(2))
    assert capsys.readouterr() == ("", "")


def test_naming_the_models_does_not_load_torch():
    code = "import sys, models, models.cli; models.MODELS; print('torch' in sys.modules, 'numpy' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.split() == ["False", "False"]
