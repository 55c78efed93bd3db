"""Each tower against plain loops in float64, its counts and shapes, its published names, and its masks."""

from __future__ import annotations

import math

import ccau_reference as reference
import numpy as np
import pytest
import torch
from made_streams import SMALL, batch_of
from test_resnet import plain
from test_resnet3d import lived_in

import models
from models.ccau import Config
from models.ccau.towers import MEAN, VideoTower, cells, tower


@pytest.fixture
def config():
    return Config(**SMALL)


def count(module):
    return sum(p.numel() for p in module.parameters())


def test_video_tower_equals_loops(config):
    torch.manual_seed(0)
    module = lived_in(tower("ego", config))
    clips = torch.rand(2, 6, 3, 33, 33, dtype=torch.float64)
    valid = torch.ones(2, 6, dtype=torch.bool)
    valid[1, 2] = False
    reading = module.read(module.grid(clips, valid))
    mean, deviation = np.array(MEAN)[:, None, None], np.array([0.229, 0.224, 0.225])[:, None, None]
    for clip in range(2):
        frames = (clips[clip].numpy() - mean) / deviation
        frames[~valid[clip].numpy()] = 0
        blocks = frames.reshape(2, 3, 3, 33, 33).swapaxes(1, 2)
        grid, weights, activity, atomic = reference.video_tower(blocks, plain(module))
        np.testing.assert_allclose(reading.grid[clip].detach().numpy(), grid, atol=1e-6)
        np.testing.assert_allclose(reading.attention[clip].detach().numpy(), weights, atol=1e-6)
        np.testing.assert_allclose(reading.logits["activity"][clip].detach().numpy(), activity, atol=1e-6)
        np.testing.assert_allclose(reading.logits["atomic"][clip].detach().numpy(), atomic, atol=1e-6)


def test_audio_tower_equals_loops(config):
    torch.manual_seed(1)
    module = lived_in(tower("audio", config))
    sound = -23 * torch.rand(64, 40, dtype=torch.float64)
    valid = torch.rand(40) > 0.2
    picture = np.where(valid.numpy(), (sound.numpy() + 10 * math.log(10)) / (10 * math.log(10)), 0).T
    expected = reference.vgg(np.repeat(picture[None], 3, axis=0), plain(module))
    reading = module.read(module.grid(sound[None], valid[None]))
    np.testing.assert_allclose(reading.context[0].detach().numpy(), expected, atol=1e-6)
    logits = reference.head(expected, plain(module), "final_fc_video")  # the sound has no batch norm before its heads
    np.testing.assert_allclose(reading.logits["activity"][0].detach().numpy(), logits, atol=1e-6)


def test_number_towers_equal_loops(config):
    torch.manual_seed(2)
    module = lived_in(tower("imu", config))
    state = plain(module)
    values = torch.randn(6, 10, 9, dtype=torch.float64)
    valid = torch.rand(6, 10) > 0.5
    valid[4] = False
    features = []
    for block in range(2):
        seen = [t for t in range(3 * block, 3 * block + 3) if valid[t].any()]
        rows = []
        for t in seen:
            known = np.where(valid[t].numpy()[:, None], values[t].numpy(), 0).ravel()
            both = np.concatenate([known, valid[t].numpy()])
            hidden = np.maximum(reference.linear(both, state, "encoder.layers.0"), 0)
            rows.append(np.maximum(reference.linear(hidden, state, "encoder.layers.2"), 0))
        features.append(np.mean(rows, axis=0)[:, None, None])
    agg = {n.removeprefix("agg."): t for n, t in state.items() if n.startswith("agg.")}
    expected = reference.convgru(np.array(features), agg)[-1]
    np.testing.assert_allclose(module.grid(values[None], valid[None])[0].detach().numpy(), expected, atol=1e-6)


def test_thermal_tower_equals_loops(config):
    torch.manual_seed(3)
    module = lived_in(tower("thermal", config))
    state = plain(module)
    images = 22 + 5 * torch.randn(6, 8, 8, dtype=torch.float64)
    valid = torch.tensor([1, 1, 0, 1, 1, 1], dtype=torch.bool)
    maps = []
    for image in (images.numpy() - 22) / 5:
        x = image[None, None]
        for layer, stride in ((0, 1), (2, 2)):
            weight = state[f"encoder.layers.{layer}.weight"][:, :, None]
            x = reference.conv3d(x, weight, (1, stride, stride), (0, 1, 1))
            x = np.maximum(x + state[f"encoder.layers.{layer}.bias"][:, None, None, None], 0)
        maps.append(x[:, 0])
    blocks = np.array([np.mean([maps[0], maps[1]], axis=0), np.mean(maps[3:], axis=0)])
    agg = {n.removeprefix("agg."): t for n, t in state.items() if n.startswith("agg.")}
    found = module.grid(images[None], valid[None])
    assert found.shape == (1, 3, 4, 4)
    np.testing.assert_allclose(found[0].detach().numpy(), reference.convgru(blocks, agg)[-1], atol=1e-6)


def test_counts_of_the_published_towers():
    with torch.device("meta"):
        video, audio = tower("ego", Config()), tower("audio", Config())
    unused = count(video.final_fc_video)
    assert unused == 85_067
    assert count(video) == 14_735_787 == 14_820_854 - unused
    assert count(audio) == 25_285_451 == 25_370_518 - unused
    assert (count(video.agg), count(video.attention_fn)) == (393_984, 17_760)
    assert count(video.final_fc_atomic) == 180_928


def test_shape_table_of_the_docstring():
    config = Config()
    streams = {
        **dict.fromkeys(("ego", "third"), (2, 40, 3, 128, 128)),
        **{"audio": (2, 128, 344), "environment": (2, 40, 13), "imu": (2, 40, 10, 9)},
        **{"thermal": (2, 40, 8, 8), "graph": (2, 5, 86, 29)},
    }
    sides = {"ego": 4, "third": 4, "thermal": 4}
    with torch.device("meta"):
        for modality, shape in streams.items():
            masked = (
                (2, shape[2]) if modality == "audio" else shape[:3] if modality in ("environment", "imu") else shape[:2]
            )
            module = tower(modality, config)
            grid = module.grid(torch.empty(shape), torch.ones(masked, dtype=torch.bool))
            side = sides.get(modality, 1)
            assert grid.shape == (2, 256, side, side), modality
            assert side**2 == cells(modality, config)
            reading = module.read(grid)
            assert (reading.context.shape, reading.attention.shape) == ((2, 256), (2, side, side))
            assert (reading.logits["activity"].shape, reading.logits["atomic"].shape) == ((2, 75), (2, 448))
    with torch.device("meta"):
        blocks = VideoTower(config).blocks(torch.empty(streams["ego"]), torch.ones(2, 40, dtype=torch.bool))
    assert blocks.shape == (2, 8, 256, 2, 4, 4)


@pytest.mark.parametrize("modality", ["ego", "audio"])
def test_published_names_load(modality):
    small = {k: v for k, v in SMALL.items() if k != "modalities"}
    torch.manual_seed(4)
    source = tower(modality, Config(modalities=(modality,), **small)).eval()
    published = {f"module.{n}": t for n, t in source.state_dict().items()} | {"module.final_fc.0.weight": torch.ones(1)}
    if modality == "ego":
        published |= {n.replace("cell_list.0.", "ConvGRUCell_00."): t for n, t in published.items() if "cell_list" in n}
        names = {"backbone.layer3.0.conv1.weight", "agg.cell_list.0.reset_gate.weight", "final_bn.weight"}
        names |= {"attention_fn.projection.2.weight", "attention_fn.attention.0.bias", "final_fc_atomic.3.weight"}
    else:
        names = {"features.0.weight", "flatten.0.weight", "final_fc_video.0.weight"}
    assert names <= set(source.state_dict())
    loaded = models.load_reference("ccau", published, modality=modality, **small)
    assert not loaded.training
    batch = batch_of(Config(modalities=(modality,), **small), clips=2)
    for one, other in zip(loaded.state_dict().values(), source.state_dict().values(), strict=True):
        assert torch.equal(one, other)
    stream = batch[modality], batch[f"{modality}_valid"]
    torch.testing.assert_close(loaded.grid(*stream), source.grid(*stream))


@pytest.mark.parametrize("modality", [m for m in SMALL["modalities"] if m != "graph"])
def test_what_is_under_a_mask_changes_nothing(config, modality):
    torch.manual_seed(5)
    module = tower(modality, config).eval()
    batch = batch_of(config, clips=2)
    valid = batch[f"{modality}_valid"]
    valid[:, ::4] = False
    stream = batch[modality]
    before = module.grid(stream, valid)
    if modality == "audio":
        hidden = ~valid[:, None, :].expand_as(stream)
    else:
        hidden = ~valid.view(*valid.shape, *[1] * (stream.dim() - valid.dim())).expand_as(stream)
    changed = stream.clone()
    changed[hidden] = 99 if stream.dtype == torch.uint8 else math.nan
    assert torch.equal(module.grid(changed, valid), before)
    if stream.dtype != torch.uint8:
        changed = stream.clone()
        changed[~hidden] += 1
        assert not torch.equal(module.grid(changed, valid), before)


def test_one_clip_can_train(config):
    module = tower("imu", config).train()
    batch = batch_of(config, clips=1)
    reading = module.read(module.grid(batch["imu"], batch["imu_valid"]))
    reading.logits["activity"].sum().backward()
    assert torch.isfinite(reading.logits["activity"]).all()
    assert module.final_bn.num_batches_tracked == 0


def test_bytes_and_fractions_are_the_same_picture(config):
    module = tower("ego", config).eval()
    batch = batch_of(config, clips=1)
    as_fractions = module.grid(batch["ego"].float() / 255, batch["ego_valid"])
    torch.testing.assert_close(module.grid(batch["ego"], batch["ego_valid"]), as_fractions)
