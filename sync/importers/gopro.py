"""A GoPro's MP4: worn on the head unless told otherwise, so its pictures are the ego view (HOMAGE's ``v000``)."""

from __future__ import annotations

from pathlib import Path

from firmware_host.errors import SessionError
from recorder.demux import probe
from recorder.session import Device

SUFFIXES = (".mp4", ".mov")


def describe(path: Path, name: str) -> Device:
    """The GoPro that made `path`, under `name`.

    Raises:
        SessionError: not an MP4 with picture; GoPros make no other.
    """
    streams = probe(path)
    if path.suffix.lower() not in SUFFIXES or not any(s.kind == "video" for s in streams):
        raise SessionError(f"{path} is not an MP4 with picture, as GoPros make; add it with --as media")
    return Device(name=name, kind="gopro", role="ego", clock=name, file=path.name, streams=streams, view="v000")
