"""XDF, the file of the Lab Streaming Layer's LabRecorder: every stream of a lab's network in one file.

A reader of our own (github.com/sccn/xdf, "Specifications", 1.0), because what other readers give is corrected
already: here the times as recorded and the clock offsets as measured are kept beside what was made of them
(`sync.importers.lsl`). The file is chunks: a length, a tag, contents. What is cut or overwritten is skipped up to the
next boundary chunk, which holds a mark of 16 bytes for that purpose, and said.

All streams come out on the recorder's clock, so the file is one device with as many streams. Numbers become series,
texts become events.
"""

from __future__ import annotations

import gzip
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from firmware_host.errors import SessionError
from recorder.session import Device, Stream
from sync.importers import lsl
from sync.importers.found import EVENTS, SERIES, Event, Found, events_table, place, series_table, usual_rate

MAGIC = b"XDF:"
BOUNDARY = bytes.fromhex("43a546dccbf5410fb30ed5467383cbe4")
HEADER, STREAM, SAMPLES, OFFSET, FOOTER = 1, 2, 3, 4, 6
OF_A_STREAM = (STREAM, SAMPLES, OFFSET, FOOTER)
TYPES = {"float32": "<f4", "double64": "<f8", "int8": "i1", "int16": "<i2", "int32": "<i4", "int64": "<i8"}
MOST_BYTES = 2**33
MOST_CHANNELS = 4096
LONGEST_S = 2.0**33
"""Times beyond this many seconds of a source's clock are damaged ones; UTC is below it."""


def is_xdf(path: Path) -> bool:
    """Whether a file is XDF, packed or not, by its first bytes."""
    try:
        with path.open("rb") as file:
            head = file.read(4)
        if head[:2] != b"\x1f\x8b":
            return head == MAGIC
        with gzip.open(path, "rb") as packed:
            return packed.read(4) == MAGIC
    except (OSError, EOFError, zlib.error):
        return False


@dataclass
class Source:
    """One stream of the file.

    Attributes:
        channels: C pairs of name and unit.
        nominal_hz: 0 for events.
        format: key of `TYPES`, or ``string``.
        times: source times in s, as recorded or, where the recorder left them out, one interval after the last.
        seen: how many clock offsets came before each block of `times`.
        probes: clock offsets: source time, what to add to it, s.
    """

    name: str
    channels: list[tuple[str, str]]
    nominal_hz: float
    format: str
    times: list[np.ndarray] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    seen: list[np.ndarray] = field(default_factory=list)
    probes: list[tuple[float, float]] = field(default_factory=list)
    last_s: float = 0.0


def read(path: Path, name: str) -> Found:
    """What a LabRecorder recorded, as one device on its clock.

    Raises:
        SessionError: no XDF, or one without a sample.
    """
    data, notes = _unpacked(path)
    sources, damaged = _sources(data)
    if damaged:
        notes.append(f"{damaged} damaged places were skipped")
    tables: dict[str, bytes] = {}
    streams: list[Stream] = []
    settings: dict[str, dict[str, Any]] = {}
    for source in sources:
        stream = _unique(source.name, {s.name for s in streams})
        if not source.times:
            notes.append(f"the stream '{source.name}' is empty")
            continue
        made, about, told = _made(source, stream, name, tables)
        notes += told
        if made is not None:
            streams.append(made)
            settings[stream] = about
    if not streams:
        raise SessionError(f"{path} holds no samples ({'; '.join(notes) or 'no streams'}); record again")
    file = f"{name}{path.suffix.lower()}"
    device = Device(name, "media", "other", name, file, tuple(streams), settings=settings)
    return Found((device,), ((path, file),), tables, tuple(notes))


def _unpacked(path: Path) -> tuple[bytes, list[str]]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SessionError(f"{path} cannot be read ({error.strerror or error})") from error
    notes = []
    if data[:2] == b"\x1f\x8b":
        inflated = zlib.decompressobj(31)
        try:
            data = inflated.decompress(data, MOST_BYTES)
        except zlib.error as error:
            raise SessionError(f"{path} is damaged ({error}); copy it again") from error
        if not inflated.eof:
            notes.append("the packed file is cut; what comes before is used")
    if data[:4] != MAGIC:
        raise SessionError(f"{path} is no XDF file: it does not begin with 'XDF:'")
    return data, notes


def _sources(data: bytes) -> tuple[list[Source], int]:
    """The streams in the order of their headers, and how many places were damaged."""
    sources: dict[int, Source] = {}
    damaged = 0
    for tag, body in _chunks(data):
        if tag not in OF_A_STREAM:
            damaged += tag < 0
            continue
        number = int.from_bytes(body[:4], "little")
        if tag == STREAM:
            source = _source(body[4:])
            damaged += source is None
            if source is not None and number not in sources:
                sources[number] = source
        elif number in sources:
            damaged += not _taken(sources[number], tag, body[4:])
        else:
            damaged += 1
    return list(sources.values()), damaged


def _chunks(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(tag, contents) of each chunk; tag -1 where bytes were skipped."""
    at = len(MAGIC)
    while at < len(data):
        length, used = _length(data, at)
        start, stop = at + used, at + used + length
        if used and length >= 2 and stop <= len(data):
            tag = int.from_bytes(data[start : start + 2], "little")
            if 1 <= tag <= 6 and (tag not in OF_A_STREAM or length >= 6):
                yield tag, data[start + 2 : stop]
                at = stop
                continue
        yield -1, b""
        mark = data.find(BOUNDARY, at)
        if mark < 0:
            return
        at = mark + len(BOUNDARY)


def _length(data: bytes, at: int) -> tuple[int, int]:
    """A length of 1, 4 or 8 bytes and the bytes it takes with the one that says so; 0 taken where it is none."""
    width = data[at] if at < len(data) else 0
    if width not in (1, 4, 8) or at + 1 + width > len(data):
        return 0, 0
    return int.from_bytes(data[at + 1 : at + 1 + width], "little"), 1 + width


def _source(xml: bytes) -> Source | None:
    """A stream by its header; None for a damaged one."""
    try:
        info = ElementTree.fromstring(xml.decode("utf-8", "replace"))
        count, rate = int(info.findtext("channel_count", "")), float(info.findtext("nominal_srate", ""))
    except (ElementTree.ParseError, ValueError):
        return None
    kind = info.findtext("channel_format", "")
    if not 1 <= count <= MOST_CHANNELS or not 0 <= rate < 1e7 or kind not in (*TYPES, "string"):
        return None
    told = info.findall("desc/channels/channel")
    names = [(c.findtext("label") or "", c.findtext("unit") or "") for c in told]
    if len(names) != count or len({n for n, _ in names}) < count:
        names = [(f"c{k + 1}", "") for k in range(count)]
    return Source(info.findtext("name") or "stream", names, rate, kind)


def _taken(source: Source, tag: int, body: bytes) -> bool:
    """Add a chunk to its stream; False where it is damaged."""
    if tag == OFFSET:
        if len(body) != 16:
            return False
        source.probes.append(struct.unpack("<dd", body))
        return True
    if tag == FOOTER:
        return True
    count, used = _length(body, 0)
    if not used or count > len(body):
        return False
    read = _texts if source.format == "string" else _numbers
    times, values, whole = read(source, body[used:], count)
    if len(times):
        source.times.append(times)
        source.values.append(values)
        source.seen.append(np.full(len(times), len(source.probes)))
    return whole


def _numbers(source: Source, body: bytes, count: int) -> tuple[np.ndarray, np.ndarray, bool]:
    """Times (N,), values (N, C), and whether the chunk was whole."""
    width = np.dtype(TYPES[source.format]).itemsize * len(source.channels)
    stamped = 9 + width
    if len(body) == count * stamped:  # every sample has its time, which is what recorders write for most streams
        rows = np.frombuffer(body, np.uint8).reshape(count, stamped)
        if (rows[:, 0] == 8).all():
            times = np.frombuffer(rows[:, 1:9].tobytes(), "<f8")
            source.last_s = float(times[-1]) if count else source.last_s
            return times, _matrix(source, rows[:, 9:].tobytes()), True
    found: list[float] = []
    parts: list[bytes] = []
    at = 0
    for _ in range(count):
        at, stamp = _stamp(source, body, at)
        if at < 0 or at + width > len(body):
            break
        found.append(stamp)
        parts.append(body[at : at + width])
        at += width
    return np.array(found), _matrix(source, b"".join(parts)), len(found) == count


def _matrix(source: Source, data: bytes) -> np.ndarray:
    values = np.frombuffer(data, TYPES[source.format]).reshape(-1, len(source.channels))
    return values.astype(np.float32 if source.format in ("float32", "int8", "int16") else np.float64)


def _texts(source: Source, body: bytes, count: int) -> tuple[np.ndarray, list[str], bool]:
    found: list[float] = []
    texts: list[str] = []
    at = 0
    for _ in range(count):
        at, stamp = _stamp(source, body, at)
        parts = []
        for _ in source.channels if at >= 0 else ():
            length, used = _length(body, at)
            if not used or at + used + length > len(body):
                return np.array(found), texts, False
            parts.append(body[at + used : at + used + length].decode("utf-8", "replace"))
            at += used + length
        if at < 0:
            return np.array(found), texts, False
        found.append(stamp)
        texts.append(" | ".join(parts))
    return np.array(found), texts, True


def _stamp(source: Source, body: bytes, at: int) -> tuple[int, float]:
    """Where the values begin and the sample's time; -1 where the bytes end. A time left out follows the last."""
    width = body[at] if at < len(body) else -1
    if width == 8 and at + 9 <= len(body):
        (source.last_s,) = struct.unpack_from("<d", body, at + 1)
        return at + 9, source.last_s
    if width != 0:
        return -1, 0.0
    source.last_s += 1 / source.nominal_hz if source.nominal_hz else 0.0
    return at + 1, source.last_s


def _made(
    source: Source, stream: str, device: str, tables: dict[str, bytes]
) -> tuple[Stream | None, dict[str, Any], list[str]]:
    """A stream, what its clock was corrected by, and notes; its table goes into `tables`."""
    probes = np.array(source.probes).reshape(-1, 2)
    raw_s, seen = np.concatenate(source.times), np.concatenate(source.seen)
    lines = lsl.stretches(probes[:, 0], probes[:, 1])
    begins = np.concatenate([[0], np.cumsum([s.answers for s in lines])])[:-1].astype(int).tolist()
    told_s = lsl.applied(raw_s, seen, lines, begins)
    good = np.isfinite(told_s) & (np.abs(told_s) < LONGEST_S)
    t_ns = np.rint(told_s[good] * 1e9).astype(np.int64)
    notes = _doubts(source, t_ns, int((~good).sum()), lines)
    if not len(t_ns):
        return None, {}, notes
    order = np.argsort(t_ns, kind="stable")
    begun, rate = int(t_ns[order[0]]), usual_rate(t_ns[order])
    if source.format == "string":
        texts = [v for block in source.values for v in block]
        kept = [v for v, ok in zip(texts, good.tolist(), strict=True) if ok]
        tables[place(device, stream, "csv")] = events_table(Event(int(t_ns[k]), kept[k]) for k in order)
        made = Stream(stream, EVENTS, begun, 0.0)
    else:
        x = np.concatenate(source.values)[good]
        raw = {"recorded_s": raw_s[good], "offset_at_s": probes[:, 0], "offset_s": probes[:, 1]}
        tables[place(device, stream)] = series_table(t_ns, x, source.channels, **raw)
        made = Stream(stream, SERIES, begun, rate, native_hz=source.nominal_hz or None)
    about = {"xdf_name": source.name, "clock_offsets": len(probes), "applied": [_told(s) for s in lines]}
    return made, about, notes


def _told(line: lsl.Stretch) -> dict[str, float]:
    return {
        "from_s": round(line.from_s, 6),
        "to_s": round(line.to_s, 6),
        "at_s": round(line.at_s, 6),
        "offset_s": round(line.offset_s, 9),
        "skew_ppm": round(line.skew * 1e6, 4),
        "residual_ms": round(line.residual_s * 1e3, 4),
        "answers": line.answers,
    }


def _doubts(source: Source, t_ns: np.ndarray, lost: int, lines: list[lsl.Stretch]) -> list[str]:
    """What is to be minded about a stream's times."""
    notes = []
    back = int((np.diff(t_ns) < 0).sum())
    if back or lost:
        notes.append(f"{source.name}: {back} times go back, {lost} are no times and left out")
    if not lines:
        notes.append(f"{source.name}: no clock offsets were recorded, so its times are its own machine's")
    if len(lines) > 1:
        often = "once" if len(lines) == 2 else f"{len(lines) - 1} times"
        notes.append(f"{source.name}: its clock began anew {often}; each part has offsets of its own")
    rate = usual_rate(np.sort(t_ns))
    if source.nominal_hz and rate and abs(rate / source.nominal_hz - 1) > 0.1:
        notes.append(f"{source.name}: {rate:.2f} samples a second where its header says {source.nominal_hz:g}")
    return notes


def _unique(name: str, taken: set[str]) -> str:
    """A name that can be a file's: small letters, digits, - and _."""
    plain = re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-_")[:60] or "stream"
    return next(n for n in (plain, *(f"{plain}-{k}" for k in range(2, 10_000))) if n not in taken)
