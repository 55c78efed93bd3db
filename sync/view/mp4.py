"""The head of an MP4 whose body is another file, as it is: a player is told where in that file each packet lies.

An MP4 (ISO/IEC 14496-12) keeps its packets and the table of them apart, and the table may point anywhere. So head and
file, one behind the other, are an MP4 of one track: nothing is copied, any part of it can be asked for, and each
picture is shown at the time that it was taken at, whatever the container it came from had rounded it to.
"""

from __future__ import annotations

import struct

import numpy as np

from firmware_host.errors import SessionError
from sync.view.blocks import Packets

MICROSECONDS = 1_000_000
FLAC_STREAMINFO = 38
"""Bytes of the first metadata block with its head, which is all that a decoder needs."""
LONGEST_NS = 2**31 * 1000
"""The longest time that a picture can be shown, 36 minutes: the table has 32 bits of microseconds for it."""


def video_head(packets: Packets, shown_ns: np.ndarray, size: tuple[int, int], file_bytes: int) -> bytes:
    """The head of a video.

    Args:
        packets: N of H.264, in the order of display (no B-frames).
        shown_ns: (N,) int64, when each picture is shown; 0 is the first.
        size: (width, height) in pixels.
        file_bytes: of the file that follows.

    Raises:
        SessionError: another codec, or no packets.
    """
    if packets.codec != "V_MPEG4/ISO/AVC" or not packets.private:
        raise SessionError(f"its pictures are {packets.codec}, which the page cannot hand to a browser")
    steps = np.diff(shown_ns // 1000).clip(1, LONGEST_NS // 1000)
    steps = np.append(steps, int(np.median(steps)) if len(steps) else MICROSECONDS // 30)
    width, height = size
    entry = _box(
        b"avc1",
        struct.pack(">6xH16xHHIIIH32xHh", 1, width, height, 72 << 16, 72 << 16, 0, 1, 24, -1),
        _box(b"avcC", packets.private),
    )
    return _head(packets, steps, MICROSECONDS, entry, b"vide", _full(b"vmhd", 1, bytes(8)), size, file_bytes)


def sound_head(packets: Packets, block: int, file_bytes: int) -> bytes:
    """The head of a FLAC track of one channel, `block` samples a packet, at its nominal rate.

    Raises:
        SessionError: another codec, or no packets.
    """
    if packets.codec != "A_FLAC" or packets.private[:4] != b"fLaC" or not packets.rate_hz:
        raise SessionError(f"its sound is {packets.codec}, which the page cannot hand to a browser")
    rate = round(packets.rate_hz)
    info = bytes([0x80]) + packets.private[5 : 4 + FLAC_STREAMINFO]
    entry = _box(b"fLaC", struct.pack(">6xH8xHHHHI", 1, 1, 24, 0, 0, (rate & 0xFFFF) << 16), _full(b"dfLa", 0, info))
    steps = np.full(len(packets.size), block, np.int64)
    return _head(packets, steps, rate, entry, b"soun", _full(b"smhd", 0, bytes(4)), (0, 0), file_bytes)


def block_of(packets: Packets) -> int:
    """Samples in a packet of a FLAC track, as its first metadata block says."""
    return max(1, int.from_bytes(packets.private[10:12], "big"))


def _head(
    packets: Packets,
    steps: np.ndarray,
    scale: int,
    entry: bytes,
    kind: bytes,
    media_header: bytes,
    size: tuple[int, int],
    file_bytes: int,
) -> bytes:
    """ftyp, moov and the head of the mdat that is the file; `steps` are durations in 1/`scale` s."""
    if not len(packets.size):
        raise SessionError("it holds not one whole packet")
    ftyp = _box(b"ftyp", b"isom", struct.pack(">I", 0x200), b"isomiso2mp41")
    length = int(steps.sum())

    def moov(first_byte: int) -> bytes:
        table = _table(packets, steps, entry, first_byte)
        dinf = _box(b"dinf", _full(b"dref", 0, struct.pack(">I", 1), _full(b"url ", 1)))
        mdia = _box(
            b"mdia",
            _full(b"mdhd", 0, struct.pack(">QQIQHH", 0, 0, scale, length, 0x55C4, 0), version=1),
            _full(b"hdlr", 0, struct.pack(">I4s12x", 0, kind), b"\0"),
            _box(b"minf", media_header, dinf, table),
        )
        return _box(b"moov", _movie(length, scale), _box(b"trak", _track(length, scale, kind, size), mdia))

    before_mdat = len(ftyp) + len(moov(0))
    return ftyp + moov(before_mdat + 16) + struct.pack(">I4sQ", 1, b"mdat", 16 + file_bytes)


def _table(packets: Packets, steps: np.ndarray, entry: bytes, first_byte: int) -> bytes:
    """stbl: what the packets are, how long each is shown, which can be begun with, and where each lies."""
    n = len(packets.size)
    ends = np.flatnonzero(np.append(np.diff(steps) != 0, True))
    runs = np.column_stack([np.diff(np.append(-1, ends)), steps[ends]])
    keys = np.flatnonzero(packets.key) + 1
    return _box(
        b"stbl",
        _full(b"stsd", 0, struct.pack(">I", 1), entry),
        _full(b"stts", 0, struct.pack(">I", len(runs)), runs.astype(">u4").tobytes()),
        _full(b"stss", 0, struct.pack(">I", len(keys)), keys.astype(">u4").tobytes()),
        _full(b"stsc", 0, struct.pack(">IIII", 1, 1, 1, 1)),
        _full(b"stsz", 0, struct.pack(">II", 0, n), packets.size.astype(">u4").tobytes()),
        _full(b"co64", 0, struct.pack(">I", n), (packets.offset + first_byte).astype(">u8").tobytes()),
    )


_MATRIX = struct.pack(">9I", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)


def _movie(length: int, scale: int) -> bytes:
    body = struct.pack(">QQIQIH10x", 0, 0, scale, length, 1 << 16, 1 << 8)
    return _full(b"mvhd", 0, body, _MATRIX, bytes(24), struct.pack(">I", 2), version=1)


def _track(length: int, scale: int, kind: bytes, size: tuple[int, int]) -> bytes:
    del scale  # the movie's and the track's are the same
    loudness = 1 << 8 if kind == b"soun" else 0
    body = struct.pack(">QQIIQ8xHHHH", 0, 0, 1, 0, length, 0, 0, loudness, 0)
    return _full(b"tkhd", 3, body, _MATRIX, struct.pack(">II", size[0] << 16, size[1] << 16), version=1)


def _box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def _full(kind: bytes, flags: int, *parts: bytes, version: int = 0) -> bytes:
    """A box with a version and flags."""
    return _box(kind, bytes([version]) + flags.to_bytes(3, "big"), *parts)
