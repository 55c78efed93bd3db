"""A doctor on machines that are ill in every way he knows, and on one that is well."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from firmware_host.clock import FakeClock
from firmware_host.errors import PortError
from firmware_host.ports import BusFault
from firmware_host.schedule import address_of, plan
from firmware_host.spec import Flag, LaneConfig
from recorder.clap import ClapResult
from recorder.config import CameraConfig, MicrophoneConfig, read_kit
from recorder.doctor import system
from recorder.doctor.buses import Found, check_found, check_lane, scan
from recorder.doctor.check import FAIL, OK, WARN, Check, failed
from recorder.doctor.devices import check_camera, check_microphone
from recorder.doctor.examine import Doors, Report, examine_kit, examine_machine
from recorder.doctor.machine import Machine
from recorder.doctor.write import keep_latency, kit_text
from recorder.microphone import SoundBlock
from recorder.mux import EncodedFrame

EXAMPLE = Path(__file__).parents[2] / "docs" / "kit.toml"
TRACKING = "C0A80001,gps.lan,1,1700000000.1,{offset},0.0,0.0,-3.1,0.0,0.1,0.001,0.001,16.1,{leap}"
WELL = {
    ("chronyc", "-c", "tracking"): TRACKING.format(offset="0.000012", leap="Normal"),
    ("vcgencmd", "get_throttled"): "throttled=0x0",
}


@dataclass
class Ill(Machine):
    """A machine that says what it is told to."""

    commands: dict = field(default_factory=lambda: dict(WELL))
    files: dict = field(default_factory=dict)
    absent: tuple = ()
    member: set = field(default_factory=lambda: {"i2c", "dialout", "video", "audio"})
    limits: dict = field(default_factory=lambda: {"RTPRIO": 50, "MEMLOCK": float("inf")})
    speed: tuple = (40e6, 0.05)
    free: float = 100e9
    root: bool = False
    version_of_python: tuple = (3, 11)

    def run(self, *command: str) -> str | None:
        return self.commands.get(command)

    def read(self, path: str) -> str | None:
        return self.files.get(path)

    def paths(self, pattern: str) -> list[str]:
        return sorted(p for p in self.files if Path(p).match(pattern))

    def version(self, package: str) -> str | None:
        return None if package in self.absent else "1.0"

    def python(self) -> tuple[int, int]:
        return self.version_of_python

    def user(self) -> str:
        return "pi"

    def is_root(self) -> bool:
        return self.root

    def groups(self) -> set[str]:
        return self.member

    def limit(self, name: str) -> float:
        return self.limits[name]

    def free_bytes(self, folder: Path) -> int:  # noqa: ARG002
        return int(self.free)

    def write_speed(self, folder: Path, blocks: int = 32) -> tuple[float, float]:  # noqa: ARG002
        if isinstance(self.speed, OSError):
            raise self.speed
        return self.speed

    def sleep(self, seconds: float) -> None: ...


def commands(**changed: str | None) -> dict:
    table = {"chrony": ("chronyc", "-c", "tracking"), "power": ("vcgencmd", "get_throttled")}
    table |= {"ntp": ("timedatectl", "show", "-p", "NTPSynchronized", "--value")}
    table |= {"ptp": ("pmc", "-u", "-b", "0", "GET CURRENT_DATA_SET")}
    return {**WELL, **{table[k]: v for k, v in changed.items()}}


@pytest.mark.parametrize(
    ("told", "status", "words"),
    [
        ({}, OK, "gps.lan, 0.01 ms off"),
        ({"chrony": TRACKING.format(offset="0.000012", leap="Not synchronised")}, WARN, "chronyc sources"),
        ({"chrony": TRACKING.format(offset="-0.3", leap="Normal")}, WARN, "300.00 ms off; `chronyc makestep`"),
        ({"chrony": None, "ntp": "yes"}, OK, "synchronised"),
        ({"chrony": None, "ntp": "no"}, WARN, "not synchronised; `sudo apt-get install chrony`"),
        ({"chrony": None}, WARN, "install chrony"),
    ],
)
def test_the_clock(told: dict, status: str, words: str):
    check = system.check_clock(Ill(commands=commands(**told)))
    assert (check.status, words in check.line()) == (status, True), check


def test_a_ptp_master_is_told_where_there_is_one():
    answer = "sending: GET CURRENT_DATA_SET\n  stepsRemoved 1\n  offsetFromMaster     {}\n"
    assert system.check_ptp(Ill()) is None
    near = system.check_ptp(Ill(commands=commands(ptp=answer.format("-431.0"))))
    far = system.check_ptp(Ill(commands=commands(ptp=answer.format("3000000"))))
    assert near == Check("ptp", OK, "-0.4 us from the master")
    assert far is not None
    assert (far.status, "ptp4l" in far.remedy) == (WARN, True)


VOLT = "/sys/class/hwmon/hwmon1/name"
ALARM = "/sys/class/hwmon/hwmon1/in0_lcrit_alarm"
SYSFS = "/sys/devices/platform/soc/soc:firmware/get_throttled"


@pytest.mark.parametrize(
    ("told", "files", "status", "words"),
    [
        ("throttled=0x0", {}, OK, "no under-voltage"),
        ("throttled=0x50005", {}, FAIL, "under-voltage, throttling now"),
        ("throttled=0x50000", {}, WARN, "since it was switched on"),
        ("throttled=0x20002", {}, FAIL, "a capped frequency now"),
        (None, {SYSFS: "50000"}, WARN, "under-voltage, throttling since"),
        (None, {VOLT: "rpi_volt", ALARM: "1"}, FAIL, "under-voltage"),
        (None, {VOLT: "rpi_volt", ALARM: "0"}, OK, "no under-voltage"),
        (None, {}, OK, "does not report"),
    ],
)
def test_the_power(told: str | None, files: dict, status: str, words: str):
    check = system.check_power(Ill(commands=commands(power=told), files=files))
    assert (check.status, words in check.text) == (status, True), check
    assert (status == OK) == (not check.remedy)


@pytest.mark.parametrize(("millidegrees", "status"), [("51234", OK), ("84000", WARN), (None, OK), ("?", OK)])
def test_the_temperature(millidegrees: str | None, status: str):
    files = {"/sys/class/thermal/thermal_zone0/temp": millidegrees}
    assert system.check_heat(Ill(files=files)).status == status


@pytest.mark.parametrize(
    ("speed", "status", "words"),
    [
        ((40e6, 0.05), OK, "40.0 MB/s"),
        ((2e6, 0.05), WARN, "class A1"),
        ((40e6, 2.0), WARN, "2000 ms"),
        ((0.4e6, 0.05), FAIL, "lower the camera's bit_rate"),
        (OSError(30, "Read-only file system"), FAIL, "Read-only file system"),
    ],
)
def test_the_disk_speed(speed, status: str, words: str, tmp_path: Path):
    check = system.check_disk_speed(Ill(speed=speed), tmp_path, 0.6e6)
    assert (check.status, words in check.line()) == (status, True), check


@pytest.mark.parametrize(("minutes", "status"), [(500, OK), (30, WARN), (1, FAIL)])
def test_the_disk_room(minutes: float, status: str, tmp_path: Path):
    assert system.check_disk_room(Ill(free=minutes * 60 * 1e6), tmp_path, 1e6, 60, 2).status == status


@pytest.mark.parametrize(
    ("machine", "status", "words"),
    [
        (Ill(), OK, "pi is in"),
        (Ill(root=True, member=set()), OK, "root"),
        (Ill(member={"video", "audio", "dialout"}), FAIL, "`sudo usermod -aG i2c pi`"),
        (Ill(member={"i2c"}), WARN, "usermod -aG audio,dialout,video pi"),
    ],
)
def test_the_permissions(machine: Ill, status: str, words: str):
    check = system.check_permissions(machine, {"i2c"}, {"dialout", "video", "audio"})
    assert (check.status, words in check.line()) == (status, True), check


def test_the_real_time_limits():
    well = [c.status for c in system.check_realtime(Ill())]
    ill = list(system.check_realtime(Ill(limits={"RTPRIO": 0, "MEMLOCK": 65536})))
    assert well == [OK, OK]
    assert [c.status for c in ill] == [WARN, WARN]
    assert "pi - rtprio 50" in ill[0].remedy
    assert "pi - memlock unlimited" in ill[1].remedy


@pytest.mark.parametrize(
    ("machine", "status", "words"),
    [
        (Ill(), OK, "smbus2 1.0"),
        (Ill(absent=("smbus2",)), FAIL, "`pip install smbus2`"),
        (Ill(absent=("picamera2",)), FAIL, "--system-site-packages"),
        (Ill(version_of_python=(3, 9)), FAIL, "3.11 or newer"),
    ],
)
def test_the_versions(machine: Ill, status: str, words: str):
    check = system.check_versions(machine, {"smbus2", "picamera2"})
    assert (check.status, words in check.line()) == (status, True), check


class Bus:
    """An I2C adapter with chips that have an identity register, and nobody else."""

    def __init__(self, chips: dict[int, tuple[int, int]]) -> None:
        self.chips, self.closed = chips, False

    def write(self, address: int, data: bytes) -> None:  # noqa: ARG002
        if address not in self.chips:
            raise BusFault(Flag.NACK, "nobody")

    def write_read(self, address: int, data: bytes, n: int) -> bytes:
        register, identity = self.chips.get(address, (None, 0))
        if register is None:
            raise BusFault(Flag.NACK, "nobody")
        return bytes([identity if data[0] == register else 0]) + bytes(n - 1)

    def close(self) -> None:
        self.closed = True


class Line:
    """A UART on which a BNO055 answers, or nobody does."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer

    def write(self, data: bytes) -> None: ...

    def read(self, timeout_ns: int) -> bytes:  # noqa: ARG002
        answer, self.answer = self.answer, b""
        return answer

    def reset_input(self) -> None: ...

    def close(self) -> None: ...


BME680, BNO055 = (0xD0, 0x61), (0x00, 0xA0)
I2C = LaneConfig("i2c-1", "i2c", "/dev/i2c-1")


@pytest.mark.parametrize(
    ("chips", "status", "words"),
    [
        ({0x77: BME680}, OK, "a bme680 at 0x77 on i2c-1"),
        ({0x76: BME680}, OK, "a bme680 at 0x76"),
        ({}, FAIL, "check its power and its wires"),
        ({0x77: (0xD0, 0x60)}, FAIL, "no bme680 answers"),
    ],
)
def test_a_configured_chip_is_asked_who_it_is(chips: dict, status: str, words: str):
    kit = read_kit(EXAMPLE).sensors
    at = next(iter(chips), 0x77)
    sensors = tuple(replace(s, address=at) for s in kit.sensors if s.model == "bme680")
    port = Bus(chips)
    (check,) = check_lane(replace(kit, sensors=sensors), I2C, lambda _: port, FakeClock(0))
    assert (check.status, words in check.line()) == (status, True), check
    assert port.closed


def test_a_chip_at_its_other_address_is_found_there():
    kit = read_kit(EXAMPLE).sensors
    sensors = tuple(replace(s, address=0x77) for s in kit.sensors if s.model == "bme680")
    (check,) = check_lane(replace(kit, sensors=sensors), I2C, lambda _: Bus({0x76: BME680}), FakeClock(0))
    assert (check.status, check.remedy) == (FAIL, "set `address = 0x76`")


def test_a_serial_line_with_and_without_its_sensor():
    kit = read_kit(EXAMPLE).sensors
    lane = next(lane for lane in kit.lanes if lane.bus == "uart")
    answering = check_lane(kit, lane, lambda _: Line(b"\xbb\x01\xa0"), FakeClock(0))
    silent = check_lane(kit, lane, lambda _: Line(b""), FakeClock(0))
    assert [c.status for c in answering] == [OK]
    assert [c.status for c in silent] == [FAIL]
    assert "PS1" in silent[0].remedy


def broken(_: LaneConfig):
    raise PortError("/dev/i2c-1 may not be opened by this user; add them to the group 'i2c' and log in again")


def test_a_bus_that_cannot_be_opened_is_one_failure():
    kit = read_kit(EXAMPLE).sensors
    assert [c.status for c in check_lane(kit, kit.lanes[0], broken, FakeClock(0))] == [FAIL]
    assert scan(I2C, broken, FakeClock(0))[1].status == FAIL


def test_a_scan_names_who_is_there_and_speaks_to_nobody_else():
    found, check = scan(I2C, lambda _: Bus({0x77: BME680, 0x28: BNO055, 0x50: (0, 1)}), FakeClock(0))
    assert [(f.model, f.address) for f in found] == [("bno055", 0x28), ("bme680", 0x77)]
    assert (check.status, check.text) == (OK, "bno055 at 0x28, bme680 at 0x77")
    assert check_found([]).status == WARN
    assert check_found(found).status == OK


class Playing:
    """A camera or microphone that gives what it has at once, or cannot be opened."""

    def __init__(self, items: list, problem: str = "") -> None:
        self.items, self.problem = items, problem

    def start(self, sink) -> None:
        if self.problem:
            raise PortError(self.problem)
        for item in self.items:
            sink(item)

    def stop(self) -> None: ...

    def preview(self) -> None: ...


def pictures(fps: float, n: int = 60, skip: tuple = (), keyframe: bool = True) -> list[EncodedFrame]:
    period = 1e9 / fps
    return [EncodedFrame(bytes(16_000), round(k * period), keyframe and k == 0) for k in range(n) if k not in skip]


def blocks(x: np.ndarray, overflowed: bool = False) -> list[SoundBlock]:
    return [SoundBlock(0, x.astype(np.int32), 0, overflowed)]


@pytest.mark.parametrize(
    ("camera", "status", "words"),
    [
        (Playing(pictures(30)), OK, "30.00 frames/s, 0 lost, 3.9 Mbit/s"),
        (Playing(pictures(15)), WARN, "30 are configured"),
        (Playing(pictures(30, skip=(20, 21))), WARN, "2 lost"),
        (Playing(pictures(30, keyframe=False)), FAIL, "no keyframe"),
        (Playing([]), FAIL, "0 frames in 2 s"),
        (Playing([], "no camera was found; check the ribbon cable"), FAIL, "ribbon cable"),
    ],
)
def test_the_camera(camera: Playing, status: str, words: str):
    check = check_camera(CameraConfig(), camera, lambda _: None)
    assert (check.status, words in check.line()) == (status, True), check


NOISE = np.random.default_rng(0).normal(0, 2**15, 96_000)


@pytest.mark.parametrize(
    ("microphone", "status", "words"),
    [
        (Playing(blocks(NOISE)), OK, "48000 Hz, -48 dBFS"),
        (Playing(blocks(NOISE * 0 + 12_000)), WARN, "silence"),
        (Playing(blocks((NOISE * 200).clip(-(2**23), 2**23 - 1))), WARN, "clipping"),
        (Playing(blocks(NOISE, overflowed=True)), WARN, "samples lost"),
        (Playing([]), FAIL, "no sound in 2 s"),
        (Playing([], "microphone 'hw:1,0' cannot be opened"), FAIL, "hw:1,0"),
    ],
)
def test_the_microphone(microphone: Playing, status: str, words: str):
    check = check_microphone(MicrophoneConfig(), microphone, lambda _: None)
    assert (check.status, words in check.line()) == (status, True), check


def doors(camera: Playing, microphone: Playing, lane) -> Doors:
    return Doors(FakeClock(0), lane, lambda _: camera, lambda _: microphone)


def test_a_kit_is_examined_from_versions_to_real_time(tmp_path: Path):
    kit = read_kit(EXAMPLE)
    (address,) = (address_of(s) for s in kit.sensors.sensors if s.model == "bme680")
    ports = {"i2c": Bus({address: BME680}), "uart": Line(b"\xbb\x01\xa0")}
    well = doors(Playing(pictures(30)), Playing(blocks(NOISE)), lambda lane: ports[lane.bus])
    report = examine_kit(kit, Ill(), tmp_path, well)
    states = {c.name: c.status for c in report.checks}
    ill = {name for name, status in states.items() if status != OK}
    assert ill == {s.name for s in kit.sensors.sensors} - {"bme680", "bno055"}, "configured, and they do not answer"
    assert {"versions", "permissions", "bme680", "bno055", "camera", "microphone", "disk speed", "clock"} <= set(states)
    assert failed(report.checks)


def test_without_a_kit_file_what_is_absent_is_a_warning_and_what_is_there_is_written(tmp_path: Path):
    machine = Ill(files={"/dev/i2c-1": "", "/dev/ttyAMA0": ""}, absent=("picamera2",))
    ports = {"i2c": Bus({0x77: BME680, 0x76: BME680}), "uart": Line(b"\xbb\x01\xa0")}
    camera = Playing([], "no camera")
    report = examine_machine(machine, tmp_path, doors(camera, Playing(blocks(NOISE)), lambda lane: ports[lane.bus]))
    assert not failed(report.checks)
    assert next(c for c in report.checks if c.name == "camera").status == WARN
    (tmp_path / "kit.toml").write_text(kit_text(report))
    kit = read_kit(tmp_path / "kit.toml")
    named = [(s.name, s.model, s.lane, s.address) for s in kit.sensors.sensors]
    assert named == [
        ("bme680-1", "bme680", "i2c-1", 0x76),
        ("bme680-2", "bme680", "i2c-1", 0x77),
        ("bno055", "bno055", "uart-0", None),
    ]
    assert kit.camera is None
    assert kit.microphone == MicrophoneConfig()
    plan(kit.sensors)


def test_a_camera_that_was_found_is_written_with_its_device(tmp_path: Path):
    report = Report((), (Found(I2C, "bme680", 0x77),), CameraConfig(device="/dev/video0"), None)
    (tmp_path / "kit.toml").write_text(kit_text(report, "kit-07"))
    kit = read_kit(tmp_path / "kit.toml")
    assert (kit.name, kit.camera, kit.microphone) == ("kit-07", CameraConfig(device="/dev/video0"), None)


def test_a_latency_is_kept_once_and_every_other_line_stays(tmp_path: Path):
    path = tmp_path / "kit.toml"
    path.write_text(EXAMPLE.read_text())
    before = path.read_text().splitlines()
    keep_latency(path, 12.5, 1.5)
    keep_latency(path, 31.25, 0.75)
    camera = read_kit(path).camera
    assert camera is not None
    assert (camera.latency_ms, camera.latency_sigma_ms) == (31.25, 0.75)
    assert [line for line in path.read_text().splitlines() if "latency" not in line] == before


def test_the_real_machine_answers_every_question(tmp_path: Path):
    machine = Machine()
    assert machine.run("true") == ""
    assert machine.run("false") is None
    assert machine.run("no-such-command") is None
    assert machine.read(str(tmp_path / "none")) is None
    assert machine.version("numpy")
    assert machine.version("no-such-package") is None
    assert machine.python() >= (3, 11)
    assert machine.paths(f"{tmp_path}/*") == []
    assert machine.limit("NOFILE") > 0
    assert machine.free_bytes(tmp_path) > 0
    speed, slowest_s = machine.write_speed(tmp_path, blocks=2)
    assert speed > 0
    assert slowest_s > 0
    assert list(tmp_path.iterdir()) == []
    assert isinstance(machine.groups(), set)
    assert machine.user()


def test_the_command_prints_one_document_and_fails_where_a_check_does(tmp_path: Path, run_syncctl):
    """On this machine, which has no kit: the buses of the example cannot be opened."""
    result = run_syncctl("doctor", "--config", EXAMPLE, "--folder", tmp_path, "--json")
    assert result.returncode == 1
    document = json.loads(result.stdout)
    assert document["failed"]
    by_name = {c["name"]: c for c in document["checks"]}
    assert by_name["i2c-1"]["status"] == FAIL
    assert "raspi-config" in by_name["i2c-1"]["text"]
    assert all(c["status"] in (OK, WARN, FAIL) for c in document["checks"])


def test_the_command_writes_a_kit_file_and_overwrites_none(tmp_path: Path, run_syncctl):
    target = tmp_path / "kit.toml"
    result = run_syncctl("doctor", "--write-config", target, "--folder", tmp_path)
    assert target.exists(), result.stderr
    assert read_kit(target).name == "kit-01"
    again = run_syncctl("doctor", "--write-config", target)
    assert again.returncode == 1
    assert "exists; give a new name" in again.stderr
    both = run_syncctl("doctor", "--write-config", tmp_path / "k2.toml", "--config", target)
    assert both.returncode == 2


def test_claps_are_measured_and_kept(tmp_path: Path, monkeypatch, capsys):
    import syncctl

    path = tmp_path / "kit.toml"
    path.write_text(EXAMPLE.read_text())
    asked = []

    def measured(session: Path) -> ClapResult:
        asked.append(session)
        return ClapResult(23_400_000, 900_000, 11, 9.0, 20.0)

    monkeypatch.setattr("recorder.clap.measure_clap", measured)
    with pytest.raises(SystemExit) as left:
        syncctl.main(["doctor", "--config", str(path), "--clap", str(tmp_path / "claps"), "--json"])
    assert left.value.code == 0
    assert asked == [tmp_path / "claps"]
    assert json.loads(capsys.readouterr().out)["latency_ms"] == 23.4
    camera = read_kit(path).camera
    assert camera is not None
    assert (camera.latency_ms, camera.latency_sigma_ms) == (23.4, 0.9)


def test_claps_are_recorded_where_no_session_is_given(tmp_path: Path, monkeypatch):
    import syncctl

    path = tmp_path / "kit.toml"
    path.write_text(EXAMPLE.read_text())
    recorded = []
    monkeypatch.setattr("recorder.run.record_kit", lambda folder, config, **_: recorded.append((folder.name, config)))
    monkeypatch.setattr("recorder.clap.measure_clap", lambda _: ClapResult(1_000_000, 100_000, 12, 9.0, 20.0))
    with pytest.raises(SystemExit) as left:
        syncctl.main(["doctor", "--config", str(path), "--clap"])
    assert left.value.code == 0
    assert recorded == [("clap", path)]
    with pytest.raises(SystemExit) as left:
        syncctl.main(["doctor", "--clap"])
    assert left.value.code == 2
