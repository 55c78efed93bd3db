"""Bring a file into a session."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

from firmware_host.errors import ConfigError, SessionError, unknown_name
from recorder.durable import replacing
from recorder.session import MANIFEST, ROLES, Device, Session, open_session
from sync.importers import IMPORTERS

NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


def add_file(
    root: Path,
    file: Path,
    kind: str,
    *,
    name: str | None = None,
    role: str | None = None,
    wearer: str | None = None,
    tone_distance_m: float | None = None,
    link: bool = False,
) -> Device:
    """Put `file` into the session as it came, and its device into the manifest.

    A session folder that does not exist is made. The file keeps its suffix and takes the device's name.

    Args:
        root: the session folder.
        file: the recording.
        kind: key of `sync.importers.IMPORTERS`.
        name: of the device; by default the file's own, made simple.
        role: one of `recorder.session.ROLES`; by default the importer's.
        wearer: participant who wore it.
        tone_distance_m: noted distance from the tones' speaker to its microphone.
        link: make a hard link (a symbolic one across file systems) and no copy.

    Raises:
        ConfigError: a name or role that cannot be, or a name that is taken.
        SessionError: the file cannot be read, or `root` is no session.
    """
    if kind not in IMPORTERS:
        raise ConfigError(unknown_name("kind of file", kind, IMPORTERS))
    if role is not None and role not in ROLES:
        raise ConfigError(unknown_name("role", role, ROLES))
    session = _session(root)
    name = name or re.sub(r"[^a-z0-9_-]+", "-", file.stem.lower()).strip("-_")
    if not NAME.fullmatch(name):
        raise ConfigError(f"'{name}' cannot name a device; use small letters, digits, - and _")
    if any(d.name == name for d in session.devices):
        raise ConfigError(f"{root} already has a device '{name}'; choose another with --name")
    device = IMPORTERS[kind](file, name)
    kept = f"{name}{file.suffix.lower()}"
    device = replace(device, file=kept, role=role or device.role, wearer=wearer, tone_distance_m=tone_distance_m)
    _bring(file, root / kept, link)
    people = session.participants
    if wearer and wearer not in people:
        people = (*people, wearer)
    replace(session, participants=people).with_device(device).save()
    return device


def _session(root: Path) -> Session:
    if (root / MANIFEST).is_file():
        return open_session(root)
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise SessionError(f"{root} exists and is not a session; give a session folder or a new name")
    root.mkdir(parents=True, exist_ok=True)
    return Session(root, root.resolve().name, (), sealed=True)


def _bring(file: Path, place: Path, link: bool) -> None:
    if place.exists():
        raise SessionError(f"{place} exists already; choose another device name with --name")
    if not link:
        with replacing(place) as scratch:
            shutil.copyfile(file, scratch)
        return
    try:
        os.link(file.resolve(), place)
    except OSError:
        place.symlink_to(file.resolve())
