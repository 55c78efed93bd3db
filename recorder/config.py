"""`kit.toml`: what a kit is made of, checked word by word and, before anything is opened, as a whole.

Tables are dataclasses; a new table is a dataclass and a field of `KitFile`. Everything that is wrong is told at once,
each with its line, its place and, where a name does not exist, the nearest one that does.
"""

from __future__ import annotations

import re
import tomllib
import types
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

from firmware_host.errors import ConfigError, unknown_name
from firmware_host.schedule import make_sensor, plan
from firmware_host.spec import KitConfig, LaneConfig, SensorConfig
from recorder.session import ROLES

Table = TypeVar("Table")
Place = tuple[str | int, ...]
"""Keys and indices from the document's root: ``("sensors", 1, "address")``."""
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


class _Wrong(Exception):  # noqa: N818  collected, and never seen outside this module
    """What is wrong at a place."""

    def __init__(self, place: Place, what: str) -> None:
        super().__init__(what)
        self.place = place


def read_kit(path: Path) -> KitFile:
    """Read and check a kit file, up to the plan of its buses.

    Raises:
        ConfigError: missing, not TOML, or one line for each unknown name, value of the wrong kind, sensor option that
            does not exist, and sensor that has no room on its lane.
    """
    try:
        text = path.read_text(encoding="utf-8")
        document = tomllib.loads(text)
    except FileNotFoundError as error:
        raise ConfigError(f"{path} does not exist; docs/kit.toml is an example to start from") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error
    wrong: list[_Wrong] = []
    kit = _kit(document, wrong)
    if kit is not None and not wrong:
        wrong += _judge(kit)
    if kit is None or wrong:
        told = sorted((line_of(text, w.place) or 0, f"{_said(document, w.place)}{w}") for w in wrong)
        raise ConfigError("\n".join(f"{path}{f' line {line}' if line else ''}: {what}" for line, what in told))
    return kit


def line_of(text: str, place: Place) -> int | None:
    """The line of a TOML document at which a place comes to be, counted from 1; None where it is not there.

    tomllib keeps no lines. But the lines up to n are a document themselves wherever no value is left open, so the
    first n whose document has the place is the answer, by the grammar of tomllib and no other.
    """
    lines = text.splitlines(keepends=True)
    for n in range(1, len(lines) + 1) if place else ():
        try:
            document = tomllib.loads("".join(lines[:n]))
        except tomllib.TOMLDecodeError:
            continue  # in the middle of a value
        if _at(document, place) is not None:
            return n
    return None


def _kit(document: Mapping[str, Any], wrong: list[_Wrong]) -> KitFile | None:
    rest = dict(document)
    lanes = list(_tables(LaneConfig, rest.pop("lanes", []), "lanes", wrong))
    sensors = list(_tables(SensorConfig, rest.pop("sensors", []), "sensors", wrong))
    return _table(KitFile, {**rest, "sensors": KitConfig(tuple(lanes), tuple(sensors))}, (), wrong)


def _tables(kind: type[Table], values: Any, name: str, wrong: list[_Wrong]) -> Iterator[Table]:
    if not isinstance(values, list):
        wrong.append(_Wrong((name,), f"it must be written as tables, [[{name}]]"))
        return
    for i, value in enumerate(values):
        table = _table(kind, value, (name, i), wrong)
        if table is not None:
            yield table


def _table(kind: type[Table], value: Any, place: Place, wrong: list[_Wrong]) -> Table | None:
    """The dataclass that a table describes; None, and what is wrong with it, where it does not."""
    if not isinstance(value, Mapping):
        wrong.append(_Wrong(place, f"{value!r} is not a table"))
        return None
    before = len(wrong)
    hints = get_type_hints(kind)
    known = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    made: dict[str, Any] = {}
    for name, given in value.items():
        if name not in known:
            wrong.append(_Wrong((*place, name), unknown_name("key", name, known)))
        else:
            made[name] = _value(hints[name], given, (*place, name), wrong)
    for name, wanted in known.items():
        if name not in value and wanted.default is MISSING and wanted.default_factory is MISSING:
            wrong.append(_Wrong(place, f"the key '{name}' is missing"))
    return kind(**made) if len(wrong) == before else None


_IN_WORDS = {int: "a whole number", float: "a number", str: "text in quotes", bool: "true or false"}


def _value(hint: Any, given: Any, place: Place, wrong: list[_Wrong]) -> Any:
    """A value of the kind that the dataclass says. Plain kinds are checked, nested dataclasses are tables."""
    kind: Any = hint
    if isinstance(hint, types.UnionType):
        kind = next(k for k in get_args(hint) if k is not type(None))
    if isinstance(kind, type) and is_dataclass(kind) and not is_dataclass(given):
        return _table(kind, given, place, wrong)
    plain: dict[Any, tuple[type, ...]] = {int: (int,), str: (str,), float: (int, float), bool: (bool,)}
    fits = isinstance(given, plain.get(kind, (object,))) and (kind is bool or not isinstance(given, bool))
    if kind in plain and not fits:
        wrong.append(_Wrong(place, f"{place[-1]} is {given!r}; it must be {_IN_WORDS[kind]}"))
    return given


def _judge(kit: KitFile) -> Iterator[_Wrong]:
    """What is wrong although every word is right."""
    if not _FILE_NAME.fullmatch(kit.name):
        yield _Wrong(("name",), f"'{kit.name}' names files; use letters, digits, '.', '_' and '-'")
    if kit.role not in ROLES:
        yield _Wrong(("role",), unknown_name("role", kit.role, ROLES))
    if kit.camera and (kit.camera.width % 2 or kit.camera.height % 2):
        size = f"{kit.camera.width}x{kit.camera.height}"
        yield _Wrong(("camera",), f"pictures of {size} cannot be encoded; both must be even")
    for name, table in (("camera", kit.camera), ("microphone", kit.microphone)):
        for key, value in vars(table).items() if table else ():
            if isinstance(value, int) and not isinstance(value, bool) and value <= 0 and key != "latency_ms":
                yield _Wrong((name, key), f"{key} is {value}; it must be positive")
    if kit.camera and (kit.camera.latency_ms is None) != (kit.camera.latency_sigma_ms is None):
        yield _Wrong(("camera",), "latency_ms and latency_sigma_ms must be given together")
    if kit.microphone and kit.microphone.channel > kit.microphone.channels:
        what = f"channel {kit.microphone.channel} of {kit.microphone.channels} does not exist; raise channels"
        yield _Wrong(("microphone",), what)
    if not 0 <= kit.disk.stop_minutes <= kit.disk.warn_minutes:
        yield _Wrong(("disk",), "stop_minutes must be from 0 to warn_minutes")
    for name, pin in (("button", kit.button), ("led", kit.led)):
        if pin is not None and not 0 <= pin.gpio <= 27:
            yield _Wrong((name, "gpio"), f"gpio is {pin.gpio}; a Pi's header has GPIO 0 to 27")
    if kit.button and kit.led and kit.button.gpio == kit.led.gpio:
        yield _Wrong(("led", "gpio"), f"button and LED are both at GPIO {kit.led.gpio}; give each its own")
    yield from _judge_sensors(kit.sensors)


def _judge_sensors(kit: KitConfig) -> Iterator[_Wrong]:
    fine = True
    for i, sensor in enumerate(kit.sensors):
        try:
            make_sensor(sensor)
        except ConfigError as error:
            fine = False
            yield _Wrong(("sensors", i, "options" if sensor.options else "model"), _bare(str(error), sensor.name))
    if fine:
        try:
            plan(kit)
        except ConfigError as error:  # one at a time: each refusal stands in the way of the next
            yield _meant(kit, str(error))


def _meant(kit: KitConfig, sentence: str) -> _Wrong:
    """A refusal of the planner, at the sensor or lane that it begins with."""
    places: list[tuple[Place, str]] = [(("sensors", i), s.name) for i, s in enumerate(kit.sensors)]
    places += [(("lanes", i), lane.name) for i, lane in enumerate(kit.lanes)]
    for place, name in places:
        if re.match(rf"((sensor|lane) )?'?{re.escape(name)}\b", sentence):
            return _Wrong(place, _bare(sentence, name))
    return _Wrong((), sentence)


def _bare(sentence: str, name: str) -> str:
    """A sentence about a sensor or lane without its name in front, which its place says already."""
    return re.sub(rf"^((sensor|lane) )?'?{re.escape(name)}'?: ", "", sentence)


def _said(document: Mapping[str, Any], place: Place) -> str:
    """The table a place is in, as a person would say it: ``sensors[1] 'bme680': ``."""
    tables = place if isinstance(_at(document, place), Mapping) else place[:-1]
    text = ""
    for step in tables:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    name = _at(document, (*place[:2], "name")) if len(place) > 1 and isinstance(place[1], int) else None
    named = f" '{name}'" if isinstance(name, str) else ""
    return f"{text}{named}: " if text else ""


def _at(document: Any, place: Place) -> Any:
    for step in place:
        try:
            document = document[step]
        except (KeyError, IndexError, TypeError):
            return None
    return document
