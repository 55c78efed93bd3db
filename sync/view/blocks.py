"""Where the packets of a Matroska file lie: offsets into the file, so that they can be served without being copied.

Browsers do not play Matroska, and a kit's file holds fifty tracks of which a player wants one. A packet's bytes are the
same in Matroska and in MP4 (H.264 with lengths, FLAC frames), so a table of where they are is all that is missing.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from firmware_host.errors import SessionError
from recorder.ebml import Element, children, element_at, number
from recorder.matroska import CLUSTER

_EBML, _SEGMENT, _TRACKS, _TRACK_ENTRY = 0x1A45DFA3, 0x18538067, 0x1654AE6B, 0xAE
_NUMBER, _NAME, _CODEC, _PRIVATE, _AUDIO, _RATE = 0xD7, 0x536E, 0x86, 0x63A2, 0xE1, 0xB5
_BLOCK_GROUP, _BLOCK, _SIMPLE_BLOCK, _REFERENCE = 0xA0, 0xA1, 0xA3, 0xFB
_SEGMENT_HEAD = 12
"""A segment's id and length as this recorder and FFmpeg write them; the length says nothing while it is recorded."""


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
        SessionError: no Matroska file.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        heads: dict[int, tuple[str, str, bytes, float]] = {}
        found: dict[int, list[tuple[int, int, bool]]] = {}
        for element in _top_level(file, size, path):
            body = _read(file, element.body, min(element.stop, size))
            if element.id == _TRACKS:
                heads = {n: head for n, head in _heads(body) if head[0] in names}
            for track, at, length, key in _packets(body) if element.id == CLUSTER else ():
                if track in heads:
                    found.setdefault(track, []).append((element.body + at, length, key))
    return {head[0]: _track(head, found.get(n, [])) for n, head in heads.items()}


def _track(head: tuple[str, str, bytes, float], rows: list[tuple[int, int, bool]]) -> Packets:
    table = np.array(rows, np.int64).reshape(-1, 3)
    return Packets(*head[1:], table[:, 0], table[:, 1], table[:, 2].astype(bool))


def _top_level(file: BinaryIO, size: int, path: Path) -> Iterator[Element]:
    """The tracks and the clusters, up to the first bytes that are no element."""
    ebml = element_at(_read(file, 0, 64), 0)
    if ebml is None or ebml.id != _EBML or _read(file, ebml.stop, ebml.stop + 4) != _SEGMENT.to_bytes(4, "big"):
        raise SessionError(f"{path} is no Matroska file; it may be cut in its header")
    at = ebml.stop + _SEGMENT_HEAD
    while (found := element_at(_read(file, at, at + 12), 0)) is not None:
        if found.id in (_TRACKS, CLUSTER):
            yield Element(found.id, at, at + found.body, at + found.stop)
        at += found.stop
        if at >= size:
            return


def _heads(body: bytes) -> Iterator[tuple[int, tuple[str, str, bytes, float]]]:
    """(track number, (name, codec, private, rate)) of each track."""
    for entry in children(body):
        if entry.id != _TRACK_ENTRY:
            continue
        inside = body[entry.body : entry.stop]
        has = {e.id: inside[e.body : e.stop] for e in children(inside)}
        codec = has.get(_CODEC, b"").decode("ascii", "replace").rstrip("\0")
        name = has.get(_NAME, b"").decode("utf-8", "replace")
        yield int.from_bytes(has.get(_NUMBER, b""), "big"), (name, codec, has.get(_PRIVATE, b""), _rate(has))


def _rate(has: dict[int, bytes]) -> float:
    audio = has.get(_AUDIO, b"")
    value = next((audio[e.body : e.stop] for e in children(audio) if e.id == _RATE), b"")
    return float(struct.unpack(">d" if len(value) == 8 else ">f", value)[0]) if len(value) in (4, 8) else 0.0


def _packets(body: bytes) -> Iterator[tuple[int, int, int, bool]]:
    """(track, first byte in `body`, bytes, keyframe?) of each block without lacing."""
    for child in children(body):
        start, stop, key = child.body, child.stop, None
        if child.id == _BLOCK_GROUP:
            inner = {e.id: e for e in children(body[child.body : child.stop])}
            if _BLOCK not in inner:
                continue
            start, stop = child.body + inner[_BLOCK].body, child.body + inner[_BLOCK].stop
            key = _REFERENCE not in inner
        elif child.id != _SIMPLE_BLOCK:
            continue
        if stop - start < 4 or not body[start]:
            continue
        track, used = number(body, start)
        flags = body[start + used + 2]
        if flags & 0x06 == 0:
            yield track, start + used + 3, stop - start - used - 3, bool(flags & 0x80) if key is None else key


def _read(file: BinaryIO, start: int, stop: int) -> bytes:
    file.seek(start)
    return file.read(stop - start)
