"""Blank a stretch of a kit's Matroska file where it stands: black pictures, zero samples, every other byte as it was.

A blanked block is never longer than what it replaces, and a Void of zeros fills the rest. So nothing in the file moves:
times, indexes and all blocks outside the stretch keep their bytes and their places. Only the checksum of a touched
cluster is written anew. A group of pictures is blanked whole, and so is a block of samples, because neither decodes
in part.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from firmware_host.errors import SessionError
from recorder.annexb import nal_units
from recorder.ebml import Element, id_bytes, size
from recorder.matroska import (
    CLUSTER,
    CRC,
    CRC_BYTES,
    TRACKS,
    VOID,
    Track,
    blocks,
    checksum,
    cluster_time_ms,
    elements,
    read,
    tracks,
)

_SEI, _DELIMITER = 6, 9
_MIN_VOID = 2

BlackGop = Callable[[int], list[bytes]]
"""Makes the access units of n black pictures, in Annex B, the first of them a keyframe."""


@dataclass(frozen=True)
class Block:
    """A block: its cluster, the element that holds it (absolute), its payload (absolute), its time in the file."""

    cluster: Element
    element: Element
    payload: int
    track: int
    time_ms: int
    keyframe: bool


def blank(path: Path, from_ms: int, to_ms: int, titles: Collection[str], black: BlackGop) -> dict[str, tuple[int, int]]:
    """Blank `[from_ms, to_ms)` of the tracks called `titles`, in place.

    Args:
        path: a kit's file, which nobody writes.
        titles: ``camera``, ``microphone``, names of sensor tracks.
        black: for the video.

    Returns:
        title -> the stretch that was blanked, in ms of the file: whole blocks, so it may be longer than was asked.

    Raises:
        SessionError: the file is not as this recorder writes it, or a black picture is larger than what it replaces.
    """
    with path.open("r+b") as file:
        wanted = {t.number: t for t in _tracks(file, path) if t.title in titles}
        held = [b for b in read_blocks(file, path) if b.track in wanted]
        done: dict[str, tuple[int, int]] = {}
        for track in wanted.values():
            own = [b for b in held if b.track == track.number]
            hit = list(_gops(own, from_ms, to_ms) if track.video else _sounding(own, from_ms, to_ms))
            if not hit:
                continue
            payloads = _pictures(hit, track, black) if track.video else [_silence(file, b) for b in hit]
            for block, payload in zip(hit, payloads, strict=True):
                _replace(file, block, payload, path)
            after = next((b.time_ms for b in own if b.time_ms > hit[-1].time_ms), hit[-1].time_ms + 100)
            done[track.title] = (hit[0].time_ms, after)
            for cluster in {b.cluster for b in hit}:
                _seal(file, cluster)
    return done


def read_blocks(file: BinaryIO, path: Path) -> Iterator[Block]:
    """Every block of a file, in file order.

    Raises:
        SessionError: it is no Matroska file, or a block is laced.
    """
    for cluster in _top(file, path):
        if cluster.id == CLUSTER:
            data = read(file, cluster.body, cluster.stop)
            time_ms = cluster_time_ms(data)
            for held in blocks(data):
                if held.laced:
                    raise SessionError(
                        f"{path} has laced blocks, which no syncctl writes; it cannot be redacted in place"
                    )
                element = Element(held.element.id, *(cluster.body + place for place in held.element[1:]))
                payload = cluster.body + held.payload
                yield Block(cluster, element, payload, held.track, time_ms + held.offset_ms, held.keyframe)


def titles_of(file: BinaryIO, path: Path) -> dict[int, str]:
    """Track number -> title."""
    return {t.number: t.title for t in _tracks(file, path)}


def _gops(blocks: list[Block], from_ms: int, to_ms: int) -> Iterator[Block]:
    """Blocks of every group of pictures that reaches into the stretch."""
    starts = [i for i, b in enumerate(blocks) if b.keyframe]
    for begin, end in zip(starts, [*starts[1:], len(blocks)], strict=True):
        last = blocks[end].time_ms if end < len(blocks) else blocks[end - 1].time_ms + 1000
        if blocks[begin].time_ms < to_ms and last > from_ms:
            yield from blocks[begin:end]


def _sounding(blocks: list[Block], from_ms: int, to_ms: int) -> Iterator[Block]:
    """Blocks of samples that reach into the stretch; container times are rounded to a millisecond."""
    ends = [block.time_ms for block in blocks[1:]] + [block.time_ms + 2000 for block in blocks[-1:]]
    for block, last in zip(blocks, ends, strict=True):
        if block.time_ms - 1 < to_ms and last + 1 > from_ms:
            yield block


def _pictures(hit: list[Block], track: Track, black: BlackGop) -> Iterator[bytes]:
    starts = [i for i, b in enumerate(hit) if b.keyframe]
    width = (track.private[4] & 3) + 1 if len(track.private) > 4 else 4
    for begin, end in zip(starts, [*starts[1:], len(hit)], strict=True):
        for unit in black(end - begin):
            yield _length_prefixed(unit, width)


def _length_prefixed(annex_b: bytes, width: int) -> bytes:
    """An access unit as Matroska holds it: lengths instead of start codes; what no decoder needs is left out."""
    kept = (unit for unit in nal_units(annex_b) if unit[0] & 0x1F not in (_SEI, _DELIMITER))
    return b"".join(len(unit).to_bytes(width, "big") + unit for unit in kept)


def _silence(file: BinaryIO, block: Block) -> bytes:
    """A FLAC frame of zeros under the header of the one that it replaces (RFC 9639, section 9)."""
    data = read(file, block.payload, block.element.stop)
    header_bytes = _flac_header_bytes(data)
    header = bytearray(data[: header_bytes - 1])
    kind = header[3] >> 4
    channels = kind + 1 if kind < 8 else 2
    header[3] = (channels - 1) << 4 | header[3] & 0x0F  # channels as they are, no sums and differences
    bits = {0b001: 8, 0b010: 12, 0b100: 16, 0b101: 20, 0b110: 24, 0b111: 32}[header[3] >> 1 & 7]
    frame = bytes(header) + bytes([_crc(bytes(header), 8, 0x07)])
    frame += bytes((channels * (8 + bits) + 7) // 8)  # a constant subframe: a byte of head, one sample of zero
    return frame + _crc(frame, 16, 0x8005).to_bytes(2, "big")


def _flac_header_bytes(data: bytes) -> int:
    """Bytes of a FLAC frame's header, its checksum included."""
    first = data[4]
    coded = 1 if first < 0x80 else 8 - (first ^ 0xFF).bit_length()
    extra = {0b0110: 1, 0b0111: 2}.get(data[2] >> 4, 0) + {0b1100: 1, 0b1101: 2, 0b1110: 2}.get(data[2] & 0x0F, 0)
    return 4 + coded + extra + 1


def _crc(data: bytes, bits: int, polynomial: int) -> int:
    """A checksum without reflection that begins with zero."""
    value, top, mask = 0, 1 << bits - 1, (1 << bits) - 1
    for byte in data:
        value ^= byte << bits - 8
        for _ in range(8):
            value = (value << 1 ^ polynomial) & mask if value & top else value << 1 & mask
    return value


def _replace(file: BinaryIO, block: Block, payload: bytes, path: Path) -> None:
    """Write a block's new payload where the old one was; a Void of zeros takes what is left."""
    element = block.element
    head = read(file, element.body, block.payload)
    whole, body = element.stop - element.start, head + payload
    for width in range(1, 9):  # a longer length takes up a byte that is too few for a Void
        new = id_bytes(element.id) + size(len(body), width) + body if len(body) < (1 << 7 * width) - 1 else b""
        left = whole - len(new)
        if new and (left == 0 or left >= _MIN_VOID):
            file.seek(element.start)
            file.write(new + _void(left))
            return
    raise SessionError(
        f"{path} at {block.time_ms / 1000:.2f} s: a blank block is larger than the one it would replace, so nothing of "
        "this copy can be trusted; remove it, and blank a longer or another stretch"
    )


def _void(length: int) -> bytes:
    if length == 0:
        return b""
    for width in range(1, 9):
        inside = length - 1 - width
        if 0 <= inside < (1 << 7 * width) - 1:
            return bytes((VOID,)) + size(inside, width) + bytes(inside)
    raise ValueError(f"no Void of {length} bytes")


def _seal(file: BinaryIO, cluster: Element) -> None:
    data = read(file, cluster.body, cluster.stop)
    if data[:1] == bytes((CRC,)):
        file.seek(cluster.body)
        file.write(checksum(data)[:CRC_BYTES])


def _tracks(file: BinaryIO, path: Path) -> list[Track]:
    head = next((e for e in _top(file, path) if e.id == TRACKS), None)
    return list(tracks(read(file, head.body, head.stop))) if head else []


def _top(file: BinaryIO, path: Path) -> Iterator[Element]:
    """The elements of the segment, as far as they are whole."""
    end = file.seek(0, 2)
    try:
        yield from (e for e in elements(file) if e.stop <= end)
    except ValueError as error:
        raise SessionError(f"{path} is no Matroska file; give a session that `syncctl record` made") from error
