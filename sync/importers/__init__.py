"""Recordings from elsewhere, brought into a session as they came: linked or copied, never encoded again.

`IMPORTERS` maps the word after ``--as`` to a function that reads a recording and says what it `Found`. `kind_of`
looks at the recording itself, so that nobody has to say.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from firmware_host.errors import SessionError
from recorder.demux import opened
from recorder.session import Device
from sync.importers import gopro, media, neon, tobii, xdf
from sync.importers.found import Found

Importer = Callable[[Path, str], Found]


def one_file(describe: Callable[[Path, str], Device]) -> Importer:
    """The importer of a device that leaves one media file."""

    def read(path: Path, name: str) -> Found:
        kept = f"{name}{path.suffix.lower()}"
        return Found((replace(describe(path, name), file=kept),), ((path, kept),))

    return read


IMPORTERS: dict[str, Importer] = {
    "gopro": gopro.read,
    "tobii": tobii.read,
    "neon": neon.read,
    "xdf": xdf.read,
    "media": one_file(media.describe),
}


def kind_of(path: Path) -> str:
    """Which importer a recording is for, by its contents: a key of `IMPORTERS`.

    Raises:
        SessionError: there is nothing, or nothing that any of them reads.
    """
    if path.is_dir():
        for kind, is_one in (("tobii", tobii.is_tobii), ("neon", neon.is_neon)):
            if is_one(path):
                return kind
        if (path / "info.player.json").is_file() or (path / "world.mp4").is_file():
            raise SessionError(f"{path} is a Pupil Core or Player recording, which is not read; add its video alone")
        raise SessionError(f"{path} is no recording of Tobii glasses or a Neon; give the folder that the device wrote")
    if xdf.is_xdf(path):
        return "xdf"
    with opened(path) as container:
        makers = [s.metadata.get("handler_name", "") for s in container.streams]
    return "gopro" if any("GoPro" in m for m in makers) else "media"
