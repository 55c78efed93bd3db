"""A kit's Matroska file by its bytes: its clusters, what an index of them would say, and where a cut one ends.

Matroska (RFC 9559) is a tree: a segment holds a header (Info, Tracks, Tags), then clusters of blocks, then the cues.
Every cluster begins with a checksum, so what a power cut or a bad card left is judged without decoding.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from recorder.ebml import Element, children, element_at, id_bytes
from recorder.matroska import (
    CLUSTER,
    CRC,
    CRC_BYTES,
    CUES,
    INFO,
    SEEK_HEAD,
    TAGS,
    TRACKS,
    VOID,
    blocks,
    checksum,
    cluster_time_ms,
    read,
    segment_at,
    tracks,
)

CUE_EVERY_MS = 1000
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


class _Scan:
    """One pass over a file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = file.seek(0, os.SEEK_END)
        self._tracks: dict[int, bool] = {}
        self._times: dict[int, tuple[int, int]] = {}
        self._keyframes: list[Cue] = []
        self._others: list[Cue] = []
        self._damaged = 0

    def run(self) -> Layout:
        if not self._size:
            raise NotMendable("it is empty")
        try:
            segment, announced = segment_at(self._read(0, _HEAD))
        except ValueError as error:
            raise NotMendable(str(error)) from error
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
                self._tracks = {t.number: t.video for t in tracks(self._read(element.body, element.stop))}
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
        time_ms, held = cluster_time_ms(data), list(blocks(data))
        for block in held:
            self._note(at.start, time_ms + block.offset_ms, block.track, block.keyframe)
        if not torn:
            return Cluster(at, at.stop)
        return Cluster(at, at.body + max(e.stop for e in children(data)), torn) if held else None

    def _note(self, position: int, time_ms: int, track: int, keyframe: bool) -> None:
        before = self._times.get(track, (time_ms, time_ms))
        self._times[track] = (before[1], time_ms)
        if self._tracks.get(track):
            if keyframe:
                self._keyframes.append(Cue(time_ms, track, position))
        elif not self._others or time_ms >= self._others[-1].time_ms + CUE_EVERY_MS:
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
        return read(self._file, start, stop)
