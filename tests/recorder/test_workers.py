"""Tasks side by side: every result, the first error, and nothing left running."""

from functools import partial
from multiprocessing import active_children

import pytest

from recorder.workers import done_by


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
