"""The few bytes that make a cut kit file whole again.

The recorder leaves room in the header for what is only known at the end: the length of the whole, the duration, and
where the index (cues) is. A recording that was cut has none of the three, and perhaps half a block as its last bytes.
So it is mended in place: the torn block is cut off, the cues are added behind the last cluster, and the header is
completed in one write of some 200 bytes that changes no length. Nothing that decodes is moved or rewritten, and the
order is such that a power cut at any point leaves a file that can be mended again.
"""

from __future__ import annotations

import io
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from recorder.ebml import children, id_bytes, size, uint, written
from recorder.layout import Cluster, Cue, Layout, NotMendable
from recorder.matroska import CLUSTER, CRC, CUES, INFO, SEEK_HEAD, SEGMENT_SIZE_BYTES, VOID, checksum

_SEEK, _SEEK_ID, _SEEK_POSITION = 0x4DBB, 0x53AB, 0x53AC
_CUE_POINT, _CUE_TIME, _CUE_WHERE, _CUE_TRACK, _CUE_POSITION = 0xBB, 0xB3, 0xB7, 0xF7, 0xF1
_DURATION = 0x4489
_DURATION_BYTES = 11
"""A duration with its head, and the Void that keeps its place."""
_VOID_HEAD = 9


@dataclass(frozen=True)
class Mending:
    """What is to be written.

    Attributes:
        patches: (first byte, bytes) that replace as many; the header is the last.
        end: where the file is cut; nothing behind it decodes.
        cues: what follows.
        torn: bytes that are cut off, old cues not counted.
    """

    patches: tuple[tuple[int, bytes], ...]
    end: int
    cues: bytes
    torn: int


def mending(path: Path, layout: Layout) -> Mending | None:
    """What makes a file whole; None where it is.

    Raises:
        NotMendable: its header has no room, or whole clusters follow damaged bytes, which would be lost.
    """
    if layout.whole:
        return None
    end = layout.last.stop
    if layout.resumes is not None:
        raise NotMendable(f"its bytes {end} to {layout.resumes} are damaged and more follows, so it is left as it is")
    cues = written(CUES, b"".join(_cue_point(cue, layout.segment) for cue in layout.cues))
    with path.open("rb") as file:
        torn = (_closed_cluster(file, layout.last),) if layout.last.torn else ()
        header = _header(file, layout, cues_at=end, length=end + len(cues) - layout.segment)
    return Mending((*torn, header), end, cues, 0 if layout.indexed else layout.size - end)


def mend(path: Path, what: Mending) -> None:
    """Write a mending. May be interrupted anywhere, and begun again from a new scan.

    Raises:
        OSError: the disk is full or cannot be written. The file is as readable as before.
    """
    descriptor = os.open(path, os.O_RDWR)
    try:
        *clusters, header = what.patches
        for at, data in clusters:
            _write(descriptor, data, at)
        os.fsync(descriptor)  # the last cluster says its true length before what it no longer counts is cut off
        os.ftruncate(descriptor, what.end)
        try:
            _write(descriptor, what.cues, what.end)
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, what.end)
            raise
        _write(descriptor, header[1], header[0])  # less than a disk's sector: it is there or not
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Preview(io.RawIOBase):
    """A file as a mending would leave it, to be tried before anything is written."""

    def __init__(self, file: BinaryIO, what: Mending) -> None:
        self._file, self._what, self._at = file, what, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        length = self._what.end + len(self._what.cues)
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: length}[whence]
        return self._at

    def read(self, n: int = -1) -> bytes:
        end = self._what.end
        stop = end + len(self._what.cues) if n < 0 else self._at + n
        self._file.seek(self._at)
        data = bytearray(self._file.read(max(0, min(stop, end) - self._at)))
        for at, patch in self._what.patches:
            low, high = max(at, self._at), min(at + len(patch), self._at + len(data))
            if low < high:
                data[low - self._at : high - self._at] = patch[low - at : high - at]
        data += self._what.cues[max(0, self._at - end) : max(0, stop - end)]
        self._at += len(data)
        return bytes(data)


def _closed_cluster(file: BinaryIO, cluster: Cluster) -> tuple[int, bytes]:
    """The patch that makes a torn cluster end with its last whole block."""
    size_at = cluster.at.start + len(id_bytes(CLUSTER))
    file.seek(cluster.at.body)
    body = file.read(cluster.stop - cluster.at.body)
    patch = size(len(body), cluster.at.body - size_at)
    return size_at, patch + checksum(body) if body[0] == CRC else patch


def _header(file: BinaryIO, layout: Layout, *, cues_at: int, length: int) -> tuple[int, bytes]:
    """The patch of the header: the segment's length, where everything is, and Info with the duration."""
    info = next((e for e in layout.header if e.id == INFO), None)
    if info is None:
        raise NotMendable("its header has no Info")
    places = [*((e.id, e.start) for e in layout.header), (CUES, cues_at)]
    seek_head = written(SEEK_HEAD, b"".join(_seek(element, at - layout.segment) for element, at in places))
    room = info.start - layout.segment - len(seek_head) - _VOID_HEAD
    if room < 0:
        raise NotMendable("its header has no room for an index")
    void = id_bytes(VOID) + size(room, _VOID_HEAD - 1) + bytes(room)
    file.seek(info.start)
    told = _with_duration(file.read(info.stop - info.start), info.body - info.start, layout.duration_ms)
    return layout.segment - SEGMENT_SIZE_BYTES, size(length, SEGMENT_SIZE_BYTES) + seek_head + void + told


def _with_duration(info: bytes, body: int, duration_ms: int) -> bytes:
    """Info with its duration, and without the checksum that this makes untrue."""
    told, placed = bytearray(info), False
    for child in children(info[body:]):
        if child.id == CRC:
            told[body + child.start] = VOID
        elif child.id in (_DURATION, VOID) and child.stop - child.start == _DURATION_BYTES:
            ms, placed = float(duration_ms), True
            if child.id == _DURATION:  # it was closed once, and the last blocks of a closed file are short
                (before,) = struct.unpack(">d", info[body + child.body : body + child.stop])
                ms = min(ms, before)
            told[body + child.start : body + child.stop] = id_bytes(_DURATION) + size(8, 1) + struct.pack(">d", ms)
    if not placed:
        raise NotMendable("its header has no room for a duration")
    return bytes(told)


def _seek(element: int, position: int) -> bytes:
    return written(_SEEK, written(_SEEK_ID, id_bytes(element)) + written(_SEEK_POSITION, position.to_bytes(8, "big")))


def _cue_point(cue: Cue, segment: int) -> bytes:
    where = written(_CUE_TRACK, uint(cue.track)) + written(_CUE_POSITION, uint(cue.position - segment))
    return written(_CUE_POINT, written(_CUE_TIME, uint(cue.time_ms)) + written(_CUE_WHERE, where))


def _write(descriptor: int, data: bytes, at: int) -> None:
    while data:
        done = os.pwrite(descriptor, data, at)
        data, at = data[done:], at + done
