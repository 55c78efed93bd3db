"""When a silent device is started again, and what is told about it. Time is a number."""

import itertools
from dataclasses import dataclass

import pytest

from firmware_host.errors import PortError
from recorder.watch import Notice, Watched

SECOND = 1_000_000_000


@dataclass(frozen=True)
class Item:
    t_ns: int


class Broken:
    """A device that the test hands items through; `fails` starts of it fail."""

    def __init__(self, fails: int = 0) -> None:
        self.fails, self.starts, self.stops, self.sinks = fails, 0, 0, []

    def start(self, sink) -> None:
        self.starts += 1
        if self.starts > 1 and self.fails:
            self.fails -= 1
            raise PortError("no camera was found")
        self.sinks.append(sink)

    def stop(self) -> None:
        self.stops += 1


def watched(device: Broken) -> tuple[Watched, list]:
    told: list = []
    watch = Watched(device, "camera", spawn=lambda work: work())
    watch.start(told.append)
    return watch, told


def test_a_device_that_gives_is_left_alone():
    device = Broken()
    watch, told = watched(device)
    for tenth in range(100):
        device.sinks[0](Item(tenth))
        watch.check(tenth * SECOND // 10)
    assert (device.starts, device.stops) == (1, 0)
    assert told == [Item(t) for t in range(100)]


def test_two_seconds_of_silence_start_it_again_and_say_since_when():
    device = Broken()
    watch, told = watched(device)
    device.sinks[0](Item(1))
    for tenth in range(30):
        watch.check(10 * SECOND + tenth * SECOND // 10)
    assert (device.starts, device.stops) == (2, 1)
    assert told[1:] == [Notice("camera", "stalled", 10 * SECOND)]
    device.sinks[0](Item(2))
    device.sinks[1](Item(13 * SECOND))
    assert told[2:] == [Notice("camera", "reopened", 13 * SECOND), Item(13 * SECOND)], "the old life is over"


def test_it_is_tried_less_and_less_often():
    device = Broken(fails=1000)
    watch, told = watched(device)
    tries = []
    for second in range(400):
        before = device.starts
        watch.check(second * SECOND)
        if device.starts > before:
            tries.append(second)
    pauses = [b - a for a, b in itertools.pairwise(tries)]
    assert pauses[0] <= 5
    assert pauses == sorted(pauses)
    assert pauses[-1] == pytest.approx(33, abs=1)
    assert [n.kind for n in told] == ["stalled"] + ["unopened"] * len(tries)
    assert told[-1].text == "no camera was found"


def test_after_a_recovery_the_next_stall_is_answered_as_quickly_as_the_first():
    device = Broken(fails=5)
    watch, told = watched(device)
    tries, now = [], 0

    def wait_for_a_try() -> None:
        nonlocal now
        before = device.starts
        while device.starts == before:
            now += SECOND // 10
            watch.check(now)
        tries.append(now)

    while len(device.sinks) < 2:
        wait_for_a_try()
    assert (tries[-1] - tries[-2]) / SECOND > 15, "by now the tries are far apart"
    device.sinks[-1](Item(now))
    device.fails = 1
    back = now
    wait_for_a_try()
    wait_for_a_try()
    assert (tries[-2] - back) / SECOND == pytest.approx(2.0, abs=0.3)
    assert (tries[-1] - tries[-2]) / SECOND == pytest.approx(3.0, abs=0.3)
    assert [n.kind for n in told if isinstance(n, Notice)].count("stalled") == 2


def test_the_first_start_must_work():
    device = Broken(fails=1)
    device.starts = 1
    with pytest.raises(PortError, match="no camera"):
        watched(device)


def test_a_device_that_hangs_or_raises_when_stopped_does_not_keep_the_session(monkeypatch: pytest.MonkeyPatch):
    import threading

    monkeypatch.setattr("recorder.watch.STOP_LIMIT_S", 0.05)
    released = threading.Event()
    device = Broken()
    device.stop = released.wait
    watch, told = watched(device)
    watch.stop()
    assert [n.kind for n in told] == ["unstopped"]
    device.sinks[0](Item(5))
    assert len(told) == 1, "what a device left behind gives is not taken"
    released.set()

    def fall_apart() -> None:
        raise OSError("device gone")

    device.stop = fall_apart
    watch, told = watched(device)
    watch.stop()
    assert told[0].text == "device gone"
