"""Many simulated sessions from one plan."""

import hashlib
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_host.errors import ConfigError
from recorder.many import SimulationPlan, parts, read_plan, simulate
from recorder.session import open_session

TINY = "sessions = 2\nseed = 5\nduration_s = 6\nwidth = 32\nheight = 16\nparticipants = 2\n"


@given(st.integers(0, 1000), st.integers(1, 4), st.integers(1, 2))
def test_every_participant_does_every_activity_equally_often(seed: int, people: int, laps: int):
    activities = SimulationPlan(1).activities
    plan = SimulationPlan(people * len(activities) * laps, seed=seed, participants=people)
    done = Counter((p.participant, p.activity) for p in parts(plan))
    assert len(done) == people * len(activities)
    assert set(done.values()) == {laps}
    assert len({p.seed for p in parts(plan)}) == plan.sessions


@given(st.integers(1, 40), st.integers(0, 40))
def test_a_longer_plan_begins_with_the_shorter_one(sessions: int, more: int):
    assert parts(SimulationPlan(sessions + more))[:sessions] == parts(SimulationPlan(sessions))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the key 'sessions' is missing"),
        ("sessions = 0", "line 1: sessions is 0; it must be at least 1"),
        ("sessions = 1\nduration_s = 2", "line 2: duration_s is 2; tones need at least 6 s"),
        ("sessions = 1\nwidth = 33", "line 2: width is 33; it must be even"),
        ('sessions = 1\nactivities = ["make_tee"]', "did you mean 'make_tea'"),
        ("sessions = 1\npeople = 3", "line 2: people is 3; it must be 1 or 2"),
        ("sessions = 1\npersons = 3", "unknown key 'persons'"),
        ("sessions = 1\nactivities = 5", "line 2: activities is 5; it must be a list"),
        ("sessions = 1\nduration_s = nan", "line 2: duration_s is nan; it must be a number"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_with_its_line(tmp_path: Path, text: str, words: str):
    (tmp_path / "plan.toml").write_text(text)
    with pytest.raises(ConfigError, match=words):
        read_plan(tmp_path / "plan.toml")


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("many")
    (folder / "plan.toml").write_text(TINY)
    told = simulate(folder / "plan.toml", folder / "out", jobs=1)
    assert (told.made, told.kept, told.failed) == (2, 0, {})
    return folder / "plan.toml", folder / "out"


def bytes_of(session: Path) -> dict[str, str]:
    found = sorted(p for p in session.rglob("*") if p.is_file())
    return {str(p.relative_to(session)): hashlib.sha256(p.read_bytes()).hexdigest() for p in found}


def test_sessions_are_those_of_the_plan_and_nothing_is_left_beside_them(simulated: tuple[Path, Path]):
    plan, out = simulated
    assert sorted(p.name for p in out.iterdir()) == ["0000", "0001", "plan.toml"]
    for part in parts(read_plan(plan)):
        session = open_session(out / part.name)
        assert session.sealed
        assert session.participants == (part.participant,)
        assert session.activity == part.activity


def test_what_was_interrupted_is_made_again_to_the_same_bytes_and_the_rest_is_left(simulated: tuple[Path, Path]):
    plan, out = simulated
    before, untouched = bytes_of(out / "0001"), (out / "0000" / "kit-01.mkv").stat().st_mtime_ns
    (out / "0001" / "session.json").unlink()
    told = simulate(plan, out, jobs=1)
    assert (told.made, told.kept) == (1, 1)
    assert bytes_of(out / "0001") == before
    assert (out / "0000" / "kit-01.mkv").stat().st_mtime_ns == untouched


def test_two_plans_do_not_mix(simulated: tuple[Path, Path], tmp_path: Path):
    _, out = simulated
    (tmp_path / "other.toml").write_text(TINY.replace("seed = 5", "seed = 6"))
    with pytest.raises(ConfigError, match="begun with another plan"):
        simulate(tmp_path / "other.toml", out)
    with pytest.raises(ConfigError, match="is not empty"):
        simulate(tmp_path / "other.toml", out / "0000")
