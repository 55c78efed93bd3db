"""The paper's tables: every arm is a configuration that exists; a grid runs, prints, and goes on where it was."""

from __future__ import annotations

import json

import pytest
from made_clips import MadeClips
from test_train import SMALL

import syncctl
from firmware_host.errors import ConfigError
from models import config as configuration
from models import muscles, workflow
from models.transfer import grid
from models.transfer.grid import ARMS, TABLES, Grid, lines, run

FAST = [setting for setting in SMALL if not setting.startswith("train.warmup")]
TARGETS = ("train.steps=1", "train.batch=8", "transfer.channels=2", "transfer.hidden=4")


@pytest.fixture
def small_grid(targets, tmp_path, monkeypatch):
    def open_split(data, split, config, train=None):  # noqa: ARG001
        return MadeClips(16, size=config.size, seed=len(split))

    monkeypatch.setattr(muscles, "open_split", open_split)
    settings = (*FAST, "train.steps=1")
    return Grid("made", str(targets), tmp_path / "grid", settings=settings, target_settings=TARGETS)


@pytest.mark.parametrize("arm", [name for name, chosen in ARMS.items() if chosen.preset])
@pytest.mark.parametrize("tiny", [True, False])
def test_every_arm_is_a_configuration(arm, tiny):
    chosen = ARMS[arm]
    settings = [*chosen.settings, *(chosen.small if tiny else ())]
    net = configuration.resolve("muscles", "tiny" if tiny else chosen.preset, "d", settings=settings).net
    learned = {"ae": "vis", "MoCo": "vis", "move from gaze": "move"}.get(arm, arm)
    assert net.objectives == (learned if learned in ("vis", "move", "vis/attn", "vis/move") else "vis/move/attn")
    assert net.gaze_input == (arm == "move from gaze")
    assert net.visual == ("rebuild" if arm.startswith("ae") else "contrast")
    assert bool(net.ignored) == arm.startswith("without")


def test_tables_are_the_papers():
    assert set(TABLES["1"]) == {"random", "file", "MoCo", "vis/attn", "vis/move", "vis/move/attn"}
    assert len(TABLES["parts"]) == 7
    assert all(arm in ARMS for table in TABLES.values() for arm in table)
    assert ARMS["without arms"].settings == ('muscles.ignored=["larmu", "rarmu"]',)


def test_a_grid_runs_and_goes_on_where_it_was(small_grid, monkeypatch):
    monkeypatch.setattr(grid, "TASKS", ("scene", "depth"))
    monkeypatch.setitem(TABLES, "1", ("random", "vis/attn"))
    monkeypatch.setitem(TABLES, "2", ("vis/attn", "ae"))
    started = []
    real = workflow.start

    def start(model, data, out, *rest, **more):
        started.append((out.name, bool(more.get("resume"))))
        if out.name == "ae-scene-0" and stopping:
            raise KeyboardInterrupt
        return real(model, data, out, *rest, **more)

    monkeypatch.setattr(grid.workflow, "start", start)
    wanted = Grid(**{**vars(small_grid), "tables": ("1", "2", "3")})
    stopping = True
    with pytest.raises(KeyboardInterrupt):
        run(wanted)
    stopping = False
    begun = [name for name, resumed in started if not resumed]
    started.clear()
    document = run(wanted)
    assert not {name for name, resumed in started if not resumed} & set(begun) - {"ae-scene-0"}  # none twice
    rows = {(row["table"], row["arm"]): row["measures"] for row in document["rows"]}
    assert set(rows) == {
        ("1", "random"), ("1", "vis/attn"), ("2", "vis/attn"), ("2", "ae"), ("3", "move"), ("3", "move from gaze"),
    }  # fmt: skip
    assert rows["1", "vis/attn"] == rows["2", "vis/attn"]  # learned once
    assert set(rows["1", "random"]) == {"scene top1", "scene mean_class_top1", "depth depth_rmse_log10"}
    assert set(rows["3", "move"]) == {"move_accuracy"}
    assert json.loads((small_grid.out / "grid.json").read_text()) == document
    assert "| vis/attn |" in (small_grid.out / "tables.md").read_text()


def test_lines_have_mean_and_spread_over_seeds():
    rows = [{"table": "3", "arm": "move", "seed": s, "measures": {"move_accuracy": v}} for s, v in ((0, 0.5), (1, 0.7))]
    text = "\n".join(lines({"rows": rows}))
    assert "| move | 0.600 ± 0.141 |" in text


def test_an_unknown_table_offers_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'parts'"):
        Grid("d", "t", None, tables=("part",))


@pytest.mark.parametrize("name", ["export", "grid"])
def test_help_has_an_example(name, capsys):
    with pytest.raises(SystemExit) as ended:
        syncctl.main(["transfer", name, "--help"])
    assert ended.value.code == 0
    assert f"syncctl transfer {name} " in capsys.readouterr().out.split("Example:")[1]


def test_seeds_that_are_no_numbers_are_wrong_usage(capsys):
    with pytest.raises(SystemExit) as ended:
        syncctl.main(["transfer", "grid", "--data", "d", "--targets", "t", "--out", "o", "--seeds", "one"])
    assert ended.value.code == 2
    assert "'one' is not a list of whole numbers" in capsys.readouterr().err
