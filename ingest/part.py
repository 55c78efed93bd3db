"""One session's share of a dataset: the unit of work of a build.

A part is made by one process from one session folder and nothing else, so that any number of workers, on any
machine, in any order, make the same bytes. It is written under ``.parts/SESSION`` and is finished once `done.json` is
there with the key of its inputs: what a broken-off build finished is not done again, what changed since is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ingest import splits, statistics, tables, truth
from ingest.bodies import FOLDER as TRACKS
from ingest.bodies import film_tracks, worn_tracks
from ingest.boxes import labelled_boxes, labelled_relations
from ingest.cache import Recipe, write_video_cache
from ingest.ego import Aligned, frame_size, measured, open_aligned
from ingest.events import room_labels
from ingest.labels import read_labels, vocabulary
from ingest.labels.table import by_time
from ingest.recorded import PART_TABLES, Recorded, read_devices, relative
from recorder import durable
from recorder.session import Session
from sync import alignment

FOLDER = ".parts"
DONE = "done.json"
FACTS = 6
"""Counts up when the facts in it mean something else."""
COPIED = ("ego", "third")
"""Roles of cameras whose films are in the cache."""


def part_folder(out: Path, session: str) -> Path:
    """Where the part of a session is."""
    return out / FOLDER / session


def build_part(folder: Path, out: Path, recipe: Recipe | None) -> dict[str, Any]:
    """Make one session's tables, series and cache, or keep what is there and still true.

    Args:
        folder: the session.
        out: the dataset root.
        recipe: of the cache of the cameras' films; None for none.

    Returns:
        facts for people: ``session, people, left_out`` (device -> why), ``notes, frames, samples, steps``, ``films``
        (device -> size) and ``cache`` (file -> size); and for the merge ``vocabulary`` (tier -> values), ``objects,
        relations, streams, spreads``.

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
                (copies / _copy_name(session, device.name)).unlink(missing_ok=True)
        facts = _write_tables(aligned, out, part)
    facts["cache"] = dict(_cache(session, facts["films"], out, recipe)) if recipe else {}
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
    digest = hashlib.sha256(f"{tables.VERSION}.{FACTS} {relative(session.root, out)}".encode())
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
    found = read_devices(aligned, out)
    for device, _ in aligned.devices:
        if device.role == "ego":
            found.rows["targets"] += measured(aligned, device, found.video, found.series)
    session = aligned.session
    labels = read_labels(session.root / "labels", session.id)
    labels, notes = _inside(labels, found.span_ns)
    labels = by_time(labels + room_labels(session.id, (d for d, _ in aligned.devices), found.series))
    found.rows["labels"].append(tables.table("labels", labels))
    found.rows["boxes"].append(labelled_boxes(session, labels, found.span_ns))
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
    for name in PART_TABLES:
        whole = tables.concatenated(name, found.rows[name]).combine_chunks()
        tables.write(part / f"{name}.parquet", [whole], tables.SCHEMAS[name])
    films = _films(aligned, found)
    return {
        "session": session.id,
        "people": _people(session, found),
        "left_out": aligned.left_out,
        "notes": notes + [f"{name}: {NO_KEYFRAME}" for name, size in films.items() if size is None],
        "films": {name: size for name, size in films.items() if size is not None},
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


NO_KEYFRAME = "its film holds no keyframe, so that none of its pictures can be decoded"


def _films(aligned: Aligned, found: Recorded) -> dict[str, tuple[int, int] | None]:
    """Each camera that clips show -> (width, height) of its film, None where nothing of it can be decoded."""
    sizes: dict[str, tuple[int, int] | None] = {}
    for device, _ in aligned.devices:
        for stream in device.of_kind("video") if device.role in COPIED else ():
            index, t_ns = found.video[device.name, stream.name]
            sizes[device.name] = frame_size(aligned.session, device, stream) if index.gops and len(t_ns) else None
    return sizes


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


def _people(session: Session, found: Recorded) -> list[str]:
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


def _cache(
    session: Session, films: Mapping[str, Sequence[int]], out: Path, recipe: Recipe
) -> Iterator[tuple[str, tuple[int, int]]]:
    """Make what the cache lacks of this session; (file name, its size) of all."""
    for device, (width, height) in films.items():
        name = _copy_name(session, device)
        target = out / "cache" / recipe.name / name
        if not target.is_file():
            write_video_cache(session.path(session.device(device).file), target, recipe)
        yield name, recipe.size(width, height)


def _copy_name(session: Session, device: str) -> str:
    return f"{session.id}.{device}.mp4"
