"""Log-mel pictures of whole recordings, made once: what a model hears.

A file is a NumPy array (rows, 128) of float16, 22 kB a second; row k is centred `k / ROWS_HZ` seconds after the sound
begins. A clip is one range of it. It is made block by block, so that an hour of sound is never in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ingest.logmel import MELS, ROWS_HZ, log_mel, row_count
from recorder import durable
from recorder.demux import sound_blocks
from recorder.samples import without_constant
from recorder.series import Sound
from recorder.session import Device, Session

BLOCK_ROWS, MARGIN_ROWS = 4096, 4
"""Rows made at a time; a row's window reaches two rows to each side."""
HEAD = 128
"""Bytes before the first row, as NumPy writes them for such an array."""


def sound_name(session: str, device: str) -> str:
    """Where the picture of a device's sound is, from the root."""
    return f"sound/{session}.{device}.npy"


def write_mels(session: Session, device: Device, target: Path) -> tuple[int, int, int]:
    """Write the log-mel picture of a device's sound, whole or not at all.

    Returns:
        rows, and the times of the sound's beginning and end, ns on the device's clock.

    Raises:
        SessionError: the sound cannot be read.
    """
    blocks = _on_device_clock(session, device)
    first = next(blocks)
    rate, t0_ns = first.rate_hz, first.t0_ns
    target.parent.mkdir(parents=True, exist_ok=True)
    with durable.replacing(target) as scratch, scratch.open("wb") as file:
        file.write(bytes(HEAD))
        rows = samples = 0
        for so_far, picture in _pictures(first, blocks):
            file.write(picture.T.astype("<f2").tobytes())
            rows, samples = rows + picture.shape[1], so_far
        file.seek(0)
        np.lib.format.write_array_header_1_0(file, {"descr": "<f2", "fortran_order": False, "shape": (rows, MELS)})
        if file.tell() != HEAD:
            raise ValueError(f"the header of a NumPy array has {file.tell()} bytes and not {HEAD}")
    return rows, t0_ns, t0_ns + round(samples / rate * 1e9)


def _on_device_clock(session: Session, device: Device) -> Iterator[Sound]:
    """The sound block by block; a kit's by the rate and time that its session knows, without its constant part."""
    stream = device.of_kind("audio")[0]
    for block in sound_blocks(session.path(device.file), device.clock):
        if device.kind == "kit":
            yield Sound(without_constant(block.x), stream.rate_hz, stream.t0_ns, device.clock)
        else:
            yield block


def _pictures(first: Sound, rest: Iterator[Sound]) -> Iterator[tuple[int, np.ndarray]]:
    """(samples so far, (128, rows)): the rows of the whole, made from overlapping stretches of it."""
    rate = first.rate_hz
    held, begins, done, total = first.x, 0, 0, len(first.x)
    while True:
        ends = done + BLOCK_ROWS
        while total < _sample(ends + MARGIN_ROWS, rate) and (more := next(rest, None)) is not None:
            held = np.concatenate([held, more.x])
            total += len(more.x)
        ends = min(ends, row_count(total, rate))
        lead = min(done, MARGIN_ROWS)
        start = _sample(done - lead, rate)
        held, begins = held[start - begins :], start
        piece = held[: _sample(ends + MARGIN_ROWS, rate) - start]
        yield total, log_mel(piece, rate)[:, lead : lead + ends - done]
        done = ends
        if done >= row_count(total, rate):
            return


def _sample(row: int, rate_hz: float) -> int:
    return round(row * (rate_hz / ROWS_HZ))


def mel_window(row: dict[str, Any], read: Any, name: str, t0_ns: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """A clip's picture.

    Args:
        row: of the `streams` table.
        read: ``read(name, start, stop)`` gives a range of bytes.
        name: of the file.
        t0_ns: begin of the clip, ns on the reference clock.
        rows: of the clip.

    Returns:
        (128, rows) float32, 0 where there is none, and valid (rows,) bool.
    """
    out, valid = np.zeros((MELS, rows), np.float32), np.zeros(rows, bool)
    whole = row["count"]
    if not whole:
        return out, valid
    first = round((t0_ns - row["t0_ns"]) / (row["t1_ns"] - row["t0_ns"]) * whole)
    a, b = max(0, first), min(whole, first + rows)
    if a < b:
        data = np.frombuffer(read(name, HEAD + 2 * MELS * a, HEAD + 2 * MELS * b), "<f2")
        out[:, a - first : b - first] = data.reshape(-1, MELS).T
        valid[a - first : b - first] = True
    return out, valid
