import pytest

from firmware_host.errors import SessionError
from ingest.labels import read_labels, vocabulary

HEADER = "tier,t0_ns,t1_ns,value,actor\n"


def test_labels_keep_every_nanosecond_and_come_by_time(tmp_path):
    big = 1_763_718_988_123_456_789
    (tmp_path / "b.csv").write_text(f"{HEADER}action,{big},{big + 1},pour,ann\naction,5,9,hold,\n")
    (tmp_path / "a.csv").write_text(
        "tier,t0_ns,t1_ns,value,actor,x1,y1,x2,y2,confidence\nperson,0,7,standing,bo,0.1,0.2,0.5,0.75,0.9\n"
    )
    rows = read_labels(tmp_path, "s1")
    assert [(r["tier"], r["t0_ns"], r["value"], r["actor"], r["source"]) for r in rows] == [
        ("action", 5, "hold", None, "b"),
        ("action", big, "pour", "ann", "b"),
        ("person", 0, "standing", "bo", "a"),
    ]
    assert rows[1]["x1"] is None
    assert (rows[2]["x2"], rows[2]["confidence"]) == (0.5, 0.9)


def test_a_session_without_labels_has_none(tmp_path):
    assert read_labels(tmp_path / "labels", "s1") == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tier,t0_ns,value,actor\n", "no column 't1_ns'"),
        (f"{HEADER}action,0,1,pour,ann\naction,0.5,1,pour,ann\n", "line 3"),
        (f"{HEADER}action,9,1,pour,ann\n", "ends .1. before it begins"),
        (f"{HEADER}action,9\n", "line 2"),
        (f"{HEADER}action,0,9\n", "line 2: a label needs a tier and a value"),
    ],
)
def test_a_bad_row_is_named_by_file_and_line(tmp_path, text, said):
    (tmp_path / "mine.csv").write_text(text)
    with pytest.raises(SessionError, match=said) as error:
        read_labels(tmp_path, "s1")
    assert "mine.csv" in str(error.value)


def test_the_vocabulary_is_sorted():
    assert vocabulary([("b", "y"), ("a", "z"), ("b", "x"), ("b", "y")]) == {"a": ["z"], "b": ["x", "y"]}
