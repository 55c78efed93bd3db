"""The loop, running: in this thread on a simulated clock, or in a process of its own in real time.

The encoders of a recorder hold the interpreter's lock for milliseconds at a time, which is more than the
whole budget of a slot. So the loop gets an interpreter of its own, with a real-time priority, memory that is
not swapped out, and no garbage collector; each where the system permits it, and a note where it does not.
Readings come back over a pipe every 50 ms. A child that dies is noticed and reported, never waited for.
"""

from __future__ import annotations

import heapq
import multiprocessing
import signal
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any, Protocol

from firmware_host.clock import SECOND_NS, Clock, LanedClock
from firmware_host.errors import PortError, SyncctlError
from firmware_host.health import Transition
from firmware_host.loop import LaneThreads, Loop
from firmware_host.ports import I2CPort, SerialPort, close_ports
from firmware_host.realtime import become_real_time
from firmware_host.schedule import Plan
from firmware_host.spec import Reading

Ports = dict[str, I2CPort | SerialPort]

WARM_UP_NS = 2 * SECOND_NS
"""Between `start` and tick 0; enough for every sensor's start-up, the BNO055's 700 ms reset included."""

_BATCH_S = 0.05
_OPEN_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class AcquisitionReport:
    """What an acquisition has to say when it has ended.

    Attributes:
        counters: ``slots``, ``late``, ``lost``; under ``sensors`` each one's flags, restarts, retries, health and
            deviation; under ``lanes`` what became of each bus.
        notes: sentences for the user: what was not permitted, which sensor did not start, how it ended.
        settings: sensor -> what its conversion to SI needs.
    """

    counters: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)


class Acquisition(Protocol):
    """A running kit, as a recorder sees it.

    Attributes:
        settings: sensor -> settings, for the sensors that have started so far.
        failure: why it ended by itself, None while it has not.
    """

    @property
    def settings(self) -> Mapping[str, Mapping[str, Any]]: ...
    @property
    def failure(self) -> str | None: ...

    def open(self) -> None:
        """Open the ports. Raises PortError."""

    def start(self, t0_ns: int) -> None:
        """Begin; tick 0 is at `t0_ns` on the kit's clock, best `WARM_UP_NS` from now."""

    def poll(self) -> list[Reading]:
        """The readings that have come since the last call; does not wait."""

    def transitions(self) -> list[Transition]:
        """The changes of health that came with the readings polled so far, since the last call."""

    def stop(self) -> AcquisitionReport:
        """End, and close the ports. Readings that were under way are still to be polled."""


class InlineAcquisition:
    """A kit on a simulated clock, run by whoever calls `run_until`. The clock must be its own."""

    def __init__(self, plan: Plan, open_ports: Callable[[Clock], Ports], clock: Clock) -> None:
        self.failure: str | None = None
        self._plan = plan
        self._open_ports = open_ports
        self._time = clock
        self._clock = LanedClock(clock)
        self._ports: Ports = {}
        self._readings: list[Reading] = []
        self._transitions: list[Transition] = []
        self._loop: Loop | None = None

    @property
    def settings(self) -> Mapping[str, Mapping[str, Any]]:
        return self._loop.settings() if self._loop else {}

    def open(self) -> None:
        self._ports = self._open_ports(self._clock)

    def start(self, t0_ns: int) -> None:
        self._loop = Loop(self._plan, self._ports, self._clock, t0_ns, self._keep)
        self._turns = heapq.merge(*(self._loop.turns(lane) for lane in self._plan.lanes))
        self._next = next(self._turns, None)

    def run_until(self, t_ns: int) -> None:
        """Run every turn planned before `t_ns`, all lanes in order of planned time; then it is `t_ns`."""
        if self._loop is None:
            raise RuntimeError("run_until before start")
        while self._next is not None and self._next.planned_ns < t_ns:
            self._time.sleep_until_ns(self._next.planned_ns)
            self._clock.switch(self._next.lane)
            self._loop.take(self._next)
            self._clock.switch(None)
            self._next = next(self._turns, None)
        self._clock.sleep_until_ns(t_ns)

    def poll(self) -> list[Reading]:
        readings, self._readings = self._readings, []
        return readings

    def transitions(self) -> list[Transition]:
        transitions, self._transitions = self._transitions, []
        return transitions

    def stop(self) -> AcquisitionReport:
        if self._loop is None:
            close_ports(self._ports)
            return AcquisitionReport()
        for lane in self._plan.lanes:
            self._clock.switch(lane.lane.name)
            self._loop.finish(lane)
        close_ports(self._ports)
        self._ports = {}
        counters = {**self._loop.counters(), "lost": 0}
        return AcquisitionReport(counters, tuple(self._loop.notes()), self._loop.settings())

    def _keep(self, item: Reading | Transition) -> None:
        if isinstance(item, Reading):
            self._readings.append(item)
        else:
            self._transitions.append(item)


class AcquisitionProcess:
    """A kit in a process of its own, in real time.

    `open_ports` and `make_clock` are called in that process and must be picklable: functions of a module, or
    `functools.partial` of such.
    """

    def __init__(self, plan: Plan, open_ports: Callable[[Clock], Ports], make_clock: Callable[[], Clock]) -> None:
        context = multiprocessing.get_context("spawn")
        self._conn, self._theirs = context.Pipe()
        self._process = context.Process(target=_child, args=(self._theirs, plan, open_ports, make_clock), daemon=True)
        self._readings: list[Reading] = []
        self._transitions: list[Transition] = []
        self._report: AcquisitionReport | None = None
        self.settings: Mapping[str, Mapping[str, Any]] = {}
        self.failure: str | None = None

    @property
    def pid(self) -> int | None:
        """Of the child, once opened."""
        return self._process.pid

    def open(self) -> None:
        self._process.start()
        self._theirs.close()
        if not self._conn.poll(_OPEN_TIMEOUT_S):
            self._process.kill()
            raise PortError(f"the acquisition process was not ready within {_OPEN_TIMEOUT_S:.0f} s; try again")
        self._receive()
        if self.failure:
            self._process.join()
            raise PortError(self.failure)

    def start(self, t0_ns: int) -> None:
        self._send(("start", t0_ns))

    def poll(self) -> list[Reading]:
        while self.failure is None and self._report is None and self._conn.poll():
            self._receive()
        readings, self._readings = self._readings, []
        return readings

    def transitions(self) -> list[Transition]:
        transitions, self._transitions = self._transitions, []
        return transitions

    def stop(self) -> AcquisitionReport:
        if self._process.pid is None:
            return AcquisitionReport()
        self._send(("stop", None))
        while self.failure is None and self._report is None:
            if not self._conn.poll(_STOP_TIMEOUT_S):
                self.failure = f"the acquisition process did not stop within {_STOP_TIMEOUT_S:.0f} s"
                break
            self._receive()
        self._process.join(_STOP_TIMEOUT_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._conn.close()
        if self._report is None:
            return AcquisitionReport(notes=(self.failure or "",), settings=_plain(self.settings))
        return self._report

    def _send(self, message: tuple[str, Any]) -> None:
        try:
            self._conn.send(message)
        except OSError:  # the child is gone; the pipe's end says so as well, and `_receive` reports it
            return

    def _receive(self) -> None:
        try:
            kind, value = self._conn.recv()
        except (EOFError, OSError):
            self._process.join(_STOP_TIMEOUT_S)
            code = self._process.exitcode
            how = f"was killed by {signal.Signals(-code).name}" if code and code < 0 else f"ended with {code}"
            self.failure = f"the acquisition process {how}; what came before is kept"
            return
        if kind == "batch":
            readings, transitions = value
            self._readings += readings
            self._transitions += transitions
        elif kind == "settings":
            self.settings = value
        elif kind == "failed":
            self.failure = value
        elif kind == "report":
            self._report = value


def _plain(settings: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    return {name: dict(value) for name, value in settings.items()}


def _child(
    conn: Connection,
    plan: Plan,
    open_ports: Callable[[Clock], Ports],
    make_clock: Callable[[], Clock],
) -> None:
    """The other process: open, say so, wait for the start, run, report."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the recorder's to handle; it tells us to stop
    ports: Ports = {}
    try:
        clock = make_clock()
        ports = open_ports(clock)
        notes = become_real_time()
        conn.send(("ready", None))
        order, t0_ns = conn.recv()
        if order == "start":
            _run(conn, LaneThreads(plan, ports, clock, t0_ns), notes)
        else:
            conn.send(("report", AcquisitionReport(notes=tuple(notes))))
    except SyncctlError as error:
        _try_send(conn, ("failed", str(error)))
    except (EOFError, BrokenPipeError):
        pass  # the recorder is gone; there is nobody to tell
    except Exception:
        _try_send(conn, ("failed", f"the acquisition process failed:\n{traceback.format_exc()}"))
    finally:
        close_ports(ports)
        conn.close()


def _run(conn: Connection, lanes: LaneThreads, notes: list[str]) -> None:
    """Send batches until told to stop."""
    lanes.start()
    settings: dict[str, dict[str, Any]] = {}
    while not conn.poll(_BATCH_S) and lanes.fault is None:
        batch = lanes.drain()
        if any(batch):
            conn.send(("batch", batch))
        if lanes.loop.settings() != settings:
            settings = lanes.loop.settings()
            conn.send(("settings", settings))
    lanes.stop()
    conn.send(("batch", lanes.drain()))
    if lanes.fault is not None:
        conn.send(("failed", lanes.fault))
        return
    counters = {**lanes.loop.counters(), "lost": lanes.lost}
    report = AcquisitionReport(counters, (*notes, *lanes.loop.notes()), lanes.loop.settings())
    conn.send(("report", report))


def _try_send(conn: Connection, message: tuple[str, Any]) -> None:
    try:
        conn.send(message)
    except OSError:
        return
