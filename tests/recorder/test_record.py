"""The live loop, with devices that misbehave. Time is a clock that moves when it is read."""

import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from firmware_host.clock import FakeClock, tick_ns
from firmware_host.errors import PortError
from firmware_host.health import State, Transition
from firmware_host.process import AcquisitionReport
from firmware_host.spec import Channel, Flag, Reading, TrackSpec
from recorder.camera import H264Encoder
from recorder.demux import container_frame_times_ns, read_rows, video_frames
from recorder.log import read_log
from recorder.microphone import SoundBlock
from recorder.record import KitRole, LiveKit, record_live
from recorder.watch import Watched
from recorder.writer import KitLayout, KitWriter, SensorLayout

T0 = 9_000_000_000
SENSOR = SensorLayout("light", "tsl2591", (TrackSpec("value", (Channel("v", "lux"),)),), period=6)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recorder.record.POLL_S", 0)


class SteppingClock(FakeClock):
    """50 ms pass whenever somebody looks."""

    def now_ns(self) -> int:
        self.advance_ns(50_000_000)
        return super().now_ns()


class Acquisition:
    """Gives a reading every six ticks until `fails_at`."""

    def __init__(self, fails_at: int = 10**9) -> None:
        self.settings: dict = {"light": {"gain": 25}}
        self.failure: str | None = None
        self.stopped = False
        self._fails_at = fails_at
        self._tick = 0
        self._changes = [Transition(T0, "light", State.OK, State.SUSPECT, "silence")]

    def open(self) -> None: ...

    def start(self, t0_ns: int) -> None: ...

    def poll(self) -> list[Reading]:
        if self._tick >= self._fails_at:
            self.failure = "the acquisition process was killed by SIGKILL"
            return []
        tick, self._tick = self._tick, self._tick + 6
        t_ns = tick_ns(T0, tick)
        return [Reading("light", tick, t_ns, t_ns, t_ns, ((tick,),), Flag.FRESH)]

    def transitions(self) -> list[Transition]:
        first, self._changes = self._changes, []
        return first

    def stop(self) -> AcquisitionReport:
        self.stopped = True
        return AcquisitionReport({"slots": self._tick // 6}, (self.failure,) if self.failure else ())


class Playing:
    """A camera or microphone that hands over everything at once."""

    def __init__(self, items: list, breaks: bool = False) -> None:
        self.items, self.breaks, self.stopped = items, breaks, False

    def start(self, sink) -> None:
        if self.breaks:
            raise PortError("microphone 'hw:1' cannot be opened; `python -m sounddevice` lists the devices")
        items, self.items = self.items, []
        for item in items:
            sink(item)

    def stop(self) -> None:
        self.stopped = True


def kit(folder: Path, camera=None, microphone=None, acquisition=None) -> tuple[LiveKit, KitWriter]:
    layout = KitLayout(
        "kit-01",
        (SENSOR,),
        size=(64, 48) if camera else None,
        fps=30 if camera else None,
        sound_hz=48_000 if microphone else None,
    )
    live = LiveKit(layout, KitRole("third"), SteppingClock(T0), T0, acquisition or Acquisition(), camera, microphone)
    return live, KitWriter(layout, folder / "kit-01.mkv", folder / "kit-01.log.jsonl", T0)


def frames(n: int) -> list:
    encoder = H264Encoder(64, 48, 30, 100_000)
    return [encoder.encode(np.full((72, 64), 90, np.uint8), T0 + k * 33_333_333) for k in range(n)]


def blocks(n: int) -> list[SoundBlock]:
    return [SoundBlock(k * 4800, np.zeros(4800, np.int32), T0 + k * 100_000_000) for k in range(n)]


def test_everything_that_was_handed_over_is_in_the_file(tmp_path: Path):
    camera, microphone = Playing(frames(60)), Playing(blocks(20))
    live, writer = kit(tmp_path, camera, microphone)
    recorded = record_live(live, writer, threading.Event(), ticks=120)
    assert recorded.ticks == 120
    assert len(container_frame_times_ns(tmp_path / "kit-01.mkv")) == 60
    rows = read_rows(tmp_path / "kit-01.mkv", ["light.value"])["light.value"]
    assert rows[:, 0].tolist() == [t - t % 6 for t in range(120)]
    assert camera.stopped
    assert microphone.stopped


def test_a_camera_that_gives_no_frame_costs_only_the_picture(tmp_path: Path):
    live, writer = kit(tmp_path, camera=Playing([]), microphone=Playing(blocks(80)))
    recorded = record_live(live, writer, threading.Event(), ticks=480)
    assert recorded.counters["camera.missing"] == 1
    rows = read_rows(tmp_path / "kit-01.mkv", ["light.value", "microphone"])
    assert len(rows["light.value"]) == 480
    assert len(rows["microphone"]) == 80 * 4800
    assert any(e["type"] == "missing" for e in read_log(tmp_path / "kit-01.log.jsonl"))


def test_a_device_has_until_tick_0_and_longer_to_give_something(tmp_path: Path):
    early = SteppingClock(T0 - 30 * 10**9)
    camera = Dying(encoded(4), early, 10**18, 10**18)
    live, writer = kit(tmp_path, camera=camera)
    live.clock = early
    recorded = record_live(live, writer, threading.Event(), ticks=120, on_tick=lambda _: camera.play())
    assert recorded.counters["camera.frames"] >= 60
    assert not [e for e in read_log(tmp_path / "kit-01.log.jsonl") if e["type"] == "stalled"]


def test_a_killed_acquisition_process_is_noted_and_the_picture_goes_on(tmp_path: Path):
    live, writer = kit(tmp_path, camera=Playing(frames(60)), acquisition=Acquisition(fails_at=60))
    recorded = record_live(live, writer, threading.Event(), ticks=120)
    assert recorded.notes == ["the acquisition process was killed by SIGKILL"]
    assert recorded.counters["light.LOST"] == 10, "what was due after the process died is counted"
    failures = [e for e in read_log(tmp_path / "kit-01.log.jsonl") if e["type"] == "failure"]
    assert len(failures) == 1
    assert len(container_frame_times_ns(tmp_path / "kit-01.mkv")) == 60


def test_a_change_of_health_is_in_the_log_once(tmp_path: Path):
    live, writer = kit(tmp_path)
    record_live(live, writer, threading.Event(), ticks=120)
    changes = [e for e in read_log(tmp_path / "kit-01.log.jsonl") if e["type"] == "health"]
    expected = {"t_ns": T0, "name": "light", "before": "ok", "after": "suspect", "why": "silence"}
    assert changes == [{"type": "health", **expected}]


def test_settings_are_in_the_log_once(tmp_path: Path):
    live, writer = kit(tmp_path)
    record_live(live, writer, threading.Event(), ticks=60)
    told = [e for e in read_log(tmp_path / "kit-01.log.jsonl") if e["type"] == "settings"]
    assert told == [{"type": "settings", "sensor": "light", "values": {"gain": 25}}]


def test_a_stop_ends_the_recording_with_what_came_until_then(tmp_path: Path):
    live, writer = kit(tmp_path)
    stop = threading.Event()
    recorded = record_live(live, writer, stop, ticks=None, on_tick=lambda now: stop.set() if now > 90 else None)
    assert 90 < recorded.ticks < 110
    assert len(read_rows(tmp_path / "kit-01.mkv", ["light.value"])["light.value"]) == recorded.ticks


def test_a_microphone_that_cannot_be_opened_stops_the_rest_in_order(tmp_path: Path):
    live, writer = kit(tmp_path, microphone=Playing([], breaks=True))
    with pytest.raises(PortError, match="hw:1"):
        record_live(live, writer, threading.Event(), ticks=60)
    assert live.acquisition.stopped


class Dying:
    """Gives items as the clock passes their times, dies for a while, and gives the later ones when started again."""

    def __init__(self, items: list, clock: FakeClock, dies_ns: int, back_ns: int, resume=lambda items: items) -> None:
        self.items, self.clock, self.resume = items, clock, resume
        self.dies_ns, self.back_ns, self.starts, self.sink = dies_ns, back_ns, 0, None

    def start(self, sink) -> None:
        self.starts += 1
        now_ns = FakeClock.now_ns(self.clock)
        if self.dies_ns <= now_ns < self.back_ns:
            raise PortError("no such device")
        if self.starts > 1:
            self.items = self.resume([i for i in self.items if i.t_ns >= now_ns])
            self.dies_ns = 10**18
        self.sink = sink

    def stop(self) -> None:
        self.sink = None

    def play(self) -> None:
        now_ns = FakeClock.now_ns(self.clock)
        while self.items and self.items[0].t_ns <= now_ns:
            item = self.items.pop(0)
            if self.sink and item.t_ns < self.dies_ns:
                self.sink(item)


def record_with_a_death(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **devices: Dying):
    monkeypatch.setattr("recorder.watch._in_thread", None)  # restarts must be in the test's hands
    monkeypatch.setattr("recorder.record.Watched", partial(Watched, spawn=lambda work: work()))
    live, writer = kit(tmp_path, **devices)
    live.clock = next(iter(devices.values())).clock
    recorded = record_live(
        live, writer, threading.Event(), ticks=1500, on_tick=lambda _: [d.play() for d in devices.values()]
    )
    return recorded, [e for e in read_log(tmp_path / "kit-01.log.jsonl") if e["type"] != "tick"]


def encoded(seconds: float, start_ns: int = T0) -> list:
    encoder = H264Encoder(64, 48, 30, 100_000)
    grey = np.full((72, 64), 90, np.uint8)
    return [encoder.encode(grey, start_ns + k * 33_333_333) for k in range(int(seconds * 30))]


def test_a_camera_that_dies_in_mid_recording_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    clock = SteppingClock(T0)
    camera = Dying(encoded(25), clock, T0 + 8 * 10**9, T0 + 15 * 10**9, lambda left: encoded(25 - 15, left[0].t_ns))
    microphone = Dying(list(blocks(250)), clock, 10**18, 10**18)
    recorded, log = record_with_a_death(tmp_path, monkeypatch, camera=camera, microphone=microphone)
    rows = read_rows(tmp_path / "kit-01.mkv", ["light.value", "microphone", "camera.timing"])
    assert len(rows["light.value"]) == 1500, "sensors went on"
    assert len(rows["microphone"]) >= 247 * 4800, "sound went on"
    assert recorded.counters["camera.stalled"] == recorded.counters["camera.reopened"] == 1
    (gap,) = [e for e in log if e["type"] == "gap"]
    assert gap["stream"] == "camera"
    assert (gap["from_ns"] - T0) / 1e9 == pytest.approx(8, abs=0.1)
    assert 15 <= (gap["to_ns"] - T0) / 1e9 < 22, "back within the longest pause of its early tries"
    shown = list(video_frames(tmp_path / "kit-01.mkv"))
    assert len(shown) == recorded.counters["camera.frames"] == len(rows["camera.timing"])
    assert shown[-1][1] > 24e9


def test_a_camera_that_comes_back_with_another_size_is_refused_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def wider(left: list) -> list:
        encoder = H264Encoder(96, 48, 30, 100_000)
        return [encoder.encode(np.full((72, 96), 90, np.uint8), f.t_ns) for f in left]

    clock = SteppingClock(T0)
    camera = Dying(encoded(25), clock, T0 + 8 * 10**9, T0 + 9 * 10**9, wider)
    recorded, log = record_with_a_death(tmp_path, monkeypatch, camera=camera)
    assert recorded.counters["camera.changed"] == 1
    assert next(e["text"] for e in log if e["type"] == "changed").startswith("the camera came back with other settings")
    shown = list(video_frames(tmp_path / "kit-01.mkv"))
    assert len(shown) == recorded.counters["camera.frames"] == 241, "what was there is whole, and nothing else came"
    assert {image.shape for _, _, image in shown} == {(48, 64)}


def test_a_microphone_that_dies_in_mid_recording_comes_back_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    clock = SteppingClock(T0)
    sound = [
        SoundBlock(0, np.arange(k * 4800, (k + 1) * 4800, dtype=np.int32) + 1, b.t_ns)
        for k, b in enumerate(blocks(250))
    ]
    microphone = Dying(sound, clock, T0 + 9 * 10**9, T0 + 14 * 10**9)
    camera = Dying(encoded(25), clock, 10**18, 10**18)
    recorded, log = record_with_a_death(tmp_path, monkeypatch, camera=camera, microphone=microphone)
    rows = read_rows(tmp_path / "kit-01.mkv", ["light.value", "microphone"])
    assert len(rows["light.value"]) == 1500
    assert recorded.counters["camera.frames"] > 740, "the picture went on"
    x = rows["microphone"][:, 0]
    heard = np.flatnonzero(x)
    assert np.abs(x[heard] - 1 - heard).max() < 48, "each sample is where its time is, to a millisecond"
    (gap,) = [e for e in log if e["type"] == "gap"]
    assert gap["stream"] == "microphone"
    assert gap["samples"] == recorded.counters["microphone.lost_samples"] == len(x) - len(heard)
    assert (gap["from_ns"] - T0) / 1e9 == pytest.approx(9, abs=0.1)
    assert {"stalled", "unopened", "reopened"} <= {e["type"] for e in log if e.get("stream") == "microphone"}


def test_a_camera_that_comes_too_late_for_the_file_does_not_end_the_recording(tmp_path: Path):
    late = SteppingClock(T0)
    camera = Dying(encoded(12, T0 + 7 * 10**9), late, 10**18, 10**18)
    live, writer = kit(tmp_path, camera=camera)
    live.clock = late
    recorded = record_live(live, writer, threading.Event(), ticks=600, on_tick=lambda _: camera.play())
    assert recorded.counters["camera.missing"] == 1
    assert recorded.counters["camera.passed_over"] > 60
    assert recorded.ticks == 600
