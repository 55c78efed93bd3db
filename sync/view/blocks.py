"""Where the packets of a Matroska file lie: offsets into the file, so that they can be served without being copied.

Browsers do not play Matroska, and a kit's file holds fifty tracks of which a player wants one. A packet's bytes are the
same in Matroska and in MP4 (H.264 with lengths, FLAC frames), so a table of where they are is all that is missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from firmware_host.errors import SessionError
from recorder import matroska


@dataclass(frozen=True)
class Packets:
    """One track of a file.

    Attributes:
        codec: as Matroska calls it: ``V_MPEG4/ISO/AVC``, ``A_FLAC``...
        private: what a decoder is told first (avcC, or fLaC and its blocks).
        rate_hz: nominal rate of a sound track, 0 for others.
        offset: (N,) int64, first byte of each packet in the file.
        size: (N,) int64, bytes.
        key: (N,) bool, whether decoding can begin there.
    """

    codec: str
    private: bytes
    rate_hz: float
    offset: np.ndarray
    size: np.ndarray
    key: np.ndarray


def tracks(path: Path, names: frozenset[str]) -> dict[str, Packets]:
    """The packets of the tracks called `names`, in file order; of a cut file those that are whole.

    Raises:
        SessionError: no Matroska file, or none at all.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise SessionError(f"{path} cannot be opened: {error.strerror}") from error
    with file:
        size = file.seek(0, 2)
        heads: dict[int, matroska.Track] = {}
        found: dict[int, list[tuple[int, int, bool]]] = {}
        try:
            for element in matroska.elements(file):
                if element.id not in (matroska.TRACKS, matroska.CLUSTER):
                    continue
                body = matroska.read(file, element.body, min(element.stop, size))
                if element.id == matroska.TRACKS:
                    heads = {t.number: t for t in matroska.tracks(body) if t.title in names}
                    continue
                for b in matroska.blocks(body):
                    if b.track in heads and not b.laced:
                        row = (element.body + b.payload, b.element.stop - b.payload, b.keyframe)
                        found.setdefault(b.track, []).append(row)
        except ValueError as error:
            raise SessionError(f"{path}: {error}") from error
    return {head.title: _packets(head, found.get(n, [])) for n, head in heads.items()}


def _packets(head: matroska.Track, rows: list[tuple[int, int, bool]]) -> Packets:
    table = np.array(rows, np.int64).reshape(-1, 3)
    return Packets(head.codec, head.private, head.rate_hz, table[:, 0], table[:, 1], table[:, 2].astype(bool))
