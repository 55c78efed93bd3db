"""Where in a file a stretch of video lies, found without decoding anything and without the file's own index.

A GOP (group of pictures) is a keyframe and the frames up to the next: the least that decodes on its own. Reading
a clip then costs one range of bytes and a few dozen frames, wherever the file is stored.

Matroska (RFC 9559) is a tree of elements, each an id, a length and a body. The recorder opens a cluster at each
keyframe, so a GOP is one or more whole clusters, and the bytes before the first cluster, followed by any run of
clusters, are a valid stream. Walking the headers needs no cues, which a power cut never writes; elements that
end beyond the end of the file are read as far as they go. `ingest.mp4` does the same for MP4.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from firmware_host.errors import SessionError

_EBML_MAGIC = b"\x1a\x45\xdf\xa3"
_SEGMENT = 0x18538067
_CLUSTER = 0x1F43B675
_TRACKS = 0x1654AE6B
_TRACK_ENTRY = 0xAE
_TRACK_NUMBER = 0xD7
_TRACK_TYPE = 0x83
_VIDEO = 1
_SIMPLE_BLOCK = 0xA3
_BLOCK_GROUP = 0xA0
_BLOCK = 0xA1
_REFERENCE_BLOCK = 0xFB
_TOP_LEVEL = frozenset(
    {_CLUSTER, _TRACKS, 0x114D9B74, 0x1549A966, 0x1C53BB6B, 0x1941A469, 0x1043A770, 0x1254C367, 0xEC}
)


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
        SessionError: another kind of file, no video track, or cut before its header ends.
    """
    from ingest.mp4 import mp4_samples

    with path.open("rb") as file:
        head = file.read(12)
        file.seek(0)
        try:
            if head[:4] == _EBML_MAGIC:
                return matroska_index(file)
            if head[4:8] == b"ftyp":
                return VideoIndex("mp4", 0, mp4_samples(file).gops())
        except ValueError as error:
            raise SessionError(f"{path}: {error}") from error
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
    for element, start, body, stop in _top_level(file, size):
        if element == _TRACKS:
            track = _first_video_track(_read(file, body, stop))
        elif element == _CLUSTER:
            header_stop = header_stop or start
            if track is None:
                break
            marks += [(start, stop, key) for key in _blocks(_read(file, body, stop), track)]
    if track is None:
        raise ValueError("no video track; it may be cut before its header ends")
    return VideoIndex("matroska", header_stop, tuple(_gops(marks)))


def _gops(marks: list[tuple[int, int, bool]]) -> Iterator[Gop]:
    keys = [i for i, (_, _, key) in enumerate(marks) if key]
    for i, following in zip(keys, [*keys[1:], len(marks)], strict=True):
        yield Gop(marks[i][0], marks[following - 1][1], i, following - i)


def _top_level(file: BinaryIO, size: int) -> Iterator[tuple[int, int, int, int]]:
    """(id, first byte, first byte of the body, end) of each element of the segment."""
    at, inside = 0, False
    while at < size:
        header = _header(_read(file, at, min(size, at + 12)), 0)
        if header is None:
            return
        element, length, used = header
        body = at + used
        if element == _SEGMENT and not inside:
            at, inside = body, True
            continue
        stop = min(size, body + length) if length is not None else _unknown_end(file, body, size)
        if inside:
            yield element, at, body, stop
        at = stop


def _unknown_end(file: BinaryIO, at: int, size: int) -> int:
    """End of a cluster that does not say its length: where the next element of the segment begins."""
    while at < size:
        header = _header(_read(file, at, min(size, at + 12)), 0)
        if header is None or header[0] in _TOP_LEVEL or header[1] is None:
            return at
        at += header[2] + header[1]
    return size


def _blocks(data: bytes, track: int) -> Iterator[bool]:
    """Whether each whole frame of `track` in a cluster's body is a keyframe."""
    for element, body, stop in _children(data):
        if element == _SIMPLE_BLOCK:
            number, used = _vint(data, body)
            if number == track:
                yield bool(data[body + used + 2] & 0x80)
        elif element == _BLOCK_GROUP:
            inner = {e: b for e, b, _ in _children(data[body:stop])}
            if _BLOCK in inner and _vint(data, body + inner[_BLOCK])[0] == track:
                yield _REFERENCE_BLOCK not in inner


def _first_video_track(data: bytes) -> int | None:
    for element, body, stop in _children(data):
        if element != _TRACK_ENTRY:
            continue
        entry = data[body:stop]
        values = {e: int.from_bytes(entry[b:s], "big") for e, b, s in _children(entry)}
        if values.get(_TRACK_TYPE) == _VIDEO:
            return values.get(_TRACK_NUMBER)
    return None


def _children(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(id, start and end of the body) of each element that is whole."""
    at = 0
    while (header := _header(data, at)) is not None:
        element, length, used = header
        if length is None or at + used + length > len(data):
            return
        yield element, at + used, at + used + length
        at += used + length


def _header(data: bytes, at: int) -> tuple[int, int | None, int] | None:
    """Id, length of the body (None: unknown) and length of the header; None where the bytes end too soon."""
    if at >= len(data) or not data[at]:
        return None
    id_length = 9 - data[at].bit_length()
    if id_length > 4 or at + id_length >= len(data) or not data[at + id_length]:
        return None
    element = int.from_bytes(data[at : at + id_length], "big")
    length, used = _vint(data, at + id_length)
    if at + id_length + used > len(data):
        return None
    unknown = length == (1 << 7 * used) - 1
    return element, None if unknown else length, id_length + used


def _vint(data: bytes, at: int) -> tuple[int, int]:
    """A number of variable length and the bytes it takes; the leading zeros of the first byte say how many."""
    used = 9 - data[at].bit_length()
    return int.from_bytes(data[at : at + used], "big") & ((1 << 7 * used) - 1), used


def _read(file: BinaryIO, start: int, stop: int) -> bytes:
    file.seek(start)
    return file.read(stop - start)
