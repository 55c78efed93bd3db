"""Fixtures that several rooms share: one simulated session, made once by the command a user would type."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("laws", deadline=None)  # a machine that is busy breaks none
settings.load_profile("laws")

if importlib.util.find_spec("torch") is None and "CI" not in os.environ:
    # A Python for which there is no torch, as a kit's may be: everything that needs none must pass there.
    WITH_TORCH = ("contract", "dataset", "events", "export", "features", "from_lerobot", "opened", "transforms")
    collect_ignore = ["models", *(f"ingest/test_{name}.py" for name in WITH_TORCH)]


def syncctl_command(*arguments: object, timeout: float = 200) -> subprocess.CompletedProcess[str]:
    """Run `syncctl` as a user would; returns its status and what it printed."""
    command = [sys.executable, "-m", "syncctl", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout)


@pytest.fixture(scope="session")
def run_syncctl():
    return syncctl_command


@pytest.fixture(scope="session")
def recorded_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated session of 30 s with small pictures. Shared: do not write into it (see `home`)."""
    folder = tmp_path_factory.mktemp("home") / "session"
    result = syncctl_command(
        "record", folder, "--simulate", "--fast", "--duration", 30, "--seed", 3, "--size", "320x180"
    )
    assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture
def home(recorded_home: Path, tmp_path: Path) -> Path:
    """A copy of the simulated session that a test may change."""
    return Path(shutil.copytree(recorded_home, tmp_path / "session"))


def need(tool: str) -> str:
    """The path of a command-line tool. In CI a missing one fails the test; elsewhere it skips."""
    path = shutil.which(tool)
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{tool} is not installed, and CI must not skip this test")
        pytest.skip(f"{tool} is not installed")
    return path


@pytest.fixture(scope="session")
def tool():
    return need
