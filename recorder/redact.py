"""A copy of a session in which a stretch can be neither seen nor heard, with every time kept.

Kit files are blanked in their copy, block by block (see `recorder.blank`), and read again to prove it. What cannot be
blanked that way, and what was made from the pictures, is left out of the copy and named: a copy that shows less is a
nuisance, one that shows more is a breach.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from firmware_host.clock import SECOND_NS
from firmware_host.clockmap import ClockMap
from firmware_host.errors import ConfigError, SessionError
from recorder.blank import blank, read_blocks, titles_of
from recorder.camera import H264Encoder
from recorder.durable import replacing
from recorder.session import MANIFEST, Device, Session, open_session

ALIGNMENT = "alignment.json"
MARGIN_NS = SECOND_NS // 10
"""Blanked beyond the stretch on a kit whose clock is only known through an alignment."""
BLACK_BIT_RATE = 50_000


@dataclass(frozen=True)
class Redacted:
    """What was blanked: kit -> track -> (from, to) in seconds of its file; and what was left out of the copy."""

    session: Path
    blanked: dict[str, dict[str, tuple[float, float]]]
    left_out: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """What `redact --json` prints."""
        return {"session": str(self.session), "blanked": self.blanked, "left_out": list(self.left_out)}

    def lines(self) -> list[str]:
        """The same for people."""
        lines = [
            f"{kit} {track}: blank from {low:.3f} to {high:.3f} s"
            for kit, tracks in self.blanked.items()
            for track, (low, high) in tracks.items()
        ]
        lines += [f"left out: {name}" for name in self.left_out]
        return [*lines, f"wrote {self.session}; nothing outside these stretches was changed"]


def redact(root: Path, out: Path, from_s: float, to_s: float, *, video: bool, audio: bool, sensors: bool) -> Redacted:
    """Write a copy of the session `root` into `out`, blank from `from_s` to `to_s` after its first kit's tick 0.

    Raises:
        ConfigError: the stretch is none, or nothing was asked to be blanked.
        SessionError: `out` exists, a kit's clock is unknown, or a file cannot be blanked; then there is no copy.
    """
    session = open_session(root)
    kits = [d for d in session.devices if d.kind == "kit"]
    if not 0 <= from_s < to_s:
        raise ConfigError(f"from {from_s:g} to {to_s:g} s is no stretch; --to must be after --from")
    if not (video or audio or sensors):
        raise ConfigError("nothing is to be blanked; give --video, --audio or --sensors, or none of them")
    if not kits or not session.sealed:
        raise SessionError(f"{root} has no kit or was interrupted; run `syncctl recover {root}` first")
    if out.exists():
        raise SessionError(f"{out} exists already; give a new folder")
    begin_ns = _tick0_ns(kits[0])
    stretch = (begin_ns + round(from_s * SECOND_NS), begin_ns + round(to_s * SECOND_NS))
    maps = _maps(session, kits)
    out.mkdir(parents=True)
    try:
        blanked = {}
        for kit in kits:
            low_ns, high_ns = _on_clock(kit, maps, stretch)
            blanked[kit.name] = _kit(session, kit, out, low_ns, high_ns, _titles(kit, video, audio, sensors))
        left_out = _others(session, kits, out)
        _manifest(session, kits, out, blanked, stretch)
    except BaseException:
        shutil.rmtree(out)  # it was made here, and half a redaction is none
        raise
    return Redacted(out, blanked, left_out)


def _titles(kit: Device, video: bool, audio: bool, sensors: bool) -> set[str]:
    wanted = {"video": video, "audio": audio, "sensor": sensors}
    return {s.name for s in kit.streams if wanted.get(s.kind, False)}


def _kit(
    session: Session, kit: Device, out: Path, low_ns: int, high_ns: int, titles: set[str]
) -> dict[str, tuple[float, float]]:
    source, copy = session.path(kit.file), out / kit.file
    copy.parent.mkdir(parents=True, exist_ok=True)
    begin_ns = _tick0_ns(kit)
    low_ms, high_ms = (low_ns - begin_ns) // 1_000_000, -(-(high_ns - begin_ns) // 1_000_000)
    size = next((s.size for s in kit.of_kind("video") if s.size), (64, 48))
    fps = next((round(s.rate_hz) for s in kit.of_kind("video")), 30)
    with replacing(copy) as part:
        shutil.copyfile(source, part)
        done = blank(part, low_ms, high_ms, titles, partial(black_pictures, size=size, fps=fps))
        check(source, part, done)
    if kit.log is not None and session.path(kit.log).is_file():
        shutil.copyfile(session.path(kit.log), out / kit.log)
    return {title: (low / 1000, high / 1000) for title, (low, high) in done.items()}


def black_pictures(count: int, size: tuple[int, int], fps: int) -> list[bytes]:
    """`count` access units of black, in Annex B: a keyframe, then pictures that say "as before"."""
    width, height = size
    picture = np.full((height * 3 // 2, width), 128, np.uint8)
    picture[:height] = 16
    encoder = H264Encoder(width, height, max(fps, count), BLACK_BIT_RATE)
    return [encoder.encode(picture, index * SECOND_NS // fps).data for index in range(count)]


def check(source: Path, copy: Path, done: dict[str, tuple[int, int]]) -> None:
    """Compare a blanked copy with its source, block by block.

    Raises:
        SessionError: a block outside the stretch differs, or one inside it is as it was.
    """
    with source.open("rb") as before, copy.open("rb") as after:
        titles = titles_of(before, source)
        old = list(read_blocks(before, source))
        new = list(read_blocks(after, copy))
        if [(b.track, b.time_ms, b.element.start) for b in old] != [(b.track, b.time_ms, b.element.start) for b in new]:
            raise SessionError(f"{copy}: blanking moved a block; do not trust this copy")
        for was, now in zip(old, new, strict=True):
            low, high = done.get(titles[was.track], (0, 0))
            same = _payload(before, was) == _payload(after, now)
            if same == (low <= was.time_ms < high):
                where = f"{titles[was.track]} at {was.time_ms / 1000:.3f} s"
                raise SessionError(
                    f"{copy}: {where} {'was not blanked' if same else 'changed'}; do not trust this copy"
                )


def _payload(file: Any, block: Any) -> bytes:
    file.seek(block.payload)
    return bytes(file.read(block.element.stop - block.payload))


def _tick0_ns(kit: Device) -> int:
    """Time 0 of a kit's file, on its clock: sensor tracks begin there."""
    begun = [s.t0_ns for s in kit.streams if s.kind == "sensor"]
    if not begun:
        raise SessionError(f"{kit.file} has no sensor track, so where its time 0 lies on its clock is unknown")
    return begun[0]


def _maps(session: Session, kits: list[Device]) -> dict[str, ClockMap]:
    """Clock -> map to the first kit's clock, by `alignment.json`; empty where one kit is all."""
    if len({k.clock for k in kits}) == 1:
        return {}
    try:
        document = json.loads(session.path(ALIGNMENT).read_text())
        reference = document["reference"]
        maps = {m["source"]: ClockMap.from_json(m) for m in document["maps"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SessionError(
            f"{session.root} has several kits and no alignment, so where the stretch lies on each is unknown; "
            f"run `syncctl align {session.root}` first"
        ) from error
    if reference != kits[0].clock:
        raise SessionError(f"{session.path(ALIGNMENT)} is on the clock of {reference}; align on {kits[0].clock} first")
    return maps


def _on_clock(kit: Device, maps: dict[str, ClockMap], stretch: tuple[int, int]) -> tuple[int, int]:
    if kit.clock in maps:
        to_reference = maps[kit.clock]
        return to_reference.inverse(stretch[0]) - MARGIN_NS, to_reference.inverse(stretch[1]) + MARGIN_NS
    if maps and kit.clock not in {m.target for m in maps.values()}:
        raise SessionError(f"{kit.name} was not aligned, so where the stretch lies in it is unknown")
    return stretch


def _others(session: Session, kits: list[Device], out: Path) -> tuple[str, ...]:
    """Copy labels and calibration; returns the names of what is left out."""
    for folder in ("labels", "calibration"):
        if (session.root / folder).is_dir():
            shutil.copytree(session.root / folder, out / folder)
    kept = {MANIFEST, "labels", "calibration"} | {k.file for k in kits} | {k.log for k in kits if k.log}
    names = sorted(p.name for p in session.root.iterdir() if p.name not in kept and not p.name.startswith("."))
    return tuple(names)


def _manifest(
    session: Session, kits: list[Device], out: Path, blanked: dict[str, dict[str, tuple[float, float]]], stretch: Any
) -> None:
    note = {"of": session.id, "from_ns": stretch[0], "to_ns": stretch[1], "blanked": blanked}
    receipt = {**session.receipt, "redacted": [*session.receipt.get("redacted", []), note]}
    names = {k.name for k in kits}
    counters = {k: v for k, v in session.counters.items() if k in names}
    replace(session, root=out, id=out.resolve().name, devices=tuple(kits), receipt=receipt, counters=counters).save()
