"""`kit.toml`: what a kit is made of, checked word by word.

Tables are dataclasses; a name that none of them has is an error with its path and the nearest name that exists.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from firmware_host.errors import ConfigError, unknown_name
from firmware_host.spec import KitConfig, LaneConfig, SensorConfig
from recorder.session import ROLES

Table = TypeVar("Table")


@dataclass(frozen=True)
class CameraConfig:
    """A Pi camera: size in pixels, frames per second, bits per second."""

    width: int = 1280
    height: int = 720
    fps: int = 30
    bit_rate: int = 4_000_000


@dataclass(frozen=True)
class MicrophoneConfig:
    """A microphone: PortAudio's name for it (empty for the default) and its nominal rate."""

    device: str = ""
    rate_hz: int = 48_000


@dataclass(frozen=True)
class KitFile:
    """A whole `kit.toml`.

    Attributes:
        name: of the kit, its file and its clock.
        role: one of `recorder.session.ROLES`.
        wearer: participant who wears it.
        view: view number in the HOMAGE sense.
        tone_distance_m: from the speaker of the tones to this kit's microphone.
    """

    name: str
    role: str
    sensors: KitConfig
    camera: CameraConfig | None = None
    microphone: MicrophoneConfig | None = None
    wearer: str | None = None
    view: str | None = None
    tone_distance_m: float | None = None


def read_kit(path: Path) -> KitFile:
    """Read and check a kit file.

    Raises:
        ConfigError: missing, not TOML (with the line), an unknown name (with the nearest), or a value of the wrong
            kind.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"{path} does not exist; docs/kit.toml is an example to start from") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error
    return kit_from(document, str(path))


def kit_from(document: Mapping[str, Any], where: str) -> KitFile:
    """The kit that a parsed TOML document describes; `where` begins the sentence of an error."""
    rest = dict(document)
    lanes = [_table(LaneConfig, t, f"{where}: lanes[{i}]") for i, t in enumerate(rest.pop("lanes", []))]
    sensors = [_table(SensorConfig, t, f"{where}: sensors[{i}]") for i, t in enumerate(rest.pop("sensors", []))]
    rest["sensors"] = KitConfig(tuple(lanes), tuple(sensors))
    for name, kind in (("camera", CameraConfig), ("microphone", MicrophoneConfig)):
        if name in rest:
            rest[name] = _table(kind, rest[name], f"{where}: {name}")
    kit = _table(KitFile, rest, where)
    if kit.role not in ROLES:
        raise ConfigError(f"{where}: role: {unknown_name('role', kit.role, ROLES)}")
    return kit


def _table(kind: type[Table], value: Any, where: str) -> Table:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where} is {value!r}; it must be a table")
    known = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    for name, given in value.items():
        if name not in known:
            raise ConfigError(f"{where}: {unknown_name('key', name, known)}")
        _check_kind(known[name].type, given, f"{where}.{name}")
    for name, field in known.items():
        if name not in value and field.default is MISSING and field.default_factory is MISSING:
            raise ConfigError(f"{where}: the key '{name}' is missing")
    return kind(**value)


def _check_kind(annotation: Any, given: Any, where: str) -> None:
    """Refuse plain values of another kind than the dataclass says; nested tables were checked on their own."""
    plain: dict[str, tuple[type, ...]] = {"int": (int,), "str": (str,), "float": (int, float)}
    name = str(annotation).removesuffix(" | None")
    if name in plain and (not isinstance(given, plain[name]) or isinstance(given, bool)):
        raise ConfigError(f"{where} is {given!r}; it must be of type {name}")
