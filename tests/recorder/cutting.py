"""What a kit's file holds, and what of it must still be there when it is cut at a byte."""

from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np

BLOCK_HEAD = 4
"""Track, time and flags: a packet's place in a Matroska file is that of its block."""


@dataclass
class Held:
    """Per track: where its blocks end in the file, and how many samples or frames they bring; and all of them."""

    ends: dict[str, list[int]] = field(default_factory=dict)
    sizes: dict[str, list[int]] = field(default_factory=dict)
    rows: dict[str, np.ndarray] = field(default_factory=dict)

    def before(self, cut: int) -> dict[str, int]:
        """Track -> samples or frames in blocks that end before byte `cut`."""
        return {
            name: sum(n for end, n in zip(ends, self.sizes[name], strict=True) if end <= cut)
            for name, ends in self.ends.items()
        }


def held(path: Path, read_rows: bool = True) -> Held:
    """Read a file with nothing of ours: packets and where they are by PyAV, counts by their decoder."""
    out, parts = Held(), {}
    with av.open(str(path)) as container:
        for packet in container.demux():
            if packet.size == 0:
                continue
            name = packet.stream.metadata.get("title", str(packet.stream.index))
            frames = packet.decode() if read_rows or packet.stream.type == "audio" else []
            n = sum(f.samples for f in frames) if packet.stream.type == "audio" else 1
            out.ends.setdefault(name, []).append(packet.pos + BLOCK_HEAD + packet.size)
            out.sizes.setdefault(name, []).append(n)
            for f in frames:
                if packet.stream.type == "audio":
                    channels = packet.stream.codec_context.channels
                    parts.setdefault(name, []).append(f.to_ndarray().reshape(-1, channels))
                else:
                    parts.setdefault(name, []).append(f.to_ndarray()[None, ::8, ::8])
    out.rows = {name: np.concatenate(p) for name, p in parts.items()}
    return out
