"""Recordings damaged by a seed, and what may come of them: a result that can be used, or one sentence."""

from __future__ import annotations

import json
import re
import shutil
import signal
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile

from firmware_host.errors import SyncctlError
from recorder.inspect import inspect_session
from recorder.session import Device, Session, open_session
from sync.add import SETTINGS, add_file
from sync.align import align
from sync.gaze import read_gaze
from sync.importers.found import EVENTS, SERIES, read_events, read_series
from sync.view.content import opened
from sync.waveform import recorded, working
from tests.sync.importers import made_recordings as made

LIMIT_S = 30
"""More than any of these may take on a machine that has much else to do."""


def wav(path: Path) -> Path:
    """Two seconds of noise."""
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(96_000), 48_000, subtype="PCM_16")
    return path


def timed_film(folder: Path) -> Path:
    """A film and the table of its pictures' times."""
    folder.mkdir()
    made.film(folder / "film.mp4")
    times = "".join(f"{100_000_000 * k + k % 3 * 1_000_000}\n" for k in range(made.FRAMES))
    (folder / "times.csv").write_text(f"t_ns\n{times}")
    return folder


MAKERS: dict[str, Callable[[Path], Path]] = {
    "neon": made.neon,
    "neon export": made.neon_export,
    "glasses 3": made.glasses3,
    "glasses 2": made.glasses2,
    "xdf": lambda p: made.lab(p.with_suffix(".xdf")),
    "film": lambda p: made.film(p.with_suffix(".mp4")),
    "wav": lambda p: wav(p.with_suffix(".wav")),
    "film with times": timed_film,
}


def cut(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: int(rng.integers(0, max(1, len(data))))]


def flipped(data: bytes, rng: np.random.Generator) -> bytes:
    out = bytearray(data)
    for at in rng.integers(0, max(1, len(data)), int(rng.integers(1, 30))) if data else ():
        out[at] ^= 1 << int(rng.integers(8))
    return bytes(out)


def flipped_head(data: bytes, rng: np.random.Generator) -> bytes:
    return flipped(data[:256], rng) + data[256:]


def overwritten(data: bytes, rng: np.random.Generator) -> bytes:
    at = int(rng.integers(0, max(1, len(data))))
    return data[:at] + rng.bytes(int(rng.integers(1, 2000))) + data[at + 1000 :]


def torn_out(data: bytes, rng: np.random.Generator) -> bytes:
    at = int(rng.integers(0, max(1, len(data))))
    return data[:at] + data[at + int(rng.integers(1, 5000)) :]


def wrong_rate(data: bytes, rng: np.random.Generator) -> bytes:
    """Another rate where the header says one: text in XDF, a number in WAV and MP4."""
    rate = int(rng.choice([0, 1, 7, 441, 96_000, 2**31 - 1, 2**32 - 1]))
    data = re.sub(rb"(?<=<nominal_srate>)[^<]+", str(rate).encode(), data)
    data = data.replace(struct.pack("<I", 48_000), struct.pack("<I", rate), 1)
    at = data.find(b"mdhd")
    return data if at < 0 else data[: at + 16] + struct.pack(">I", rate) + data[at + 20 :]


def not_numbers(data: bytes, rng: np.random.Generator) -> bytes:
    """NaN and infinity among numbers: in text as words, elsewhere as floats."""
    if b"\0" not in data[:400]:
        words = [b"NaN", b"nan", b"Infinity", b"", b"-1e999", b"1e400", b"null"]
        return re.sub(rb"-?\d+\.?\d*", lambda m: words[int(rng.integers(7))] if rng.random() < 0.05 else m[0], data)
    out = np.frombuffer(data[: len(data) // 4 * 4], "<f4").copy()
    out[rng.random(len(out)) < 0.2] = rng.choice(np.array([np.nan, np.inf, -np.inf], "<f4"))
    return out.tobytes() + data[len(data) // 4 * 4 :]


def backwards(data: bytes, rng: np.random.Generator) -> bytes:
    """Times that go back: two stretches change places, by lines where there are lines, else by eight bytes."""
    lines = data.split(b"\n") if b"\0" not in data[:400] else [data[k : k + 8] for k in range(0, len(data), 8)]
    if len(lines) < 8:
        return data[::-1]
    a, b, c = sorted(int(k) for k in rng.integers(1, len(lines), 3))
    moved = [*lines[:a], *lines[b:c], *lines[a:b], *lines[c:]]
    return (b"\n" if b"\0" not in data[:400] else b"").join(moved)


DAMAGE = (cut, flipped, flipped_head, overwritten, torn_out, wrong_rate, not_numbers, backwards)


def damaged(seed: int, folder: Path) -> tuple[str, Path]:
    """A recording of a kind that the seed draws, with one of its files damaged, or gone; what was done, and it."""
    rng = np.random.default_rng([seed, 0xC0])
    kind = list(MAKERS)[seed % len(MAKERS)]
    recording = MAKERS[kind](folder / "recording")
    files = sorted(p for p in recording.rglob("*") if p.is_file()) if recording.is_dir() else [recording]
    file = files[int(rng.integers(len(files)))]
    how = DAMAGE[seed // len(MAKERS) % len(DAMAGE)]
    data = file.read_bytes()
    if file.suffix == ".gz" and rng.random() < 0.7:  # what is inside, more often than its packing
        import gzip

        file.write_bytes(gzip.compress(how(gzip.decompress(data), rng), mtime=0))
    elif len(files) > 1 and rng.random() < 0.1:
        file.unlink()
        return f"{kind}: {file.name} gone", recording
    else:
        file.write_bytes(how(data, rng))
    return f"{kind}: {file.name} {how.__name__}", recording


def brought_in(recording: Path, root: Path) -> str:
    """Add a recording, and use all that came of it; returns ``flagged``, ``silent`` or the sentence of a refusal.

    Raises:
        AssertionError: a result that cannot be used, or a refusal that is no sentence.
        TimeoutError: it took longer than `LIMIT_S`.
        Exception: what a user would see as a traceback.
    """
    with _limit(LIMIT_S):
        timed = recording / "times.csv" if recording.is_dir() and (recording / "film.mp4").is_file() else None
        try:
            add_file(root, recording / "film.mp4" if timed else recording, name="it", times=timed)
        except SyncctlError as error:
            assert not root.exists(), "a refusal leaves nothing behind"
            return _sentence(error)
        session = open_session(root)
        problems = [p for device in session.devices for p in _used(session, device)]
        content = opened(session)
        json.dumps(content.document, allow_nan=False)
        for number in range(len(content.curves)):
            json.dumps(content.curve(number, 0.0, 5.0, 50), allow_nan=False)
        try:
            inspect_session(session)
        except SyncctlError as error:
            problems.append(_sentence(error))
        try:
            align(session)
        except SyncctlError as error:
            _sentence(error)
        flagged = any(d.settings[SETTINGS].get("notes") for d in session.devices) or content.document["warnings"]
        return "flagged" if problems or flagged else "silent"


def _used(session: Session, device: Device) -> Iterator[str]:
    """Everything a later room reads of a device; yields sentences of what is refused."""
    if device.gaze:
        gaze = read_gaze(session.path(device.gaze))
        assert (np.diff(gaze.t_ns) >= 0).all()
        assert np.abs(gaze.t_ns).max() < 2**62
    for stream in device.streams:
        try:
            if stream.kind == SERIES:
                series = read_series(session, device, stream)
                assert (np.diff(series.t_ns) >= 0).all()
                assert len(series.t_ns)
            elif stream.kind == EVENTS:
                read_events(session, device, stream)
            elif stream.kind == "audio":
                working(recorded(session, device))
        except SyncctlError as error:
            yield _sentence(error)
        assert np.isfinite(stream.rate_hz)
        assert abs(stream.t0_ns) < 2**62


def _sentence(error: SyncctlError) -> str:
    told = str(error)
    assert 10 < len(told) < 1500, told
    assert "\n" not in told, told
    return told


@contextmanager
def _limit(seconds: int) -> Iterator[None]:
    def over(*_: object) -> None:
        raise TimeoutError(f"took longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def tried(seed: int, folder: Path) -> tuple[str, str]:
    """What was damaged, and what came of it; the folder is emptied."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        what, recording = damaged(seed, folder)
        return what, brought_in(recording, folder / "s")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
