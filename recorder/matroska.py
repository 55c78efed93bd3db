"""The parts of a Matroska file (RFC 9559): a header that tells of tracks, then clusters of blocks.

Matroska is a tree of EBML elements. Walking its headers needs neither the cues, which a power cut never writes, nor
a decoder.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from recorder.ebml import Element, children, header_at, id_bytes, number

EBML, SEGMENT, SEEK_HEAD, INFO, TRACKS = 0x1A45DFA3, 0x18538067, 0x114D9B74, 0x1549A966, 0x1654AE6B
TAGS, CLUSTER, CUES, VOID, CRC = 0x1254C367, 0x1F43B675, 0x1C53BB6B, 0xEC, 0xBF
TIME, SIMPLE_BLOCK = 0xE7, 0xA3
SEGMENT_SIZE_BYTES = 8
"""Of a segment's length, as this recorder and FFmpeg write it."""
CRC_BYTES = 6
"""A checksum with its head: `CRC`, 0x84, and four bytes, the lowest first."""
KEYFRAME, LACING = 0x80, 0x06
_ATTACHMENTS, _CHAPTERS = 0x1941A469, 0x1043A770
_TOP_LEVEL = frozenset({SEEK_HEAD, INFO, TRACKS, TAGS, CLUSTER, CUES, VOID, _ATTACHMENTS, _CHAPTERS})
_BLOCK_GROUP, _BLOCK, _REFERENCE = 0xA0, 0xA1, 0xFB
_ENTRY, _NUMBER, _TYPE, _NAME, _CODEC, _PRIVATE = 0xAE, 0xD7, 0x83, 0x536E, 0x86, 0x63A2
_AUDIO, _RATE, _VIDEO = 0xE1, 0xB5, 1
_MOST_HEAD = 12
_UNKNOWN = (1 << 56) - 1


class Block(NamedTuple):
    """A packet of a track; places are counted from the first byte of its cluster's body.

    Attributes:
        element: the element that holds it.
        payload: first byte of the packet; it ends with the element.
        track: its track's number.
        offset_ms: its time, from its cluster's.
        keyframe: whether decoding can begin there.
        laced: whether it holds several packets.
    """

    element: Element
    payload: int
    track: int
    offset_ms: int
    keyframe: bool
    laced: bool


class Track(NamedTuple):
    """What the header says of a track.

    Attributes:
        number: by which blocks name it.
        video: whether it is pictures.
        title: its name for people, empty where it has none.
        codec: as Matroska calls it: ``V_MPEG4/ISO/AVC``, ``A_FLAC``...
        private: what a decoder is told first (avcC, or fLaC and its blocks).
        rate_hz: of a sound track, 0 for others.
    """

    number: int
    video: bool
    title: str
    codec: str
    private: bytes
    rate_hz: float


def read(file: BinaryIO, start: int, stop: int) -> bytes:
    """Bytes `[start, stop)` of a file, fewer where it ends before."""
    file.seek(start)
    return file.read(stop - start)


def segment_at(data: bytes) -> tuple[int, int | None]:
    """First byte of the segment's body, and its length as it says, None while it was never closed.

    Raises:
        ValueError: these are not the first bytes of a Matroska file as this recorder and FFmpeg write it.
    """
    ebml = header_at(data, 0)
    if ebml is None or ebml.id != EBML or ebml.length is None:
        raise ValueError("it was cut in its header")
    begins = ebml.body + ebml.length
    head = data[begins : begins + 4 + SEGMENT_SIZE_BYTES]
    if len(head) < 4 + SEGMENT_SIZE_BYTES or head[:5] != id_bytes(SEGMENT) + b"\1":
        raise ValueError("it was cut in its header")
    announced = int.from_bytes(head[5:], "big")
    return begins + len(head), None if announced == _UNKNOWN else announced


def elements(file: BinaryIO) -> Iterator[Element]:
    """Each element of the segment, in file order; the last of a cut file may end behind its end.

    A cluster that does not say its length, as live streams write them, ends where the next element begins.

    Raises:
        ValueError: no Matroska file.
    """
    size, at = file.seek(0, 2), 0
    inside = False
    while (head := header_at(read(file, at, at + _MOST_HEAD), 0)) is not None:
        body = at + head.body
        if not inside:
            if head.id not in (EBML, SEGMENT) or (at == 0) != (head.id == EBML):
                break
            inside = head.id == SEGMENT
            at = body if inside else body + (head.length or 0)
            continue
        stop = _unknown_end(file, body, size) if head.length is None else body + head.length
        yield Element(head.id, at, body, stop)
        if stop >= size:
            return
        at = stop
    if not inside:
        raise ValueError("it is no Matroska file, or was cut in its header")


def _unknown_end(file: BinaryIO, at: int, size: int) -> int:
    while at < size:
        head = header_at(read(file, at, at + _MOST_HEAD), 0)
        if head is None or head.id in _TOP_LEVEL or head.length is None:
            return at
        at += head.body + head.length
    return size


def cluster_time_ms(body: bytes) -> int:
    """The time of a cluster, of which its blocks' count."""
    return next((int.from_bytes(body[e.body : e.stop], "big") for e in children(body) if e.id == TIME), 0)


def blocks(body: bytes) -> Iterator[Block]:
    """The blocks in a cluster's body that are whole."""
    for child in children(body):
        holder, keyframe = child, None
        if child.id == _BLOCK_GROUP:
            inner = {e.id: e for e in children(body[child.body : child.stop])}
            if _BLOCK not in inner:
                continue
            holder = Element(_BLOCK, *(child.body + place for place in inner[_BLOCK][1:]))
            keyframe = _REFERENCE not in inner
        elif child.id != SIMPLE_BLOCK:
            continue
        if holder.stop - holder.body < 4 or not body[holder.body]:
            continue
        track, used = number(body, holder.body)
        if holder.stop - holder.body < used + 3:
            continue
        offset_ms, flags = struct.unpack_from(">hB", body, holder.body + used)
        key = bool(flags & KEYFRAME) if keyframe is None else keyframe
        yield Block(holder, holder.body + used + 3, track, offset_ms, key, bool(flags & LACING))


def tracks(body: bytes) -> Iterator[Track]:
    """The tracks that the body of a `TRACKS` element tells of."""
    for entry in children(body):
        if entry.id == _ENTRY:
            inside = body[entry.body : entry.stop]
            has = {e.id: inside[e.body : e.stop] for e in children(inside)}
            yield Track(
                number=int.from_bytes(has.get(_NUMBER, b""), "big"),
                video=int.from_bytes(has.get(_TYPE, b""), "big") == _VIDEO,
                title=has.get(_NAME, b"").decode("utf-8", "replace").rstrip("\0"),
                codec=has.get(_CODEC, b"").decode("ascii", "replace").rstrip("\0"),
                private=has.get(_PRIVATE, b""),
                rate_hz=_rate_hz(has.get(_AUDIO, b"")),
            )


def _rate_hz(audio: bytes) -> float:
    value = next((audio[e.body : e.stop] for e in children(audio) if e.id == _RATE), b"")
    return float(struct.unpack(">d" if len(value) == 8 else ">f", value)[0]) if len(value) in (4, 8) else 0.0


def checksum(body: bytes) -> bytes:
    """What a cluster's body must begin with."""
    return bytes((CRC, 0x84)) + zlib.crc32(body[CRC_BYTES:]).to_bytes(4, "little")
