"""A session folder: what is in it, read and checked.

`session.json` is written when a recording starts and sealed when it ends. Everything a later room needs to
know about a file is here: which device made it, what that device was for, on which clock its times are, and
when each stream began on that clock.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from firmware_host.errors import SessionError, unknown_name
from firmware_host.spec import Channel, TrackSpec
from recorder import durable
from recorder.log import read_log
from recorder.samplerate import fit_rate

VERSION = 1
MANIFEST = "session.json"
ROLES = ("third", "ego", "body", "eye", "other")
KINDS = ("kit", "gopro", "eye_tracker", "media")


Entry = TypeVar("Entry", "Session", "Device", "Stream")
_GOOD: dict[str, Callable[[Any], bool]] = {
    "str": lambda v: isinstance(v, str),
    "bool": lambda v: isinstance(v, bool),
    "int": lambda v: type(v) is int and abs(v) < 2**62,
    "float": lambda v: type(v) in (int, float) and 0 <= v < 1e18,
    "dict[str, Any]": lambda v: isinstance(v, dict),
    "dict[str, dict[str, Any]]": lambda v: isinstance(v, dict) and all(isinstance(x, dict) for x in v.values()),
    "tuple[str, ...]": lambda v: all(isinstance(x, str) for x in v),
    "tuple[int, int]": lambda v: len(v) == 2 and all(type(x) is int and x > 0 for x in v),
}
"""What a field of a manifest may hold, by its declaration; others are checked where they are made."""


@dataclass(frozen=True)
class Stream:
    """One track of a device's file.

    Attributes:
        name: unique in its device: ``camera``, ``microphone``, ``bme680.field``, ``bme680.timing``...
        kind: ``video``, ``audio``, ``sensor``, ``timing`` or ``gaze``.
        t0_ns: time of the first sample, ns on the device's clock. For tracks on the tick grid: tick 0.
        rate_hz: samples per second of the device's clock. For a kit's microphone the estimated true rate;
            for tracks on the tick grid the row rate (60 * rows_per_tick).
        sensor: name of the sensor in its kit (``sensor`` and ``timing`` streams).
        model: its chip, a key of `firmware_host.sensors.SENSORS`.
        rows_per_tick: rows a tick takes (``sensor`` streams).
        channels: meaning of the counts (``sensor`` streams).
        native_hz: how often the sensor is read.
        size: (width, height) in pixels (``video``).
        latency_ns: what an event's time on this stream is later than its time on the device's microphone
            (``video`` of a kit; see `recorder.clap`). None where nobody measured it.
        latency_sigma_ns: standard deviation of `latency_ns`.
    """

    name: str
    kind: str
    t0_ns: int
    rate_hz: float
    sensor: str | None = None
    model: str | None = None
    rows_per_tick: int = 1
    channels: tuple[Channel, ...] = ()
    native_hz: float | None = None
    size: tuple[int, int] | None = None
    latency_ns: int | None = None
    latency_sigma_ns: int | None = None

    def track(self) -> TrackSpec:
        """The track specification of a ``sensor`` stream."""
        return TrackSpec(self.name, self.channels, self.rows_per_tick)


@dataclass(frozen=True)
class Device:
    """One thing that recorded.

    Attributes:
        name: unique in the session: ``kit-01``, ``head``, ``eye``.
        kind: one of `KINDS`.
        role: one of `ROLES`.
        clock: name of its clock; all `t0_ns` of its streams are on it.
        file: its media file, relative to the session folder.
        streams: the tracks of that file (and of `gaze`).
        log: a kit's append-only log, relative to the session folder.
        gaze: an eye tracker's gaze table, relative to the session folder.
        view: view number in the HOMAGE sense (``v000`` is ego).
        wearer: participant who wears it, None for a fixed device.
        settings: per sensor, what its conversion to SI needs (calibration, gain).
        tone_distance_m: distance from the speaker that sounds the tones to this device's microphone;
            None where nobody noted it.
        intrinsics: its camera's lens as `sync.gaze.lens.Lens` writes it, with how it was measured; None where
            nobody calibrated it.
    """

    name: str
    kind: str
    role: str
    clock: str
    file: str
    streams: tuple[Stream, ...]
    log: str | None = None
    gaze: str | None = None
    view: str | None = None
    wearer: str | None = None
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    tone_distance_m: float | None = None
    intrinsics: dict[str, Any] | None = None

    def stream(self, name: str) -> Stream:
        """The stream called `name`.

        Raises:
            SessionError: there is none.
        """
        for stream in self.streams:
            if stream.name == name:
                return stream
        raise SessionError(f"{self.file}: {unknown_name('stream', name, [s.name for s in self.streams])}")

    def of_kind(self, kind: str) -> tuple[Stream, ...]:
        """Its streams of one kind, in file order."""
        return tuple(s for s in self.streams if s.kind == kind)

    @property
    def sound(self) -> Stream:
        """Its sound.

        Raises:
            SessionError: it recorded none.
        """
        for stream in self.of_kind("audio"):
            return stream
        raise SessionError(f"{self.name} recorded no sound")


@dataclass(frozen=True)
class Session:
    """A session folder and its manifest."""

    root: Path
    id: str
    devices: tuple[Device, ...]
    participants: tuple[str, ...] = ()
    place: str | None = None
    activity: str | None = None
    created: str | None = None
    sealed: bool = False
    counters: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    receipt: dict[str, Any] = field(default_factory=dict)

    def device(self, name: str) -> Device:
        """The device called `name`.

        Raises:
            SessionError: there is none.
        """
        for device in self.devices:
            if device.name == name:
                return device
        raise SessionError(f"{self.root}: {unknown_name('device', name, [d.name for d in self.devices])}")

    def path(self, relative: str) -> Path:
        """An entry of the manifest as a path."""
        return self.root / relative

    def with_device(self, device: Device) -> Session:
        """A copy in which `device` is added, or replaces the one of its name."""
        kept = tuple(d for d in self.devices if d.name != device.name)
        return replace(self, devices=(*kept, device))

    def streams(self, kind: str) -> Iterator[tuple[Device, Stream]]:
        """Every stream of one kind, device by device."""
        for device in self.devices:
            for stream in device.of_kind(kind):
                yield device, stream

    def save(self) -> None:
        """Write the manifest, whole or not at all."""
        document = {"version": VERSION, **asdict(replace(self, root=Path()))}
        del document["root"]
        durable.write_json(self.root / MANIFEST, document)


def open_session(root: Path | str) -> Session:
    """Read and check a session folder.

    Raises:
        SessionError: no folder, no manifest, not JSON, another version, or a field of the wrong kind; the
            message carries the path inside the document.
    """
    root = Path(root)
    manifest = root / MANIFEST
    if not manifest.is_file():
        what = "is not a folder" if not root.is_dir() else f"has no {MANIFEST}, so it is not a session"
        raise SessionError(f"{root} {what}; give the folder that `syncctl record` made")
    try:
        document = json.loads(manifest.read_text())
    except (ValueError, UnicodeDecodeError) as error:
        raise SessionError(f"{manifest} is not valid JSON ({error}); restore it from a copy") from error
    session = _session(root, document)
    if session.sealed:
        return session
    return replace(session, devices=tuple(_as_logged(root, d) for d in session.devices))


def _session(root: Path, document: Any) -> Session:
    where = root / MANIFEST
    version = document.get("version") if isinstance(document, dict) else None
    if version != VERSION:
        raise SessionError(f"{where} has version {version}; this syncctl reads version {VERSION}")
    try:
        known = {k: v for k, v in document.items() if k != "version"}
        known["devices"] = tuple(_device(where, i, d) for i, d in enumerate(known.get("devices", [])))
        known["participants"] = tuple(known.get("participants", ()))
        return _checked(f"{where}: ", Session(root=root, **known))
    except TypeError as error:
        raise SessionError(f"{where}: {_readable(error)}") from error


def _as_logged(root: Path, device: Device) -> Device:
    """A device of a session that was never sealed: its stream times and its sensors' settings are in its log."""
    if device.log is None:
        return device
    entries = list(read_log(root / device.log))
    begun = {e["name"]: e["t0_ns"] for e in _whole(entries, "stream", name=str, t0_ns=int)}
    pairs = [(e["sample"], e["t_ns"]) for e in _whole(entries, "sound", sample=int, t_ns=int)]
    told = {e["sensor"]: e["values"] for e in _whole(entries, "settings", sensor=str, values=dict)}
    streams = tuple(_timed(s, begun, pairs) for s in device.streams)
    return replace(device, streams=streams, settings={**device.settings, **told})


def _whole(entries: list[dict[str, Any]], kind: str, **wanted: type) -> list[dict[str, Any]]:
    """The entries of a kind that hold what they must; a log may be damaged anywhere."""
    return [e for e in entries if e.get("type") == kind and all(type(e.get(k)) is t for k, t in wanted.items())]


def _timed(stream: Stream, begun: dict[str, int], pairs: list[tuple[int, int]]) -> Stream:
    if stream.kind == "audio" and (fit := fit_rate(pairs, round(stream.rate_hz))):
        return replace(stream, t0_ns=fit.t0_ns, rate_hz=fit.rate_hz)
    return replace(stream, t0_ns=begun.get(stream.name, stream.t0_ns))


def _device(where: Path, index: int, value: Any) -> Device:
    path = f"{where} at devices[{index}]"
    try:
        streams = tuple(_stream(path, i, s) for i, s in enumerate(value["streams"]))
        device = _checked(f"{path}.", Device(**{**value, "streams": streams}))
    except (TypeError, KeyError) as error:
        raise SessionError(f"{path}: {_readable(error)}") from error
    if device.role not in ROLES:
        raise SessionError(f"{path}.role: {unknown_name('role', device.role, ROLES)}")
    if device.kind not in KINDS:
        raise SessionError(f"{path}.kind: {unknown_name('kind', device.kind, KINDS)}")
    return device


def _stream(path: str, index: int, value: Any) -> Stream:
    try:
        size = tuple(value["size"]) if value.get("size") else None
        channels = tuple(Channel(**c) for c in value.get("channels", ()))
        return _checked(f"{path}.streams[{index}].", Stream(**{**value, "size": size, "channels": channels}))
    except (TypeError, KeyError, AttributeError) as error:
        raise SessionError(f"{path}.streams[{index}]: {_readable(error)}") from error


def _checked(path: str, thing: Entry) -> Entry:
    """The same; raises SessionError where a field is not of the kind that it is declared to be."""
    for entry in fields(thing):
        value, kind = getattr(thing, entry.name), str(entry.type)
        good = _GOOD.get(kind.removesuffix(" | None"))
        if value is None and kind.endswith("None"):
            continue
        if good is not None and not good(value):
            raise SessionError(f"{path}{entry.name} is {json.dumps(value, default=str)[:60]}, not {kind}")
    return thing


def _readable(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"the field {error} is missing"
    return str(error).split("__init__() ")[-1]
