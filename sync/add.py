"""Bring a recording of another maker into a session."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from firmware_host.errors import ConfigError, SessionError, unknown_name
from recorder.durable import replacing, write_bytes
from recorder.session import MANIFEST, ROLES, Device, Session, open_session
from sync.importers import IMPORTERS, frame_times, kind_of
from sync.importers.found import EVENTS, SERIES, Found, camera_times, duration_s, frame_table, place

NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
SETTINGS = "import"
"""Where a device's settings say what its importer found: its kind, and sentences to mind."""


def add_file(
    root: Path,
    file: Path,
    kind: str | None = None,
    *,
    name: str | None = None,
    role: str | None = None,
    wearer: str | None = None,
    tone_distance_m: float | None = None,
    times: Path | None = None,
    link: bool = False,
) -> Device:
    """Put a recording into the session as it came, and what made it into the manifest.

    A session folder that does not exist is made. A file keeps its suffix and takes the device's name; a folder becomes
    a folder of that name with all that is in it. Tables made from them lie beside them (`sync.importers.found`).

    Args:
        root: the session folder.
        file: the recording: a file, or the folder that an eye tracker wrote.
        kind: key of `sync.importers.IMPORTERS`; None to look at the recording.
        name: of the device; by default the recording's own, made simple.
        role: one of `recorder.session.ROLES`; by default the importer's.
        wearer: participant who wore it.
        tone_distance_m: noted distance from the tones' speaker to its microphone.
        times: CSV with the time of each picture (`sync.importers.frame_times`).
        link: make hard links (symbolic ones across file systems) and no copies.

    Returns:
        the device; of a recording in several pieces the first of as many.

    Raises:
        ConfigError: a name or role that cannot be, or a name that is taken.
        SessionError: the recording cannot be read, is of another kind, or `root` is no session.
    """
    if kind is not None and kind not in IMPORTERS:
        raise ConfigError(unknown_name("kind of file", kind, IMPORTERS))
    if role is not None and role not in ROLES:
        raise ConfigError(unknown_name("role", role, ROLES))
    session = _session(root)
    own = file.name if file.is_dir() else file.stem
    name = name or re.sub(r"[^a-z0-9_-]+", "-", own.lower()).strip("-_")
    if not NAME.fullmatch(name):
        raise ConfigError(f"'{name}' cannot name a device; use small letters, digits, - and _")
    kind = kind or kind_of(file)
    found = _read(file, kind, name)
    if times is not None:
        found = _timed(found, file, times)
    devices = [_told(d, kind, found, role, wearer, tone_distance_m) for d in found.devices]
    for device in devices:
        _check(device, file)
        if any(d.name == device.name for d in session.devices):
            raise ConfigError(f"{root} already has a device '{device.name}'; choose another with --name")
    _bring(root, found, link)
    people = session.participants
    if wearer and wearer not in people:
        people = (*people, wearer)
    session = replace(session, participants=people)
    for device in devices:
        session = session.with_device(device)
    session.save()
    return devices[0]


def _read(file: Path, kind: str, name: str) -> Found:
    """What the importer found; where it refuses, what the recording looks like instead."""
    try:
        return IMPORTERS[kind](file, name)
    except SessionError as error:
        try:
            other = kind_of(file)
        except SessionError:
            raise error from None
        if other == kind:
            raise
        raise SessionError(f"{error}; it looks like --as {other}") from error


def _timed(found: Found, file: Path, times: Path) -> Found:
    """The same with the pictures' times out of a table, which comes into the session too."""
    device = found.devices[0]
    if len(found.files) != 1 or not device.of_kind("video"):
        raise ConfigError(f"{file} has times of its own or no pictures; --times is for a film")
    t_ns = frame_times.read(times, file)
    kept = (times, f"{device.name}.times.csv")
    return replace(
        found,
        devices=(replace(device, settings={**device.settings, **camera_times(device.name)}),),
        files=(*found.files, kept),
        tables={**found.tables, place(device.name, "camera"): frame_table(t_ns)},
    )


def _told(
    device: Device, kind: str, found: Found, role: str | None, wearer: str | None, tone_distance_m: float | None
) -> Device:
    settings = dict(device.settings)
    for stream in (*device.of_kind(SERIES), *device.of_kind(EVENTS)):
        long_s = duration_s(found.tables, device.name, stream)
        settings[stream.name] = {**settings.get(stream.name, {}), "duration_s": long_s}
    settings[SETTINGS] = {"as": kind, **({"notes": list(found.notes)} if found.notes else {})}
    role = role or device.role
    return replace(device, role=role, wearer=wearer, tone_distance_m=tone_distance_m, settings=settings)


def _check(device: Device, file: Path) -> None:
    """Refuse what a damaged header makes a reader say: it would make the whole session unreadable."""
    for stream in device.streams:
        sized = stream.size is None or min(stream.size) > 0
        if not sized or not 0 <= stream.rate_hz < 1e9 or abs(stream.t0_ns) >= 2**62:
            raise SessionError(
                f"{file}: its {stream.name} has a size, a rate or a beginning that cannot be; its header is damaged"
            )


def _session(root: Path) -> Session:
    if (root / MANIFEST).is_file():
        return open_session(root)
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise SessionError(f"{root} exists and is not a session; give a session folder or a new name")
    return Session(root, root.resolve().name, (), sealed=True)


def _bring(root: Path, found: Found, link: bool) -> None:
    """Write everything, or, where something fails, leave nothing behind."""
    places = [*(at for _, at in found.files), *found.tables]
    for at in sorted({Path(at).parts[0] for at in places}):
        if (root / at).exists():
            raise SessionError(f"{root / at} exists already; choose another device name with --name")
    root.mkdir(parents=True, exist_ok=True)
    try:
        for original, at in found.files:
            (root / at).parent.mkdir(parents=True, exist_ok=True)
            _keep(original, root / at, link)
        for at, table in found.tables.items():
            (root / at).parent.mkdir(parents=True, exist_ok=True)
            write_bytes(root / at, table)
    except BaseException:
        _remove(root, places)
        raise


def _keep(file: Path, at: Path, link: bool) -> None:
    if not link:
        with replacing(at) as scratch:
            shutil.copyfile(file, scratch)
        return
    try:
        os.link(file.resolve(), at)
    except OSError:
        at.symlink_to(file.resolve())


def _remove(root: Path, places: Sequence[str]) -> None:
    for at in {Path(at).parts[0] for at in places}:
        if (root / at).is_dir():
            shutil.rmtree(root / at, ignore_errors=True)
        else:
            (root / at).unlink(missing_ok=True)
