"""One session's share of a dataset: the unit of work of a build.

A part is made by one process from one session folder and nothing else, so that any number of workers, on any
machine, in any order, make the same bytes. It is written under ``.parts/SESSION`` and is finished once `done.json` is
there with the key of its inputs: what a broken-off build finished is not done again, what changed since is.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from firmware_host.clockmap import ClockMap
from ingest import splits, statistics, tables, truth
from ingest.bodies import FOLDER as TRACKS
from ingest.bodies import film_tracks, worn_tracks
from ingest.boxes import labelled_boxes, labelled_relations
from ingest.cache import Recipe, write_video_cache
from ingest.ego import Aligned, frame_size, measured, open_aligned
from ingest.index import VideoIndex, video_index
from ingest.labels import read_labels, vocabulary
from ingest.sounds import sound_name, write_mels
from recorder import durable
from recorder.demux import frame_times_ns
from recorder.samples import native_series
from recorder.series import Series
from recorder.session import Device, Session, Stream
from sync import alignment

FOLDER = ".parts"
DONE = "done.json"
FACTS = 4
"""Counts up when the facts in it mean something else."""
HEARD = ("third", "ego")
"""Roles of devices whose sound becomes a log-mel picture."""
PART_TABLES = ("sessions", "streams", "gops", "frames", "targets", "labels", "boxes", "tracks", "relations")


@dataclass
class _Found:
    """What has been read of a session so far."""

    rows: dict[str, list[pa.Table]] = field(default_factory=lambda: {name: [] for name in PART_TABLES})
    series: dict[tuple[str, str], Series] = field(default_factory=dict)
    video: dict[tuple[str, str], tuple[VideoIndex, np.ndarray]] = field(default_factory=dict)
    spans: list[tuple[int, int]] = field(default_factory=list)


def part_folder(out: Path, session: str) -> Path:
    """Where the part of a session is."""
    return out / FOLDER / session


def build_part(folder: Path, out: Path, recipe: Recipe | None) -> dict[str, Any]:
    """Make one session's tables, series and cache, or keep what is there and still true.

    Args:
        folder: the session.
        out: the dataset root.
        recipe: of the cache of ego video; None for none.

    Returns:
        facts for people: ``session, people, left_out`` (device -> why), ``notes, frames, samples, steps``, ``cache``
        (file -> its size); and for the merge ``vocabulary`` (tier -> values), ``objects, relations, streams, spreads``.

    Raises:
        SessionError: the session cannot be read or is not aligned.
    """
    aligned = open_aligned(folder)
    session = aligned.session
    part = part_folder(out, session.id)
    part.mkdir(parents=True, exist_ok=True)
    key = _key(session, out)
    done = part / DONE
    facts = _finished(done, key)
    if facts is None:
        done.unlink(missing_ok=True)
        for device in session.devices:
            for copies in out.glob("cache/*/"):
                (copies / _cached(session, device)).unlink(missing_ok=True)
        facts = _write_tables(aligned, out, part)
    facts["cache"] = dict(_cache(aligned, out, recipe)) if recipe else {}
    durable.write_json(done, {"key": key, "facts": facts})
    return facts


def _finished(done: Path, key: str) -> dict[str, Any] | None:
    try:
        document = json.loads(done.read_text())
    except (OSError, ValueError):
        return None
    return document["facts"] if document.get("key") == key else None


def _key(session: Session, out: Path) -> str:
    """A hash of all that a part is made of: small files by content, media by size and time of change."""
    digest = hashlib.sha256(f"{tables.VERSION}.{FACTS} {_relative(session.root, out)}".encode())
    media = {session.path(d.file) for d in session.devices}
    small = {session.root / "session.json", session.root / alignment.FILE}
    small |= {session.root / name for name in truth.FILES}
    small |= {*session.root.glob("*.csv"), *session.root.glob("labels/*"), *session.root.glob(f"{TRACKS}/*.npz")}
    for path in sorted(small | media):
        stat = path.stat() if path.is_file() else None
        content = stat and (f"{stat.st_size} {stat.st_mtime_ns}".encode() if path in media else path.read_bytes())
        digest.update(f"{path.relative_to(session.root)}\0".encode() + (content or b"") + b"\0")
    return digest.hexdigest()


def _write_tables(aligned: Aligned, out: Path, part: Path) -> dict[str, Any]:
    found = _Found()
    for device, to_reference in aligned.devices:
        _read_device(aligned.session, device, to_reference, found, out)
    for device, _ in aligned.devices:
        if device.role == "ego":
            found.rows["targets"] += measured(aligned, device, found.video, found.series)
    session = aligned.session
    labels = read_labels(session.root / "labels", session.id)
    span_ns = (min(a for a, _ in found.spans), max(b for _, b in found.spans)) if found.spans else (0, 0)
    labels, notes = _inside(labels, span_ns)
    found.rows["labels"].append(tables.table("labels", labels))
    found.rows["boxes"].append(labelled_boxes(session, labels, span_ns))
    found.rows["relations"].append(labelled_relations(session, labels))
    known = truth.truth_tables(session, aligned.alignment)
    for name, rows in known.items():
        found.rows[name].append(rows)
    found.rows["tracks"] += worn_tracks(session, found.series, set(known["tracks"]["actor"].to_pylist()))
    for device, _ in aligned.devices:
        if times := [t for (name, _), (_, t) in found.video.items() if name == device.name]:
            tracks, boxes = film_tracks(session, device, times[0])
            found.rows["tracks"] += tracks
            found.rows["boxes"].append(boxes)
    found.rows["sessions"].append(tables.table("sessions", [_session_row(aligned, out, found)]))
    for name in PART_TABLES:
        whole = tables.concatenated(name, found.rows[name]).combine_chunks()
        tables.write(part / f"{name}.parquet", [whole], tables.SCHEMAS[name])
    return {
        "session": session.id,
        "people": _people(session, found),
        "left_out": aligned.left_out,
        "notes": notes,
        "frames": sum(t.num_rows for t in found.rows["frames"]),
        "samples": sum(len(s.t_ns) for s in found.series.values()),
        "steps": sum(t.num_rows for t in found.rows["targets"]),
        "vocabulary": vocabulary((row["tier"], row["value"]) for row in labels),
        "objects": _distinct(found.rows["relations"], "object"),
        "relations": _distinct(found.rows["relations"], "relation"),
        "streams": sorted({"/".join(r[c] for c in ("role", "name", "kind")) for r in _dicts(found.rows["streams"])}),
        "spreads": statistics.spreads(
            (device.stream(name), series)
            for device, _ in aligned.devices
            for (owner, name), series in found.series.items()
            if owner == device.name
        ),
    }


def _inside(labels: list[dict[str, Any]], span_ns: tuple[int, int]) -> tuple[list[dict[str, Any]], list[str]]:
    """The labels that meet the recording, and a sentence about the others."""
    first, last = span_ns
    kept = [r for r in labels if r["t1_ns"] >= first and r["t0_ns"] < last]
    lost = [r for r in labels if not (r["t1_ns"] >= first and r["t0_ns"] < last)]
    if not lost:
        return kept, []
    one = lost[0]
    aside = f"{max(one['t0_ns'] - last, first - one['t1_ns']) / 1e9:.1f} s"
    return kept, [
        f"{len(lost)} labels lie outside the recording and are left out; the first, {one['tier']} '{one['value']}' of "
        f"{one['source']}, by {aside}: are its times on the reference clock?"
    ]


def _people(session: Session, found: _Found) -> list[str]:
    """Everybody who is in the session by name; the actor of an object's label is its track."""
    seen = [rows.filter(pc.not_equal(rows["tier"], "object")) for rows in found.rows["labels"]]
    seen += [*found.rows["boxes"], *found.rows["tracks"]]
    actors = {a for rows in seen for a in rows["actor"].unique().to_pylist()}
    return splits.everybody(session.participants, (d.wearer for d in session.devices if d.wearer), actors)


def _distinct(parts: list[pa.Table], column: str) -> list[str]:
    return sorted({value for part in parts for value in part[column].unique().to_pylist()})


def _dicts(parts: list[pa.Table]) -> Iterator[dict[str, Any]]:
    for part in parts:
        yield from part.to_pylist()


def _read_device(session: Session, device: Device, to_reference: ClockMap, found: _Found, out: Path) -> None:
    """Add one device's streams, frames, GOPs and samples; the samples are written at once."""
    for name, native in native_series(session, device).items():
        t_ns = to_reference.forward(native.t_ns)
        series = Series(t_ns, native.x, native.fresh, native.channels, to_reference.target)
        tables.write_series(tables.series_path(out, session.id, device.name, name), series, native.t_ns)
        found.series[device.name, name] = series
        if len(t_ns):
            found.spans.append((int(t_ns[0]), int(t_ns[-1])))
    streams = []
    for stream in device.streams:
        row = _stream_row(session, device, stream, to_reference, out)
        if stream.kind == "video":
            row |= _read_video(session, device, stream, to_reference, found)
        elif stream.kind == "audio" and device.role in HEARD:
            rows, t0_ns, t1_ns = write_mels(session, device, out / sound_name(session.id, device.name))
            row |= {"count": rows, "t0_ns": to_reference.forward(t0_ns), "t1_ns": to_reference.forward(t1_ns)}
        elif (device.name, stream.name) in found.series:
            times = found.series[device.name, stream.name].t_ns
            row |= {"count": len(times), "t1_ns": int(times[-1]) if len(times) else None}
        streams.append(row)
    found.rows["streams"].append(tables.table("streams", streams))


def _read_video(
    session: Session, device: Device, stream: Stream, to_reference: ClockMap, found: _Found
) -> dict[str, Any]:
    index = video_index(session.path(device.file))
    t_device_ns = frame_times_ns(session, device)[: index.end_frame]
    t_ns = to_reference.forward(t_device_ns)
    n = len(t_ns)
    found.video[device.name, stream.name] = index, t_ns
    which = {"session": session.id, "device": device.name, "stream": stream.name}
    frames = {"frame": np.arange(n), "t_device_ns": t_device_ns, "t_ns": t_ns}
    found.rows["frames"].append(tables.columns("frames", frames, **which))
    period_ns = round(1e9 / stream.rate_hz)
    ends = np.append(t_device_ns, t_device_ns[-1] + period_ns) if n else t_device_ns
    gops = [
        {
            **which,
            "t0_device_ns": int(ends[g.first_frame]),
            "t1_device_ns": int(ends[min(n, g.first_frame + g.frames)]),
            "start": g.start,
            "stop": g.stop,
            "first_frame": g.first_frame,
            "frames": min(n - g.first_frame, g.frames),
        }
        for g in index.gops
        if g.first_frame < n
    ]
    found.rows["gops"].append(tables.table("gops", gops))
    if n:
        found.spans.append((int(t_ns[0]), int(t_ns[-1]) + period_ns))
    t1_ns = int(t_ns[-1]) + period_ns if n else None
    return {"count": n, "t1_ns": t1_ns, "container": index.container, "header_stop": index.header_stop}


def _stream_row(session: Session, device: Device, stream: Stream, to_reference: ClockMap, out: Path) -> dict[str, Any]:
    file = device.gaze if stream.kind == "gaze" and device.gaze else device.file
    width, height = stream.size or (None, None)
    return {
        "session": session.id,
        "device": device.name,
        "role": device.role,
        "device_kind": device.kind,
        "wearer": device.wearer,
        "clock": device.clock,
        "name": stream.name,
        "kind": stream.kind,
        "sensor": stream.sensor,
        "model": stream.model,
        "rate_hz": stream.rate_hz,
        "native_hz": stream.native_hz,
        "width": width,
        "height": height,
        "file": _relative(session.path(file), out),
        "t0_device_ns": stream.t0_ns,
        "t0_ns": to_reference.forward(stream.t0_ns),
    }


def _session_row(aligned: Aligned, out: Path, found: _Found) -> dict[str, Any]:
    session = aligned.session
    starts, stops = zip(*found.spans, strict=True) if found.spans else ((0,), (0,))
    return {
        "id": session.id,
        "participants": list(session.participants),
        "place": session.place,
        "activity": session.activity,
        "created": session.created,
        "duration_ns": max(stops) - min(starts),
        "sealed": session.sealed,
        "reference": aligned.alignment.reference,
        "folder": _relative(session.root, out),
    }


def _cache(aligned: Aligned, out: Path, recipe: Recipe) -> Iterator[tuple[str, list[int]]]:
    """Make what the cache lacks of this session; (file name, its size) of all."""
    session = aligned.session
    for device, _ in aligned.devices:
        for stream in device.of_kind("video") if device.role == "ego" else ():
            name = _cached(session, device)
            target = out / "cache" / recipe.name / name
            if not target.is_file():
                write_video_cache(session.path(device.file), target, recipe)
            yield name, list(recipe.size(*frame_size(session, device, stream)))


def _relative(path: Path, out: Path) -> str:
    """A path as the dataset's tables have it: from the root, so that both can move together."""
    return os.path.relpath(path.resolve(), out.resolve())


def _cached(session: Session, device: Device) -> str:
    return f"{session.id}.{device.name}.mp4"
