"""The bytes of a film that a decoder needs for some of its frames, without a demuxer.

A clip costs one range of the file, wherever it is stored: from the keyframe before its first frame to its last. What
must be known beforehand (where packets are, what a decoder is told first) is read once a film. Opening a film with a
demuxer for each clip would cost more than a small clip: it decodes a little to look around.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ingest.index import VideoIndex
from ingest.mp4 import Packets, mp4_packets
from ingest.store import Store
from recorder.ebml import children, written
from recorder.matroska import CLUSTER, TRACKS, blocks, cluster_time_ms, elements, tracks

MP4 = VideoIndex("mp4", 0, ())
"""Of an MP4 a reader needs to know nothing beforehand."""
_TRACK_ENTRY, _ENCODINGS = 0xAE, 0x6D80


@dataclass(frozen=True)
class Video:
    """A file and where its GOPs are.

    Attributes:
        path: of the file; from the root where it is in a store.
        store: where the file is, None for a file of this machine.
        first: which of the file's frames is number 0: a file of another tool may hold several sessions.
    """

    path: Path
    index: VideoIndex
    store: Store | None = None
    first: int = 0

    def bytes(self, start: int, stop: int) -> bytes:
        """One range of the file."""
        if self.store is not None:
            return self.store.read(self.path.as_posix(), start, stop)
        with self.path.open("rb") as file:
            file.seek(start)
            return file.read(stop - start)


class Packet(NamedTuple):
    """What a decoder is given at a time.

    Attributes:
        frame: number of the frame it becomes, below 0 for one that is never shown.
        key: whether decoding can begin with it.
        data: its bytes.
    """

    frame: int
    key: bool
    data: bytes


class Mp4Film:
    """An MP4, by its sample table.

    Attributes:
        format: what FFmpeg calls the container.
        head: bytes in which its demuxer finds the codec.
    """

    format = "mp4"

    def __init__(self, video: Video) -> None:
        if video.store is None:
            with video.path.open("rb") as file:
                self._table, self.head = mp4_packets(file)
        else:
            with video.store.open(video.path.as_posix()) as file:
                self._table, self.head = mp4_packets(file)

    def packets(self, video: Video, first: int, last: int) -> list[Packet]:
        """What decodes to frames `first` to `last`, in the order in which it is decoded.

        Raises:
            ValueError: the film lacks one of them.
        """
        table: Packets = self._table
        reach = slice(*table.reach(first, last))
        offset, stop = table.offset[reach], table.offset[reach] + table.size[reach]
        start = int(offset.min())
        data = video.bytes(start, int(stop.max()))
        where = zip(table.frame[reach], table.key[reach], offset - start, stop - start, strict=True)
        return [Packet(int(frame), bool(key), data[a:b]) for frame, key, a, b in where]


class MatroskaFilm:
    """A Matroska film, whole or cut, by its header and the GOPs of its index; attributes as `Mp4Film`'s."""

    format = "matroska"

    def __init__(self, video: Video) -> None:
        self._header = video.bytes(0, video.index.header_stop)
        self.head = self._header + written(CLUSTER, b"")  # a demuxer takes no header after which nothing comes
        found = next((e for e in elements(io.BytesIO(self._header)) if e.id == TRACKS), None)
        body = self._header[found.body : found.stop] if found else b""
        entries = [body[e.body : e.stop] for e in children(body) if e.id == _TRACK_ENTRY]
        place = next((i for i, track in enumerate(tracks(body)) if track.video), None)
        if place is None:
            raise ValueError("its header names no video track")
        if any(e.id == _ENCODINGS for e in children(entries[place])):
            raise ValueError("its packets are compressed once more; remux it with `ffmpeg -i OLD -c copy NEW`")
        self._track = list(tracks(body))[place].number

    def packets(self, video: Video, first: int, last: int) -> list[Packet]:
        """See `Mp4Film.packets`."""
        gops = video.index.gops
        met = [g for g in gops if g.first_frame <= last and g.first_frame + g.frames > first]
        if not met or last >= video.index.end_frame:
            raise ValueError(f"there are {video.index.end_frame} frames")
        start, stop = met[0].start, met[-1].stop
        base = next(g.first_frame for g in gops if g.start == start)  # the first keyframe of that cluster
        found = self._timed(self._header + video.bytes(start, stop))
        while found and not found[0][1].key:
            found.pop(0)
        order = np.argsort([at_ms for at_ms, _ in found], kind="stable")
        frame = np.empty(len(found), np.int64)
        frame[order] = base + np.arange(len(found))
        return [packet._replace(frame=n) for n, (_, packet) in zip(frame.tolist(), found, strict=True)]

    def _timed(self, data: bytes) -> list[tuple[int, Packet]]:
        """Each packet in a header and a run of clusters with its time in milliseconds; their frames are not known."""
        found = []
        for element in elements(io.BytesIO(data)):
            if element.id == CLUSTER:
                body = data[element.body : element.stop]
                at_ms = cluster_time_ms(body)
                mine = (b for b in blocks(body) if b.track == self._track)
                found += [(at_ms + b.offset_ms, Packet(-1, b.keyframe, body[b.payload : b.element.stop])) for b in mine]
        return found


Film = Mp4Film | MatroskaFilm


def open_film(video: Video) -> Film:
    """Read what must be known of a film before any of its frames.

    Raises:
        ValueError: its tables cannot be read.
        OSError: the file is gone.
    """
    return MatroskaFilm(video) if video.index.container == "matroska" else Mp4Film(video)


def delay(packets: list[Packet]) -> int:
    """How many packets after its own a frame may come out of the decoder at the latest: 0 without B-frames."""
    ranks = np.argsort(np.argsort([p.frame for p in packets]))
    return int((np.arange(len(ranks)) - ranks).max(initial=0))
