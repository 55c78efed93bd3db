"""`kit.toml`: what a kit is made of, checked word by word and, before anything is opened, as a whole.

Tables are dataclasses; a new table is a dataclass and a field of `KitFile`. Everything that is wrong is told at once,
each with its line, its place and, where a name does not exist, the nearest one that does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from firmware_host.errors import ConfigError, unknown_name
from firmware_host.schedule import make_sensor, plan
from firmware_host.spec import KitConfig, LaneConfig, SensorConfig
from recorder.session import ROLES
from recorder.tomlfile import Place, Wrong, read, refusal, table, tables

_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class CameraConfig:
    """A camera: size in pixels, frames per second, bits per second.

    Attributes:
        device: empty for the Pi's own camera, ``/dev/video0`` for a V4L2 or USB camera, or a video file to be played.
        latency_ms: how much later it stamps an event than the microphone does, as `recorder.clap` measures it.
        latency_sigma_ms: standard deviation of `latency_ms`.
    """

    device: str = ""
    width: int = 1280
    height: int = 720
    fps: int = 30
    bit_rate: int = 4_000_000
    latency_ms: float | None = None
    latency_sigma_ms: float | None = None


@dataclass(frozen=True)
class MicrophoneConfig:
    """A microphone: PortAudio's name for it (empty for the default) and its nominal rate.

    Attributes:
        channels: how many the device is opened with; I2S devices have two.
        channel: the one the microphone is on, counted from 1 (left).
        low_bits: its 24 bits are at the low end of words of 32.
    """

    device: str = ""
    rate_hz: int = 48_000
    channels: int = 1
    channel: int = 1
    low_bits: bool = False


@dataclass(frozen=True)
class DiskConfig:
    """Minutes of recording that still fit on the disk: below the first a warning, below the second a clean end."""

    warn_minutes: float = 60.0
    stop_minutes: float = 2.0


@dataclass(frozen=True)
class SpeakerConfig:
    """A loudspeaker for the tones: PortAudio's name for it, empty for the default."""

    device: str = ""


@dataclass(frozen=True)
class ButtonConfig:
    """A push button between a GPIO and ground, by its Broadcom number."""

    gpio: int


@dataclass(frozen=True)
class LedConfig:
    """An LED behind a resistor at a GPIO, by its Broadcom number."""

    gpio: int


@dataclass(frozen=True)
class KitFile:
    """A whole `kit.toml`.

    Attributes:
        name: of the kit, its file and its clock.
        role: one of `recorder.session.ROLES`.
        sensors: the tables `[[lanes]]` and `[[sensors]]`.
        wearer: participant who wears it.
        view: view number in the HOMAGE sense.
        tone_distance_m: from the speaker of the tones to this kit's microphone.
    """

    name: str
    role: str
    sensors: KitConfig
    camera: CameraConfig | None = None
    microphone: MicrophoneConfig | None = None
    disk: DiskConfig = field(default_factory=DiskConfig)
    speaker: SpeakerConfig | None = None
    button: ButtonConfig | None = None
    led: LedConfig | None = None
    wearer: str | None = None
    view: str | None = None
    tone_distance_m: float | None = None


def read_kit(path: Path) -> KitFile:
    """Read and check a kit file, up to the plan of its buses.

    Raises:
        ConfigError: missing, not TOML, or one line for each unknown name, value of the wrong kind, sensor option that
            does not exist, and sensor that has no room on its lane.
    """
    text, document = read(path, "docs/kit.toml is an example to start from")
    wrong: list[Wrong] = []
    kit = _kit(document, wrong)
    if kit is not None and not wrong:
        wrong += _judge(kit)
    if kit is None or wrong:
        raise refusal(path, text, document, wrong)
    return kit


def _kit(document: Mapping[str, Any], wrong: list[Wrong]) -> KitFile | None:
    rest = dict(document)
    lanes = list(tables(LaneConfig, rest.pop("lanes", []), "lanes", wrong))
    sensors = list(tables(SensorConfig, rest.pop("sensors", []), "sensors", wrong))
    return table(KitFile, {**rest, "sensors": KitConfig(tuple(lanes), tuple(sensors))}, (), wrong)


def _judge(kit: KitFile) -> Iterator[Wrong]:
    """What is wrong although every word is right."""
    if not _FILE_NAME.fullmatch(kit.name):
        yield Wrong(("name",), f"'{kit.name}' names files; use letters, digits, '.', '_' and '-'")
    if kit.role not in ROLES:
        yield Wrong(("role",), unknown_name("role", kit.role, ROLES))
    if kit.camera and (kit.camera.width % 2 or kit.camera.height % 2):
        size = f"{kit.camera.width}x{kit.camera.height}"
        yield Wrong(("camera",), f"pictures of {size} cannot be encoded; both must be even")
    for name, device in (("camera", kit.camera), ("microphone", kit.microphone)):
        for key, value in vars(device).items() if device else ():
            if isinstance(value, int) and not isinstance(value, bool) and value <= 0 and key != "latency_ms":
                yield Wrong((name, key), f"{key} is {value}; it must be positive")
    if kit.camera and (kit.camera.latency_ms is None) != (kit.camera.latency_sigma_ms is None):
        yield Wrong(("camera",), "latency_ms and latency_sigma_ms must be given together")
    if kit.microphone and kit.microphone.channel > kit.microphone.channels:
        what = f"channel {kit.microphone.channel} of {kit.microphone.channels} does not exist; raise channels"
        yield Wrong(("microphone",), what)
    if not 0 <= kit.disk.stop_minutes <= kit.disk.warn_minutes:
        yield Wrong(("disk",), "stop_minutes must be from 0 to warn_minutes")
    for name, pin in (("button", kit.button), ("led", kit.led)):
        if pin is not None and not 0 <= pin.gpio <= 27:
            yield Wrong((name, "gpio"), f"gpio is {pin.gpio}; a Pi's header has GPIO 0 to 27")
    if kit.button and kit.led and kit.button.gpio == kit.led.gpio:
        yield Wrong(("led", "gpio"), f"button and LED are both at GPIO {kit.led.gpio}; give each its own")
    yield from _judge_sensors(kit.sensors)


def _judge_sensors(kit: KitConfig) -> Iterator[Wrong]:
    fine = True
    for i, sensor in enumerate(kit.sensors):
        try:
            make_sensor(sensor)
        except ConfigError as error:
            fine = False
            yield Wrong(("sensors", i, "options" if sensor.options else "model"), _bare(str(error), sensor.name))
    if fine:
        try:
            plan(kit)
        except ConfigError as error:  # one at a time: each refusal stands in the way of the next
            yield _meant(kit, str(error))


def _meant(kit: KitConfig, sentence: str) -> Wrong:
    """A refusal of the planner, at the sensor or lane that it begins with."""
    places: list[tuple[Place, str]] = [(("sensors", i), s.name) for i, s in enumerate(kit.sensors)]
    places += [(("lanes", i), lane.name) for i, lane in enumerate(kit.lanes)]
    for place, name in places:
        if re.match(rf"((sensor|lane) )?'?{re.escape(name)}\b", sentence):
            return Wrong(place, _bare(sentence, name))
    return Wrong((), sentence)


def _bare(sentence: str, name: str) -> str:
    """A sentence about a sensor or lane without its name in front, which its place says already."""
    return re.sub(rf"^((sensor|lane) )?'?{re.escape(name)}'?: ", "", sentence)
