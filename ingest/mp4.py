"""The sample table of an MP4 file: where each frame's bytes are, and when it is shown.

An MP4 says all of it in one box, `moov` (ISO/IEC 14496-12): sizes (stsz), chunks (stsc, stco or co64), durations
(stts), the shift from decoding to display (ctts), keyframes (stss) and where the presentation begins (elst).
Reading that box costs a few kilobytes a minute; asking a demuxer for the same reads the whole recording.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from firmware_host.clock import SECOND_NS
from ingest.index import Gop


@dataclass(frozen=True)
class Samples:
    """Frames of a video track, those that are shown in order of display.

    Attributes:
        pts: (N,) int64 display times in units of 1 / timescale; 0 is what FFmpeg presents as 0.
        offset: (N,) int64 first byte of each frame.
        size: (N,) int64 bytes.
        key: (N,) bool.
        timescale: units in a second.
    """

    pts: np.ndarray
    offset: np.ndarray
    size: np.ndarray
    key: np.ndarray
    timescale: int

    def times_ns(self) -> np.ndarray:
        """Display times: (N,) int64 ns."""
        return self.pts * SECOND_NS // self.timescale

    def gops(self) -> tuple[Gop, ...]:
        """Keyframes and what follows them up to the next; a range may hold sound in between."""
        keys = np.flatnonzero(self.key).tolist()
        return tuple(
            Gop(
                int(self.offset[first:stop].min()),
                int((self.offset[first:stop] + self.size[first:stop]).max()),
                first,
                stop - first,
            )
            for first, stop in zip(keys, [*keys[1:], len(self.pts)], strict=False)
        )


@dataclass(frozen=True)
class Packets:
    """All frames of a video track in the order they are decoded.

    Attributes:
        frame: (M,) int32 number of the frame in order of display, from 0; below 0 for what is never shown.
        offset: (M,) int64 first byte of each packet.
        size: (M,) int32 bytes.
        key: (M,) bool.
    """

    frame: np.ndarray
    offset: np.ndarray
    size: np.ndarray
    key: np.ndarray

    def reach(self, first: int, last: int) -> tuple[int, int]:
        """The packets that must be decoded for frames `first` to `last`: from this one to before that one.

        Raises:
            ValueError: there is no such frame.
        """
        frames = int(self.frame.max(initial=-1)) + 1
        if not 0 <= first <= last < frames:
            raise ValueError(f"there are {frames} frames")
        wanted = np.flatnonzero((self.frame >= first) & (self.frame <= last))
        # Frames shown before a keyframe may be decoded after it, so the keyframe is the last not shown later.
        keys = np.flatnonzero(self.key & (self.frame <= first))
        return int(keys[-1]) if len(keys) else 0, int(wanted[-1]) + 1


def mp4_samples(file: BinaryIO) -> Samples:
    """Read the sample table of the first video track.

    Raises:
        ValueError: no such track, or the file is fragmented or cut before its table.
    """
    stbl, timescale, shift = _video_track(_moov(file))
    stored = _stored(stbl, timescale, shift)
    order = np.argsort(stored.pts, kind="stable")
    order = order[stored.pts[order] >= 0]  # what is decoded but lies before the edit list's start is never shown
    return Samples(stored.pts[order], stored.offset[order], stored.size[order], stored.key[order], timescale)


def mp4_packets(file: BinaryIO) -> tuple[Packets, bytes]:
    """Read the same in the order of decoding; and a film of no frames, by which a demuxer tells how to decode it.

    Raises:
        ValueError: as `mp4_samples`.
    """
    moov = _moov(file)
    stored = _stored(*_video_track(moov))
    frame = np.empty(len(stored.pts), np.int32)
    frame[np.argsort(stored.pts, kind="stable")] = np.arange(len(frame)) - int((stored.pts < 0).sum())
    packets = Packets(frame, stored.offset, stored.size.astype(np.int32), stored.key)
    return packets, _box(b"moov", _emptied(moov))


_HOLDERS = (b"trak", b"mdia", b"minf", b"stbl")
_TABLES = {**dict.fromkeys((b"stts", b"ctts", b"stss", b"stsc", b"stco", b"co64"), 8), b"stsz": 12}
"""Boxes of one entry a sample or chunk, and their bytes when they have none."""


def _emptied(data: bytes) -> bytes:
    """The same boxes with empty tables."""
    empty = {kind: bytes(n) for kind, n in _TABLES.items()}
    inner = ((kind, _emptied(body) if kind in _HOLDERS else empty.get(kind, body)) for kind, body in _boxes(data))
    return b"".join(_box(kind, body) for kind, body in inner)


def _box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", len(body) + 8, kind) + body


def _video_track(moov: bytes) -> tuple[bytes, int, tuple[int, float]]:
    """Its sample table, its timescale and its edit list's shift."""
    for kind, trak in _boxes(moov):
        if kind != b"trak":
            continue
        mdia = _find(trak, b"mdia")
        if _find(mdia, b"hdlr")[8:12] == b"vide":
            return _find(mdia, b"minf", b"stbl"), _timescale(_find(mdia, b"mdhd")), _shift(trak, moov)
    raise ValueError("no video track")


def _stored(stbl: bytes, timescale: int, shift: tuple[int, float]) -> Samples:
    """All samples in the order of the file, which is that of decoding."""
    size = _sizes(_find(stbl, b"stsz"))
    if not len(size):
        raise ValueError("its sample table is empty, as in a fragmented MP4; remux it")
    n = len(size)
    counts, durations = _table(_find(stbl, b"stts"), 2).T
    dts = np.concatenate([[0], np.cumsum(np.repeat(durations, counts))])[:n]
    pts = dts + _composition(stbl, n) - shift[0] + round(shift[1] * timescale)
    key = np.ones(n, bool)
    if any(kind == b"stss" for kind, _ in _boxes(stbl)):  # without it every frame is a keyframe
        key[:] = False
        key[_table(_find(stbl, b"stss"), 1)[:, 0] - 1] = True
    return Samples(pts, _offsets(stbl, size), size, key, timescale)


def _composition(stbl: bytes, n: int) -> np.ndarray:
    for kind, body in _boxes(stbl):
        if kind == b"ctts":
            counts, offsets = _table(body, 2).T
            return np.repeat(offsets.astype(np.uint32).astype(np.int32).astype(np.int64), counts)[:n]
    return np.zeros(n, np.int64)


def _offsets(stbl: bytes, size: np.ndarray) -> np.ndarray:
    """Samples lie in chunks; `stsc` says from which chunk on how many samples a chunk has."""
    chunks = next(
        np.frombuffer(body[8:], ">u4" if kind == b"stco" else ">u8").astype(np.int64)
        for kind, body in _boxes(stbl)
        if kind in (b"stco", b"co64")
    )
    first, per_chunk, _ = _table(_find(stbl, b"stsc"), 3).T
    repeats = np.diff(np.append(first, len(chunks) + 1))
    chunk = np.repeat(np.arange(len(chunks)), np.repeat(per_chunk, repeats))[: len(size)]
    before = np.concatenate([[0], np.cumsum(size)[:-1]])
    head = np.concatenate([[True], chunk[1:] != chunk[:-1]])
    return chunks[chunk] + before - before[np.maximum.accumulate(np.where(head, np.arange(len(size)), 0))]


def _sizes(stsz: bytes) -> np.ndarray:
    constant, n = struct.unpack(">II", stsz[4:12])
    return np.full(n, constant, np.int64) if constant else np.frombuffer(stsz[12:], ">u4").astype(np.int64)


def _timescale(mdhd: bytes) -> int:
    return int(struct.unpack(">I", mdhd[20:24] if mdhd[0] else mdhd[12:16])[0])


def _shift(trak: bytes, moov: bytes) -> tuple[int, float]:
    """Edit list: media units before the first shown moment, and seconds of nothing before that."""
    empty_s = 0.0
    movie_scale = _timescale(_find(moov, b"mvhd"))
    for kind, edts in _boxes(trak):
        if kind != b"edts":
            continue
        elst = _find(edts, b"elst")
        entry = ">QqI" if elst[0] else ">IiI"
        for duration, media_time, _ in struct.iter_unpack(entry, elst[8:]):
            if media_time >= 0:
                return media_time, empty_s
            empty_s += duration / movie_scale
    return 0, empty_s


def _table(body: bytes, columns: int) -> np.ndarray:
    return np.frombuffer(body[8:], ">u4").astype(np.int64).reshape(-1, columns)


def _find(data: bytes, *path: bytes) -> bytes:
    for name in path:
        data = next((body for kind, body in _boxes(data) if kind == name), b"")
        if not data:
            raise ValueError(f"the box '{name.decode()}' is missing")
    return data


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(data):
        length, used = struct.unpack(">I", data[at : at + 4])[0], 8
        if length == 1:
            length, used = struct.unpack(">Q", data[at + 8 : at + 16])[0], 16
        if length == 0:
            length = len(data) - at
        if length < used:
            return
        yield data[at + 4 : at + 8], data[at + used : at + length]
        at += length


def _moov(file: BinaryIO) -> bytes:
    size, at = file.seek(0, 2), 0
    while at + 8 <= size:
        file.seek(at)
        head = file.read(16)
        length, used = struct.unpack(">I", head[:4])[0], 8
        if length == 1 and len(head) == 16:
            length, used = struct.unpack(">Q", head[8:])[0], 16
        length = length or size - at
        if head[4:8] == b"moov":
            file.seek(at + used)
            return file.read(length - used)
        at += max(length, used)
    raise ValueError("no 'moov' box; the recording was cut before it was closed")
