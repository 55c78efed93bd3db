"""Many tasks in a few processes that Ctrl-C ends at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import active_children, get_context, parent_process
from typing import TypeVar

Result = TypeVar("Result")


def pool(workers: int | None) -> ProcessPoolExecutor:
    """Fresh processes, one a core where nobody says, that leave Ctrl-C to the one that began them and end with it."""
    return ProcessPoolExecutor(workers, get_context("spawn"), initializer=_begin)


def done_by(workers: int, tasks: Mapping[str, Callable[[], Result]]) -> Iterator[tuple[str, Result]]:
    """Do tasks that are nothing worth before they are done; each one's name and result as it comes.

    With one worker they are done here, one after the other. What one of them raises is raised, and the others end.
    """
    if workers == 1:
        yield from ((name, task()) for name, task in tasks.items())
        return
    processes = pool(workers)
    try:
        futures = {processes.submit(task): name for name, task in tasks.items()}
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BaseException:
        for worker in active_children():
            worker.terminate()
        raise
    finally:
        processes.shutdown(cancel_futures=True)


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Nobody waits for this process any more where its parent was killed: it would hold its memory for ever."""
    if (parent := parent_process()) is not None:
        parent.join()
        os._exit(1)
