"""H.264 byte streams as encoders make them (Annex B): NAL units behind start codes."""

from __future__ import annotations

import re
from collections.abc import Iterator

START_CODE = re.compile(rb"\x00\x00\x01")
SPS, PPS = 7, 8
HEADERS_WITHIN = 4096
"""Parameter sets stand before the picture, within the first bytes of an access unit."""


def parameter_sets(access_unit: bytes) -> tuple[bytes, bytes] | None:
    """The sequence and the picture parameter set (SPS, PPS) of an access unit; None where it lacks one of them."""
    found: dict[int, bytes] = {}
    for unit in nal_units(access_unit[:HEADERS_WITHIN]):
        found.setdefault(unit[0] & 0x1F, unit)
    return (found[SPS], found[PPS]) if SPS in found and PPS in found else None


def length_prefixed(access_unit: bytes) -> bytes:
    """The same NAL units as MP4 and Matroska hold them: each behind its length in four bytes (ISO 14496-15, 5.3)."""
    return b"".join(len(unit).to_bytes(4, "big") + unit for unit in nal_units(access_unit))


def nal_units(data: bytes) -> Iterator[bytes]:
    """The NAL units of a byte stream."""
    starts = [m.end() for m in START_CODE.finditer(data)]
    for start, end in zip(starts, [s - 3 for s in starts[1:]] + [len(data)], strict=True):
        # A four-byte start code leaves a zero behind, which is not of the unit before it.
        if unit := data[start:end].rstrip(b"\x00"):
            yield unit
