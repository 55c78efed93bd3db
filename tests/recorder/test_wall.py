"""The wall clock is believed where somebody keeps it, and only then."""

from __future__ import annotations

import time

import pytest

from firmware_host.clockmap import ClockMap
from recorder import wall
from recorder.homeplan import plan_home
from recorder.log import KitLog, read_log
from recorder.world import WorldPlan


class _Kernel:
    """Stands for the C library: answers as a kernel would."""

    def __init__(self, status: int = 0, state: int = 0) -> None:
        self.status, self.state = status, state

    def adjtimex(self, reference) -> int:
        timex = reference._obj
        assert timex.modes == 0  # to ask changes nothing
        timex.maxerror, timex.esterror, timex.status = 4_321, 12, self.status
        return self.state


@pytest.mark.parametrize(
    ("kernel", "there", "keeper"),
    [
        (_Kernel(), True, "chrony"),
        (_Kernel(status=wall._UNSYNCHRONISED), True, None),
        (_Kernel(state=-1), True, None),
        (_Kernel(), False, None),
    ],
    ids=["kept", "not synchronised", "forbidden", "nobody we know"],
)
def test_the_bound_is_the_kernels_and_needs_a_keeper(tmp_path, monkeypatch, kernel, there, keeper):
    pid = tmp_path / "chronyd.pid"
    if there:
        pid.touch()
    monkeypatch.setattr(wall, "KEEPERS", {"chrony": pid})
    monkeypatch.setattr(wall.ctypes, "CDLL", lambda _: kernel)
    reading = wall.read()
    expected = (4_321_000, 12_000) if keeper else (None, None)
    assert (reading.keeper, reading.max_error_ns, reading.error_ns) == (keeper, *expected)


def test_this_machine_answers_and_its_clocks_belong_together():
    before = time.time_ns() - time.monotonic_ns()
    reading = wall.read()
    assert abs(reading.realtime_ns - reading.monotonic_ns - before) < 1e8
    assert 0 <= reading.read_ns < 1e9
    errors = wall.kernel_errors_ns()
    assert errors is None or min(errors) >= 0


def test_a_log_holds_what_was_read(tmp_path):
    log = KitLog(tmp_path / "k.jsonl")
    log.clocks(wall.WallReading(5, 7, 6, 1, "ptp", 900, 80))
    log.close()
    (entry,) = read_log(tmp_path / "k.jsonl")
    assert entry.pop("type") == "clock"
    assert wall.WallReading(**entry) == wall.WallReading(5, 7, 6, 1, "ptp", 900, 80)


def test_simulated_kits_keep_world_time_within_what_they_claim():
    plan = plan_home(WorldPlan(duration_s=20, seed=3))
    to_world = ClockMap.affine("kit-01", "world", origin_ns=10**12)
    room = plan.wall("kit-01", to_world, 10**12 + 10**9)
    body = plan.wall("kit-02", plan.clocks["kit-02"], plan.clocks["kit-02"].inverse(10**9))
    assert abs(room.realtime_ns - body.realtime_ns) <= 2 * room.max_error_ns
    assert room.realtime_ns != body.realtime_ns
    assert (room.keeper, room.monotonic_ns) == ("chrony", 10**12 + 10**9)
