"""GPMF, the telemetry in a GoPro's film: what its sensors measured, and when, by the film's own clock.

A payload comes about once a second. It is nested key, length, value, big-endian and padded to four bytes: a device
(``DEVC``) holds streams (``STRM``); in a stream, what comes before the values says how to read them (``SCAL`` the
divisor, ``SIUN`` the unit, ``TYPE`` the fields of a record, ``ORIN`` the axes), and the last element is the values.
Source: the format's description in gopro/gpmf-parser.

No sample has a time. What a payload says is how many samples there were up to its end (``TSMP``), when it belongs into
the film, and in newer cameras when its first sample was taken, in microseconds of the camera's clock (``STMP``). A
sensor's own oscillator is true to one per cent and even, so a line through all payloads gives its samples their times.
The streams that have one value a picture (``SHUT``, ``CORI``) bear the same stamps and so say which one the first
picture has. Without stamps the payloads' times in the film are all there is, and samples are handed over in batches.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

MAGIC = b"DEVC"
TYPES = {
    **{"b": "i1", "B": "u1", "s": ">i2", "S": ">u2", "l": ">i4", "L": ">u4", "j": ">i8", "J": ">u8"},
    **{"f": ">f4", "d": ">f8", "q": ">i4", "Q": ">i8"},
}
TEXT = "cFUG"
FIXED_POINT = {"q": 2.0**-16, "Q": 2.0**-32}
AXES = {"Hero6 Black": "YxZ", "Fusion": "yXZ"}
"""Axes of the columns of cameras that do not say them; all others have the HERO5's. A small letter is a minus."""
HERO5_AXES = "ZXY"
ORIENTED = ("ACCL", "GYRO", "MAGN")
PICTURES = ("SHUT", "CORI", "ISOE", "ISOG")
"""Streams with one value a picture."""
STAMPED_NS, BATCHED_NS = 5e6, 20e6
"""Standard deviation of a gyroscope's delay against the picture: GoPro speaks of about 10 ms in some modes; and of one
without stamps, whose batches come when they come: 18 ms in the one film of a HERO5 at hand."""


@dataclass(frozen=True)
class Element:
    """One key with its values: `kind` is the letter of their type, "" for what holds elements; `size` bytes each."""

    key: str
    kind: str
    size: int
    count: int
    data: bytes


@dataclass
class Stream:
    """One sensor's samples, over all payloads.

    Attributes:
        key: ``GYRO``, ``ACCL``, ``GPS5``...
        name: what the camera calls it. units: of its columns, one or as many as columns.
        axes: letters of its columns, "" where it does not say them.
        x: (n, C) float64 scaled values of each payload.
        first: number of each payload's first sample since the recording began.
        film_ns: when each payload is shown.
        stamp_ns: when its first sample was taken, on the camera's clock; None without stamps.
        utc: what the GPS said of the time, one a payload.
    """

    key: str
    name: str = ""
    units: tuple[str, ...] = ()
    axes: str = ""
    x: list[np.ndarray] = field(default_factory=list)
    first: list[int] = field(default_factory=list)
    film_ns: list[int] = field(default_factory=list)
    stamp_ns: list[int | None] = field(default_factory=list)
    utc: list[str] = field(default_factory=list)

    @property
    def values(self) -> np.ndarray:
        """(N, C) float64, all samples."""
        return np.concatenate(self.x)


def elements(data: bytes) -> Iterator[Element]:
    """The elements at one level; ends quietly where the rest makes no sense."""
    at = 0
    while at + 8 <= len(data):
        key, kind, size, count = struct.unpack_from(">4scBH", data, at)
        length = size * count
        if not key.isascii() or not key.strip(b"\0") or at + 8 + length > len(data):
            return
        letter = "" if kind == b"\0" else kind.decode("latin1")
        yield Element(key.decode(), letter, size, count, data[at + 8 : at + 8 + length])
        at += 8 + (length + 3) // 4 * 4


def numbers(element: Element, fields: str = "") -> np.ndarray:
    """(N, C) float64 of an element's values; no columns where they are text or of a type that is not known.

    Args:
        fields: letters of the types of a record's columns, for values of the type ``?``.
    """
    letters = fields if element.kind == "?" else element.kind * max(element.size // _width(element.kind), 1)
    if not letters or any(c not in TYPES and c not in TEXT for c in letters) or not element.count:
        return np.empty((element.count, 0))
    record = np.dtype([(str(k), TYPES.get(c, f"S{_width(c)}")) for k, c in enumerate(letters)])
    if record.itemsize != element.size:
        return np.empty((element.count, 0))
    rows = np.frombuffer(element.data, record, element.count)
    columns = [rows[str(k)] * FIXED_POINT.get(c, 1.0) for k, c in enumerate(letters) if c in TYPES]
    return np.column_stack(columns).astype(np.float64) if columns else np.empty((element.count, 0))


def text(element: Element) -> str:
    """A text, without its padding."""
    return element.data.decode("latin1").rstrip("\0 ")


def _width(kind: str) -> int:
    if kind in TYPES:
        return int(np.dtype(TYPES[kind]).itemsize)
    return {"F": 4, "U": 16, "G": 16}.get(kind, 1)


def read(payloads: Iterable[tuple[int, int, bytes]]) -> dict[str, Stream]:
    """The streams of the camera itself, by key.

    Args:
        payloads: (time in the film in ns, duration in ns, bytes), as `recorder.demux.data_packets` gives them.
    """
    found: dict[str, Stream] = {}
    for t_ns, _, data in payloads:
        for device in elements(data):
            inner = list(elements(device.data)) if device.key == "DEVC" else []
            model = next((text(e) for e in inner if e.key == "DVNM"), "")
            for element in inner:
                if element.key == "STRM" and not element.kind:
                    _add(found, t_ns, list(elements(element.data)), model)
    return {key: s for key, s in found.items() if sum(map(len, s.x))}


def _add(found: dict[str, Stream], t_ns: int, parts: list[Element], model: str) -> None:
    """One stream of one payload."""
    if not parts:
        return
    key = parts[-1].key
    told = {e.key: e for e in parts if e.key != key}
    fields = _fields(text(told["TYPE"])) if "TYPE" in told else ""
    blocks = [b for e in parts if e.key == key and (b := numbers(e, fields)).size]
    if not blocks or any(b.shape[1] != blocks[0].shape[1] for b in blocks):
        return
    x = np.concatenate(blocks)
    stream = found.setdefault(key, Stream(key))
    if stream.x and stream.x[0].shape[1] != x.shape[1]:
        return  # another device's stream of the same name
    scale = numbers(told["SCAL"]).ravel() if "SCAL" in told else np.ones(1)
    if len(scale) in (1, x.shape[1]) and (scale != 0).all():
        x = x / scale
    stream.name = text(told["STNM"]) if "STNM" in told else stream.name
    stream.units = _units(told)
    stream.axes = _axes(key, told, model) if x.shape[1] == 3 else ""
    total = int(numbers(told["TSMP"])[0, 0]) if "TSMP" in told else sum(map(len, stream.x)) + len(x)
    stream.first.append(total - len(x))
    stream.stamp_ns.append(int(numbers(told["STMP"])[0, 0]) * 1000 if "STMP" in told else None)
    stream.film_ns.append(t_ns)
    stream.utc.append(text(told["GPSU"]) if "GPSU" in told else "")
    stream.x.append(x)


def _fields(told: str) -> str:
    """``f[3]L`` to ``fffL``."""
    out, at = "", 0
    while at < len(told):
        stop = told.find("]", at)
        if told[at + 1 : at + 2] == "[" and stop > at and told[at + 2 : stop].isdigit():
            out, at = out + told[at] * min(int(told[at + 2 : stop]), 255), stop + 1
        else:
            out, at = out + told[at], at + 1
    return out


def _units(told: dict[str, Element]) -> tuple[str, ...]:
    element = told.get("SIUN") or told.get("UNIT")
    if element is None:
        return ()
    cells = [element.data[k : k + element.size] for k in range(0, len(element.data), max(element.size, 1))]
    if element.size == 1:  # one unit, letter by letter
        cells = [element.data]
    return tuple(c.decode("latin1").rstrip("\0 ") for c in cells)


def _axes(key: str, told: dict[str, Element], model: str) -> str:
    if key not in ORIENTED:
        return ""
    axes = text(told["ORIN"]) if "ORIN" in told else AXES.get(model, HERO5_AXES)
    return axes if sorted(axes.upper()) == ["X", "Y", "Z"] else HERO5_AXES


def oriented(stream: Stream) -> np.ndarray:
    """(N, 3) float64 about the camera's x, y and z, whatever order the columns are in."""
    x = stream.values
    if not stream.axes:
        return x
    out = np.empty_like(x)
    for column, letter in enumerate(stream.axes):
        out[:, "XYZ".index(letter.upper())] = x[:, column] if letter.isupper() else -x[:, column]
    return out


def times_ns(stream: Stream, streams: dict[str, Stream], frames_ns: np.ndarray) -> np.ndarray:
    """When each sample of a stream was taken: (N,) int64 ns of the film's time.

    Args:
        stream: one of `streams`.
        frames_ns: (F,) int64, when the film's pictures are shown.
    """
    counts = [len(x) for x in stream.x]
    number = np.concatenate([f + np.arange(n) for f, n in zip(stream.first, counts, strict=True)])
    zero_ns = first_picture_ns(streams, frames_ns)
    if zero_ns is not None and all(s is not None for s in stream.stamp_ns):
        at_ns = np.array(stream.stamp_ns, np.int64) - zero_ns
    else:
        at_ns = np.array(stream.film_ns, np.int64)
    if len(stream.first) < 2:
        every_ns = 1e9 / max(counts[0], 1)
        return np.asarray(at_ns[0] + np.rint((number - number[0]) * every_ns).astype(np.int64))
    slope, level = _even(np.array(stream.first, float) - number[0], (at_ns - at_ns[0]).astype(float))
    return np.asarray(at_ns[0] + np.rint(level + slope * (number - number[0])).astype(np.int64))


def first_picture_ns(streams: dict[str, Stream], frames_ns: np.ndarray) -> int | None:
    """What the camera's clock said at the film's time 0, ns; None where its streams have no stamps."""
    for key in PICTURES:
        stream = streams.get(key)
        if stream is None or any(s is None for s in stream.stamp_ns):
            continue
        index = np.array(stream.first) - stream.first[0]
        known = index < len(frames_ns)
        if known.any():
            stamps = np.array(stream.stamp_ns, np.int64)[known]
            return int(np.median(stamps - frames_ns[index[known]]))
    return None


def _even(index: np.ndarray, t_ns: np.ndarray) -> tuple[float, float]:
    """Slope and level of the line through most of the points: median of the slopes between them (Theil 1950)."""
    i, j = np.triu_indices(len(index), 1)
    apart = index[j] != index[i]
    if not apart.any():
        return 0.0, 0.0
    i, j = i[apart], j[apart]
    slopes, far = (t_ns[j] - t_ns[i]) / (index[j] - index[i]), np.abs(index[j] - index[i])
    slope = float(np.median(slopes[far >= np.median(far)]))
    return slope, float(np.median(t_ns - slope * index))


def delay_sigma_ns(stream: Stream) -> float:
    """How far all times of a stream may be off against the picture, ns, one standard deviation."""
    return STAMPED_NS if all(s is not None for s in stream.stamp_ns) else BATCHED_NS
