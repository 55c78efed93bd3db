"""Blocks appended to a Matroska file, cluster by cluster, and the file closed as a cut one is mended.

A recording only ever appends: nothing of it waits in memory longer than a cluster, however long it lasts, and what is
on the disk stays as it is. What only the end knows is written by `recorder.mend`, the same for a recording that was
closed and for one that was cut.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import NamedTuple

from recorder.ebml import Element, children, uint, vint, written
from recorder.layout import CUE_EVERY_MS, Cluster, Cue, Layout
from recorder.matroska import CLUSTER, INFO, KEYFRAME, SIMPLE_BLOCK, TAGS, TIME, TRACKS, checksum, segment_at
from recorder.mend import mend, mending

CLUSTER_MS = 250
"""A cluster is written when its blocks span this long: what a power cut takes of what was given."""
MOST_MS = 1000
"""A cluster never reaches further ahead, whether or not anyone asks for it to be written."""
LATEST_MS = 30_000
"""Nor back: a block's time is 16 bits from its cluster's."""


class Block(NamedTuple):
    """A packet of a track: its number in the file, its time and how long it lasts (ms), whether one can begin there."""

    t_ms: int
    track: int
    data: bytes
    lasts_ms: int
    keyframe: bool


class ClusterFile:
    """A file being recorded. It goes quiet when the disk fails: `fault` says why, and nothing is raised."""

    def __init__(self, path: Path, header: bytes, video: int | None) -> None:
        """Begin a file.

        Args:
            header: all that comes before the first cluster, with room for what the end will tell.
            video: the track whose keyframes are where a reader begins; None where there is none.
        """
        self.fault: OSError | None = None
        self._path = path
        self._video = video
        self._segment, _ = segment_at(header)
        self._header = tuple(
            Element(e.id, *(self._segment + place for place in e[1:]))
            for e in children(header[self._segment :])
            if e.id in (INFO, TRACKS, TAGS)
        )
        self._blocks: list[Block] = []
        self._cues: list[Cue] = []
        self._last: Cluster | None = None
        self._time_ms = self._duration_ms = self._at = 0
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        self._append(header)

    def add(self, block: Block) -> None:
        """Take a block; a keyframe of the video begins a cluster."""
        leads = block.track == self._video and block.keyframe
        if self._blocks and (leads or not -LATEST_MS <= block.t_ms - self._blocks[0].t_ms < MOST_MS):
            self.write()
        self._blocks.append(block)
        self._duration_ms = max(self._duration_ms, block.t_ms + block.lasts_ms)

    def settle(self) -> None:
        """Write what is waiting, if it is worth a cluster."""
        if self._blocks:
            first = min(b.t_ms for b in self._blocks)
            if max(b.t_ms + b.lasts_ms for b in self._blocks) - first >= CLUSTER_MS:
                self.write()

    def write(self) -> None:
        """Write what is waiting as one cluster."""
        if not self._blocks:
            return
        blocks, self._blocks = sorted(self._blocks, key=lambda b: b.t_ms), []
        # Tracks come with different delays; a late block has a time before its cluster's, which go forward if they can.
        if not 0 <= self._time_ms - blocks[0].t_ms <= LATEST_MS:
            self._time_ms = blocks[0].t_ms
        told = written(TIME, uint(self._time_ms)) + b"".join(_simple_block(b, self._time_ms) for b in blocks)
        body = checksum(bytes(6) + told) + told
        at = self._at
        self._append(written(CLUSTER, body))
        self._last = Cluster(Element(CLUSTER, at, self._at - len(body), self._at), self._at)
        for block in blocks:
            due = not self._cues or block.t_ms >= self._cues[-1].time_ms + CUE_EVERY_MS
            if block.keyframe if block.track == self._video else self._video is None and due:
                self._cues.append(Cue(block.t_ms, block.track, at))

    def close(self) -> None:
        """Write what is waiting, the index, and the header's last words."""
        self.write()
        os.close(self._file)
        if self.fault is None and self._last is not None:
            try:
                self._seal(self._last)
            except OSError as error:
                self.fault = error

    def _seal(self, last: Cluster) -> None:
        layout = Layout(
            self._at, self._segment, None, self._header, last, tuple(self._cues), self._duration_ms, False, 0, None
        )
        if what := mending(self._path, layout):
            mend(self._path, what)

    def _append(self, data: bytes) -> None:
        self._at += len(data)
        try:
            while data and self.fault is None:
                data = data[os.write(self._file, data) :]
        except OSError as error:  # half a cluster at the end, as after a cut; nothing may follow it
            self.fault = error


def _simple_block(block: Block, cluster_ms: int) -> bytes:
    flags = KEYFRAME if block.keyframe else 0
    head = vint(block.track) + struct.pack(">hB", block.t_ms - cluster_ms, flags)
    return bytes((SIMPLE_BLOCK,)) + vint(len(head) + len(block.data)) + head + block.data
