"""All checks of a doctor, in the order in which a person would mend what they find."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from firmware_host.clock import Clock, MonotonicClock
from firmware_host.ports import open_lane
from firmware_host.schedule import plan
from firmware_host.spec import LaneConfig
from recorder.camera import Camera
from recorder.config import CameraConfig, DiskConfig, KitFile, MicrophoneConfig
from recorder.disk import expected_bytes_per_s
from recorder.doctor import buses, devices, system
from recorder.doctor.check import FAIL, WARN, Check
from recorder.doctor.machine import Machine
from recorder.microphone import Microphone, open_microphone
from recorder.rawcamera import open_camera
from recorder.run import sensor_layouts
from recorder.writer import KitLayout

USUAL_BYTES_PER_S = 600_000.0
"""A room kit with picture and sound, where no kit file says otherwise."""
_I2C, _UARTS = "/dev/i2c-*", ("/dev/serial/by-id/*", "/dev/ttyAMA*", "/dev/serial0")
_WISHED = {"i2c", "dialout", "video", "audio"}


def _camera(config: CameraConfig) -> Camera:
    return open_camera(config, MonotonicClock())


@dataclass(frozen=True)
class Doors:
    """How hardware is opened; nothing is until a check does."""

    clock: Clock = field(default_factory=MonotonicClock)
    lane: buses.OpenLane = open_lane
    camera: Callable[[CameraConfig], Camera] = _camera
    microphone: Callable[[MicrophoneConfig], Microphone] = open_microphone


@dataclass(frozen=True)
class Report:
    """What a doctor found. `camera` and `microphone` are configurations that gave pictures and sound."""

    checks: tuple[Check, ...]
    sensors: tuple[buses.Found, ...] = ()
    camera: CameraConfig | None = None
    microphone: MicrophoneConfig | None = None


def examine_kit(kit: KitFile, machine: Machine, folder: Path, doors: Doors) -> Report:
    """Check what a kit file asks for. `folder` is on the disk that will be recorded to."""
    checks = [system.check_versions(machine, _packages(kit)), system.check_permissions(machine, _groups(kit), set())]
    for lane in kit.sensors.lanes:
        if kit.sensors.on(lane):
            checks += buses.check_lane(kit.sensors, lane, doors.lane, doors.clock)
    if kit.camera:
        checks.append(devices.check_camera(kit.camera, doors.camera(kit.camera), machine.sleep))
    if kit.microphone:
        checks.append(devices.check_microphone(kit.microphone, doors.microphone(kit.microphone), machine.sleep))
    checks += _machine_checks(machine, folder, _bytes_per_s(kit), kit.disk)
    return Report(tuple(checks), camera=kit.camera, microphone=kit.microphone)


def examine_machine(machine: Machine, folder: Path, doors: Doors) -> Report:
    """Look for whatever is connected; what is absent is a warning, since nobody asked for it."""
    checks = [system.check_versions(machine, set()), system.check_permissions(machine, set(), _WISHED)]
    sensors: list[buses.Found] = []
    for lane in _lanes(machine):
        found, check = buses.scan(lane, doors.lane, doors.clock)
        sensors += found
        checks.append(check)
    checks.append(buses.check_found(sensors))
    camera = CameraConfig(device=_camera_device(machine))
    microphone = MicrophoneConfig()
    seen = devices.check_camera(camera, doors.camera(camera), machine.sleep)
    heard = devices.check_microphone(microphone, doors.microphone(microphone), machine.sleep)
    checks += [replace(c, status=WARN) if c.status == FAIL else c for c in (seen, heard)]
    checks += _machine_checks(machine, folder, USUAL_BYTES_PER_S, DiskConfig())
    return Report(
        tuple(checks),
        tuple(sensors),
        camera if seen.status != FAIL else None,
        microphone if heard.status != FAIL else None,
    )


def _machine_checks(machine: Machine, folder: Path, needed: float, disk: DiskConfig) -> Iterator[Check]:
    yield system.check_disk_speed(machine, folder, needed)
    yield system.check_disk_room(machine, folder, needed, disk.warn_minutes, disk.stop_minutes)
    yield system.check_clock(machine)
    if (ptp := system.check_ptp(machine)) is not None:
        yield ptp
    yield system.check_power(machine)
    yield system.check_heat(machine)
    yield from system.check_realtime(machine)


def _packages(kit: KitFile) -> set[str]:
    by_bus = {"i2c": "smbus2", "uart": "pyserial"}
    needed = {by_bus[lane.bus] for lane in kit.sensors.lanes if kit.sensors.on(lane)}
    if kit.microphone:
        needed.add("sounddevice")
    if kit.camera and not kit.camera.device:
        needed.add("picamera2")
    return needed


def _groups(kit: KitFile) -> set[str]:
    by_bus = {"i2c": "i2c", "uart": "dialout"}
    needed = {by_bus[lane.bus] for lane in kit.sensors.lanes if kit.sensors.on(lane)}
    return needed | ({"video"} if kit.camera else set()) | ({"audio"} if kit.microphone else set())


def _bytes_per_s(kit: KitFile) -> float:
    camera, microphone = kit.camera, kit.microphone
    layout = KitLayout(
        kit.name,
        sensor_layouts(plan(kit.sensors), kit.sensors),
        fps=camera.fps if camera else None,
        sound_hz=microphone.rate_hz if microphone else None,
    )
    return expected_bytes_per_s(layout, camera.bit_rate if camera else 0)


def _lanes(machine: Machine) -> Iterator[LaneConfig]:
    """A lane for every bus of this machine, named after its device."""
    for device in machine.paths(_I2C):
        yield LaneConfig(device.rsplit("/", 1)[1], "i2c", device)
    seen = [path for pattern in _UARTS for path in machine.paths(pattern)]
    for n, device in enumerate(seen):
        yield LaneConfig(f"uart-{n}", "uart", device)


def _camera_device(machine: Machine) -> str:
    """The Pi's own where picamera2 is installed, otherwise the first V4L2 device."""
    if machine.version("picamera2") is not None:
        return ""
    return next(iter(machine.paths("/dev/video*")), "")
