"""The parts of `tests.bench.results` that figures depend on, on made clips."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from firmware_host.errors import ConfigError
from tests.bench.results import bodies, homes, keyframes, muscles, page, pictures, recognition, scoring, worn
from tests.bench.results.bodies import Bodies
from tests.bench.results.clips import Home
from tests.bench.results.keyframes import Scaled, Scenes
from tests.bench.results.splits import check_guests, split_of
from tests.bench.results.tables import TABLES
from tests.bench.results.towers import INPUTS
from tests.bench.results.work import Run, Sources, results, wanted, work

PEOPLE = ("p01", "p02", "p03")
SESSIONS = 6


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """What costs time and shows nothing more here."""
    monkeypatch.setattr(recognition, "BATCH", 8)
    monkeypatch.setattr(recognition, "SHOTS", (1,))
    monkeypatch.setattr(scoring, "DRAWS", 20)


@pytest.fixture(scope="module")
def home() -> Home:
    """Clips of six sessions of three people; the head camera shows the activity."""
    random = np.random.default_rng(0)
    count, session = 48, np.repeat(np.arange(SESSIONS), 8)
    activity = np.arange(count) % 4
    shapes = {"ego": (8, INPUTS, 4, 4), "third": (8, INPUTS, 4, 4), "audio": (40, 64), "environment": (40, 13)}
    shapes |= {"thermal": (40, 8, 8), "imu": (40, 10, 9)}
    streams = {name: random.normal(size=(count, *shape)).astype(np.float32) for name, shape in shapes.items()}
    streams["ego"][np.arange(count), :, activity] += 10
    valid = {name: np.ones((count, len(s[0])), bool) for name, s in streams.items()}
    valid["environment"], valid["imu"] = np.ones((count, 40, 13), bool), np.ones((count, 40, 10), bool)
    atomic = (activity[:, None] == np.arange(3)).astype(np.float32)
    graph = random.random((count, 1, 4, 5)) > 0.5
    names = np.array([f"s{k}" for k in session]), np.array([PEOPLE[k % 3] for k in session])
    words = ("a", "b", "c", "d"), ("x", "y", "z")
    return Home(
        streams, valid, activity.astype(np.int64), atomic, graph, *names, np.tile(np.arange(8), SESSIONS), *words
    )


def test_a_picture_is_described_cell_by_cell():
    frames = np.zeros((2, 3, 16, 16), np.uint8)
    frames[:, 0, :8, :8] = 255
    cells = pictures.described(frames, 2)
    assert cells.shape == (2, pictures.CHANNELS, 2, 2)
    np.testing.assert_allclose(cells[0, 0], [[1, 0], [0, 0]])
    np.testing.assert_allclose(cells[:, -1], 0)  # nothing changes
    folded = pictures.folded(cells)
    assert folded.shape == (2, 4 * pictures.CHANNELS, 1, 1)
    np.testing.assert_allclose(np.sort(folded[0, :4, 0, 0]), np.sort(cells[0, 0].ravel()))


def test_an_edge_has_a_direction_and_what_moves_has_a_flow():
    ramp = np.tile(np.linspace(0, 1, 16, dtype=np.float32), (16, 1))
    across, down = (pictures.edges(grey[None])[0].sum((1, 2)) for grey in (ramp, ramp.T))
    assert across.argmax() != down.argmax()
    texture = np.random.default_rng(0).random((64, 64)).astype(np.float32)
    smooth = sum(np.roll(texture, (i, j), (0, 1)) for i in range(4) for j in range(4)) / 16
    moved = pictures.moved_between(smooth, np.roll(smooth, 2, axis=1))
    assert np.median(moved[0]) == pytest.approx(2, abs=0.5)
    assert abs(np.median(moved[1])) < 0.5


def test_nobody_is_on_both_sides_of_a_split():
    person = np.array([*PEOPLE, *PEOPLE])
    for number, held_out in enumerate((("p03",), ("p01",))):
        split = split_of(number, person)
        assert split.held_out == held_out
        assert not set(person[split.train]) & set(person[split.test])
    with pytest.raises(ConfigError, match="two people"):
        split_of(0, person[:1])
    check_guests([("p01", ["p01", "p01-guest1"]), ("p02", ["p02", "p02-guest1"])])
    with pytest.raises(ConfigError, match="ann meets p01 and p02"):
        check_guests([("p01", ["p01", "ann"]), ("p02", ["p02", "ann"])])


def test_sessions_are_drawn_whole_and_the_first_row_is_the_measure_itself():
    session = np.array(["a", "a", "b", "c"])
    weights = scoring.session_weights(session, 0)
    assert weights.shape == (1 + scoring.DRAWS, 4)
    assert (weights[0] == 1).all()
    assert (weights[:, 0] == weights[:, 1]).all()
    scores = np.array([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.2, 0.8]])
    found = scoring.activity_scores(scores, np.array([0, 1, -1, 1]), weights)
    assert found["top1"][0] == pytest.approx(2 / 3)
    assert found["top1"].min() < found["top1"][0] < found["top1"].max()


def test_the_mean_precision_of_a_group_is_that_of_its_classes():
    scores = np.array([[0.9, 0.1], [0.8, 0.9], [0.1, 0.2]])
    truth = np.array([[1, 1], [1, 0], [0, 0]])
    found = scoring.action_scores(scores, truth, np.ones((1, 3)), {"own": [0], "interaction": [1]})
    assert found["map_own"][0] == 1
    assert found["map_interaction"][0] == pytest.approx(1 / 3)
    assert found["map"][0] == pytest.approx(2 / 3)


def test_an_arm_finds_what_its_stream_shows(home: Home):
    split = split_of(0, home.person)
    reads = recognition.run("cooperative ego audio", home, split, 0, steps=50)["reads"]
    assert set(reads) == {"ego", "audio", "ego+audio"}
    assert reads["ego"]["top1"][0] > 0.9
    assert len(reads["ego"]["top1"]) == 1 + scoring.DRAWS


@pytest.mark.parametrize(
    "arm", ["static distillation", "foretelling first, one person's labels", "few, alone", "scene graph"]
)
def test_every_kind_of_arm_runs(home: Home, arm: str):
    found = recognition.run(arm, home, split_of(0, home.person), 0, steps=2)
    for measures in found["reads"].values():
        assert all(np.isfinite(values[0]) for values in measures.values())


def test_what_is_under_a_mask_is_not_described(home: Home):
    model = recognition.built(recognition.ARMS["cooperative"], home, 0).eval()
    batch = recognition.Streams(home, split_of(0, home.person)).batch(np.arange(4), ("ego", "third", "audio"))
    batch["ego_valid"][:, 3] = False
    batch["audio_valid"][:, 7] = False
    before = model.predict(batch)
    batch["ego"][:, 3], batch["audio"][:, 7] = 9.0, float("nan")
    after = model.predict(batch)
    for name, value in before.items():
        np.testing.assert_array_equal(value.detach(), after[name].detach(), err_msg=name)


@pytest.fixture
def couple() -> Bodies:
    """Two homes of two people, 40 steps."""
    vector = np.arange(2 * 2 * 40, dtype=np.float32).reshape(2, 2, 40, 1) * np.ones(229, np.float32)
    actions = np.zeros((2, 2, 40, 2), bool)
    actions[:, 1, 20, 1] = True
    whole = np.ones((2, 2, 40), bool)
    return Bodies(vector, whole, np.ones((2, 2, 40, 24), bool), actions, np.array(["a", "b"]), np.array(["p", "q"]),
                  ("walk", "talk"))  # fmt: skip


def test_a_window_has_the_person_of_interest_first(couple: Bodies):
    windows = couple.windows(np.array([False, True]), 10)
    assert windows.tolist() == [[1, 0], [1, 10]]
    batch = couple.batch(windows, np.array([0, 1]), 2, steps=1)
    middle = bodies.WINDOW // 2
    assert batch["tracks"][1, :, 0, 0].tolist() == [120 + 10 + middle, 80 + 10 + middle]
    assert couple.batch(windows, np.array([0, 1]), 1)["tracks"].shape == (2, 1, bodies.WINDOW, 229)
    assert couple.groups == {"interaction": [1], "own": [0]}


def test_a_verb_is_a_label_without_its_thing():
    assert bodies.verb_of("pick_up_cup", ["cup"]) == "pick_up"
    assert bodies.verb_of("walk_to", ["cup"]) == "walk_to"


def test_keyframes_around_are_of_the_same_session_and_a_second_apart():
    count, second = 6, 1_000_000_000
    session = np.array(["a", "a", "a", "b", "b", "b"])
    moments = np.array([0, 1, 4, 0, 1, 2]) * second
    boxes = np.tile(np.array([0.2, 0.2, 0.6, 0.8], np.float32), (count, 2, 1))
    random = np.random.default_rng(0)
    maps = random.normal(size=(count, 4, pictures.CHANNELS, 14, 14)).astype(np.float16)
    scenes = Scenes(maps, boxes, np.ones((count, 2), bool), np.zeros((count, 2, 1), bool), session,
                    np.array(["p", "p", "p", "q", "q", "q"]), moments, ("walk",))  # fmt: skip
    found = Scaled(scenes, split_of(0, scenes.about)).features(np.array([1, 4]))
    there = found["person_features_valid"][:, :, 0].tolist()
    assert there[0] == [False, False, True, True, False, False, False]  # its next keyframe is three seconds later
    assert there[1] == [False, False, True, True, True, False, False]


def test_a_person_who_is_kept_back_says_when_to_stop(monkeypatch: pytest.MonkeyPatch):
    """What is learned from beside that person's keyframes: nobody who is tested on, and not that person."""
    count, random = 12, np.random.default_rng(0)
    about = np.repeat(["p", "q", "r"], 4)
    maps = random.normal(size=(count, 4, pictures.CHANNELS, 14, 14)).astype(np.float16)
    boxes = np.tile(np.array([0.2, 0.2, 0.6, 0.8], np.float32), (count, 2, 1))
    scenes = Scenes(maps, boxes, np.ones((count, 2), bool), random.random((count, 2, 2)) > 0.5, about, about,
                    np.tile(np.arange(4), 3) * 1_000_000_000, ("walk", "watch other"))  # fmt: skip
    monkeypatch.setattr(keyframes, "HGRNN_STEPS", 6)
    monkeypatch.setattr(keyframes, "EVERY", 2)
    looked_at, told = [], keyframes._told
    monkeypatch.setattr(keyframes, "_told", lambda *given: looked_at.append(given[3].tolist()) or told(*given))
    found = keyframes.run("HGRNN, neither", scenes, split_of(0, about), 1)
    assert looked_at == [[4, 5, 6, 7]] * 3 + [[8, 9, 10, 11]]
    assert found["stopped"] in (2, 4, 6)
    assert 0 < found["reads"]["everybody"]["map"][0] <= 1


def test_every_line_of_a_table_is_an_arm():
    arms = {"ccau": recognition.ARMS, "homes": homes.ARMS, "worn": worn.ARMS, "pairs": keyframes.ARMS}
    arms["muscles"] = muscles.ARMS
    for table in TABLES:
        for row in table.rows:
            assert row.arm in arms[table.suite], (table.key, row)
            if row.against:
                assert row.against[0] in arms[table.suite], (table.key, row)
        assert set(table.measures) <= set(page.NAMES)


def test_a_task_whose_test_people_do_something_new_is_left_out(tmp_path: Path):
    for task, split, label in (
        *(("scene", split, "kitchen") for split in ("train", "test")),
        *(("action", split, verb) for split, verb in (("train", "open"), ("test", "close"))),
    ):
        folder = tmp_path / task / split / label
        (folder / "clip__0").mkdir(parents=True)
        for file in ("one__0.jpg", "clip__0/00.jpg"):
            (folder / file).touch()
    assert muscles.asked(str(tmp_path)) == ("scene",)


def test_runs_are_asked_for_seed_by_seed(tmp_path: Path):
    runs = wanted(Sources("data", tmp_path), ["ccau/alone", "homes"], 2)
    assert {run.suite for run in runs} == {"ccau", "homes"}
    assert [run.seed for run in runs] == sorted(run.seed for run in runs)
    assert len({run.file(tmp_path) for run in runs}) == len(runs)


def test_a_run_that_fails_is_said_and_the_others_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def found(_: Sources, run: Run) -> dict:
        if run.seed == 0:
            raise ValueError("no such arm")
        return {"reads": {}}

    monkeypatch.setattr("tests.bench.results.work._found", found)
    said: list[str] = []
    failed = work(Sources("data", tmp_path), [Run("ccau", "alone", 0, seed) for seed in range(2)], 1, said.append)
    assert failed == ["ccau/alone, split 0, seed 0: ValueError: no such arm"]
    assert [run["seed"] for run in results(tmp_path)] == [1]
    assert said[0] == "0 of 2 runs are there"
    assert len(said) == 3


def planted(out: Path, arm: str, seed: int, top1: list[float]) -> None:
    """A run's file."""
    path = Run("ccau", arm, 0, seed).file(out)
    path.parent.mkdir(parents=True, exist_ok=True)
    reads = {"ego": {"top1": top1}}
    told = {
        "chance": {"top1": 0.1},
        "cpu_s": 1.0,
        "commit": "abc",
        "date": "2026-01-01",
        "asked": 7,
        "parameters": 1000,
    }
    path.write_text(json.dumps({"suite": "ccau", "arm": arm, "split": 0, "seed": seed, "reads": reads, **told}))


def test_an_interval_holds_its_figure_where_draws_leave_out_what_is_hard():
    low, high = page.edges(0.2, np.linspace(0.3, 0.5, 101))
    assert low == pytest.approx(0.105)
    assert high == pytest.approx(0.295)


def test_the_page_says_what_the_runs_say(tmp_path: Path):
    draws = np.linspace(0.2, 0.4, 101)
    for seed in range(2):
        planted(tmp_path, "activity alone", seed, [0.3, *draws])
        planted(tmp_path, "static distillation", seed, [0.4 + 0.1 * seed, *(draws + 0.15)])
        planted(tmp_path, "cooperative distillation", seed, [0.3, *draws[::-1]])
    assert len(list(results(tmp_path))) == 6
    page.write(tmp_path, tmp_path / "docs")
    text = (tmp_path / "docs/results.md").read_text()
    rows = {line.split("|")[1].strip(): line for line in text.splitlines() if line.startswith("| head camera")}
    assert "45.0 (35.5 to 54.5) ± 7.1" in rows["head camera, static"]
    assert rows["head camera, static"].endswith("| +15.0 (+15.0 to +15.0) |")
    assert "[+0.0 (" in rows["head camera, cooperative distillation"]
    assert "| *chance* | 10.0 |" in text
    assert re.search(r"^\* \*\*Not run yet\.\*\* .*From a few clips", text, re.M)
    assert "chance" in (tmp_path / "docs/results/distillation.svg").read_text()
