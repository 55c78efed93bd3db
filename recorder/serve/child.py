"""The door to the recorder's process. The server knows this and no more of recording: it stays small."""

from __future__ import annotations

from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any


def child(conn: Connection, make_kit: Callable[[], Any]) -> None:
    """Import what records, and be the worker."""
    from recorder.serve.worker import work

    work(conn, make_kit)
