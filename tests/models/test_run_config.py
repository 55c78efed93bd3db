"""Presets, files and settings become one checked configuration."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_host.errors import ConfigError
from models import config as configuration
from models.config import TrainConfig, resolve
from models.muscles.config import tiny


def test_later_layers_win(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text("[train]\nlr = 1\nsteps = 7\n[muscles]\nwidths = [4, 4, 8, 8]\n")
    config = resolve("muscles", "tiny", "d", file, ["train.steps=9", "muscles.objectives=vis/move"])
    assert config.train == replace(tiny().train, lr=1.0, steps=9)
    assert config.net == replace(tiny().net, widths=(4, 4, 8, 8), objectives="vis/move")


def test_what_was_written_is_read_back(tmp_path):
    config = resolve("muscles", "paper", 'odd "name"\\ö', settings=["train.lr=1e-05", "muscles.difference=true"])
    path = tmp_path / "config.toml"
    path.write_text(configuration.dumps(config), encoding="utf-8")
    assert configuration.load(path) == config


@given(st.floats(1e-30, 1e30), st.integers(1, 10**9), st.booleans(), st.text().filter(lambda s: "\x7f" not in s))
def test_any_value_survives_the_file(tmp_path_factory, lr, steps, bf16, data):
    try:
        data.encode()
    except UnicodeEncodeError:  # lone surrogates are no text a file can hold
        return
    base = resolve("muscles", "tiny", data)
    config = replace(base, train=replace(base.train, lr=lr, steps=steps, bf16=bf16))
    path = tmp_path_factory.mktemp("c") / "config.toml"
    path.write_text(configuration.dumps(config), encoding="utf-8", newline="")
    assert configuration.load(path) == config


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("train.stepz=3", "unknown key 'stepz'; did you mean 'steps'"),
        ("trian.steps=3", "unknown section 'trian'; did you mean 'train'"),
        ("muscles.qeue=3", "did you mean 'queue'"),
        ("train.steps=many", "train.steps must be a whole number, not 'many'"),
        ("train.steps=1.5", "must be a whole number"),
        ("train.steps=true", "must be a whole number"),
        ("train.lr=fast", "must be a number"),
        ("train.bf16=1", "must be true or false"),
        ("muscles.widths=[1, 2.5, 3, 4]", "must be a whole number"),
        ("muscles.widths=3", "must be a list of whole numbers"),
        ("train.lr=0", "train.lr must be positive"),
        ("train.lr=nan", "train.lr must be positive"),
        ("train.optimizer=adamx", "did you mean 'adam"),
        ("train=3", "write it as SECTION.KEY=VALUE"),
        ("steps", "write it as SECTION.KEY=VALUE"),
    ],
)
def test_what_cannot_be_is_one_sentence(setting, sentence):
    with pytest.raises(ConfigError, match=r"^[^\n]*$") as caught:
        resolve("muscles", "tiny", "d", settings=[setting])
    assert sentence in str(caught.value)


def test_unknown_model_and_preset_offer_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'muscles'"):
        resolve("muscle", "tiny", "d")
    with pytest.raises(ConfigError, match="did you mean 'tiny'"):
        resolve("muscles", "tinny", "d")


def test_a_file_that_is_none_or_not_toml(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        resolve("muscles", "tiny", "d", tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("steps 3")
    with pytest.raises(ConfigError, match="is not TOML"):
        resolve("muscles", "tiny", "d", tmp_path / "bad.toml")
    (tmp_path / "flat.toml").write_text("train = 3")
    with pytest.raises(ConfigError, match="'train' is a section"):
        resolve("muscles", "tiny", "d", tmp_path / "flat.toml")


def test_differences_name_what_changed():
    one = resolve("muscles", "tiny", "d")
    other = resolve("muscles", "tiny", "e", settings=["train.seed=4"])
    assert configuration.differences(one, one) == []
    assert sorted(configuration.differences(one, other)) == ["data (d, e)", "train.seed (0, 4)"]


def test_train_config_checks_itself():
    with pytest.raises(ConfigError, match=r"train\.batch must be at least 1, not 0"):
        TrainConfig(batch=0)


def test_settings_that_need_each_other_come_in_any_order():
    asked = ["ccau.distillation=static", "ccau.teacher_weight=0.6", 'ccau.students=["ego"]']
    for order in (asked, asked[::-1]):
        assert resolve("ccau", "tiny", "made", settings=order).net.students == ("ego",)
    with pytest.raises(ConfigError, match=r"needs ccau\.students"):
        resolve("ccau", "tiny", "made", settings=asked[:2])
