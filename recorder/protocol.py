"""A recording by the protocol of the paper: start tone, activity, end tone, and the label that follows from them.

What is to be done when is decided by `Protocol`, which knows only the time; `Conductor` does it, from the thread
that writes. The tone marks an instant for every microphone in the room; when exactly is for `syncctl align` to find,
the label needs it only to a few milliseconds.
"""

from __future__ import annotations

import csv
import queue
import threading
from collections.abc import Callable, Sequence
from enum import Enum
from pathlib import Path
from typing import Protocol as Interface

from firmware_host.clock import SECOND_NS
from firmware_host.errors import PortError
from recorder import durable
from recorder.activities import Task
from recorder.log import read_log
from recorder.tone import TONE_S

TONE_NS = round(TONE_S * SECOND_NS)
BEFORE_TONE_NS = SECOND_NS
"""From tick 0 to the start tone: every stream has begun by then."""
AFTER_TONE_NS = SECOND_NS // 2
"""From the last sample of the end tone to the end: echoes, and sound that is still in a driver's buffer."""
LABEL_COLUMNS = ("tier", "t0_ns", "t1_ns", "value", "actor", "atus")
LABELS = Path("labels") / "recorded.csv"


class Speaker(Interface):
    """What sounds the tones."""

    def sound(self, kind: str) -> int:
        """Sound a tone to its end; returns when its first sample left, ns on the kit's clock. Raises PortError."""


class Act(Enum):
    """What is to be done now."""

    START_TONE = "start"
    END_TONE = "end"
    FINISH = "finish"


class Protocol:
    """Which act is due: a start tone one second in, an end tone when somebody asks for the end, then the end."""

    def __init__(self, t0_ns: int, *, tones: bool, duration_s: float | None = None) -> None:
        """`duration_s` is the whole recording, tones included; None to go on until asked."""
        self._tones = tones
        self._start_ns = t0_ns + BEFORE_TONE_NS
        tail_ns = TONE_NS + AFTER_TONE_NS if tones else 0
        self._end_ns = None if duration_s is None else t0_ns + round(duration_s * SECOND_NS) - tail_ns
        self._begun = self._ending = self._finished = False
        self._finish_ns = 0

    def due(self, now_ns: int, asked: bool) -> Act | None:
        """The act that is due at `now_ns`, each once; `asked` says that somebody wants the end."""
        if self._finished:
            return None
        if self._ending:
            if now_ns < self._finish_ns:
                return None
            self._finished = True
            return Act.FINISH
        if asked or (self._end_ns is not None and now_ns >= self._end_ns):
            self._ending = True
            if not (self._tones and self._begun):  # an end tone without a start tone marks nothing
                self._finished = True
                return Act.FINISH
            self._finish_ns = now_ns + TONE_NS + AFTER_TONE_NS
            return Act.END_TONE
        if self._tones and not self._begun and now_ns >= self._start_ns:
            self._begun = True
            return Act.START_TONE
        return None


class Conductor:
    """Does what the protocol says, and writes down what happened. `step` belongs to the thread that writes."""

    def __init__(
        self, task: Task, t0_ns: int, speaker: Speaker | None = None, asked: threading.Event | None = None
    ) -> None:
        self.stop = threading.Event()
        """Set when the recording is to end now."""
        self.asked = asked or threading.Event()
        """Set by whoever wants the end; the end tone comes first."""
        tones = task.tones and speaker is not None
        self.task, self._speaker = task, speaker
        self._protocol = Protocol(t0_ns, tones=tones, duration_s=task.duration_s)
        self._log: queue.SimpleQueue[tuple[str, dict[str, object]]] = queue.SimpleQueue()
        if task.activity is not None:
            code, who = task.activity.atus, task.participant
            about: dict[str, object] = {"value": task.activity.name, "actor": who, "atus": code}
            self._log.put(("activity", about))

    def event(self, t_ns: int, text: str) -> None:
        """Somebody marks this moment. May be called from any thread."""
        self._log.put(("event", {"t_ns": t_ns, "text": text}))

    def step(self, now_ns: int, write: Callable[..., None]) -> None:
        """Do what is due; hand what happened to `write`, the log's."""
        act = self._protocol.due(now_ns, self.asked.is_set())
        if act is Act.FINISH:
            self.stop.set()
        elif act is not None:
            threading.Thread(target=self._sound, args=(act.value,), name="tone", daemon=True).start()
        while not self._log.empty():
            kind, fields = self._log.get()
            write(kind, **fields)

    def _sound(self, kind: str) -> None:
        assert self._speaker is not None
        try:
            t_ns = self._speaker.sound(kind)
        except PortError as error:
            self._log.put(("failure", {"part": "speaker", "text": str(error)}))
        else:
            self._log.put(("tone", {"tone": kind, "t_ns": t_ns}))


def write_labels(session: Path, log: Path, t0_ns: int, end_ns: int) -> int:
    """Write `labels/recorded.csv` from what a kit's log says; returns how many labels that are.

    The activity lasts from the end of the start tone to the beginning of the end tone; without tones, from `t0_ns`
    to `end_ns`. An event is an interval without length. Times are on the kit's clock, which is the session's
    reference clock where it has one kit.
    """
    rows = labels_of(list(read_log(log)), t0_ns, end_ns)
    if rows:
        place = session / LABELS
        place.parent.mkdir(exist_ok=True)
        write_rows(place, rows)
    return len(rows)


def write_rows(path: Path, rows: Sequence[Sequence[object]]) -> None:
    """Write a label file whole or not at all; `rows` are as `LABEL_COLUMNS` say."""
    with durable.replacing(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(LABEL_COLUMNS)
        table.writerows(rows)


def labels_of(entries: Sequence[dict[str, object]], t0_ns: int, end_ns: int) -> list[tuple[object, ...]]:
    """The rows of a label file, by time, from the entries of a log."""
    rows: list[tuple[int, tuple[object, ...]]] = []
    tones = {e["tone"]: int(str(e["t_ns"])) for e in entries if e.get("type") == "tone"}
    for entry in entries:
        if entry.get("type") == "activity":
            begin = tones["start"] + TONE_NS if "start" in tones else t0_ns
            end = max(begin, tones.get("end", end_ns))
            rows.append((begin, ("activity", begin, end, entry["value"], entry["actor"] or "", entry["atus"] or "")))
        if entry.get("type") == "event":
            t_ns = int(str(entry["t_ns"]))
            rows.append((t_ns, ("event", t_ns, t_ns, entry["text"], "", "")))
    return [row for _, row in sorted(rows, key=lambda r: r[0])]
