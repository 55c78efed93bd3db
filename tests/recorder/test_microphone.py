"""What is made of PortAudio's blocks: stamps that mean something, counts of 24 bits. PortAudio itself: test_pulse."""

import sys
import types
from pathlib import Path

import numpy as np
import pytest

from firmware_host.errors import PortError
from recorder.config import read_kit
from recorder.microphone import SoundDeviceMicrophone, SoundDeviceSpeaker, counts, stamp_ns

NOW = 100 * 10**9
BLOCK_NS = 1024 * 10**9 // 48_000


@pytest.mark.parametrize(
    ("age_s", "stamp"),
    [
        (0.030, NOW - 30_000_000),  # a usual age
        (0.0, NOW - BLOCK_NS),  # a host that reports nothing: its last sample came just now
        (-0.5, NOW - BLOCK_NS),  # a stamp in the future
        (1.7e9, NOW - BLOCK_NS),  # a clock compared with 0
        (0.36, NOW - 360_000_000),  # the backlog of a stream's first second; the warm-up deals with it
    ],
)
def test_odd_ages_are_not_believed(age_s: float, stamp: int):
    assert stamp_ns(NOW, age_s, BLOCK_NS) == stamp


def test_the_valid_bits_and_the_channel_are_chosen():
    left, right = np.array([1, -2, 2**23 - 1]), np.array([-(2**23), 5, 7])
    high = np.column_stack([left, right]).astype(np.int32) << 8
    assert counts(high.tobytes(), 2, 0, False).tolist() == left.tolist()
    assert counts(high.tobytes(), 2, 1, False).tolist() == right.tolist()
    low = np.column_stack([left, right]).astype(np.int64)
    low = ((low & 0xFFFFFF) | 0x5A000000).astype(np.uint32)  # the upper bits are anything
    assert counts(low.tobytes(), 2, 1, True).tolist() == right.tolist()


class FakePortAudio:
    """As much of sounddevice as a microphone touches."""

    class PortAudioError(Exception): ...

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.streams: list = []
        self.initialised = 0
        fake = self

        class Stream:
            def __init__(self, callback, **settings) -> None:
                self.callback, self.settings, self.state = callback, settings, "opened"
                fake.streams.append(self)

            def start(self) -> None:
                self.state = "started"

            def stop(self) -> None:
                self.state = "stopped"

            def close(self) -> None:
                self.state = "closed"

        module = types.ModuleType("sounddevice")
        module.RawInputStream, module.PortAudioError = Stream, self.PortAudioError
        module._terminate = lambda: None
        module._initialize = self._count
        monkeypatch.setitem(sys.modules, "sounddevice", module)

    def _count(self) -> None:
        self.initialised += 1

    def give(self, words: np.ndarray, current_s: float, adc_s: float, overflow: bool = False) -> None:
        stream = self.streams[-1]
        frames = len(words) // stream.settings["channels"]
        when = types.SimpleNamespace(currentTime=current_s, inputBufferAdcTime=adc_s)
        stream.callback(words.tobytes(), frames, when, types.SimpleNamespace(input_overflow=overflow))


@pytest.mark.parametrize("clock_s", [5.0, 1.795e9])
def test_a_block_is_stamped_by_its_age_whatever_the_streams_clock(monkeypatch: pytest.MonkeyPatch, clock_s: float):
    audio, got = FakePortAudio(monkeypatch), []
    monkeypatch.setattr("recorder.microphone.time.monotonic_ns", lambda: NOW)
    SoundDeviceMicrophone("hw:1").start(got.append)
    audio.give(np.zeros(1024, np.int32), clock_s + 0.04, clock_s)
    audio.give(np.zeros(1024, np.int32), clock_s + 0.06, clock_s + 0.03, overflow=True)
    audio.give(np.zeros(1024, np.int32), clock_s + 0.08, 0.0)
    assert [b.first for b in got] == [0, 1024, 2048]
    assert got[0].t_ns == pytest.approx(NOW - 40_000_000, abs=500)
    assert got[1].t_ns == pytest.approx(NOW - 30_000_000, abs=500)
    assert got[2].t_ns == NOW - BLOCK_NS, "no ADC time: when the block came"
    assert [b.overflowed for b in got] == [False, True, False]


def test_an_opening_anew_looks_for_devices_that_were_plugged_in(monkeypatch: pytest.MonkeyPatch):
    audio, got = FakePortAudio(monkeypatch), []
    microphone = SoundDeviceMicrophone("hw:1", channels=2, channel=1)
    microphone.start(got.append)
    assert audio.initialised == 0
    audio.give(np.arange(8, dtype=np.int32) << 8, 1.0, 0.9)
    microphone.stop()
    microphone.stop()
    assert audio.streams[0].state == "closed"
    microphone.start(got.append)
    assert audio.initialised == 1, "PortAudio lists its devices only once"
    audio.give(np.arange(8, dtype=np.int32) << 8, 1.0, 0.9)
    assert [b.first for b in got] == [0, 0]
    assert got[0].x.tolist() == [1, 3, 5, 7]


def test_the_kit_file_says_which_channel_and_bits(tmp_path):
    from recorder.run import live_kit

    path = tmp_path / "kit.toml"
    kit = 'name = "k"\nrole = "third"\n[microphone]\nchannels = 2\nchannel = 2\nlow_bits = true\n'
    path.write_text(kit + "[camera]\nlatency_ms = -12\nlatency_sigma_ms = 1.5\n")
    live = live_kit(read_kit(path))
    assert live.microphone._pick.keywords == {"channels": 2, "channel": 1, "low_bits": True}
    assert (live.layout.camera_latency.ns, live.layout.camera_latency.sigma_ns) == (-12_000_000, 1_500_000)
    path.write_text(kit.replace("channel = 2", "channel = 3"))
    with pytest.raises(ValueError, match="channel 3 of 2 does not exist"):
        read_kit(path)


def test_a_machine_without_portaudio_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    for use in (lambda: SoundDeviceMicrophone(None).start(print), lambda: SoundDeviceSpeaker().sound("start")):
        with pytest.raises(PortError, match="PortAudio library not found; install it: apt install libportaudio2"):
            use()
