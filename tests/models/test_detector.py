"""A user's detector: every form of its answer, what is refused, and its boxes all the way into a dataset's clips."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import planted
import pytest
from click.testing import CliRunner
from made_detector import CELL, FORMS, REACH, write_detector
from planted import GUEST, SECOND, SIZE, T0, make_session

import syncctl
from firmware_host.errors import ConfigError, SessionError
from ingest.ask import Ask
from ingest.build import build, find_sessions
from ingest.dataset import Clips
from models import detector
from models.detector import Detector, fitted, form_of

SIDE = 96


def picture(*cells: tuple[int, int], shape=(54, 96), colour=0) -> np.ndarray:
    """A picture that fits into `SIDE` as it is, with bright cells at (column, row)."""
    frame = np.zeros((*shape, 3), np.uint8)
    for x, y in cells:
        frame[CELL * y : CELL * (y + 1), CELL * x : CELL * (x + 1), colour] = 230
    return frame


def around(x: int, y: int, width: int, height: int) -> np.ndarray:
    middle = np.array([x, y, x, y]) * CELL + CELL / 2
    return np.clip((middle + REACH / 2 * np.array([-1, -1, 1, 1])) / [width, height, width, height], 0, 1)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_answer_is_read(form, tmp_path):
    find = Detector(write_detector(tmp_path / "d.onnx", form, SIDE), size=SIDE)
    boxes, scores = find(picture((1, 1), (4, 2)))
    brightness = 230 / 255 * (0.5 if form == "yolov5" else 1)
    np.testing.assert_allclose(scores, [brightness] * 2, atol=1e-5)
    np.testing.assert_allclose(sorted(boxes.tolist()), [around(1, 1, 96, 54), around(4, 2, 96, 54)], atol=1e-6)
    boxes, scores = find(picture())
    assert (boxes.shape, scores.shape) == ((0, 4), (0,))


@pytest.mark.parametrize("shape", [(108, 192), (192, 108), (27, 48)])
def test_a_box_is_in_fractions_of_the_picture_whatever_its_size(shape, tmp_path):
    find = Detector(write_detector(tmp_path / "d.onnx", "yolov8", SIDE), size=SIDE)
    frame = np.zeros((*shape, 3), np.uint8)
    scale = max(shape) / SIDE
    rows, columns = (slice(round(scale * CELL), round(scale * 2 * CELL)) for _ in range(2))
    frame[rows, columns, 0] = 230
    (box,), (score,) = find(frame)
    np.testing.assert_allclose(box, around(1, 1, shape[1] / scale, shape[0] / scale), atol=1e-6)
    assert score > 0.8


def test_another_class_can_be_a_person_and_the_sure_alone_are_kept(tmp_path):
    path = write_detector(tmp_path / "d.onnx", "yolov8", SIDE)
    assert len(Detector(path, size=SIDE)(picture((1, 1), colour=1))[0]) == 0
    assert len(Detector(path, size=SIDE, person=1)(picture((1, 1), colour=1))[0]) == 1
    assert len(Detector(path, size=SIDE, sure=0.95)(picture((1, 1)))[0]) == 0
    with pytest.raises(ConfigError, match=r"d\.onnx has no class number 2; give the --person"):
        Detector(path, size=SIDE, person=2)(picture())


def test_of_boxes_that_mean_one_person_the_surest_speaks(monkeypatch, tmp_path):
    find = Detector(write_detector(tmp_path / "d.onnx", "yolov8", SIDE), size=SIDE)
    found = np.array(
        [[10, 10, 50, 50], [11, 10, 50, 50], [60, 10, 90, 50], [np.nan] * 4, [5, 5, 5, 40], [10, 10, 50, 50]]
    )
    scores = np.array([0.5, 0.9, 0.4, 0.99, 0.99, 0.2])
    monkeypatch.setattr(find, "_persons", lambda _: (found, scores))
    boxes, kept = find(picture())
    assert kept.tolist() == [0.9, 0.4]
    np.testing.assert_allclose(boxes * [96, 54, 96, 54], found[[1, 2]])


def test_what_is_no_detector_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.onnx does not exist; give a detector"):
        Detector(tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_text("not a network")
    with pytest.raises(ConfigError, match=r"text\.onnx cannot be read as ONNX .*export the detector again"):
        Detector(tmp_path / "text.onnx")
    with pytest.raises(ConfigError, match=r"does not take a picture of 1 x 3 x 80 x 80 .*give the --size"):
        Detector(write_detector(tmp_path / "d.onnx", "yolov8", SIDE), size=80)(picture())


@pytest.mark.parametrize(
    "shapes",
    [
        [(1, 1000)],
        [(1, 4, 100)],
        [(2, 84, 8400)],
        [(1, 100, 4), (1, 100, 80)],
        [(1, 1, 100, 6)],
        [(9, 4), (9, 4), (9,)],
        [],
    ],
)
def test_answers_of_no_known_form(shapes, tmp_path, monkeypatch):
    assert form_of(shapes) is None
    find = Detector(write_detector(tmp_path / "d.onnx", "yolov8", SIDE), size=SIDE)
    monkeypatch.setattr(find, "_answers", lambda _: {f"o{k}": np.zeros(s) for k, s in enumerate(shapes)})
    with pytest.raises(ConfigError, match="no form of YOLO, SSD or TorchVision known here"):
        find(picture())


def test_published_shapes_are_told_apart():
    assert form_of([(1, 84, 8400)]) is detector._yolo_by_class
    assert form_of([(1, 5, 8400)]) is detector._yolo_by_class
    assert form_of([(1, 25200, 85)]) is detector._yolo_with_objectness
    assert form_of([(1, 6300, 6)]) is detector._yolo_with_objectness  # of one class alone
    assert form_of([(1, 300, 6)]) is detector._yolo_rows
    assert form_of([(1, 1, 100, 7)]) is detector._ssd
    assert form_of([(0, 4), (0,), (0,)]) is detector._torchvision


def test_a_picture_is_fitted_whole():
    frame = np.full((20, 40, 3), 7, np.uint8)
    square, scale = fitted(frame, 80)
    assert (square.shape, scale) == ((80, 80, 3), 2.0)
    assert (square[:40] == 7).all()
    assert (square[40:] == 114).all()


def walking(number: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Two red squares a cell wide: one walks right in the second row of cells, one left in the fifth."""
    step = number // 6
    frame = np.zeros((size[1], size[0], 3), np.uint8)
    for column, row in ((step, 1), (11 - step, 4)):
        frame[CELL * row : CELL * (row + 1), CELL * column : CELL * (column + 1), 0] = 255
    return frame


@pytest.fixture(scope="module")
def filmed(tmp_path_factory):
    """A session of 4 s whose room camera shows the two, 15 pictures a second, and a detector for it."""
    root = tmp_path_factory.mktemp("filmed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planted, "painted", walking)
        make_session(root / "s-anna", participant="anna")
    return root / "s-anna", write_detector(root / "yolo.onnx", "yolov8", 192)


@pytest.fixture
def session(filmed, tmp_path):
    return shutil.copytree(filmed[0], tmp_path / "sessions" / "s-anna"), filmed[1]


def run(*arguments: object):
    return CliRunner().invoke(syncctl.cli, ["detect", *map(str, arguments), "--size", "192", "--json"])


def test_boxes_of_a_film_reach_the_clips_of_a_dataset(session, tmp_path):
    folder, model = session
    acts = [f"atomic,{T0},{T0 + 2 * SECOND},walk,anna", f"atomic,{T0},{T0 + SECOND},sit,{GUEST}"]
    (folder / "labels" / "acts.csv").write_text("\n".join(["tier,t0_ns,t1_ns,value,actor", *acts, ""]))
    done = run(folder, "--model", model, "--who", "0=anna")
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert (document["device"], document["pictures"], document["boxes"]) == ("kit-01", 20, 40)
    assert [(t["name"], t["boxes"], t["t0_s"], t["t1_s"]) for t in document["tracks"]] == [
        ("anna", 20, 0, pytest.approx(3.8)),
        ("1", 20, 0, pytest.approx(3.8)),
    ]
    with ThreadPoolExecutor(1) as here:
        build(find_sessions([folder.parent]), tmp_path / "dataset", here)
    clips = Clips(tmp_path / "dataset", "train", Ask(("boxes",), at="boxes", frames=1))
    names = clips.dataset.info["vocabulary"]["atomic"]
    assert len(clips) == 4
    for k in range(4):
        item = clips[k]
        assert int(item["t_ns"]) == pytest.approx(T0 + k * SECOND, abs=2_000_000)
        people = [sorted(["anna", "1"])[i] for i in item["box_person"][item["box_valid"]].tolist()]
        step = 15 * k // 6
        for who, box, doing in zip(people, item["boxes"].numpy(), item["box_actions"].numpy(), strict=False):
            place = (step, 1) if who == "anna" else (11 - step, 4)
            np.testing.assert_allclose(box, around(*place, *SIZE), atol=1e-6)
            wanted = {"walk"} if who == "anna" and k < 2 else set()
            assert {names[a] for a in np.flatnonzero(doing)} == wanted
        assert sorted(people) == ["1", "anna"]


def test_what_is_there_is_not_overwritten_unasked(session):
    folder, model = session
    assert run(folder, "--model", model, "--every", "1").exit_code == 0
    before = (folder / "labels" / "detected.csv").read_bytes()
    again = run(folder, "--model", model)
    assert isinstance(again.exception, ConfigError)
    assert "give --replace" in str(again.exception)
    assert (folder / "labels" / "detected.csv").read_bytes() == before
    assert run(folder, "--model", model, "--replace").exit_code == 0
    assert (folder / "labels" / "detected.csv").read_bytes() != before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--film", "kit-2"], "did you mean 'kit-01'"),
        (["--film", "kit-02"], "unknown film"),
        (["--who", "anna"], "--who takes TRACK=NAME"),
    ],
)
def test_wrong_names_are_answered(session, arguments, said):
    folder, model = session
    failed = run(folder, "--model", model, *arguments).exception
    assert isinstance(failed, ConfigError | SessionError)
    assert said in str(failed)
