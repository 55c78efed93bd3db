"""A whole simulated session, judged from its files and by other people's tools."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from probing import probe, stream_titles

from firmware_host.clock import tick_at
from firmware_host.clockmap import ClockMap
from recorder.demux import read_rows, video_frames
from recorder.samples import frame_times_ns, read_sound
from recorder.session import Session, open_session
from recorder.tone import tone

TRACKS = {
    **{"bme680": ["field"], "amg8833": ["pixels", "thermistor"], "bno055": ["quaternion", "linear", "gravity"]},
    **{"tsl2591": ["light"], "ak9753": ["warmth"], "mlx90393": ["raw"], "isl29125": ["colours"]},
}


def truth_of(folder: Path) -> dict[str, ClockMap]:
    document = json.loads((folder / "truth.json").read_text())
    return {m["source"]: ClockMap.from_json(m) for m in document["clock_maps"]}


def test_the_folder_holds_what_the_design_promises(recorded_home: Path):
    session = open_session(recorded_home)
    assert [(d.name, d.role) for d in session.devices] == [
        ("kit-01", "third"),
        ("kit-02", "body"),
        ("head", "ego"),
        ("eye", "eye"),
    ]
    for device in session.devices:
        assert session.path(device.file).stat().st_size > 10_000
    for name in ("kit-01.log.jsonl", "kit-02.log.jsonl", "eye/gaze.csv", "truth.json", "labels/truth.csv"):
        assert (recorded_home / name).is_file(), name
    assert session.sealed
    assert session.participants == ("p01",)


def test_players_see_picture_microphone_and_every_titled_track(recorded_home: Path, tool):
    tool("ffprobe")
    streams = probe(recorded_home / "kit-01.mkv")
    by_title = {s["tags"]["title"]: s for s in streams}
    assert by_title["camera"]["codec_name"] == "h264"
    assert (by_title["microphone"]["codec_name"], by_title["microphone"]["sample_rate"]) == ("flac", "48000")
    for sensor, tracks in TRACKS.items():
        for name in (*tracks, "timing"):
            assert by_title[f"{sensor}.{name}"]["codec_name"] == "flac"
    titles = set(stream_titles(recorded_home / "kit-02.mkv"))
    session = open_session(recorded_home)
    assert titles == {s.name for s in session.device("kit-02").streams}
    assert len([t for t in titles if t.endswith(".quaternion")]) == 10


def test_flac_accepts_an_extracted_track(recorded_home: Path, tmp_path: Path, tool):
    flac, ffmpeg = tool("flac"), tool("ffmpeg")
    for title in ("microphone", "amg8833.pixels", "bme680.timing"):
        index = stream_titles(recorded_home / "kit-01.mkv")[title]
        out = tmp_path / f"{title}.flac"
        source = str(recorded_home / "kit-01.mkv")
        subprocess.run([ffmpeg, "-v", "error", "-i", source, "-map", f"0:{index}", "-c", "copy", str(out)], check=True)
        subprocess.run([flac, "--silent", "--test", str(out)], check=True)


def test_nothing_was_missed_on_a_simulated_clock(recorded_home: Path, run_syncctl):
    result = run_syncctl("inspect", recorded_home, "--json")
    report = json.loads(result.stdout)
    assert report["complete"], report["warnings"]
    assert report["lost_s"] == 0
    assert sum(s["missed"] for s in report["streams"]) == 0
    quaternion = next(s for s in report["streams"] if s["name"] == "larmd.quaternion")
    assert quaternion["flags"]["FRESH"] == pytest.approx(20 * quaternion["duration_s"], abs=1)


def test_a_tone_is_heard_after_its_distance_in_every_recording(recorded_home: Path):
    """Truth, clocks, microphones and files agree: the tone is where distance and clock say it must be."""
    session, truth = open_session(recorded_home), truth_of(recorded_home)
    start_ns = json.loads((recorded_home / "truth.json").read_text())["tones_ns"]["start"]
    template = tone("start", 48_000)
    for device in session.devices:
        sound = read_sound(session, device)
        x = sound.x[: 6 * 48_000]
        spectrum = np.fft.rfft(x, 2**19) * np.conj(np.fft.rfft(template, 2**19))
        lag = int(np.abs(np.fft.irfft(spectrum / (np.abs(spectrum) + 1e-9)))[: len(x)].argmax())
        heard_ns = truth[device.clock].forward(int(sound.times_ns(np.array([lag]))[0]))
        distance_m = (heard_ns - start_ns) * 343e-9
        assert distance_m == pytest.approx(device.tone_distance_m, abs=0.35), device.name


def test_gaze_is_in_the_scene_camera_and_sometimes_missing(recorded_home: Path):
    rows = (recorded_home / "eye" / "gaze.csv").read_text().splitlines()
    assert rows[0] == "t_s,x_px,y_px"
    missing = sum(row.endswith(",,") for row in rows[1:])
    assert 0 < missing < len(rows) // 4
    width, height = open_session(recorded_home).device("eye").streams[0].size
    xy = np.array([[float(v) for v in r.split(",")[1:]] for r in rows[1:] if not r.endswith(",,")])
    assert np.median(np.abs(xy - [width / 2, height / 2]) / [width, height], axis=0).max() < 0.3


def test_frames_move_and_are_the_size_that_was_asked(recorded_home: Path):
    session = open_session(recorded_home)
    for name in ("kit-01", "head", "eye"):
        device = session.device(name)
        pictures = [image for _, _, image in video_frames(session.path(device.file), every=90)]
        assert pictures[0].shape == (180, 320)
        assert np.abs(pictures[1].astype(int) - pictures[-1]).mean() > 2
        times = frame_times_ns(session, device)
        assert np.median(np.diff(times)) == pytest.approx(1e9 / 30, rel=1e-3)


def test_the_room_camera_sees_the_world_at_the_time_it_says(recorded_home: Path):
    """Frame times are kit time: what the frame shows is what the world was at that instant."""
    from recorder.world import World, WorldPlan

    session, truth = open_session(recorded_home), truth_of(recorded_home)
    plan = json.loads((recorded_home / "truth.json").read_text())["plan"]
    kit = session.device("kit-01")
    times = truth["kit-01"].forward(frame_times_ns(session, kit))
    world = World(WorldPlan(**plan))
    for index, _, image in video_frames(session.path(kit.file), every=150):
        candidates = [int(times[index]) + d for d in (-200_000_000, 0, 200_000_000)]
        rendered = [np.dot(p, [0.299, 0.587, 0.114]) for p in world.render("third", candidates)]
        errors = [np.abs(r - 1.164 * (image.astype(float) - 16)).mean() for r in rendered]
        if np.abs(rendered[0] - rendered[2]).mean() > 3:
            assert int(np.argmin(errors)) == 1, index


def test_equal_seeds_give_equal_bytes(tmp_path: Path, run_syncctl):
    for name in ("one", "two"):
        arguments = ["--simulate", "--fast", "--duration", 8, "--seed", 5, "--size", "160x96"]
        result = run_syncctl("record", tmp_path / name, *arguments)
        assert result.returncode == 0, result.stderr
    for file in ("kit-01.mkv", "kit-02.mkv", "head.mp4", "eye/scene.mp4", "eye/gaze.csv", "truth.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes(), file


def test_a_second_recording_into_the_same_folder_is_refused(home: Path, run_syncctl):
    before = (home / "session.json").read_bytes()
    result = run_syncctl("record", home, "--simulate", "--fast", "--duration", 8)
    assert result.returncode == 1
    assert "already holds a session" in result.stderr
    assert (home / "session.json").read_bytes() == before


def test_a_truncated_kit_file_is_read_as_far_as_it_goes(home: Path, run_syncctl):
    data = (home / "kit-01.mkv").read_bytes()
    (home / "kit-01.mkv").write_bytes(data[: len(data) * 2 // 3])
    report = json.loads(run_syncctl("inspect", home, "--json").stdout)
    assert not report["complete"]
    assert 5 < report["lost_s"] < 20
    durations = {s["name"]: s["duration_s"] for s in report["streams"] if s["device"] == "kit-01"}
    assert max(durations.values()) - min(durations.values()) < 1.0


def test_a_kit_file_cut_in_its_header_is_named_and_the_rest_still_read(home: Path, run_syncctl):
    (home / "kit-01.mkv").write_bytes((home / "kit-01.mkv").read_bytes()[:100])
    result = run_syncctl("inspect", home, "--json")
    report = json.loads(result.stdout)
    assert any("kit-01.mkv" in w for w in report["warnings"])
    assert any(s["device"] == "kit-02" for s in report["streams"])


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """A live recording of both kits, killed in mid-recording; with the seconds recorded until then."""
    folder = tmp_path_factory.mktemp("killed") / "session"
    command = [sys.executable, "-m", "syncctl", "record", str(folder), "--simulate", "--duration", "20"]
    process = subprocess.Popen([*command, "--size", "160x96"], stderr=subprocess.DEVNULL, start_new_session=True)
    t0_ns = _wait_for_tick(folder / "kit-01.log.jsonl", 300, process)
    os.killpg(process.pid, signal.SIGKILL)
    recorded_s = (time.monotonic_ns() - t0_ns) / 1e9
    process.wait()
    return folder, recorded_s


def _wait_for_tick(log: Path, tick: int, process: subprocess.Popen) -> int:
    """Wait until the log says that `tick` was packed; returns tick 0 on CLOCK_MONOTONIC."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        text = log.read_text() if log.exists() else ""
        if any(f'"tick":{k}' in text for k in range(tick, tick + 60)):
            session = open_session(log.parent)
            return session.device("kit-01").stream("bme680.timing").t0_ns
        time.sleep(0.05)
    raise AssertionError("the recording did not start")


def test_sigkill_loses_less_than_a_second_of_any_stream(killed: tuple[Path, float]):
    folder, recorded_s = killed
    session = open_session(folder)
    for name in ("kit-01", "kit-02"):
        kit = session.device(name)
        starts = {s.name: s for s in kit.streams}
        rows = read_rows(session.path(kit.file), [s.name for s in kit.streams if s.kind == "timing"])
        shortest = min(len(r) / starts[n].rate_hz for n, r in rows.items())
        world_start_s = 1.0 if name == "kit-02" else 0.1  # kit-02 is switched on up to 0.9 s later
        assert shortest > recorded_s - 1.0 - world_start_s, name
        assert read_sound(session, kit).duration_s > recorded_s - 1.0 - world_start_s
    frames = frame_times_ns(session, session.device("kit-01"))
    assert len(frames) / 30 > recorded_s - 1.1


def test_inspect_says_that_a_killed_recording_was_interrupted(killed: tuple[Path, float], run_syncctl):
    result = run_syncctl("inspect", killed[0])
    assert result.returncode == 0, result.stderr
    assert "interrupted" in result.stdout.splitlines()[0]


def test_every_track_equals_the_chips_own_log_bit_for_bit(recorded_home: Path, tool):
    """Decoded by the ffmpeg command, rebuilt from what the simulated chips say they answered."""
    session = open_session(recorded_home)
    for name in ("kit-01", "kit-02"):
        expected = rows_from_chip_log(session, name)
        tracks = {s.name for s in session.device(name).of_kind("sensor")}
        assert set(expected) == tracks
        for title, rows in expected.items():
            decoded = ffmpeg_rows(tool("ffmpeg"), recorded_home / f"{name}.mkv", title, rows.shape[1])
            assert np.array_equal(decoded, rows[: len(decoded)]), (name, title)
            assert len(decoded) == len(rows), (name, title)


def rows_from_chip_log(session: Session, kit: str) -> dict[str, np.ndarray]:
    """What each track must hold, from the raw bytes that the chips sent: parsed and held here, by hand."""
    device = session.device(kit)
    t0_ns = device.stream(f"{device.of_kind('sensor')[0].sensor}.timing").t0_ns
    ticks = len(read_rows(session.path(device.file), [f"{device.of_kind('sensor')[0].sensor}.timing"]).popitem()[1])
    expected: dict[str, np.ndarray] = {}
    light = LightInTwo()
    for line in (session.root / f"{kit}.chips.jsonl").read_text().splitlines():
        entry = json.loads(line)
        tick, parse = tick_at(t0_ns, entry["t_ns"]), light.parsed if entry["sensor"] == "tsl2591" else parsed
        tracks = parse(entry["register"], bytes.fromhex(entry["hex"]))
        if not 0 <= tick < ticks:
            continue
        for name, rows in tracks.items():
            per = len(rows)
            track = expected.setdefault(f"{entry['sensor']}.{name}", np.zeros((ticks * per, rows.shape[1]), np.int32))
            track[tick * per :] = np.tile(rows, (ticks - tick, 1))
    return expected


def parsed(register: int, data: bytes) -> dict[str, np.ndarray]:
    """Datasheet layouts of the chips' data registers, but for the TSL2591's."""
    if register == 0x08 and len(data) == 46:  # BNO055: what its sensors measure, Euler angles, and the fusion
        words = np.frombuffer(data[:18], "<i2").astype(np.int32).reshape(3, 1, 3)
        measured = {"acceleration": words[0], "magnetic": words[1], "rotation": words[2]}
        return parsed(0x20, data[24:]) | measured
    if register == 0x20 and len(data) == 22:  # BNO055: quaternion, linear acceleration, gravity, ...
        words = np.frombuffer(data[:20], "<i2").astype(np.int32)
        temperature, calibration = int.from_bytes(data[20:21], signed=True), data[21]
        status = [[temperature, *(calibration >> shift & 3 for shift in (6, 4, 2, 0))]]
        tracks = {"quaternion": words[None, :4], "linear": words[None, 4:7], "gravity": words[None, 7:10]}
        return tracks | {"status": np.array(status, np.int32)}
    if register == 0x0E:  # AMG8833 thermistor: sign and magnitude of 12 bits
        word = data[0] | data[1] << 8
        return {"thermistor": np.array([[-(word & 0x7FF) if word & 0x800 else word & 0x7FF]], np.int32)}
    if register == 0x80 and len(data) == 128:  # AMG8833: 64 pixels of 12 bits, two's complement
        pixels = np.frombuffer(data, "<u2").astype(np.int32) & 0xFFF
        return {"pixels": np.where(pixels > 0x7FF, pixels - 0x1000, pixels).reshape(8, 8)}
    if register == 0x1D and len(data) == 15:  # BME680: status, -, pressure, temperature, humidity, ..., gas
        twenty = [data[i] << 12 | data[i + 1] << 4 | data[i + 2] >> 4 for i in (5, 2)]
        humidity, gas = data[8] << 8 | data[9], data[13] << 2 | data[14] >> 6
        row = [*twenty, humidity, gas, data[14] & 0x0F, data[14] >> 4 & 0x03]
        return {"field": np.array([row], np.int32)} if data[0] & 0x80 else {}
    if register == 0x05:  # AK9753: status, four currents, temperature in the upper ten bits, end
        words = np.frombuffer(data[1:11], "<i2").astype(np.int32)
        return {"warmth": np.array([[*words[:4], words[4] >> 6, data[0] >> 1 & 1]], np.int32)}
    if register == 0x4F:  # MLX90393: status, temperature unsigned, three axes, most significant byte first
        row = [data[1] << 8 | data[2], *np.frombuffer(data[3:9], ">i2")]
        return {"raw": np.array([row], np.int32)} if not data[0] & 0x10 else {}
    if register == 0x08 and len(data) == 7:  # ISL29125: status, green, red, blue of 12 bits; all are new at 10 Hz
        return {"colours": np.array([[*(np.frombuffer(data[1:], "<u2") & 0xFFF), 7]], np.int32)}
    return {}


class LightInTwo:
    """A TSL2591's answers: status and counts first, gain and integration after them.

    A row counts if a cycle has ended, and if its settings were those of the slot before.
    """

    def __init__(self) -> None:
        self._data = bytes(5)
        self._control = -1

    def parsed(self, register: int, data: bytes) -> dict[str, np.ndarray]:
        if register == 0x13:
            self._data = data
            return {}
        before, self._control = self._control, data[1]
        if before != self._control or not self._data[0] & 0x10:
            return {}
        counts = np.frombuffer(self._data[1:], "<u2")
        return {"light": np.array([[*counts, self._control >> 4, self._control & 7]], np.int32)}


def ffmpeg_rows(ffmpeg: str, path: Path, title: str, channels: int) -> np.ndarray:
    index = stream_titles(path)[title]
    command = [ffmpeg, "-v", "error", "-i", str(path), "-map", f"0:{index}", "-f", "s32le", "-"]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    return np.frombuffer(raw, "<i4").reshape(-1, channels) >> 8
