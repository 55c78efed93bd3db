"""Where the work of a build is done: in processes of this machine, or on a cluster of dask's."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any

from firmware_host.errors import SessionError
from recorder.workers import pool


@contextmanager
def executor(workers: int | None, scheduler: str | None) -> Iterator[Executor]:
    """An executor for the tasks of a build; what is still waiting is dropped when the block ends.

    Args:
        workers: processes of this machine; None for one a core.
        scheduler: address of a dask scheduler, as ``tcp://host:8786``, whose workers see the same files.

    Raises:
        SessionError: dask is not installed, or nobody answers at that address.
    """
    if scheduler is None:
        processes = pool(workers)
        try:
            yield processes
        finally:
            processes.shutdown(cancel_futures=True)
        return
    try:
        import distributed
    except ImportError as error:
        raise SessionError("a scheduler needs dask, which is not installed; install syncctl[dist]") from error
    connect: Any = distributed.Client
    try:
        client = connect(scheduler, timeout="10s")
    except OSError as error:
        raise SessionError(f"no dask scheduler answers at {scheduler}; start one with `dask scheduler`") from error
    with client:
        yield client.get_executor(pure=False)
