"""Cameras without a camera: a stand-in for picamera2, a video file, stamps of any clock."""

import io
import sys
import types
from pathlib import Path

import av
import numpy as np
import pytest

from firmware_host.clock import FakeClock
from firmware_host.errors import PortError
from recorder.annexb import parameter_sets
from recorder.camera import MICROSECOND, FrameReceipt, H264Encoder, PiCamera, file_pictures, jpeg, v4l2_pictures
from recorder.config import CameraConfig
from recorder.mux import EncodedFrame, write_mp4
from recorder.preview import Preview
from recorder.rawcamera import RawCamera, open_camera
from recorder.stamps import recognise

SECOND = 1_000_000_000
GREY = np.full((72, 64), 90, np.uint8)


def encoded(n: int = 3) -> list[EncodedFrame]:
    encoder = H264Encoder(64, 48, 30, 100_000)
    return [encoder.encode(GREY, k * 33_333_333) for k in range(n)]


class Metadata:
    def __init__(self, sequence: int) -> None:
        self.sequence = sequence


class Request:
    """A completed request as picamera2 hands it to callbacks."""

    def __init__(self, sequence: int) -> None:
        buffer = types.SimpleNamespace(metadata=Metadata(sequence))
        self.request = types.SimpleNamespace(buffers={"main": buffer})
        self.copies = 0

    def make_array(self, name: str) -> np.ndarray:
        assert name == "lores"
        self.copies += 1
        return GREY


class FakePi:
    """As much of picamera2 as PiCamera touches. `encoders` of a Pi 5 refuse the keywords of a Pi 4's."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int] | None = None) -> None:
        self.cameras: list = []
        fake, given = self, size

        class Camera:
            def __init__(self) -> None:
                self.closed, self.pre_callback = False, None
                if any(not c.closed for c in fake.cameras):
                    raise RuntimeError("Camera __init__ sequence did not complete.")
                fake.cameras.append(self)

            def create_video_configuration(self, main, lores, controls) -> dict:
                self.asked = {"main": main, "lores": lores, "controls": controls}
                return self.asked

            def configure(self, settings: dict) -> None: ...

            def camera_configuration(self) -> dict:
                return {"main": {"size": given or self.asked["main"]["size"]}}

            def start_recording(self, encoder, output) -> None:
                self.encoder, self.output = encoder, output

            def stop_recording(self) -> None:
                self.encoder.firsttimestamp = None
                self.output.stop()

            def close(self) -> None:
                self.closed = True

        class Encoder:
            def __init__(self, bitrate=None, repeat=True, iperiod=30, framerate=30) -> None:
                self.bitrate, self.repeat, self.iperiod, self.framerate = bitrate, repeat, iperiod, framerate
                self.firsttimestamp: int | None = None

        class Output:
            def stop(self) -> None: ...

        modules = {"picamera2": {"Picamera2": Camera}, "picamera2.encoders": {"H264Encoder": Encoder}}
        for name, members in {**modules, "picamera2.outputs": {"Output": Output}}.items():
            module = types.ModuleType(name)
            vars(module).update(members)
            monkeypatch.setitem(sys.modules, name, module)

    def give(self, frame: EncodedFrame, since_first_us: int, first_us: int) -> None:
        camera = self.cameras[-1]
        camera.encoder.firsttimestamp = first_us
        camera.output.outputframe(frame.data, frame.keyframe, since_first_us, None, False)


def now_is(monkeypatch: pytest.MonkeyPatch, **clocks: int) -> None:
    monkeypatch.setattr("recorder.camera.read_clocks", lambda: clocks)


def test_a_pi_camera_is_set_to_a_fixed_rate_and_gives_absolute_times(monkeypatch: pytest.MonkeyPatch):
    pi, got = FakePi(monkeypatch), []
    now_is(monkeypatch, monotonic=7 * SECOND, boottime=9000 * SECOND, realtime=10**18)
    camera = PiCamera(1280, 720, 25, 3_000_000)
    camera.start(got.append)
    asked = pi.cameras[0].asked
    assert asked["controls"] == {"FrameDurationLimits": (40_000, 40_000)}
    assert asked["main"]["size"] == (1280, 720)
    assert asked["lores"]["size"] == (320, 180)
    encoder = pi.cameras[0].encoder
    assert (encoder.iperiod, encoder.framerate, encoder.repeat) == (25, 25, True), "a keyframe and headers each second"
    for k, frame in enumerate(encoded()):
        pi.give(frame, k * 40_000, first_us=6_900_000)
    assert [f.t_ns for f in got] == [6_900_000_000 + k * 40_000_000 for k in range(3)]
    assert [f.keyframe for f in got] == [True, False, False]


@pytest.mark.parametrize(("first_us", "t_ns"), [(9_000_000_000 - 20_000, 6_980_000_000), (1_000, 7_000_000_000)])
def test_stamps_of_another_clock_are_brought_to_the_kits(monkeypatch: pytest.MonkeyPatch, first_us: int, t_ns: int):
    pi, got = FakePi(monkeypatch), []
    now_is(monkeypatch, monotonic=7 * SECOND, boottime=9000 * SECOND, realtime=10**18)
    PiCamera(1280, 720, 30, 3_000_000).start(got.append)
    pi.give(encoded()[0], 0, first_us)
    assert got[0].t_ns == t_ns


def test_the_receipt_counts_what_the_sensor_made_over_restarts(monkeypatch: pytest.MonkeyPatch):
    pi, got = FakePi(monkeypatch), []
    camera = PiCamera(64, 48, 30, 100_000)
    for sequences in ([4, 5, 8], [0, 1]):  # 6 and 7 were made, and nobody had a buffer for them
        camera.start(got.append)
        for sequence in sequences:
            pi.cameras[-1].pre_callback(Request(sequence))
            pi.give(encoded()[0], 0, 0)
        camera.stop()
    receipts = [g for g in got if isinstance(g, FrameReceipt)]
    assert [(r.made, r.encoded) for r in receipts] == [(5, 3), (7, 5)]
    assert all(c.closed for c in pi.cameras)


def test_a_camera_that_gives_another_size_says_which_and_is_closed(monkeypatch: pytest.MonkeyPatch):
    pi = FakePi(monkeypatch, size=(1920, 1080))
    camera = PiCamera(1280, 720, 30, 3_000_000)
    with pytest.raises(PortError, match="1920x1080, not 1280x720"):
        camera.start(print)
    assert pi.cameras[0].closed, "otherwise it could not be opened again"


def test_a_frame_that_is_flushed_after_the_stop_keeps_its_time(monkeypatch: pytest.MonkeyPatch):
    pi, got = FakePi(monkeypatch), []
    now_is(monkeypatch, monotonic=7 * SECOND, boottime=7 * SECOND, realtime=10**18)
    camera = PiCamera(64, 48, 30, 100_000)
    camera.start(got.append)
    pi.give(encoded()[0], 0, 6_900_000)
    output = pi.cameras[0].output
    pi.cameras[0].encoder.firsttimestamp = None
    output.outputframe(encoded()[1].data, False, 33_333)
    assert got[1].t_ns - got[0].t_ns == 33_333_000


def test_the_preview_costs_the_camera_nothing_unless_somebody_looks(monkeypatch: pytest.MonkeyPatch):
    pi = FakePi(monkeypatch)
    camera = PiCamera(64, 48, 30, 100_000)
    camera.start(print)
    request = Request(0)
    for _ in range(20):
        pi.cameras[0].pre_callback(request)
    assert request.copies == 0
    assert camera.preview() is None
    for _ in range(20):
        pi.cameras[0].pre_callback(request)
    assert request.copies == 1, "two a second at most"
    assert camera.preview().startswith(b"\xff\xd8")


def test_a_preview_follows_the_latest_picture_on_its_budget():
    clock = FakeClock()
    preview = Preview(lambda picture: bytes([picture[0, 0]]), clock.now_ns)
    assert preview.jpeg() is None
    shown = []
    for k in range(60):  # two seconds of pictures, somebody looking at each
        preview.offer(lambda k=k: np.full((3, 2), k, np.uint8))
        shown.append(preview.jpeg())
        clock.advance_ns(SECOND // 30)
    assert len(set(shown)) == 4
    assert shown[-1] == bytes([48])
    clock.advance_ns(10 * SECOND)
    preview.offer(lambda: pytest.fail("nobody has looked for ten seconds"))


def test_a_jpeg_shows_the_picture_small():
    with av.open(io.BytesIO(jpeg(np.full((1080, 1280), 128, np.uint8)))) as container:
        (frame,) = container.decode(video=0)
    assert (frame.width, frame.height) == (320, 180)
    assert frame.to_ndarray(format="gray").mean() == pytest.approx(128, abs=15)


@pytest.mark.parametrize(
    ("stamp_ns", "found"),
    [(1_000, ("monotonic", 0)), (500 * SECOND, ("boottime", -499 * SECOND)), (0, ("monotonic", 0))],
)
def test_a_stamp_is_of_the_clock_it_is_near(stamp_ns: int, found: tuple[str, int]):
    now = {"monotonic": SECOND, "boottime": 500 * SECOND, "realtime": 10**18}
    assert recognise(stamp_ns, now) == found


def test_a_stamp_of_no_clock_is_of_this_moment():
    now = {"monotonic": 60 * SECOND, "boottime": 500 * SECOND, "realtime": 10**18}
    assert recognise(0, now) == ("unknown", 60 * SECOND)
    assert recognise(10**18 - SECOND // 10, now) == ("realtime", 60 * SECOND - 10**18)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One second at 25 fps; picture k is of grey 8 * k."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    write_mp4(path, [np.full((48, 64, 3), 8 * k, np.uint8) for k in range(25)], fps=25, size=(64, 48))
    return path


def test_a_file_plays_in_real_time_at_the_kits_rate_and_begins_again(film: Path):
    clock = FakeClock(100 * SECOND)
    pictures = file_pictures(film, (64, 48), 30, clock)
    for slot in range(75):
        t_ns, picture = next(pictures)
        assert t_ns == 100 * SECOND + slot * SECOND // 30
        assert clock.now_ns() == t_ns, "not before its time"
        shown = (slot * 25 // 30) % 25
        # studio range: grey g is stored as 16 + g * 219 / 255
        assert picture[:48].mean() == pytest.approx(16 + 8 * shown * 219 / 255, abs=4), slot


def test_a_slot_whose_time_has_passed_is_skipped(film: Path):
    clock = FakeClock()
    pictures = file_pictures(film, (64, 48), 30, clock)
    next(pictures)
    clock.advance_ns(SECOND // 2)
    assert next(pictures)[0] == SECOND // 2


def test_a_raw_camera_gives_keyframes_with_headers_and_a_receipt(film: Path):
    clock, got = FakeClock(), []
    camera = RawCamera(lambda: (p for _, p in zip(range(61), file_pictures(film, (64, 48), 30, clock), strict=False)),
                       (64, 48), 30, 100_000)  # fmt: skip
    for _ in range(2):  # it can be started again
        camera.start(got.append)
        camera._thread.join(20)
        camera.stop()
    frames = [g for g in got if isinstance(g, EncodedFrame)]
    assert [k for k, f in enumerate(frames) if f.keyframe] == [0, 30, 60, 61, 91, 121]
    headers = {parameter_sets(f.data) for f in frames if f.keyframe}
    assert len(headers) == 1, "the same after a restart, so that one file can hold both"
    assert None not in headers
    assert [(r.made, r.encoded) for r in got if isinstance(r, FrameReceipt)] == [(61, 61), (122, 122)]


def test_headers_are_found_behind_long_and_short_start_codes():
    first, second, *_ = encoded()
    sps, pps = parameter_sets(first.data)
    assert (sps[0] & 31, pps[0] & 31) == (7, 8)
    assert parameter_sets(b"\0\0\0\1" + sps + b"\0\0\1" + pps + b"\0\0\0\1\x65picture") == (sps, pps)
    assert parameter_sets(b"\0\0\1" + sps + b"\0\0\1\x65picture") is None
    assert parameter_sets(second.data) is None
    assert parameter_sets(b"\0\0\1") is None


@pytest.mark.parametrize("device", ["/dev/video99", "missing.mp4"])
def test_a_camera_that_is_not_there_is_one_sentence(device: str):
    with pytest.raises(PortError, match=device):
        open_camera(CameraConfig(device, 64, 48), FakeClock()).start(print)


def test_a_file_without_pictures_is_refused(tmp_path: Path):
    path = tmp_path / "notes.txt"
    path.write_text("no film")
    with pytest.raises(PortError, match="cannot be played"):
        next(file_pictures(path, (64, 48), 30, FakeClock()))


def test_no_name_means_the_pis_own_camera():
    assert isinstance(open_camera(CameraConfig(), FakeClock()), PiCamera)


def test_a_v4l2_camera_that_stops_mid_way_is_told_as_a_port(monkeypatch: pytest.MonkeyPatch):
    class Gone:
        def __enter__(self):
            return self

        def __exit__(self, *_): ...
        def decode(self, **_):
            frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
            frame.pts, frame.time_base = 6_980_000, MICROSECOND
            yield frame
            raise OSError(19, "No such device")

    now_is(monkeypatch, monotonic=7 * SECOND, boottime=7 * SECOND, realtime=10**18)
    monkeypatch.setattr("recorder.camera.av.open", lambda *_, **__: Gone())
    pictures = v4l2_pictures("/dev/video7", (64, 48), 30)
    t_ns, picture = next(pictures)
    assert (t_ns, picture.shape) == (6_980_000_000, (72, 64))
    with pytest.raises(PortError, match="/dev/video7 gives no pictures"):
        next(pictures)
