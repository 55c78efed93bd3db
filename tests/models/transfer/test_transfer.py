"""Target tasks: counts, heads against loops, what a layout may hold, measures; heads learn and backbones do not."""

from __future__ import annotations

import shutil

import cv2
import numpy as np
import pytest
import torch
from made_targets import SIDE
from safetensors.torch import save_file
from test_resnet import conv, lived_in, maps, plain

import models
from firmware_host.errors import ConfigError, SessionError
from models import transfer, workflow
from models.resnet import DEVIATION as SPREAD
from models.resnet import MEAN, ResNet18, normalised
from models.transfer import Config, Model, layouts, measures

TINY = {"size": 64, "frames": 3, "widths": (2, 3, 4, 5), "channels": 3, "hidden": 6, "layers": 2, "classes": ("a", "b")}
CLASSES = {"scene": 397, "action": 9, "dynamics": 66}


def parameters(module):
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    ("task", "count"),
    [
        ("scene", 2_105_293),
        ("action", 12_077_593),
        ("dynamics", 23_217_538),
        ("depth", 2_249_028),
        ("walkable", 2_251_336),
    ],
)
def test_counts_of_the_paper_size(task, count):
    with torch.device("meta"):
        model = Model(Config(task=task, classes=tuple(map(str, range(CLASSES.get(task, 0))))))
    assert parameters(model.head) == count
    assert parameters(model.feature_extractor) == 11_176_512
    assert not any(p.requires_grad for p in model.feature_extractor.parameters())


def test_shape_table_of_the_heads():
    with torch.device("meta"):
        model = Model(Config(task="depth"))
        pyramid = model.feature_extractor.pyramid(torch.empty(1, 1, 3, 224, 224))
        assert [tuple(m.shape[1:]) for m in pyramid] == [
            (64, 112, 112), (64, 56, 56), (128, 28, 28), (256, 14, 14), (512, 7, 7),
        ]  # fmt: skip
        assert model.head(pyramid).shape == (1, 1, 224, 224)
        dynamics = Model(Config(task="dynamics", classes=("a", "b")))
        assert dynamics(torch.empty(1, 1, 3, 224, 224), torch.empty(1, 1, 224, 224)).shape == (1, 2)


def leaky(x):
    return np.where(x > 0, x, 0.01 * x)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def shown(frame):
    return (frame - np.array(MEAN)[:, None, None]) / np.array(SPREAD)[:, None, None]


def biased(x, state, name, stride, padding):
    return conv(x, state[f"{name}.weight"], stride, padding) + state[f"{name}.bias"][:, None, None]


def perceptron(x, state, name, layers):
    for k in range(layers):
        x = state[f"{name}.{k}.0.weight"] @ x + state[f"{name}.{k}.0.bias"]
        x = leaky(x) if k + 1 < layers else x
    return x


def pixels(x):
    """Channel 4c + 2i + j becomes cell (i, j) of channel c."""
    out = np.zeros((len(x) // 4, 2 * x.shape[1], 2 * x.shape[2]))
    for k, channel in enumerate(x):
        out[k // 4, k % 4 // 2 :: 2, k % 2 :: 2] = channel
    return out


def built(task):
    torch.manual_seed(3)
    model = lived_in(Model(Config(task=task, **(TINY if task in CLASSES else TINY | {"classes": ()}))))
    return model, {name.removeprefix("head."): value for name, value in plain(model).items()}


def test_scene_head_equals_loops():
    model, state = built("scene")
    image = torch.rand(1, 1, 3, 64, 64, dtype=torch.float64)
    last = maps(shown(image[0, 0].numpy()), state, "feature_extractor.resnet.")
    cells = leaky(biased(last, state, "pointwise_conv.0", 1, 0)).ravel()
    np.testing.assert_allclose(
        model(image)[0].detach().numpy(), perceptron(cells, state, "scene_unembed", 2), atol=1e-6
    )


def test_action_head_equals_loops():
    model, state = built("action")
    clip = torch.rand(1, 3, 3, 64, 64, dtype=torch.float64)
    rows = []
    for frame in clip[0].numpy():
        last = maps(shown(frame), state, "feature_extractor.resnet.")
        rows.append(leaky(biased(last, state, "pointwise_conv.0", 1, 0)).ravel())
    for layer in range(2):
        w, u = state[f"lstm.weight_ih_l{layer}"], state[f"lstm.weight_hh_l{layer}"]
        bias = state[f"lstm.bias_ih_l{layer}"] + state[f"lstm.bias_hh_l{layer}"]
        h, c, out = np.zeros(6), np.zeros(6), []
        for row in rows:
            i, f, g, o = np.split(w @ row + u @ h + bias, 4)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
            out.append(h)
        rows = out
    expected = perceptron(rows[-1], state, "action_unembed", 2)
    np.testing.assert_allclose(model(clip)[0].detach().numpy(), expected, atol=1e-6)


def normed(x, state, name):
    at = state[f"{name}.running_mean"], np.sqrt(state[f"{name}.running_var"] + 1e-5)
    x = (x - at[0][:, None, None]) / at[1][:, None, None]
    return x * state[f"{name}.weight"][:, None, None] + state[f"{name}.bias"][:, None, None]


def pooled(x):
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    height, width = (-(-n // 2) for n in x.shape[1:])
    return np.array(
        [[[c[2 * i : 2 * i + 3, 2 * j : 2 * j + 3].max() for j in range(width)] for i in range(height)] for c in padded]
    )


def test_dynamics_head_equals_loops():
    model, state = built("dynamics")
    image = torch.rand(1, 1, 3, 64, 64, dtype=torch.float64)
    mask = torch.zeros(1, 1, 64, 64, dtype=torch.float64)
    mask[..., 8:30, 10:50] = 1
    last = maps(shown(image[0, 0].numpy()), state, "feature_extractor.resnet.")
    x = mask[0].numpy()
    x = pooled(leaky(normed(biased(x, state, "conv1", 2, 3), state, "bn1")))
    x = pooled(leaky(normed(biased(x, state, "conv2", 2, 3), state, "bn2")))
    x = normed(biased(x, state, "conv3", 2, 3), state, "bn3")
    cells = leaky(biased(last, state, "pointwise_conv.0", 1, 0)).ravel()
    expected = perceptron(np.concatenate([cells, x.ravel()]), state, "vind_unembed", 3)
    np.testing.assert_allclose(model(image, mask)[0].detach().numpy(), expected, atol=1e-6)


def test_surface_head_equals_loops():
    model, state = built("depth")
    image = torch.rand(1, 1, 3, 64, 64, dtype=torch.float64)
    pyramid = [m[0].numpy() for m in model.feature_extractor.pyramid(normalised(image))]
    x = leaky(biased(pyramid[-1], state, "pointwise_conv.0", 1, 0))
    for stage, beside in enumerate(reversed(pyramid[:-1]), start=1):
        x = leaky(pixels(biased(x, state, f"depth_up{stage}.0", 1, 1))) + beside
    x = pixels(biased(x, state, "depth_up5.0", 1, 1))
    np.testing.assert_allclose(model(image)[0].detach().numpy(), x, atol=1e-6)
    metres = model.predict({"frames": image})["depth"][0].detach().numpy()
    np.testing.assert_allclose(metres, (x[0] + 1) / 2 * 10, atol=1e-5)


def test_the_backbone_measures_as_in_use_whatever_the_head_does():
    model = Model(Config(task="scene", **TINY))
    assert not any(part.training for part in model.feature_extractor.modules())
    model.eval().train()
    assert not any(part.training for part in model.feature_extractor.modules())
    assert model.head.training


def test_unknown_pixels_cost_nothing():
    model, _ = built("depth")
    model.float()
    surface, valid = torch.rand(2, 64, 64), torch.rand(2, 64, 64) > 0.5
    batch = {"frames": torch.rand(2, 1, 3, 64, 64), "surface": surface, "surface_valid": valid}
    strange = batch | {"surface": torch.where(valid, surface, torch.nan)}
    torch.testing.assert_close(model.loss(strange)[0], model.loss(batch)[0])
    loss, _ = model.loss(batch | {"surface_valid": torch.zeros_like(valid)})
    assert loss.item() == 0
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("task", layouts.TASKS)
def test_items_of_each_layout(targets, task):
    config = transfer.completed(Config(task=task, size=32, frames=5), str(targets))
    assert config.classes == {"scene": ("blue", "red"), "action": ("blue", "red"), "dynamics": ("left", "right")}.get(
        task, ()
    )
    clips = transfer.open_split(str(targets), "test", config)
    item = clips[0]
    assert len(clips) == 16
    assert item["frames"].shape == ((5 if task == "action" else 1), 3, 32, 32)
    assert item["frames"].dtype == torch.uint8
    assert len({clips[i]["session"] for i in range(16)}) == 4
    if task == "dynamics":
        assert item["mask"].shape == (1, 32, 32)
        assert item["mask"][0, 7:20, 2:12].all()
        assert item["mask"].sum() < 200
    if task in layouts.SURFACES:
        assert item["surface"].shape == item["surface_valid"].shape == (32, 32)
        assert not item["surface_valid"][:, 0].any()
        assert set(item["surface"][item["surface_valid"]].tolist()) == {"walkable": {0, 1}, "depth": {1, 4}}[task]
    else:
        assert clips.labels(3)["label"] == clips[3]["label"]


def test_the_frames_of_a_clip_are_spread_evenly_and_in_colour(targets):
    config = transfer.completed(Config(task="action", size=SIDE, frames=3), str(targets))
    clips = transfer.open_split(str(targets), "train", config)
    folder = clips.examples[0].frames[0].parent
    expected = [cv2.imread(str(folder / f"{t:02d}.png"))[..., ::-1] for t in (0, 3, 6)]
    np.testing.assert_array_equal(clips[0]["frames"].permute(0, 2, 3, 1).numpy(), expected)


@pytest.mark.parametrize(
    ("task", "spoil", "sentence"),
    [
        ("scene", lambda r: shutil.rmtree(r), "scene does not exist"),
        ("scene", lambda r: (r / "train" / "red" / "r0__000.png").write_bytes(b"no"), "cannot be read as a picture"),
        ("depth", lambda r: (r / "train" / "r0__000.depth.png").unlink(), "r0__000.depth.png is missing"),
        ("dynamics", lambda r: (r / "train" / "r0__000.png").unlink(), r"train\.csv, line 2: .* does not exist"),
        ("dynamics", lambda r: (r / "train.csv").write_text("image,x1\na,1\n"), r"line 2: needs image,x1"),
        ("action", lambda r: shutil.rmtree(r / "train"), "has nothing in its split 'train'"),
    ],
)
def test_what_a_layout_lacks_is_one_sentence(targets, tmp_path, task, spoil, sentence):
    root = tmp_path / "targets"
    shutil.copytree(targets / task, root / task)
    spoil(root / task)

    def read():
        clips = transfer.open_split(str(root), "train", transfer.completed(Config(task=task), str(root)))
        return [clips[i] for i in range(len(clips))]

    with pytest.raises(SessionError, match=sentence):
        read()


def test_a_class_that_training_did_not_see_is_told(targets, tmp_path):
    shutil.copytree(targets / "scene", tmp_path / "scene")
    (tmp_path / "scene" / "test" / "red").rename(tmp_path / "scene" / "test" / "reds")
    config = transfer.completed(Config(), str(tmp_path))
    with pytest.raises(SessionError, match="unknown class 'reds'; did you mean 'red'"):
        transfer.open_split(str(tmp_path), "test", config)


def test_class_measures():
    truth = measures.ClassTruth(np.array([0, 0, 0, 1]), ("a", "b", "never"), np.array(["r", "r", "s", "s"]))
    sums = measures.class_sums(np.array([0, 0, 1, 1]), truth)
    assert sums.shape == (2, 3, 2)
    found = measures.class_measures(sums.sum(0))
    assert found["top1"] == pytest.approx(3 / 4)
    assert found["mean_class_top1"] == pytest.approx((2 / 3 + 1) / 2)
    assert truth.trivial() == {"label": 0}


def test_iou_is_of_each_picture_and_of_both_classes():
    surface = np.array([[[1, 1], [0, 0]], [[0, 0], [0, 0]]], np.float32)
    valid = np.ones((2, 2, 2), bool)
    valid[0, 1, 1] = False
    truth = measures.SurfaceTruth("walkable", surface, valid, np.array(["r", "s"]))
    found = np.array([[[1, 0], [1, 1]], [[0, 0], [0, 0]]], bool)
    values = measures.walkable_measures(measures.walkable_sums(found, truth).sum(0))
    assert values["walkable_iou"] == pytest.approx(1 / 3)  # the second picture has none and is said to have none
    assert values["mean_iou"] == pytest.approx((1 / 3 + (0 / 2 + 1) / 2) / 2)


def test_depth_measures():
    truth = measures.SurfaceTruth(
        "depth", np.array([[[1.0, 2.0], [0.0, 10.0]]]), np.array([[[True, True], [False, True]]]), np.array(["r"])
    )
    values = measures.depth_measures(measures.depth_sums(np.array([[[10.0, 2.0], [7.0, 1.0]]]), truth).sum(0))
    assert values["depth_rmse_log10"] == pytest.approx(np.sqrt(2 / 3))
    assert values["depth_relative"] == pytest.approx((9 + 0 + 0.9) / 3)
    assert truth.trivial()["mean"][0] == [0, pytest.approx(np.log10(2), abs=1e-4)]


SETTINGS = [
    "transfer.size=64", "transfer.widths=[4, 4, 8, 8]", "transfer.difference=false", "transfer.channels=8",
    "transfer.hidden=16", "transfer.dropout=0", "transfer.range_m=5", "train.batch=8", "train.steps=40",
    "train.lr=1e-2",
]  # fmt: skip


@pytest.mark.parametrize("task", layouts.TASKS)
def test_a_head_learns_on_a_backbone_that_stays(targets, tmp_path, task):
    """Trained, evaluated and reported by the commands' own functions; the test split has the same rule."""
    torch.manual_seed(0)
    backbone = ResNet18((4, 4, 8, 8), classes=0)
    save_file(backbone.state_dict(), tmp_path / "weights.safetensors")
    settings = [*SETTINGS, f"transfer.task={task}", f"transfer.backbone={tmp_path / 'weights.safetensors'}"]
    if task == "depth":
        settings.append("train.steps=80")
    document = workflow.start("transfer", str(targets), tmp_path / "run", "tiny", settings=settings)
    assert document["loss_last"] < 0.8 * document["loss_first"]
    found = workflow.measure(tmp_path / "run")
    name = {"walkable": "walkable_iou", "depth": "depth_rmse_log10"}.get(task, "top1")
    sign = -1 if task == "depth" else 1
    assert sign * found["metrics"][name] > sign * found["baseline"][name]
    assert "<figure>" in (tmp_path / "run" / "report.html").read_text()
    kept = transfer.net.backbone_weights(tmp_path / "run")
    assert all(torch.equal(kept[key], value) for key, value in backbone.state_dict().items())


def test_a_run_of_muscles_is_a_backbone_of_its_own_shape(tmp_path, targets):
    from made_clips import MadeClips
    from test_train import small

    from models.train import train

    train(small("train.steps=1"), tmp_path / "muscles", MadeClips(16))
    settings = [f"transfer.backbone={tmp_path / 'muscles'}", "train.steps=1", "transfer.task=action"]
    workflow.start("transfer", str(targets), tmp_path / "run", "tiny", settings=settings)
    net = models.evaluate.read_config(tmp_path / "run").net
    assert (net.size, net.widths, net.difference) == (32, (4, 4, 8, 8), True)
    shutil.rmtree(tmp_path / "muscles")  # the run has all it needs
    assert workflow.measure(tmp_path / "run")["n"] == 16
    assert workflow.start("transfer", None, tmp_path / "run", resume=True)["step"] == 1


@pytest.mark.parametrize(
    ("backbone", "error", "sentence"),
    [
        ("nowhere.pt", SessionError, "nowhere.pt does not exist"),
        ("wrong.safetensors", ConfigError, "do not fit the backbone"),
        ("torn.pt", SessionError, "cannot be read as weights"),
    ],
)
def test_backbones_that_are_none_leave_nothing(targets, tmp_path, backbone, error, sentence):
    save_file(ResNet18((2, 2, 2, 2), classes=0).state_dict(), tmp_path / "wrong.safetensors")
    (tmp_path / "torn.pt").write_bytes(b"PK")
    settings = [*SETTINGS, f"transfer.backbone={tmp_path / backbone}"]
    with pytest.raises(error, match=sentence):
        workflow.start("transfer", str(targets), tmp_path / "run", "tiny", settings=settings)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("prefix", ["", "module.feature_extractor.resnet."])
def test_public_weights_are_backbones(tmp_path, prefix):
    source = ResNet18((2, 2, 2, 2), classes=7)
    torch.save({prefix + name: tensor for name, tensor in source.state_dict().items()}, tmp_path / "public.pth")
    found = transfer.net.backbone_weights(tmp_path / "public.pth")
    if not prefix:
        assert set(found) == {name for name in source.state_dict() if not name.startswith("fc.")}
    assert torch.equal(found["layer1.0.conv1.weight"], source.layer1[0].conv1.weight)


@pytest.mark.parametrize("task", layouts.TASKS)
def test_published_heads_load_by_their_names(task):
    config = TINY | {"classes": 2} if task in CLASSES else TINY | {"classes": ()}
    source = Model(Config(task=task, **(config | ({"classes": ("0", "1")} if task in CLASSES else {}))))
    published = {f"module.{name.removeprefix('head.')}": tensor for name, tensor in source.state_dict().items()}
    loaded = models.load_reference("transfer", published, task=task, **config)
    assert not loaded.training
    frames, mask = torch.rand(2, 3, 3, 64, 64), torch.ones(2, 1, 64, 64)
    frames = frames if task == "action" else frames[:, :1]
    torch.testing.assert_close(loaded(frames, mask), source.eval()(frames, mask))


@pytest.mark.parametrize("change", [{"task": "sleep"}, {"classes": ("a", "a")}, {"range_m": 0.0}, {"widths": (1,)}])
def test_impossible_configurations_name_the_field(change):
    with pytest.raises(ConfigError, match=rf"transfer\.{next(iter(change))}"):
        Config(**change)
