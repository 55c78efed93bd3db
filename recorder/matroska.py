"""A kit's Matroska file by its bytes: its clusters, what an index of them would say, and where a cut one ends.

Matroska (RFC 9559) is a tree: a segment holds a header (Info, Tracks, Tags), then clusters of blocks, then the cues.
Every cluster begins with a checksum, so what a power cut or a bad card left is judged without decoding.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from recorder.ebml import Element, children, element_at, id_bytes, number

SEEK_HEAD, INFO, TAGS, CLUSTER, CUES = 0x114D9B74, 0x1549A966, 0x1254C367, 0x1F43B675, 0x1C53BB6B
VOID, CRC = 0xEC, 0xBF
CRC_BYTES = 6
"""A checksum with its head: `CRC`, 0x84, and four bytes, the lowest first."""
SEGMENT_SIZE_BYTES = 8
TRACKS = 0x1654AE6B
TIME, SIMPLE_BLOCK = 0xE7, 0xA3
_EBML, _SEGMENT = 0x1A45DFA3, 0x18538067
_TRACK_ENTRY, _TRACK_NUMBER, _TRACK_TYPE, _VIDEO = 0xAE, 0xD7, 0x83, 1
_BLOCK_GROUP, _BLOCK, _REFERENCE = 0xA0, 0xA1, 0xFB
_UNKNOWN = (1 << 56) - 1
_CUE_EVERY_MS = 1000
"""Where there is no video, whose keyframes are a second apart."""
_CHUNK = 1 << 20
_HEAD = 256
"""What says that a file is Matroska is within its first bytes."""


class NotMendable(ValueError):  # noqa: N818  a state of the file
    """The file holds nothing, or is not built as this recorder builds its files. Says why."""


@dataclass(frozen=True)
class Cluster:
    """A run of blocks. `stop` is the first byte after its last whole block; `torn` where more was announced."""

    at: Element
    stop: int
    torn: bool = False


@dataclass(frozen=True)
class Cue:
    """Where to begin reading for a time."""

    time_ms: int
    track: int
    position: int


@dataclass(frozen=True)
class Layout:
    """What a file holds.

    Attributes:
        size: of the file, bytes.
        segment: first byte of the segment's body; positions in the file's own indexes count from here.
        announced: length of the segment as it says, None while it was never closed.
        header: Info, Tracks and Tags.
        last: the last cluster.
        cues: what an index would say, in order of time.
        duration_ms: end of the last block of the longest track.
        indexed: whether there are cues behind the last cluster.
        damaged: whole clusters whose checksum does not hold.
        resumes: first byte of a whole cluster behind bytes that are none, None where there is none.
    """

    size: int
    segment: int
    announced: int | None
    header: tuple[Element, ...]
    last: Cluster
    cues: tuple[Cue, ...]
    duration_ms: int
    indexed: bool
    damaged: int
    resumes: int | None

    @property
    def whole(self) -> bool:
        """Whether it was closed and nothing is missing since."""
        return self.indexed and self.announced == self.size - self.segment


def scan(path: Path) -> Layout:
    """Read a file's structure, cluster by cluster.

    Raises:
        NotMendable: empty, cut before its first block, or no Matroska.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return _Scan(file).run()


def checksum(body: bytes) -> bytes:
    """What a cluster's body must begin with."""
    return bytes((CRC, 0x84)) + zlib.crc32(body[CRC_BYTES:]).to_bytes(4, "little")


def segment_at(data: bytes) -> tuple[int, int | None]:
    """First byte of the segment's body, and its length as it says, None while it was never closed.

    Raises:
        NotMendable: these are not a Matroska file's first bytes.
    """
    ebml = element_at(data, 0)
    if ebml is None or ebml.id != _EBML:
        raise NotMendable("it was cut in its header")
    head = data[ebml.stop : ebml.stop + 4 + SEGMENT_SIZE_BYTES]
    if len(head) < 4 + SEGMENT_SIZE_BYTES or head[:5] != id_bytes(_SEGMENT) + b"\1":
        raise NotMendable("it was cut in its header")
    announced = int.from_bytes(head[5:], "big")
    return ebml.stop + len(head), None if announced == _UNKNOWN else announced


class _Scan:
    """One pass over a file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = file.seek(0, os.SEEK_END)
        self._tracks: dict[int, int] = {}
        self._times: dict[int, tuple[int, int]] = {}
        self._keyframes: list[Cue] = []
        self._others: list[Cue] = []
        self._damaged = 0

    def run(self) -> Layout:
        if not self._size:
            raise NotMendable("it is empty")
        segment, announced = segment_at(self._read(0, _HEAD))
        header: list[Element] = []
        last, indexed, at = None, False, segment
        while (element := self._element(at)) is not None:
            if element.id == CLUSTER:
                cluster, indexed = self._cluster(element), False
                last = cluster or last
                if cluster is None or cluster.torn:
                    break
            elif element.stop > self._size or element.id not in (SEEK_HEAD, INFO, TRACKS, TAGS, CUES, VOID):
                break
            elif element.id == TRACKS:
                self._tracks = dict(_track_types(self._read(element.body, element.stop)))
            header += [element] if element.id in (INFO, TRACKS, TAGS) else []
            indexed = indexed or element.id == CUES
            at = element.stop
        if last is None:
            raise NotMendable("it was cut before its first block" if self._tracks else "it was cut in its header")
        return Layout(
            size=self._size,
            segment=segment,
            announced=announced,
            header=tuple(header),
            last=last,
            cues=tuple(self._keyframes or self._others),
            duration_ms=max((late + max(0, late - before) for before, late in self._times.values()), default=0),
            indexed=indexed,
            damaged=self._damaged,
            resumes=None if indexed else self._resumes(last.stop),
        )

    def _cluster(self, at: Element) -> Cluster | None:
        """Note a cluster's blocks; None where it is torn and not one is whole."""
        data = self._read(at.body, min(at.stop, self._size))
        torn = at.stop > self._size
        if not torn and data[:1] == bytes((CRC,)) and data[:CRC_BYTES] != checksum(data):
            self._damaged += 1
        stop, time_ms, blocks = 0, 0, 0
        for child in children(data):
            stop = child.stop
            if child.id == TIME:
                time_ms = int.from_bytes(data[child.body : child.stop], "big")
            elif block := _block(data, child):
                blocks += 1
                track, offset_ms, keyframe = block
                self._note(at.start, time_ms + offset_ms, track, keyframe)
        if torn and not blocks:
            return None
        return Cluster(at, at.body + stop if torn else at.stop, torn)

    def _note(self, position: int, time_ms: int, track: int, keyframe: bool) -> None:
        before = self._times.get(track, (time_ms, time_ms))
        self._times[track] = (before[1], time_ms)
        if self._tracks.get(track) == _VIDEO:
            if keyframe:
                self._keyframes.append(Cue(time_ms, track, position))
        elif not self._others or time_ms >= self._others[-1].time_ms + _CUE_EVERY_MS:
            self._others.append(Cue(time_ms, track, position))

    def _resumes(self, at: int) -> int | None:
        """The first whole cluster behind `at` whose checksum holds."""
        mark = id_bytes(CLUSTER)
        while len(data := self._read(at, at + _CHUNK)) > len(mark):
            found = data.find(mark)
            if found < 0:
                at += len(data) - len(mark) + 1
                continue
            element = self._element(at + found)
            if element and element.stop <= self._size:
                body = self._read(element.body, element.stop)
                if body[:CRC_BYTES] == checksum(body):
                    return element.start
            at += found + 1
        return None

    def _element(self, at: int) -> Element | None:
        found = element_at(self._read(at, at + 12), 0)
        return found and Element(found.id, at, at + found.body, at + found.stop)

    def _read(self, start: int, stop: int) -> bytes:
        self._file.seek(start)
        return self._file.read(stop - start)


def _block(data: bytes, at: Element) -> tuple[int, int, bool] | None:
    """(track, time in ms since the cluster's, keyframe?) of a block; None for another element."""
    body, keyframe = at.body, True
    if at.id == _BLOCK_GROUP:
        inner = {e.id: at.body + e.body for e in children(data[at.body : at.stop])}
        if _BLOCK not in inner:
            return None
        body, keyframe = inner[_BLOCK], _REFERENCE not in inner
    elif at.id != SIMPLE_BLOCK:
        return None
    if at.stop - body < 4 or not data[body]:
        return None
    track, used = number(data, body)
    (offset_ms,) = struct.unpack_from(">h", data, body + used)
    return track, offset_ms, bool(data[body + used + 2] & 0x80) if at.id == SIMPLE_BLOCK else keyframe


def _track_types(data: bytes) -> Iterator[tuple[int, int]]:
    for entry in children(data):
        if entry.id == _TRACK_ENTRY:
            inside = data[entry.body : entry.stop]
            values = {e.id: int.from_bytes(inside[e.body : e.stop], "big") for e in children(inside)}
            yield values.get(_TRACK_NUMBER, 0), values.get(_TRACK_TYPE, 0)
