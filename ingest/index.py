"""Where in a file a stretch of video lies, found without decoding anything and without the file's own index.

A GOP (group of pictures) is a keyframe and the frames up to the next: the least that decodes on its own. Reading
a clip then costs one range of bytes and a few dozen frames, wherever the file is stored.

In Matroska the recorder opens a cluster at each keyframe, so a GOP is one or more whole clusters, and the bytes before
the first cluster, followed by any run of clusters, are a valid stream. A cluster that ends beyond the end of the file
is read as far as it goes. `ingest.mp4` does the same for MP4.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from firmware_host.errors import SessionError
from recorder.matroska import CLUSTER, TRACKS, blocks, elements, read, tracks

_EBML_MAGIC = b"\x1a\x45\xdf\xa3"


@dataclass(frozen=True)
class Gop:
    """A keyframe and the frames up to the next.

    Attributes:
        start: first byte of the range that holds it.
        stop: first byte after that range.
        first_frame: number of its keyframe, counted from the file's first picture, in order of display.
        frames: how many frames it has.
    """

    start: int
    stop: int
    first_frame: int
    frames: int


@dataclass(frozen=True)
class VideoIndex:
    """The first video track of a file.

    Attributes:
        container: ``matroska`` or ``mp4``.
        header_stop: Matroska: bytes before this, then any GOP's, decode. MP4: 0, a GOP's bytes alone do not.
        gops: in order; empty where no keyframe is left.
    """

    container: str
    header_stop: int
    gops: tuple[Gop, ...]

    @property
    def end_frame(self) -> int:
        """Number after the last frame's."""
        return self.gops[-1].first_frame + self.gops[-1].frames if self.gops else 0


def video_index(path: Path) -> VideoIndex:
    """Index the first video track of a Matroska or MP4 file.

    Raises:
        SessionError: no such file, or another kind of file, no video track, damaged, or cut before its header ends.
    """
    from ingest.mp4 import mp4_samples

    try:
        with path.open("rb") as file:
            head = file.read(12)
            file.seek(0)
            if head[:4] == _EBML_MAGIC:
                return matroska_index(file)
            if head[4:8] == b"ftyp":
                return VideoIndex("mp4", 0, mp4_samples(file).gops())
    except OSError as error:
        raise SessionError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, IndexError, StopIteration, struct.error) as error:
        raise SessionError(f"{path} is damaged, or cut: {error or 'its header ends too soon'}") from error
    raise SessionError(f"{path} is neither Matroska nor MP4, so its frames cannot be indexed; remux it")


def matroska_index(file: BinaryIO) -> VideoIndex:
    """Index a Matroska file, whole or cut anywhere after its header.

    Args:
        file: seekable; only element headers and one cluster at a time are read.

    Raises:
        ValueError: no cluster or no video track is left.
    """
    size = file.seek(0, 2)
    track, header_stop = None, 0
    marks: list[tuple[int, int, bool]] = []  # (first byte of the cluster, its end, keyframe?) of each video frame
    for element in elements(file):
        stop = min(size, element.stop)
        if element.id == TRACKS:
            track = next((t.number for t in tracks(read(file, element.body, stop)) if t.video), None)
        elif element.id == CLUSTER:
            header_stop = header_stop or element.start
            if track is None:
                break
            held = blocks(read(file, element.body, stop))
            marks += [(element.start, stop, b.keyframe) for b in held if b.track == track]
    if track is None:
        raise ValueError("no video track; it may be cut before its header ends")
    return VideoIndex("matroska", header_stop, tuple(_gops(marks)))


def _gops(marks: list[tuple[int, int, bool]]) -> Iterator[Gop]:
    keys = [i for i, (_, _, key) in enumerate(marks) if key]
    for i, following in zip(keys, [*keys[1:], len(marks)], strict=False):  # without a keyframe nothing
        yield Gop(marks[i][0], marks[following - 1][1], i, following - i)
