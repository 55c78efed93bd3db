import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_host.errors import ConfigError, SessionError
from ingest.splits import UNKNOWN, assign, check, everybody, tied

people = st.lists(st.sampled_from("abcdefghijkl"), min_size=0, max_size=2, unique=True)
recordings = st.dictionaries(st.text("0123456789", min_size=1, max_size=3), people, min_size=1, max_size=12)


@settings(max_examples=50)
@given(recordings)
def test_no_person_and_no_session_is_ever_in_two_splits_and_somebody_trains(sessions):
    split = assign(sessions)
    check([(s, p, split[p]) for s, who in sessions.items() for p in who or [UNKNOWN]])
    assert "train" in split.values()
    assert set(split) == {p for who in sessions.values() for p in who or [UNKNOWN]}


@pytest.mark.parametrize(
    ("count", "train", "val", "test"),
    [(1, 1, 0, 0), (2, 1, 0, 1), (3, 1, 1, 1), (4, 2, 1, 1), (8, 5, 1, 2), (12, 8, 1, 3)],
)
def test_the_last_quarter_is_tested_on_and_the_one_before_is_for_validation(count, train, val, test):
    names = [f"p{i:02}" for i in range(count)]
    split = assign({f"s{n}": [n] for n in reversed(names)})
    assert [split[n] for n in names] == ["train"] * train + ["val"] * val + ["test"] * test


def test_people_can_be_chosen():
    split = assign({"1": ["ann"], "2": ["bo"], "3": ["cy"]}, val=["ann"], test=["bo"])
    assert split == {"ann": "val", "bo": "test", "cy": "train"}


@pytest.mark.parametrize(
    ("val", "test", "said"),
    [
        (["anne"], [], "did you mean 'ann'"),
        (["ann"], ["ann"], "both val and test"),
        ([], ["ann", "bo", "cy"], "nothing is left to train on"),
    ],
)
def test_a_choice_that_cannot_be_is_refused(val, test, said):
    with pytest.raises(ConfigError, match=said):
        assign({"1": ["ann"], "2": ["bo"], "3": ["cy"]}, val=val, test=test)


def test_people_who_met_are_not_held_apart():
    met = {"1": ["ann"], "both": ["ann", "bo"], "2": ["bo", "di"], "3": ["cy"]}
    with pytest.raises(SessionError, match=r"'di' in test, but both .* session '2'; .* all of ann, bo, di or none"):
        assign(met, test=["di"])
    assert assign(met, test=["ann", "bo", "di"])["cy"] == "train"
    split = assign({"1": ["ann", "bo"], "2": ["bo", "cy"], "3": ["di"], "4": ["ed"]})
    assert len({split[p] for p in ("ann", "bo", "cy")}) == 1


def test_a_guest_goes_with_whom_they_met_and_ties_them():
    met = {"1": ["ann", "guest"], "2": ["bo"], "3": ["cy", "other guest"], "4": ["cy"]}
    guests = ["guest", "other guest"]
    split = assign(met, test=["ann"], val=["cy"], guests=guests)
    assert split == {"ann": "test", "guest": "test", "bo": "train", "cy": "val", "other guest": "val"}
    with pytest.raises(ConfigError, match="unknown participant 'guest'"):
        assign(met, test=["guest"], guests=guests)
    with pytest.raises(SessionError, match="hold out all of ann, bo or none"):
        assign({**met, "5": ["bo", "guest"]}, test=["ann"], guests=guests)


def test_the_people_of_a_session_are_those_with_a_name():
    assert everybody(["bo"], ["ann"], ["guest", None, "7", "902.1"]) == ["ann", "bo", "guest"]
    assert everybody(["01"], [], ["01", "cy"]) == ["01", "cy"]
    assert everybody([], [], ["cy"]) == ["cy", UNKNOWN]


@settings(max_examples=50)
@given(recordings)
def test_where_somebody_can_be_held_out_somebody_is_and_else_it_is_said_why(sessions):
    assert (tied(sessions) is None) == ("test" in assign(sessions).values())


def test_why_nobody_can_be_held_out():
    assert "there is only 'ann'" in tied({"1": ["ann"], "2": ["ann"]})
    assert "all 3 people met, some through others" in tied({"1": ["ann", "bo"], "2": ["bo", "cy"]})
    assert tied({"1": ["ann"], "2": ["bo"]}) is None


def test_a_leak_in_a_table_is_named():
    with pytest.raises(SessionError, match="participant 'ann' would be in both train and test"):
        check([("1", "ann", "train"), ("2", "ann", "test")])


def test_sessions_that_name_nobody_stay_together():
    split = assign({"1": [], "2": [], "3": ["ann"]})
    assert set(split) == {UNKNOWN, "ann"}
