"""`python killed.py build|cache SESSIONS OUT N`: do it in one process that SIGKILL ends at its N-th write; 0: never."""

import os
import signal
import sys
from concurrent.futures import Executor, Future
from pathlib import Path

from ingest.build import build, find_sessions
from ingest.cache import Recipe
from ingest.copies import make_cache
from recorder import durable


class Here(Executor):
    """Runs tasks where it is asked to."""

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def main(what: str, sessions: Path, out: Path, last: int) -> None:
    plain, writes = durable._sync, 0

    def counted(path: Path) -> None:
        nonlocal writes
        writes += 1
        if writes == last:
            os.kill(os.getpid(), signal.SIGKILL)
        plain(path)

    durable._sync = counted
    if what == "build":
        build(find_sessions([sessions]), out, Here(), recipe=Recipe(48))
    else:
        make_cache(out, Here(), Recipe(64), ("ego", "third"))
    print(writes)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
