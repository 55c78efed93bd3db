"""What somebody at the shell is told: by name, in one sentence, with what to do; nothing is left out in silence."""

import json

import pytest
from planted import SECOND, T0, change_json, make_session

import syncctl
from ingest import workers
from ingest.labels.words import Vocabulary


@pytest.fixture
def shell(capsys, monkeypatch, inline):
    """Runs a command as the front door does: (exit status, stdout, stderr)."""
    monkeypatch.setattr(workers, "pool", lambda _: inline)

    def run(*arguments):
        try:
            syncctl.main([*map(str, arguments)])
            status = 0
        except SystemExit as ended:
            status = ended.code or 0
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return status, said.out, said.err.strip()

    return run


@pytest.fixture
def home(tmp_path):
    """One good session, to which tests add others."""
    make_session(tmp_path / "home" / "good", participant="ann", seconds=2)
    return tmp_path / "home"


def refused(said: tuple[int, str, str]) -> str:
    """The one sentence of a refusal."""
    status, out, err = said
    assert (status, out) == (1, "")
    assert len(err.splitlines()) == 1
    return err


@pytest.fixture
def dataset(home, tmp_path):
    return ("build", home, "--out", tmp_path / "out")


def test_a_session_that_cannot_be_read(shell, home, dataset):
    make_session(home / "torn", participant="bo", seconds=2)
    (home / "torn" / "session.json").write_text('{"version": 1, "id": "torn"')
    err = refused(shell(*dataset))
    assert str(home / "torn") in err
    assert "--skip" in err
    status, out, err = shell(*dataset, "--skip", "--json")
    assert (status, json.loads(out)["sessions"]) == (0, ["good"])
    assert json.loads(out)["skipped"][0]["folder"] == str(home / "torn")
    assert f"left out {home / 'torn'}: " in err


def test_an_unaligned_session(shell, home, dataset):
    make_session(home / "new", participant="bo", seconds=2, aligned=False)
    err = refused(shell(*dataset))
    assert f"{home / 'new'} is not aligned yet" in err
    assert "syncctl align" in err
    status, out, err = shell(*dataset, "--skip")
    assert status == 0
    assert "1 sessions" in out
    assert f"left out {home / 'new'}: " in err


def test_labels_outside_the_recording(shell, home, dataset):
    (home / "good" / "labels" / "late.csv").write_text(
        f"tier,t0_ns,t1_ns,value,actor\naction,{T0 + 60 * SECOND},{T0 + 61 * SECOND},rise,ann\n"
    )
    status, out, err = shell(*dataset)
    assert status == 0
    assert "2 labels" in out
    assert (
        "good: 1 labels lie outside the recording and are left out; the first, action 'rise' of late, by 58.0 s" in err
    )


def test_overlapping_splits(shell, home, dataset):
    make_session(home / "other", participant="bo", seconds=2)
    make_session(home / "both", participant="bo", seconds=2)
    change_json(home / "both" / "session.json", participants=["ann", "bo"])
    assert "'ann' is given to both val and test; choose one" in refused(
        shell(*dataset, "--val", "ann", "--test", "ann")
    )
    err = refused(shell(*dataset, "--test", "bo"))
    assert "'ann' would be in train and 'bo' in test, but both are in session 'both'" in err
    assert "hold out all of ann, bo or none of them" in err
    status, out, err = shell(*dataset)
    assert status == 0
    assert "nobody can be held out, because all 2 people met, some through others" in err
    assert "test       0 clips of nobody" in out
    assert "warning: nobody can be held out" in shell("check", dataset[-1])[1]


def test_an_unknown_label(shell, home, dataset):
    Vocabulary({"action": ("pouring", "sit")}).save(home / "good" / "labels" / "vocabulary.json")
    err = refused(shell(*dataset))
    assert "truth.csv: unknown value of tier 'action' 'pour'; did you mean 'pouring'?" in err
    assert "mend the label or add the value to vocabulary.json" in err


def test_labels_of_another_vocabulary(shell, home, dataset, tmp_path):
    words = Vocabulary({"action": ("pour",), "activity": ("tea",)}, 1)
    words.save(home / "good" / "labels" / "vocabulary.json")
    assert shell(*dataset)[0] == 0
    info = json.loads((tmp_path / "out" / "info.json").read_text())
    assert (info["vocabulary_version"], info["vocabulary_sha256"]) == (1, words.sha256)
    newer = Vocabulary({"action": ("pour", "stir"), "activity": ("tea",)}, 2)
    newer.save(home / "good" / "labels" / "vocabulary.json")
    assert "was built with version 1 of the vocabulary" in refused(shell(*dataset))
    newer.save(tmp_path / "words.json")
    assert shell(*dataset, "--vocabulary", tmp_path / "words.json")[0] == 0
    info = json.loads((tmp_path / "out" / "info.json").read_text())
    assert (info["vocabulary_version"], info["vocabulary"]["action"]) == (2, ["pour", "stir"])
