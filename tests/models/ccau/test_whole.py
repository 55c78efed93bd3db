"""From recorded sessions to a trained and measured run, by what the commands call."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from planted import make_session

from firmware_host.errors import ConfigError
from ingest.build import build, find_sessions
from models import workflow
from models.journal import read_log

SETTINGS = [
    *("ccau.size=32", "ccau.blocks=2", "ccau.widths=[4, 4, 8, 8]", "ccau.hidden=8", "ccau.sensor_width=8"),
    *("ccau.rows=64", "ccau.audio_widths=[4, 4, 4, 4, 4]", "ccau.projection=8", "train.batch=2", "train.device=cpu"),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A dataset of two people who are trained on and two who are not; one of these has no labels."""
    root = tmp_path_factory.mktemp("home")
    for seed, person in enumerate(("anna", "ben", "carl", "dora")):
        guest = f"guest of {person}"  # whoever met one person is in no other split
        make_session(
            root / "sessions" / f"s-{person}", participant=person, seed=seed, truth=person != "dora", guest=guest
        )
    with ThreadPoolExecutor(1) as pool:
        build(find_sessions([root / "sessions"]), root / "dataset", pool)
    return root / "dataset"


def sized(data):
    """The settings that this dataset's vocabulary asks for."""
    words = json.loads((data / "info.json").read_text())["vocabulary"]
    return [*SETTINGS, f"ccau.activities={len(words['activity'])}", f"ccau.atomics={len(words['atomic'])}"]


def test_all_streams_of_a_home_train_and_are_measured_each_alone(data, tmp_path):
    out = tmp_path / "run"
    document = workflow.start("ccau", str(data), out, "tiny", None, [*SETTINGS, "train.steps=3"])
    assert document["step"] == 3  # how many classes there are, the dataset says
    with pytest.raises(ConfigError, match=r"ccau\.activities must be 1 for .*; leave --set ccau\.activities away"):
        workflow.start("ccau", str(data), tmp_path / "other", "tiny", None, [*SETTINGS, "ccau.activities=7"])
    terms = read_log(out / "metrics.jsonl")[0]
    assert {"ego.activity", "imu.atomic", "ego-third.align", "thermal-imu.align"} <= set(terms)
    measured = workflow.measure(out, None, "train")
    assert measured["labels"]["activity"] == measured["n"] > 0
    for name in ("all", "ego", "third", "audio", "environment", "imu"):
        assert {f"{name}.top1", f"{name}.top3", f"{name}.map", f"{name}.map_weighted"} <= set(measured["metrics"])
        assert f"{name}.top1" in measured["chance"]
    report = (out / "report.html").read_text()
    assert "<image" in report
    assert "third, clip" in report


@pytest.mark.slow
def test_from_foretelling_to_few_shots(data, tmp_path):
    before, later = tmp_path / "before", tmp_path / "later"
    views = 'ccau.modalities=["ego", "third"]'
    learned = [views, "ccau.stage=predict", "ccau.predicted=1", "train.steps=1"]
    workflow.start("ccau", str(data), before, "tiny", None, [*sized(data), *learned])
    start = f'ccau.start=["{before}"]'
    document = workflow.start("ccau", str(data), later, "tiny", None, [*sized(data), views, start, "train.steps=1"])
    assert document["step"] == 1
    again = workflow.start("ccau", None, later, None, None, [], True)
    assert again["step"] == 1  # resuming asks for nothing that lies elsewhere
