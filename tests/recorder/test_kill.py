"""SIGKILL at random moments of a live recording: in real time, so it is marked slow. `make soak` kills 30 times."""

from pathlib import Path

import pytest
from killing import kill_after, moments, prepare, problems


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare(tmp_path_factory.mktemp("kill") / "home", 12, seed=11)


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [*moments(3, 4, 0.5, 4.0), 7.0])
def test_a_killed_recording_is_there_up_to_a_second_before(prepared: Path, tmp_path: Path, seconds: float, run_syncctl):
    """The last kill is late enough to be aligned by its start tone and built."""
    folder = tmp_path / "session"
    recorded_s = kill_after(prepared, folder, seconds)
    assert problems(folder, recorded_s, run_syncctl) == []
