import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_host.errors import SessionError
from ingest.labels import table, words
from ingest.labels.agreed import agreed, entries, of_info
from ingest.labels.label import Label, box_of_px, box_px
from ingest.labels.words import Vocabulary


@given(st.dictionaries(st.text(max_size=4), st.lists(st.text(max_size=4), max_size=4, unique=True), max_size=4))
def test_equal_lists_have_equal_hashes_in_any_order(tiers):
    turned = {tier: tuple(reversed(values)) for tier, values in reversed(tiers.items())}
    whole = {tier: tuple(values) for tier, values in tiers.items()}
    assert Vocabulary(turned).sha256 == Vocabulary(whole).sha256
    assert Vocabulary(whole, 2).sha256 != Vocabulary(whole).sha256
    assert Vocabulary({**whole, "other tier": ("x",)}).sha256 != Vocabulary(whole).sha256


def test_the_hash_is_of_the_canonical_json_that_the_page_tells_of():
    # printf '{"tiers":{"activity":["drink","tee \303\274"]},"version":2}' | sha256sum
    told = "32a60c"
    found = Vocabulary({"activity": ("tee ü", "drink")}, 2).sha256
    assert len(found) == 64
    assert found.startswith(told)


def test_it_comes_back_and_an_edit_that_nobody_counted_is_refused(tmp_path):
    given_ = words.of_labels([Label("a", 0, 1, "x"), Label("a", 0, 1, "ä"), Label("b", 0, 1, "y")], version=3)
    path = tmp_path / words.FILE
    given_.save(path)
    assert words.load(path) == given_
    assert words.of_folder(tmp_path) == given_
    assert words.of_folder(tmp_path / "none") is None
    document = json.loads(path.read_text())
    document["tiers"]["a"].append("z")
    path.write_text(json.dumps(document))
    with pytest.raises(SessionError, match="edited after its hash was taken"):
        words.load(path)
    del document["sha256"]
    path.write_text(json.dumps(document))
    assert words.load(path).tiers["a"] == ("x", "ä", "z")
    path.write_text("[]")
    with pytest.raises(SessionError, match="cannot be read as a vocabulary"):
        words.load(path)


def test_a_closed_tier_refuses_and_an_open_one_does_not():
    known = Vocabulary({"activity": ("tea", "coffee")})
    known.check([Label("activity", 0, 1, "tea"), Label("note", 0, 1, "anything")], "here")
    with pytest.raises(
        SessionError, match=r"here: unknown value .* 'teaa'; did you mean 'tea'\? \(and 1 more labels\)"
    ):
        known.check([Label("activity", 0, 1, "teaa"), Label("activity", 0, 1, "water")], "here")


@pytest.mark.parametrize(
    ("about", "said"),
    [
        ({"t1_ns": -1}, "ends .-1. before"),
        ({"box": (0.5, 0, 0.4, 1)}, "x1 <= x2"),
        ({"box": (0, 0, 1.1, 1)}, "fractions"),
        ({"box": (0, 0, float("nan"), 1)}, "fractions"),
        ({"confidence": 1.5}, "between 0 and 1"),
    ],
)
def test_a_label_that_cannot_be_is_none(about, said):
    with pytest.raises(ValueError, match=said):
        Label(**{"tier": "t", "t0_ns": 0, "t1_ns": 1, "value": "v", **about})


def test_pixels_to_fractions_and_back_with_what_is_outside_cut_off():
    assert box_of_px(-5, 20, 50, 400, (100, 200)) == (0.0, 0.1, 0.5, 1.0)
    assert box_of_px(50, 20, 10, 10, (100, 200)) == (0.1, 0.05, 0.5, 0.1)  # drawn from its lower right corner
    assert box_px((0.1, 0.05, 0.5, 0.1), (100, 200)) == pytest.approx((10, 10, 50, 20))


WORDS = Vocabulary({"activity": ("coffee", "tea")}, 2)


@pytest.fixture
def folders(tmp_path):
    """Two sessions, of which the first keeps a list."""
    made = {}
    for name in ("a", "b"):
        made[name] = tmp_path / name
        (made[name] / "labels").mkdir(parents=True)
        table.write([Label("activity", 0, 1, "tea"), Label("note", 0, 1, "free")], made[name] / "labels" / "mine.csv")
    WORDS.save(made["a"] / "labels" / words.FILE)
    return made


def test_a_dataset_has_the_one_list_that_its_sessions_keep(folders, tmp_path):
    assert agreed(folders, tmp_path, None, None) == WORDS
    assert agreed(folders, tmp_path, WORDS, None) == WORDS
    assert agreed({"b": folders["b"]}, tmp_path, None, None) is None
    assert agreed({"b": folders["b"]}, tmp_path, WORDS, None) == WORDS  # the dataset goes on with what it had


def test_labels_of_another_list_are_refused_in_a_sentence(folders, tmp_path):
    newer = Vocabulary({"activity": ("coffee", "milk", "tea")}, 3)
    with pytest.raises(
        SessionError, match=r"was built with version 3 .*, and session 'a' keeps version 2 .*--vocabulary"
    ):
        agreed(folders, tmp_path, newer, None)
    with pytest.raises(SessionError, match=r"session 'a' keeps version 2 .*, and --vocabulary is version 3"):
        agreed(folders, tmp_path, WORDS, newer)
    newer.save(folders["b"] / "labels" / words.FILE)
    with pytest.raises(SessionError, match=r"session 'b' keeps version 3 .*, and session 'a' keeps version 2"):
        agreed(folders, tmp_path, None, None)
    assert agreed({"b": folders["b"]}, tmp_path, WORDS, newer) == newer  # somebody says so
    (folders["b"] / "labels" / words.FILE).unlink()
    table.write([Label("activity", 0, 1, "tee")], folders["b"] / "labels" / "late.csv")
    with pytest.raises(SessionError, match=r"late.csv: unknown value of tier 'activity' 'tee'; did you mean 'tea'"):
        agreed(folders, tmp_path, None, None)


def test_the_list_is_told_with_version_and_hash_and_comes_back():
    found = {"activity": ["tea"], "note": ["free"]}
    told = entries(WORDS, found)
    assert told["vocabulary"] == {"activity": ["coffee", "tea"], "note": ["free"]}
    assert (told["vocabulary_version"], told["vocabulary_sha256"]) == (2, WORDS.sha256)
    assert of_info(told) == WORDS
    free = entries(None, found)
    assert (free["vocabulary"], free["vocabulary_version"], free["closed"]) == (found, 0, [])
    assert free["vocabulary_sha256"] == Vocabulary({"activity": ("tea",), "note": ("free",)}, 0).sha256
    assert of_info(free) is None
