"""H.264 byte streams as encoders make them (Annex B): NAL units behind start codes."""

from __future__ import annotations

import re

START_CODE = re.compile(rb"\x00\x00\x01")
SPS, PPS = 7, 8
HEADERS_WITHIN = 4096
"""Parameter sets stand before the picture, within the first bytes of an access unit."""


def parameter_sets(access_unit: bytes) -> tuple[bytes, bytes] | None:
    """The sequence and the picture parameter set (SPS, PPS) of an access unit; None where it lacks one of them."""
    head = access_unit[:HEADERS_WITHIN]
    starts = [m.end() for m in START_CODE.finditer(head)]
    found: dict[int, bytes] = {}
    for start, end in zip(starts, [s - 3 for s in starts[1:]] + [len(head)], strict=True):
        if start < len(head):
            # A four-byte start code leaves a zero behind, which is not of the unit before it.
            found.setdefault(head[start] & 0x1F, head[start:end].rstrip(b"\x00"))
    return (found[SPS], found[PPS]) if SPS in found and PPS in found else None
