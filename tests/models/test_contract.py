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
    | {"modalities": ("ego", "audio", "environment", "thermal", "imu"), "size": 32, "hidden": 8, "head_dropout": 0.0},
    "transfer": {"dropout": 0.0, "classes": ("still", "moving")},
    "muscles": {"size": 32, "widths": (4, 4, 8, 8), "channels": 4, "hidden": 16, "queue": 16},
    "vat": {"size": 64, "frames": 8, "actions": 3, "narrow": 32, "width": 8, "rois": "truth", "dropout": 0.0},
}
"""Changes to each model's ``tiny`` preset that make it run in milliseconds."""


ANSWERS = {"activity", "atomic", "move", "gaze", "label", "box_actions", "track_actions"}
"""Kinds of the batch that say what is to be told."""
MASKED = {"box_valid": "boxes"}
"""What a mask is of, where its name does not say it."""


def pictures(made):
    """Batches of a split of made clips, of the size that a configuration asks for."""

    def batch(config, seed):
        clips = made(8, size=config.size, frames=config.frames, seed=seed)
        whole = default_collate([clips[i] for i in range(8)])
        return {name: value for name, value in whole.items() if isinstance(value, torch.Tensor)}

    return batch


def moving(config, seed):
    """Single pictures, and whether something moves in them."""
    batch = pictures(MadeClips)(config, seed)
    return {"frames": batch["frames"][:, 1:2], "label": batch["move"][:, 1, 0].long()}


BATCHES = {
    "ccau": lambda config, seed: made_streams.batch_of(config, 8, seed),
    "hgrnn": lambda _, seed: made_people.keyframes(8, seed),
    "hgrnn.tuning": lambda _, seed: made_people.pictures(8, seed),
    "lart": lambda _, seed: made_people.tracks(8, seed),
    "muscles": pictures(MadeClips),
    "transfer": moving,
    "vat": pictures(MadeScenes),
}
"""Eight clips of what each model reads, of a configuration and a seed."""


def of_mine(table, module):
    name = module.__name__.removeprefix("models.")
    if name not in table:
        pytest.fail(f"add {name!r} to SMALLER and to BATCHES, and every line of the contract is asked of it")
    return table[name]


@pytest.fixture(params=list(models.MODELS))
def module(request):
    return models.module_of(request.param)


@pytest.fixture
def config(module):
    return dataclasses.replace(module.PRESETS["tiny"]().net, **of_mine(SMALLER, module))


def batch_of(module, config, seed=0):
    return of_mine(BATCHES, module)(config, seed)


def test_every_name_is_there(module):
    assert all(callable(getattr(module, name)) for name in ("Config", "Model", "open_split", "truth"))


def test_every_preset_builds(module):
    for preset in module.PRESETS.values():
        with torch.device("meta"):
            assert sum(p.numel() for p in module.Model(preset().net).parameters())


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
    outputs = model.predict(batch_of(module, config))
    assert outputs
    for value in outputs.values():
        assert len(value) == 8
        assert torch.isfinite(value).all()


def test_eight_clips_together_equal_each_alone(module, config):
    model = module.Model(config).eval()
    batch = batch_of(module, config)
    together, alone = model.predict(batch), model.predict({name: value[5:6] for name, value in batch.items()})
    for name in together:
        torch.testing.assert_close(together[name][5:6], alone[name], atol=1e-5, rtol=1e-4)


def test_numbers_under_a_false_do_not_count(module, config):
    model, batch = module.Model(config).eval(), batch_of(module, config)
    rng, other = torch.Generator().manual_seed(0), {}
    for mask in [name for name in batch if name.endswith("_valid")]:
        of = MASKED.get(mask, mask.removesuffix("_valid"))
        if of in batch and batch[mask].ndim > 1:
            batch[mask] = batch[mask] & (torch.rand(batch[mask].shape, generator=rng) > 0.2)
            known = spread(batch[mask], batch[of])
            batch[of], other[of] = (
                torch.where(known, batch[of], torch.tensor(x, dtype=batch[of].dtype)) for x in (0, 77)
            )
    told, again = model.predict(batch), model.predict(batch | other)
    for name, value in told.items():
        torch.testing.assert_close(again[name], value)


def spread(mask, values):
    """A mask of the leading axes, or of the first and the last one (sound), as wide as its values."""
    between = values.ndim - mask.ndim
    if mask.shape == values.shape[: mask.ndim]:
        return mask.reshape(*mask.shape, *[1] * between)
    return mask.reshape(len(mask), *[1] * between, *mask.shape[1:])


def test_what_it_tells_does_not_come_from_the_answers(module, config):
    model, batch = module.Model(config).eval(), batch_of(module, config)
    told = model.predict(batch)
    blind = model.predict({name: value for name, value in batch.items() if name not in ANSWERS})
    for name, value in told.items():
        torch.testing.assert_close(blind[name], value)


def test_the_loss_is_of_the_answers(module, config):
    model, batch = module.Model(config).eval(), batch_of(module, config)
    turned = {name: value.roll(1, 0) if name in ANSWERS else value for name, value in batch.items()}
    losses = []
    for clips in (batch, turned):
        torch.manual_seed(0)
        losses.append(model.loss(clips)[0].item())
    assert losses[0] != losses[1]


def test_it_can_learn_eight_clips_by_heart(module, config):
    torch.manual_seed(0)
    model = module.Model(config)
    batch = batch_of(module, config)
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
    batch = batch_of(module, config)
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
