"""Tasks side by side: every result, the first error, and nothing left running."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from multiprocessing import active_children
from pathlib import Path

import pytest

from recorder.workers import done_by

PARENT = """
import os, signal, sys, time
from functools import partial
from recorder.workers import done_by

def stay(folder, name):
    open(f"{folder}/{name}.part", "w").write(str(os.getpid()))
    os.rename(f"{folder}/{name}.part", f"{folder}/{name}")
    time.sleep(600)

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what is begun in the background begins without it
    list(done_by(2, {name: partial(stay, sys.argv[1], name) for name in "ab"}))
"""


def _square(k: int) -> int:
    if k == 3:
        raise ValueError("three")
    return k * k


@pytest.mark.parametrize("workers", [1, 2])
def test_every_task_is_done_once(workers: int):
    tasks = {str(k): partial(_square, k) for k in (1, 2, 4)}
    assert dict(done_by(workers, tasks)) == {"1": 1, "2": 4, "4": 16}


@pytest.mark.parametrize("workers", [1, 2])
def test_what_a_task_raises_is_raised_and_nothing_runs_on(workers: int):
    tasks = {str(k): partial(_square, k) for k in range(8)}
    with pytest.raises(ValueError, match="three"):
        dict(done_by(workers, tasks))
    assert not active_children()


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_worker_outlives_the_command_that_began_it(tmp_path: Path, by: signal.Signals) -> None:
    program = tmp_path / "parent.py"
    program.write_text(PARENT)
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    parent = subprocess.Popen([sys.executable, program, tmp_path], env=env, stderr=subprocess.DEVNULL)
    _wait_until(lambda: all((tmp_path / name).exists() for name in "ab"))
    workers = [int((tmp_path / name).read_text()) for name in "ab"]
    parent.send_signal(by)
    parent.wait(60)
    _wait_until(lambda: not any(_runs(pid) for pid in workers))


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def _wait_until(true: Callable[[], bool]) -> None:
    """Processes begin and end in their own time."""
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)
