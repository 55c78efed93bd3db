"""The server's hold on the recorder: what state the kit is in, which orders make sense in it, what was heard of it.

Orders that name their session can be repeated: the second is answered as the first was. Orders that do not, and come
at the wrong time, conflict. Nothing here waits for the recorder; a thread listens to it and the state is read and
changed under one short lock.
"""

from __future__ import annotations

import multiprocessing
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from firmware_host.errors import ConfigError
from recorder.activities import Task
from recorder.serve.child import child
from recorder.serve.orders import Start
from recorder.session import MANIFEST

SESSION_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
CLOSE_TIMEOUT_S = 20.0
IDLE, ARMING, ARMED, WAITING, RECORDING, STOPPING = "idle", "arming", "armed", "waiting", "recording", "stopping"


class ConflictError(Exception):
    """An order that makes no sense in the kit's state; the message says which state and what would."""


@dataclass(frozen=True)
class State:
    """What is known of the kit.

    Attributes:
        name: one of idle, arming, armed, waiting (for the agreed time), recording, stopping.
        session: name of the session that is, or was last, recorded.
        missing: streams that gave nothing when the kit was armed.
        error: why the last recording or arming failed.
        started: wall time of tick 0, ns since 1970.
        notes: what the last recording had to say.
    """

    name: str = IDLE
    session: str | None = None
    activity: str | None = None
    instruction: str | None = None
    missing: tuple[str, ...] = ()
    error: str | None = None
    started: int | None = None
    notes: tuple[str, ...] = ()
    live: dict[str, Any] | None = None
    live_at: float = 0.0


@dataclass
class _Recorder:
    """One recorder process and the pipe to it."""

    process: Any
    conn: Connection
    order: Start | None = None
    sending: threading.Lock = field(default_factory=threading.Lock)

    def send(self, kind: str, value: Any = None) -> None:
        with self.sending:
            try:
                self.conn.send((kind, value))
            except OSError:
                return  # it has ended; whoever listens to it says why


class Keeper:
    """Arms, starts and stops a recorder process; every method may be called from any thread."""

    def __init__(self, root: Path, make_kit: Callable[[], Any], on_change: Callable[[], None] = lambda: None) -> None:
        """`root` is the folder that holds the sessions; `make_kit` is called in the recorder's process: picklable."""
        self.root = root
        self.preview: bytes | None = None
        self._make, self._on_change = make_kit, on_change
        self._lock = threading.Lock()
        self._state = State()
        self._recorder: _Recorder | None = None

    @property
    def state(self) -> State:
        return self._state

    def arm(self) -> State:
        """Make the kit ready. Arming twice is arming once."""
        with self._lock:
            if self._state.name in (ARMING, ARMED):
                return self._state
            if self._state.name != IDLE:
                raise ConflictError(f"the kit is {self._state.name}; stop it before arming it again")
            return self._begin(ARMING)

    def start(self, task: Task, session: str | None = None, at_ns: int | None = None, *, force: bool = False) -> State:
        """Record; a kit that is not armed is armed first.

        Args:
            task: what is recorded.
            session: name of its folder; by default the time and the activity.
            at_ns: wall time at which to begin; by default as soon as can be.
            force: begin although streams are missing.
        """
        name = session or named(task)
        if not SESSION_NAME.fullmatch(name):
            raise ConfigError(f"'{name}' cannot name a session; use letters, digits, dots, - and _")
        with self._lock:
            state = self._state
            if state.name in (WAITING, RECORDING, STOPPING):
                if session is not None and session == state.session and state.name != STOPPING:
                    return state
                raise ConflictError(f"the kit is {state.name} session '{state.session}'; stop it first")
            if (self.root / name / MANIFEST).exists():
                raise ConflictError(f"there is a session '{name}' already; give another name")
            if state.name == ARMED and state.missing and not force:
                raise ConflictError(
                    f"{', '.join(state.missing)} gave nothing when the kit was armed; mend it, or allow it"
                )
            order = Start(self.root / name, at_ns, task)
            known = {
                "session": name,
                "activity": task.activity.name if task.activity else None,
                "instruction": task.activity.instruction if task.activity else None,
            }
            if state.name == IDLE:
                self._begin(WAITING, **known)
                assert self._recorder is not None
                self._recorder.order = order
                return self._state
            self._change(name=WAITING, started=None, error=None, **known)
            assert self._recorder is not None
            self._recorder.order = order
            if state.name == ARMED:
                self._recorder.send("start", order)
            return self._state

    def stop(self, session: str | None = None) -> State:
        """End the recording, with its end tone; or give back a kit that is only armed."""
        with self._lock:
            state = self._state
            if session is not None and session == state.session and state.name in (IDLE, STOPPING):
                return state
            if state.name in (IDLE, STOPPING) or (session is not None and session != state.session):
                named = f" session '{state.session}'" if state.name not in (IDLE, ARMING, ARMED) else ""
                raise ConflictError(f"the kit is {state.name}{named}; there is nothing to stop")
            assert self._recorder is not None
            self._recorder.send("stop" if state.name == RECORDING else "end")
            return self._change(name=STOPPING)

    def event(self, text: str, age_ns: int = 0) -> State:
        """Mark the moment `age_ns` ago in the recording."""
        with self._lock:
            if self._state.name not in (RECORDING, WAITING) or self._recorder is None:
                raise ConflictError(f"the kit is {self._state.name}; an event needs a recording")
            self._recorder.send("event", {"text": text, "age_ns": age_ns})
            return self._state

    def want_preview(self) -> None:
        """Somebody looks: keep `preview` fresh for a few seconds."""
        if (recorder := self._recorder) is not None:
            recorder.send("preview")

    def close(self) -> None:
        """End whatever runs, and wait until it is sealed."""
        recorder = self._recorder
        if recorder is not None:
            recorder.send("end")
            recorder.process.join(CLOSE_TIMEOUT_S)

    def _begin(self, name: str, **known: Any) -> State:
        """Start a recorder process. The lock is held."""
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=child, args=(theirs, self._make), name="recorder")
        process.start()
        theirs.close()
        self._recorder = _Recorder(process, ours)
        threading.Thread(target=self._listen, args=(self._recorder,), name="listener", daemon=True).start()
        self._state = State(name=name, **known)
        self._on_change()
        return self._state

    def _change(self, **fields: Any) -> State:
        """The lock is held."""
        self._state = replace(self._state, **fields)
        self._on_change()
        return self._state

    def _listen(self, recorder: _Recorder) -> None:
        finished = False
        while True:
            try:
                kind, value = recorder.conn.recv()
            except (EOFError, OSError):
                break
            if kind == "preview":
                self.preview = value
                continue
            with self._lock:
                finished |= kind in ("done", "failed")
                self._heard(recorder, kind, value)
        recorder.process.join()
        with self._lock:
            code = recorder.process.exitcode
            if code and not finished:
                how = f"signal {-code}" if code < 0 else f"status {code}"
                self._change(error=f"the recorder ended with {how}; what it wrote is kept, `syncctl recover` mends it")
            recorder.conn.close()
            self._recorder, self.preview = None, None
            self._change(name=IDLE, live=None)

    def _heard(self, recorder: _Recorder, kind: str, value: Any) -> None:
        """The lock is held."""
        if kind == "snapshot":
            self._change(live=value, live_at=time.monotonic())
            begun = self._state.started is not None and time.time_ns() >= self._state.started
            if self._state.name == WAITING and begun:
                self._change(name=RECORDING)
        elif kind == "armed":
            self._change(missing=tuple(value))
            if self._state.name == ARMING:
                self._change(name=ARMED)
            elif self._state.name == WAITING and recorder.order is not None:
                recorder.send("start", recorder.order)
        elif kind == "started":
            self._change(started=value["wall_ns"])
        elif kind == "done":
            self._change(notes=tuple(value[1]))
        elif kind == "failed":
            self._change(error=value)


def named(task: Task) -> str:
    """A name for a session nobody named: when, and what."""
    parts = [datetime.now().strftime("%Y-%m-%d_%H-%M-%S")]
    parts += [task.activity.name] if task.activity else []
    return "_".join(parts)
