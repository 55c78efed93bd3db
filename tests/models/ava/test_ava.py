"""Frame mAP against loops, by hand, and with the files that a user will give it."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from click.testing import CliRunner
from made_rows import LABELS, made, plain_ap

from firmware_host.errors import ConfigError, SessionError
from models.ava import LabelMap, Rows, detections, evaluate, read_excluded, read_label_map, read_rows, write_rows
from models.ava.breakdown import breakdowns, by_people, by_size
from models.ava.cli import ava
from models.ava.figures import write_page
from models.ava.matching import average_precision
from models.ava.rows import INTERACTION, MANIPULATION, MOVEMENT, UNSORTED, write_label_map

BOX = [0.1, 0.1, 0.5, 0.5]
MAP = 'item {\n  name: "stand"\n  id: 12\n}\nitem {\n  name: "carry/hold {an object}"\n  id: 17\n}\n'


def distinct(rows: Rows, seed: int = 0) -> Rows:
    """The rows with scores that all differ."""
    order = np.random.default_rng(seed).permutation(len(rows))
    return Rows(rows.frame, rows.boxes, rows.label, (order + 1) / (len(rows) + 1))


@pytest.mark.parametrize("cap", [0, 5, 50])
@pytest.mark.parametrize("seed", range(6))
def test_every_class_equals_plain_loops(seed, cap):
    truth, found = made(seed, frames=20, people=5)
    found, excluded = distinct(found), {"video1,0901"}
    result = evaluate(truth, found, LABELS, excluded, cap)
    expected = {i: plain_ap(truth, found, i, cap=cap, excluded=excluded) for i in LABELS.names}
    for i in LABELS.names:
        assert result.ap[i] == pytest.approx(expected[i], abs=1e-12, nan_ok=True)
    known = [value for value in expected.values() if not math.isnan(value)]
    assert result.mean == pytest.approx(np.mean(known), abs=1e-12)
    assert 0.1 < result.mean < 0.9


def test_a_cap_changes_the_number_and_is_said():
    truth, found = made(3, people=6, extra=40)
    capped, whole = (evaluate(truth, found, LABELS, cap=cap) for cap in (5, 0))
    assert capped.mean != whole.mean
    assert (capped.document["cap"], whole.document["cap"]) == (5, None)
    assert capped.left_out["detected, over the cap"] > 0


def test_average_precision_by_hand():
    right = np.array([True, False, True, False])
    assert average_precision(np.array([0.9, 0.8, 0.7, 0.6]), right, 4) == pytest.approx((1 + 2 / 3) / 4)
    assert average_precision(np.array([0.6, 0.7, 0.8, 0.9]), right, 4) == pytest.approx(2 * (1 / 2) / 4)
    assert average_precision(np.zeros(0), np.zeros(0, bool), 3) == 0.0
    assert math.isnan(average_precision(np.array([0.5]), np.array([False]), 0))


def one(box, score, label=12, frame="v,0902"):
    return [frame], [box], [label], [score]


def several(*rows):
    return Rows.of(*([value for row in rows for value in row[k]] for k in range(4)))


def test_a_box_is_found_once_and_at_exactly_one_half():
    truth = several(one([0.0, 0.0, 1.0, 1.0], 1))
    half = [0.0, 0.0, 0.5, 1.0]
    assert evaluate(truth, several(one(half, 0.3)), LABELS).ap[12] == 1.0
    assert evaluate(truth, several(one([0.0, 0.0, 0.4999, 1.0], 0.3)), LABELS).ap[12] == 0.0
    twice = evaluate(truth, several(one(half, 0.3), one([0, 0, 1, 1], 0.2)), LABELS)
    assert twice.matches.right.tolist() == [True, False]
    assert twice.ap[12] == 1.0


def test_a_detection_turns_to_the_nearest_box_even_where_that_is_taken():
    left, right = [0.0, 0.0, 0.5, 1.0], [0.1, 0.0, 0.6, 1.0]
    truth = several(one(left, 1), one(right, 1))
    result = evaluate(truth, several(one(left, 0.9), one([0.01, 0.0, 0.51, 1.0], 0.8)), LABELS)
    assert result.matches.right.tolist() == [True, False]  # the right box would have overlapped by 0.69


def test_frames_without_truth_count_against_and_excluded_ones_do_not():
    truth = several(one(BOX, 1))
    found = several(one(BOX, 0.5), one(BOX, 0.9, frame="v,0903"))
    assert evaluate(truth, found, LABELS).ap[12] == 0.5
    result = evaluate(truth, found, LABELS, excluded={"v,0903"})
    assert result.ap[12] == 1.0
    assert result.left_out["detected, excluded frame"] == 1


def test_ids_outside_the_map_do_not_count_not_even_against_the_cap():
    truth = several(one(BOX, 1))
    found = several(*(one(BOX, 0.9, label=3) for _ in range(60)), one(BOX, 0.1))
    result = evaluate(truth, found, LABELS, cap=50)
    assert result.ap[12] == 1.0
    assert result.left_out["detected, class not in the label map"] == 60


def test_detections_without_area_take_a_place_under_the_cap_and_then_go():
    truth = several(one(BOX, 1))
    nothing = [0.3, 0.3, 0.3, 0.6]
    unknown = [0.3, math.nan, 0.4, 0.6]
    found = several(one(nothing, 0.9), one(unknown, 0.8), one(BOX, 0.1))
    assert evaluate(truth, found, LABELS, cap=3).ap[12] == 1.0
    assert evaluate(truth, found, LABELS, cap=2).ap[12] == 0.0
    assert evaluate(truth, found, LABELS, cap=3).left_out["detected, without area"] == 2
    with pytest.raises(SessionError, match="v,0902"):
        evaluate(several(one(nothing, 1)), found, LABELS)


def test_means_of_kinds_and_classes_that_do_not_occur():
    truth = several(one(BOX, 1, 1), one(BOX, 1, 2), one(BOX, 1, 17))
    result = evaluate(truth, several(one(BOX, 0.9, 1), one(BOX, 0.8, 17), one(BOX, 0.8, 64)), LABELS)
    assert result.kind_mean[MOVEMENT] == 0.5
    assert result.kind_mean[MANIPULATION] == 1.0
    assert math.isnan(result.kind_mean[INTERACTION])
    assert result.mean == pytest.approx(2 / 3)
    assert result.document["kinds"][INTERACTION] is None
    json.dumps(result.document, allow_nan=False)


def test_nothing_found_is_zero_and_nothing_at_all_is_no_number():
    truth, found = made(1)
    none = Rows.of([], [], [], [])
    assert evaluate(truth, none, LABELS).mean == 0.0
    assert math.isnan(evaluate(none, found, LABELS).mean)
    assert all(math.isnan(part.mean) for part in by_people(evaluate(none, none, LABELS)))
    assert by_size(evaluate(none, none, LABELS)) == []


def test_two_hundred_people_in_one_frame():
    x = np.arange(200) / 200
    boxes = np.stack([x, np.zeros(200), x + 0.004, np.ones(200)], axis=1)
    truth = Rows.of(["v,0902"] * 200, boxes, [12] * 200, [1] * 200)
    found = Rows.of(["v,0902"] * 200, boxes, [12] * 200, np.linspace(0.1, 0.9, 200))
    assert evaluate(truth, found, LABELS, cap=0).mean == 1.0
    assert evaluate(truth, found, LABELS).mean == pytest.approx(50 / 200)


def test_files_there_and_back(tmp_path):
    _, found = made(4)
    write_rows(found, tmp_path / "found.csv")
    again = read_rows(tmp_path / "found.csv")
    for name in ("frame", "boxes", "label", "score"):
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))


def test_a_file_of_the_truth_has_seconds_of_any_width_and_person_numbers(tmp_path):
    path = tmp_path / "truth.csv"
    path.write_text("v,902,0.1,0.2,0.3,0.4,12,7\nv,0902,0.1,0.2,0.3,0.4,17,7\nw,1000,0,0,1,1,12,\n")
    rows = read_rows(path)
    assert rows.frame.tolist() == ["v,0902", "v,0902", "w,1000"]
    assert rows.score.tolist() == [7, 7, 1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("v,902,0.1,0.2,0.3,12\n", "line 1: 6 columns"),
        ("\nv,902,a,0,1,1,12\n", "line 2"),
        ("v,902,0,0,1,1,12,nan\n", "not a number"),
    ],
)
def test_a_line_of_another_kind_is_named(tmp_path, text, said):
    path = tmp_path / "rows.csv"
    path.write_text(text)
    with pytest.raises(SessionError, match=said):
        read_rows(path)


def test_an_empty_file_is_no_rows_and_an_absent_one_is_a_sentence(tmp_path):
    (tmp_path / "empty.csv").touch()
    assert len(read_rows(tmp_path / "empty.csv")) == 0
    with pytest.raises(SessionError, match="does not exist"):
        read_rows(tmp_path / "absent.csv")


def test_label_maps_of_either_spelling(tmp_path):
    path = tmp_path / "map.pbtxt"
    path.write_text(MAP)
    labels = read_label_map(path)
    assert labels.names == {12: "stand", 17: "carry/hold {an object}"}
    assert labels.kinds == {12: MOVEMENT, 17: MANIPULATION}
    path.write_text('label { name: "pour" label_id: 7 label_type: OBJECT_MANIPULATION }')
    assert read_label_map(path).kinds == {7: MANIPULATION}
    path.write_text('label { name: "pour" label_id: 7 label_type: SOMETHING }')
    with pytest.raises(ConfigError, match="SOMETHING"):
        read_label_map(path)
    path.write_text("")
    with pytest.raises(SessionError, match="no classes"):
        read_label_map(path)


def test_excluded_frames_are_read(tmp_path):
    path = tmp_path / "excluded.csv"
    path.write_text("v,902\nw,0903\n")
    assert read_excluded(path) == {"v,0902", "w,0903"}
    path.write_text("v\n")
    with pytest.raises(SessionError, match="line 1"):
        read_excluded(path)


def test_a_models_answer_as_rows():
    boxes = np.array([[BOX, [0, 0, 0, 0]], [[0, 0, 1, 1], BOX]], np.float32)
    valid = np.array([[True, False], [True, True]])
    scores = np.full((2, 2, 3), 0.5)
    scores[1, 1, 2] = np.nan
    rows = detections(["v,0902", "v,0903"], boxes, valid, scores, [1, 12, 17])
    assert len(rows) == 8
    assert rows.frame.tolist() == ["v,0902"] * 3 + ["v,0903"] * 5
    assert rows.label.tolist() == [1, 12, 17, 1, 12, 17, 1, 12]
    np.testing.assert_array_equal(rows.boxes[-1], np.array(BOX, np.float32))


def test_a_breakdown_by_size_looks_at_its_part_alone():
    small, large = [0.0, 0.0, 0.1, 0.1], [0.2, 0.2, 1.0, 1.0]
    middle = [0.0, 0.5, 0.2, 0.9]
    truth = several(one(small, 1), one(middle, 1), one(large, 1))
    found = several(one(large, 0.9), one([0.3, 0.0, 0.31, 0.1], 0.8), one(small, 0.7))
    parts = by_size(evaluate(truth, found, LABELS))
    assert [part.mean for part in parts] == [0.5, 0.0, 1.0]  # the small one behind a small mistake; the middle unseen
    assert [part.boxes for part in parts] == [1, 1, 1]


def test_a_breakdown_by_people_looks_at_frames():
    truth = several(one(BOX, 1), one(BOX, 1, 17), one(BOX, 1, frame="v,0903"), one([0.5, 0, 1, 1], 1, frame="v,0903"))
    found = several(one(BOX, 0.9), one(BOX, 0.8, 17), one([0, 0.6, 1, 1], 0.95, frame="v,0903"))
    parts = {part.name: part for part in by_people(evaluate(truth, found, LABELS))}
    assert parts["1"].mean == 1.0
    assert parts["1"].boxes == 2
    assert parts["2"].mean == 0.0
    assert math.isnan(parts["5 or more"].mean)


def test_parts_of_a_breakdown_hold_all_of_the_truth():
    result = evaluate(*made(5, frames=40), LABELS)
    parts = breakdowns(result)
    for some in parts.values():
        assert sum(part.boxes for part in some) == sum(result.count.values())
    common = {part.name.split(":")[0]: part for part in parts["frequency of the class"]}
    assert set(common) == {"rare", "middling", "common"}
    assert common["common"].boxes / common["common"].classes > common["rare"].boxes / common["rare"].classes


def test_the_page_says_the_cap_and_shows_every_class_that_occurs(tmp_path):
    result = evaluate(*made(5, frames=40), LABELS)
    write_page(tmp_path / "ava.html", result, breakdowns(result))
    page = (tmp_path / "ava.html").read_text()
    assert "the 50 best rows of each frame" in page
    assert f"Frame mAP {100 * result.mean:.1f}" in page
    assert all(name in page for i, name in LABELS.names.items() if result.count[i])
    people = sum(part.boxes > 0 for part in by_people(result))
    assert page.count("<rect") == 3 + people + 3 + sum(count > 0 for count in result.count.values())
    assert "no boxes" not in page


def test_the_command_prints_numbers_and_writes_a_page(tmp_path):
    truth, found = made(2)
    write_rows(truth, tmp_path / "truth.csv")
    write_rows(found, tmp_path / "found.csv")
    (tmp_path / "map.pbtxt").write_text(MAP)
    arguments = [tmp_path / "truth.csv", tmp_path / "found.csv", "--labels", tmp_path / "map.pbtxt"]
    said = CliRunner().invoke(ava, [*map(str, arguments), "--json", "--page", str(tmp_path / "page.html")])
    document = json.loads(said.stdout)
    labels = read_label_map(tmp_path / "map.pbtxt")
    assert document["map"] == evaluate(truth, found, labels).mean
    assert document["cap"] == 50
    assert (tmp_path / "page.html").exists()
    said = CliRunner().invoke(ava, [*map(str, arguments), "--cap", "0"]).stdout
    assert "all rows" in said
    assert "stand" in said


def test_a_label_map_is_written_and_read_and_unsorted_classes_have_no_kind(tmp_path):
    path = tmp_path / "map.pbtxt"
    labels = LabelMap({1: "pour {tea}", 2: "sit"}, {1: MANIPULATION, 2: UNSORTED})
    write_label_map(labels, path)
    assert read_label_map(path) == labels
    truth = several(one(BOX, 1, 1), one(BOX, 1, 2))
    result = evaluate(truth, several(one(BOX, 0.9, 2)), labels)
    assert result.kind_mean == {MANIPULATION: 0.0}
    assert result.mean == 0.5
    write_page(tmp_path / "page.html", result, breakdowns(result))
    with pytest.raises(ConfigError, match="quotation mark"):
        write_label_map(LabelMap({1: 'a "b"'}, {1: UNSORTED}), path)


def test_the_command_on_empty_files_and_on_ids_that_nobody_knows(tmp_path):
    truth, found = made(2)
    for name, rows in {"truth": truth, "found": found, "none": Rows.of([], [], [], [])}.items():
        write_rows(rows, tmp_path / f"{name}.csv")
    write_label_map(LabelMap({12: "stand"}, {12: MOVEMENT}), tmp_path / "map.pbtxt")

    def said(one: str, other: str, *more: str) -> str:
        files = [str(tmp_path / f"{name}.csv") for name in (one, other)]
        words = [*files, "--labels", str(tmp_path / "map.pbtxt"), "--page", str(tmp_path / "page.html"), *more]
        return CliRunner().invoke(ava, words, catch_exceptions=False).stdout

    assert json.loads(said("truth", "none", "--json"))["map"] == 0.0
    for nobody in (said("none", "found"), said("none", "none")):
        assert nobody.startswith("mAP no boxes")
    assert "Nothing to show" in (tmp_path / "page.html").read_text()
    assert f"left out: {(found.label != 12).sum()} detected, class not in the label map" in said("truth", "found")
