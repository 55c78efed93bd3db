"""Any file with picture or sound: times are the container's, on a clock of the file's own."""

from __future__ import annotations

from pathlib import Path

from recorder.demux import probe
from recorder.session import Device


def describe(path: Path, name: str) -> Device:
    """The device that made `path`, under `name`.

    Raises:
        SessionError: not a media file, or one without picture and sound.
    """
    return Device(name=name, kind="media", role="other", clock=name, file=path.name, streams=probe(path))
