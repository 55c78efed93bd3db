"""Sessions that several kits recorded of the same thing, put into one folder.

Each kit has its own clock and keeps it; `syncctl align` puts them on one. The first kit's clock is the reference, so
its labels are taken as they are; what was marked on another kit is brought over by the wall time that both noted each
second, which is as good as the network's time: milliseconds, enough for a label.
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from firmware_host.errors import SessionError
from recorder.durable import replacing, write_bytes
from recorder.log import read_log
from recorder.protocol import LABEL_COLUMNS, write_rows
from recorder.session import MANIFEST, Device, Session, open_session

DERIVED = ("alignment.json", "report.html")
"""Made from a session's own devices, and to be made again for all."""
FOLDERS = ("", ".tables")
"""What follows a device's name in that of its folders: an imported recording as it came, and what was read from it."""
CHAPTERS = ".ffconcat"
"""A list of the films in the first of these folders, that plays them as one."""


@dataclass(frozen=True)
class Gathered:
    """A session of several kits."""

    session: Session
    renamed: dict[str, str]

    def document(self) -> dict[str, Any]:
        """What `gather --json` prints."""
        devices = [d.name for d in self.session.devices]
        return {"session": str(self.session.root), "devices": devices, "renamed": self.renamed}

    def lines(self) -> list[str]:
        """The same for people."""
        lines = [f"{old} is called {new} here" for old, new in self.renamed.items()]
        names = ", ".join(d.name for d in self.session.devices)
        return [*lines, f"{self.session.root}: {names}; run `syncctl align {self.session.root}` next"]


def gather(root: Path, folders: Sequence[Path]) -> Gathered:
    """Copy the sessions in `folders` into one at `root`; the first one's first kit gives the reference clock.

    Two devices of one name get apart by a number: ``kit-01`` and ``kit-01-2``. The manifest is written last, so a
    copy that was interrupted is no session, and can be begun again.

    Raises:
        SessionError: `root` is a session already, or one of `folders` is none or was interrupted.
    """
    if (root / MANIFEST).exists():
        raise SessionError(f"{root} already holds a session; give another folder")
    sessions = [open_session(folder) for folder in folders]
    for session in sessions:
        if not session.sealed:
            raise SessionError(f"{session.root} was interrupted; run `syncctl recover {session.root}` first")
    root.mkdir(parents=True, exist_ok=True)
    devices: list[Device] = []
    renamed: dict[str, str] = {}
    begins: list[int] = []  # where in `devices` each session's are
    merged: dict[str, dict[str, Any]] = {"counters": {}, "config": {}, "devices": {}}
    for session in sessions:
        begins.append(len(devices))
        for device in session.devices:
            here = _apart(device, {d.name for d in devices})
            if here.name != device.name:
                renamed[f"{session.root.name}/{device.name}"] = here.name
            _copy_device(session, device, here, root)
            devices.append(here)
            for part, source in (
                ("counters", session.counters),
                ("config", session.config),
                ("devices", session.receipt.get("devices", {})),
            ):
                if device.name in source:
                    merged[part][here.name] = source[device.name]
    _copy_rest(sessions[0], root)
    for session, first in zip(sessions[1:], begins[1:], strict=True):
        _bring_labels(session, sessions[0], root / "labels" / f"{devices[first].name}.csv")
    whole = _manifest(root, sessions, devices, merged)
    whole.save()
    return Gathered(whole, renamed)


def _manifest(root: Path, sessions: list[Session], devices: list[Device], merged: dict[str, Any]) -> Session:
    first = sessions[0]
    people = tuple(dict.fromkeys(p for s in sessions for p in s.participants))
    receipt = {**first.receipt, "devices": merged["devices"]}
    if any(s.receipt.get("recovered") for s in sessions):
        receipt["recovered"] = True
    return replace(
        first,
        root=root,
        id=root.resolve().name,
        devices=tuple(devices),
        participants=people,
        place=next((s.place for s in sessions if s.place), None),
        activity=next((s.activity for s in sessions if s.activity), None),
        created=min((s.created for s in sessions if s.created), default=None),
        counters=merged["counters"],
        config={**first.config, **merged["config"]},
        receipt=receipt,
    )


def _apart(device: Device, taken: set[str]) -> Device:
    """The device under a name that is free."""
    if device.name not in taken:
        return device
    number = next(n for n in range(2, 1000) if f"{device.name}-{n}" not in taken)
    name = f"{device.name}-{number}"

    def moved(path: str) -> str:
        head, rest = path[: len(device.name)], path[len(device.name) :]
        return name + rest if head == device.name and rest[:1] in (".", "/") else f"{name}-{path}"

    return replace(
        device,
        name=name,
        clock=name if device.clock == device.name else device.clock,
        file=moved(device.file),
        log=moved(device.log) if device.log else None,
        gaze=moved(device.gaze) if device.gaze else None,
    )


def _copy_device(session: Session, device: Device, here: Device, root: Path) -> None:
    pairs = ((device.file, here.file), (device.log, here.log), (device.gaze, here.gaze))
    for source, place in pairs:
        if source is not None and place is not None and session.path(source).is_file():
            _copy(session.path(source), root / place)
    for suffix in FOLDERS:
        folder = session.path(f"{device.name}{suffix}")
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            _copy(path, root / f"{here.name}{suffix}" / path.relative_to(folder))
    if here.file.endswith(CHAPTERS) and here.name != device.name:
        listed = (root / here.file).read_text(encoding="utf-8")
        moved = listed.replace(f"file {device.name}/", f"file {here.name}/")
        write_bytes(root / here.file, moved.encode())


def _copy(source: Path, place: Path) -> None:
    """Copy a file whole or not at all; one that is there with the same size and time was copied before."""
    if place.is_file():
        old, new = source.stat(), place.stat()
        if (old.st_size, old.st_mtime_ns) == (new.st_size, new.st_mtime_ns):
            return
    place.parent.mkdir(parents=True, exist_ok=True)
    with replacing(place) as part:
        shutil.copy2(source, part)


def _copy_rest(session: Session, root: Path) -> None:
    """What else the first session holds: labels, calibration, truth."""
    known = {f for d in session.devices for f in (d.file, d.log, d.gaze)} | {MANIFEST, *DERIVED}
    for path in session.root.rglob("*"):
        name = path.relative_to(session.root).as_posix()
        if path.is_file() and name not in known and not any(p.startswith(".") for p in name.split("/")):
            _copy(path, root / name)


def _bring_labels(session: Session, first: Session, place: Path) -> None:
    """Events marked on another kit, on the reference clock; its copy of the activity would be the same twice."""
    offset_ns = _wall_offset_ns(session), _wall_offset_ns(first)
    rows = [r for path in sorted(session.path("labels").glob("*.csv")) for r in _rows(path) if r["tier"] == "event"]
    if not rows or None in offset_ns:
        return
    shift_ns = int(offset_ns[0] or 0) - int(offset_ns[1] or 0)
    moved = [{**r, "t0_ns": int(r["t0_ns"]) + shift_ns, "t1_ns": int(r["t1_ns"]) + shift_ns} for r in rows]
    place.parent.mkdir(exist_ok=True)
    write_rows(place, [[r.get(c, "") for c in LABEL_COLUMNS] for r in moved])


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(newline="", encoding="utf-8-sig") as file:  # as spreadsheets write it
        yield from csv.DictReader(file)


def _wall_offset_ns(session: Session) -> int | None:
    """Wall time minus the clock of a session's first kit, ns; None where its log has none."""
    logs = [session.path(d.log) for d in session.devices if d.log]
    pairs = [
        e["realtime_ns"] - e["monotonic_ns"] for log in logs[:1] for e in read_log(log) if e.get("type") == "clock"
    ]
    return round(median(pairs)) if pairs else None
