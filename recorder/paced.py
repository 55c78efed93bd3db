"""Plays items at the times they carry: what makes a rendered world behave like live devices."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from firmware_host.clock import Clock

Item = TypeVar("Item")


class Paced(Generic[Item]):
    """A thread that hands each item over when its time has come."""

    def __init__(self, items: Iterable[tuple[int, Item]], clock: Clock, name: str) -> None:
        """`items` are (due time in ns on `clock`, item), in order of time."""
        self._items = iter(items)
        self._clock = clock
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._name = name

    def start(self, sink: Callable[[Item], None]) -> None:
        """Begin, or go on after `stop`; `sink` is called from the thread."""
        self._stopped.clear()
        self._thread = threading.Thread(target=self._play, args=(sink,), name=self._name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End after the item in hand."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()

    def _play(self, sink: Callable[[Item], None]) -> None:
        for due_ns, item in self._items:
            self._clock.sleep_until_ns(due_ns)
            if self._stopped.is_set():
                return
            sink(item)
