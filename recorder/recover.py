"""An interrupted session made whole: its files seekable, its manifest sealed, and what is lost said and named.

What was recorded is on the disk already; nothing is decoded again and nothing is copied. Each kit's file gets its
duration and its cues (`recorder.mend`), stream times and settings come from the kit's log, and the manifest is sealed
last. So it may be interrupted at any moment and run again, and a second run has nothing to do.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from firmware_host.clock import TICK_HZ
from firmware_host.errors import SessionError
from recorder import demux
from recorder.disk import release_reserve
from recorder.inspect import StreamReport, device_reports, lost_by_stream
from recorder.layout import NotMendable, scan
from recorder.log import being_written
from recorder.mend import Mending, Preview, mend, mending
from recorder.session import MANIFEST, Session, open_session

MANIFEST_BYTES = 256 * 1024
"""What a sealed manifest may need beside the one that it replaces."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
PLAYER_SLACK_NS = 2_000_000_000
"""A player that seeks to the last cue finds a packet this close."""


@dataclass(frozen=True)
class MendedFile:
    """What became of a kit's file.

    Attributes:
        state: ``whole`` (nothing to do), ``mended``, ``unmended`` (readable as far as it goes), ``lost``.
        why: where it is not whole: the reason.
        torn_bytes: of half a block at its end, cut off.
    """

    state: str
    why: str = ""
    torn_bytes: int = 0


@dataclass(frozen=True)
class Recovery:
    """What a recovery found and did."""

    session: Session
    files: dict[str, MendedFile]
    lost_s: dict[str, dict[str, float]] = field(default_factory=dict)
    done: bool = False

    @property
    def never_written(self) -> dict[str, str]:
        """Kits of which nothing is left, and why."""
        return {name: f.why for name, f in self.files.items() if f.state == "lost"}

    def document(self) -> dict[str, Any]:
        """What `recover --json` prints."""
        return {
            "session": str(self.session.root),
            "recovered": self.done,
            "files": {name: vars(f) for name, f in self.files.items()},
            "lost_s": self.lost_s,
            "never_written": self.never_written,
        }

    def lines(self) -> list[str]:
        """The same for people."""
        if not self.done:
            return [f"{self.session.root}: whole and sealed, nothing to do"]
        lines = [f"{self.session.root}: recovered"]
        for name, file in self.files.items():
            line = f"  {name}: {file.state}" + (f" ({file.why})" if file.why else "")
            line += f", {file.torn_bytes} bytes of a torn block cut off" if file.torn_bytes else ""
            if lost := self.lost_s.get(name):
                worst = max(lost, key=lost.__getitem__)
                line += f", up to {lost[worst]:.2f} s lost at the end ({worst})"
            lines.append(line)
        return lines


def recover(root: Path) -> Recovery:
    """Mend and seal an interrupted session.

    Raises:
        SessionError: no session, one that is being recorded now, or a disk that is full (says how much is needed) or
            cannot be written.
    """
    session = open_session(root)
    kits = [d for d in session.devices if d.kind == "kit"]
    for kit in kits:
        if kit.log and being_written(session.path(kit.log)):
            raise SessionError(f"{root} is being recorded now; stop the recording first")
    try:
        release_reserve(root)
        files = {kit.name: _mend_file(session.path(kit.file)) for kit in kits}
        if session.sealed and all(f.state == "whole" for f in files.values()):
            return Recovery(session, files)
        return _seal(session, files)
    except OSError as error:
        if error.errno in _FULL:
            raise SessionError(
                f"{root} cannot be recovered, its disk is full; free {MANIFEST_BYTES // 1024} kB and run it again"
            ) from error
        raise SessionError(
            f"{root} cannot be recovered ({error.strerror}); check that its disk is there and can be written"
        ) from error


def after_fault(session: Session, device: str, fault: OSError) -> SessionError:
    """Seal a recording that the disk ended, as far as it can be; returns what to tell the user.

    `session` is its manifest as it would have been sealed.
    """
    why = "the disk is full" if fault.errno in _FULL else f"the disk failed ({fault.strerror})"
    what = f"{session.root}: {why}, which ended the recording ({device})"
    try:
        replace(session, sealed=False).save()
        recover(session.root)
    except (OSError, SessionError) as error:
        return SessionError(
            f"{what}, and it could not be sealed ({error}); run `syncctl recover {session.root}` when the disk is back"
        )
    return SessionError(f"{what}; what was recorded is sealed and readable; free space before the next")


def recover_all(root: Path, say: Callable[[str], None] = lambda _: None, *, but: Path | None = None) -> list[Recovery]:
    """Recover every interrupted session directly under `root`; those being recorded now are left alone.

    Args:
        but: a folder that is left alone as well.
        say: is told a line for each, and a sentence for one that could not be recovered.
    """
    recovered = []
    for folder in _interrupted(root):
        if but is not None and folder.resolve() == but.resolve():
            continue
        try:
            recovery = recover(folder)
        except SessionError as error:
            say(str(error))
            continue
        recovered.append(recovery)
        for line in recovery.lines():
            say(line)
    return recovered


def _interrupted(root: Path) -> Iterator[Path]:
    for manifest in sorted(root.glob(f"*/{MANIFEST}")):
        try:
            session = open_session(manifest.parent)
        except SessionError:
            continue  # not ours to judge
        logs = [session.path(d.log) for d in session.devices if d.log]
        if not session.sealed and not any(being_written(log) for log in logs):
            yield manifest.parent


def _mend_file(path: Path) -> MendedFile:
    """Mend one kit's file, after trying the result in memory."""
    if not path.is_file():
        return MendedFile("lost", f"{path.name} was never written")
    try:
        layout = scan(path)
    except NotMendable as error:
        return MendedFile("lost", f"{path.name} holds nothing: {error}")
    try:
        what = mending(path, layout)
        if what is None:
            return MendedFile("whole")
        _try(path, what, layout.cues[-1].time_ms if layout.cues else 0)
    except (NotMendable, SessionError) as error:
        return MendedFile("unmended", str(error))
    _check_room(path, len(what.cues) + MANIFEST_BYTES)
    mend(path, what)
    damaged = f"{layout.damaged} clusters are damaged" if layout.damaged else ""
    return MendedFile("mended", damaged, what.torn)


def _try(path: Path, what: Mending, last_cue_ms: int) -> None:
    """Open the file as it would be, and seek to its last cue."""
    with path.open("rb") as file:
        duration_ns, found_ns = demux.sought(Preview(file, what), last_cue_ms * 1_000_000)
    if not duration_ns or abs(found_ns - last_cue_ms * 1_000_000) > PLAYER_SLACK_NS:
        raise SessionError("a player does not find the end of it")


def _check_room(path: Path, needed: int) -> None:
    free = shutil.disk_usage(path.parent).free
    if free < needed:
        raise SessionError(
            f"recovering {path} needs {needed // 1024} kB and the disk has {free // 1024} kB left; free some and run "
            "it again"
        )


def _seal(session: Session, files: dict[str, MendedFile]) -> Recovery:
    """Say in the manifest what is left and what is lost. Kits of which nothing is left go from the devices."""
    devices = tuple(d for d in session.devices if d.name not in files or files[d.name].state != "lost")
    lost: dict[str, dict[str, float]] = {}
    ticks: dict[str, Any] = {}
    counters: dict[str, Any] = {}
    for device in devices:
        if device.name not in files:
            continue
        reports = device_reports(session, device)
        end_s, lost[device.name] = lost_by_stream(session, device, reports)
        ticks[device.name] = {"ticks": round(end_s * TICK_HZ)}
        counters[device.name] = _counted(reports, round(end_s * TICK_HZ))
    recovery = Recovery(session, files, lost, done=True)
    receipt = {
        "devices": {**ticks, **session.receipt.get("devices", {})},
        "recovered": {"at": datetime.now(UTC).isoformat(timespec="seconds"), **_told(recovery)},
    }
    sealed = replace(session, devices=devices, sealed=True, counters={**counters, **session.counters}, receipt=receipt)
    sealed.save()
    return replace(recovery, session=sealed)


def _told(recovery: Recovery) -> dict[str, Any]:
    document = recovery.document()
    return {key: document[key] for key in ("files", "lost_s", "never_written")}


def _counted(reports: list[StreamReport], ticks: int) -> dict[str, Any]:
    """What a sealed session would have counted, as far as the file tells."""
    counted: dict[str, Any] = {"ticks": ticks}
    for report in reports:
        if report.kind == "video":
            counted["camera.frames"] = round(report.duration_s * report.rate_hz) - report.missed
        if report.kind == "timing":
            sensor = report.name.removesuffix(".timing")
            counted |= {f"{sensor}.{flag}": n for flag, n in (report.flags or {}).items() if flag != "HELD"}
    return counted
