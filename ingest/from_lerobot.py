"""A LeRobotDataset v3 as a dataset: an episode is a session, its columns are series, its videos stay where they are.

    meta/info.json                          rate, features, and where files are
    meta/tasks.parquet                      task_index, and the task as text
    meta/episodes/chunk-*/file-*.parquet    one row an episode: its files, its rows, and from when to when in each video
    data/chunk-*/file-*.parquet             one row a moment: observation.state, action, ..., timestamp, task_index

The format has one clock, that of the episode, which begins at 0. Nobody is named, so an episode's participant is the
episode; a split that `info.json` tells is kept. A video file may hold many episodes: a session's frames are its part.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from firmware_host.clock import SECOND_NS
from firmware_host.errors import SessionError
from ingest import statistics, tables
from ingest.ask import ACTIVITY
from ingest.cache import Recipe
from ingest.clips import CLIP_STEPS
from ingest.labels.agreed import entries
from ingest.labels.label import Label, in_order
from ingest.labels.table import row as label_row
from ingest.labels.words import vocabulary
from ingest.splits import SPLITS
from ingest.targets import GROUPS, STEP_NS
from recorder import durable
from recorder.demux import container_frame_times_ns
from recorder.series import Series
from recorder.session import Stream

NO_TASK = "unlabelled"
"""What our own export writes where nothing is under way."""
DEVICE, CLOCK = "lerobot", "episode"
LATE_S = 1e-4
"""How far a timestamp may be from its frame's by the rate before it is believed: LeRobot's own tolerance."""
_BOOKKEEPING = ("timestamp", "frame_index", "episode_index", "index", "task_index")


@dataclass
class _Source:
    """What a folder says of itself."""

    root: Path
    info: dict[str, Any]
    tasks: dict[int, str]
    episodes: list[dict[str, Any]]
    frame_times: dict[Path, np.ndarray] = field(default_factory=dict)

    @property
    def fps(self) -> float:
        return float(self.info["fps"])

    def features(self, *kinds: str) -> dict[str, dict[str, Any]]:
        """Features of some types, without the format's own bookkeeping."""
        every = self.info["features"].items()
        return {n: f for n, f in every if f["dtype"] in kinds and n not in _BOOKKEEPING}

    def shown_ns(self, path: Path) -> np.ndarray:
        """When each frame of a video file is shown; read once for all its episodes."""
        if path not in self.frame_times:
            self.frame_times[path] = container_frame_times_ns(path)
        return self.frame_times[path]


def bring(root: Path, out: Path) -> dict[str, Any]:
    """Make a dataset of a LeRobotDataset v3.

    Args:
        root: its folder, with ``meta``, ``data`` and ``videos``; nothing in it is changed.
        out: the new dataset; a folder that is empty or not there.

    Returns:
        what `syncctl import --json` prints: ``dataset, sessions, counts, left_out``.

    Raises:
        SessionError: no such folder, another version, a file is missing or damaged, or `out` is not empty.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SessionError(f"{out} exists and is not empty; give a new folder")
    source = _opened(root)
    rows: dict[str, list[pa.Table]] = {name: [] for name in tables.SCHEMAS}
    parts = []
    split = _splits(source)
    for episode in source.episodes:
        name = f"episode-{episode['episode_index']:06d}"
        try:
            spreads = _session(source, episode, name, out, rows)
        except (KeyError, ValueError, TypeError, pa.ArrowInvalid, OSError) as error:
            raise SessionError(f"{root}: episode {episode['episode_index']} cannot be read ({error})") from error
        mine = split.get(int(episode["episode_index"]), "train")
        rows["splits"].append(tables.table("splits", [{"session": name, "participant": name, "split": mine}]))
        parts += [spreads] if mine == "train" else []
    counts = {name: tables.write(out / f"{name}.parquet", rows[name], tables.SCHEMAS[name]) for name in tables.SCHEMAS}
    _write_facts(out, rows, parts, counts)
    left = [f"'{n}', which is {f['dtype']}" for n, f in source.features("image", "string", "language").items()]
    return {"dataset": str(out), "sessions": len(source.episodes), "counts": counts, "left_out": left}


def _opened(root: Path) -> _Source:
    try:
        info = json.loads((root / "meta/info.json").read_text(encoding="utf-8"))
        if not str(info["codebase_version"]).startswith("v3"):
            raise SessionError(
                f"{root} is a LeRobotDataset {info['codebase_version']}; convert it to v3.0 with LeRobot's converter"
            )
        told = pq.read_table(root / "meta/tasks.parquet", partitioning=None)
        text = next(c for c in ("task", "__index_level_0__") if c in told.column_names)
        tasks = dict(zip(told["task_index"].to_pylist(), told[text].to_pylist(), strict=True))
        episodes: list[dict[str, Any]] = []
        for path in sorted(root.glob("meta/episodes/*/*.parquet")):
            names = [c for c in pq.read_schema(path).names if not c.startswith("stats/")]
            episodes += pq.read_table(path, columns=names, partitioning=None).to_pylist()
        if not episodes:
            raise SessionError(f"{root} has no episodes")
    except (OSError, ValueError, KeyError, TypeError, StopIteration, pa.ArrowInvalid) as error:
        raise SessionError(f"{root} cannot be read as a LeRobotDataset v3 ({error!r}); give its folder") from error
    return _Source(root, info, tasks, sorted(episodes, key=lambda e: e["episode_index"]))


def _splits(source: _Source) -> dict[int, str]:
    """Episode -> split, of ``"train": "0:50"`` and so on; what has another name trains."""
    found: dict[int, str] = {}
    for name, span in (source.info.get("splits") or {}).items():
        first, _, stop = str(span).partition(":")
        if name in SPLITS and first.isdecimal() and stop.isdecimal():
            found |= dict.fromkeys(range(int(first), int(stop)), name)
    return found


def _session(
    source: _Source, episode: Mapping[str, Any], name: str, out: Path, rows: dict[str, list[pa.Table]]
) -> dict[str, list[float]]:
    """Add one episode's rows and write its series; returns its statistics."""
    where = {"chunk_index": episode["data/chunk_index"], "file_index": episode["data/file_index"]}
    path = source.root / source.info["data_path"].format(**where)
    mine = [("episode_index", "==", episode["episode_index"])]
    held = pq.read_table(path, filters=mine, partitioning=None).sort_by("frame_index")
    count = held.num_rows
    if count != episode["length"]:
        raise ValueError(f"{path} has {count} of its {episode['length']} rows")
    t_ns = _times(held, source.fps)
    end_ns = int(t_ns[-1]) + round(SECOND_NS / source.fps) if count else 0
    streams = [_video(source, episode, key, f, name, out, rows) for key, f in source.features("video").items()]
    known = []
    for feature, about in source.features("float32", "float64", "int64", "int32", "bool").items():
        series = Series(t_ns, *_values(held[feature], about, count), CLOCK)
        tables.write_series(tables.series_path(out, name, DEVICE, feature), series, t_ns)
        known.append((Stream(feature, "sensor", 0, source.fps, feature, "lerobot"), series))
        streams.append(
            _stream(name, DEVICE, feature, "sensor", source, count) | {"sensor": feature, "model": "lerobot"}
        )
    for row in streams:
        row["t1_ns"] = end_ns
    rows["streams"].append(tables.table("streams", streams))
    labels = _labels(source, held, t_ns, end_ns)
    rows["labels"].append(tables.table("labels", [{"session": name, "source": DEVICE, **label_row(n)} for n in labels]))
    about_session: dict[str, Any] = {
        "id": name,
        "participants": [],
        "activity": labels[0].value if labels else None,
        "duration_ns": end_ns,
        "sealed": True,
        "reference": CLOCK,
        "folder": os.path.relpath(source.root.resolve(), out.resolve()),
    }
    rows["sessions"].append(tables.table("sessions", [about_session]))
    return statistics.spreads(known)


def _times(held: pa.Table, fps: float) -> np.ndarray:
    """(N,) int64 ns: by the rate, or the timestamp where that is another."""
    exact = np.rint(held["frame_index"].to_numpy() * (SECOND_NS / fps)).astype(np.int64)
    told_s = held["timestamp"].to_numpy().astype(np.float64)
    told = np.rint(told_s * SECOND_NS).astype(np.int64)
    return np.where(np.abs(told - exact) > LATE_S * SECOND_NS, told, exact)


def _values(
    column: pa.ChunkedArray, about: Mapping[str, Any], count: int
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """(N, C) float32, (N,) True, and C names."""
    whole = column.combine_chunks()
    while not pa.types.is_primitive(whole.type) and not pa.types.is_boolean(whole.type):
        whole = whole.flatten()
    x = whole.to_numpy(zero_copy_only=False).astype(np.float32).reshape(count, -1)
    told = about.get("names")
    told = [n for part in told.values() for n in part] if isinstance(told, dict) else told
    good = isinstance(told, list) and len({str(n) for n in told}) == x.shape[1]
    names = tuple(str(n) for n in told) if good and told else tuple(f"c{i}" for i in range(x.shape[1]))
    return x, np.ones(count, bool), names


def _video(
    source: _Source,
    episode: Mapping[str, Any],
    key: str,
    about: Mapping[str, Any],
    name: str,
    out: Path,
    rows: dict[str, list[pa.Table]],
) -> dict[str, Any]:
    """Add the frames of one camera; its row of `streams`."""
    where = {"chunk_index": episode[f"videos/{key}/chunk_index"], "file_index": episode[f"videos/{key}/file_index"]}
    path = source.root / source.info["video_path"].format(video_key=key, **where)
    shown_ns = source.shown_ns(path)
    begin_ns = round(float(episode[f"videos/{key}/from_timestamp"]) * SECOND_NS)
    first = int(np.abs(shown_ns - begin_ns).argmin())
    mine = shown_ns[first : first + episode["length"]]
    if len(mine) < episode["length"]:
        raise ValueError(f"{path} has {len(mine)} of its {episode['length']} frames")
    device = key.rpartition(".")[2]
    frames = {"frame": np.arange(first, first + len(mine)), "t_device_ns": mine, "t_ns": mine - shown_ns[first]}
    rows["frames"].append(tables.columns("frames", frames, session=name, device=device, stream="camera"))
    size = dict(zip(about["names"], about["shape"], strict=True))
    return _stream(name, device, "camera", "video", source, len(mine)) | {
        "role": "ego" if device.startswith("ego") else "third",
        "width": size["width"],
        "height": size["height"],
        "file": os.path.relpath(path.resolve(), out.resolve()),
        "container": "mp4",
        "header_stop": 0,
        "t0_device_ns": int(mine[0]),
    }


def _stream(session: str, device: str, name: str, kind: str, source: _Source, count: int) -> dict[str, Any]:
    about = {"role": "other", "device_kind": "media", "clock": CLOCK, "rate_hz": source.fps, "native_hz": source.fps}
    times = {"t0_device_ns": 0, "t0_ns": 0, "count": count, "file": ""}
    return {"session": session, "device": device, "name": name, "kind": kind, **about, **times}


def _labels(source: _Source, held: pa.Table, t_ns: np.ndarray, end_ns: int) -> list[Label]:
    """Runs of one task as labels of tier `activity`."""
    task = held["task_index"].to_numpy()
    edges = [0, *(np.flatnonzero(np.diff(task)) + 1).tolist(), len(task)] if len(task) else [0]
    ends = [*t_ns.tolist(), end_ns]
    told = [(source.tasks[int(task[a])], ends[a], ends[b]) for a, b in pairwise(edges)]
    return in_order(Label(ACTIVITY, a, b, value) for value, a, b in told if value != NO_TASK)


def _write_facts(
    out: Path, rows: Mapping[str, list[pa.Table]], parts: list[dict[str, list[float]]], counts: dict[str, int]
) -> None:
    channels = {name: s.to_json() for name, s in statistics.joined(parts).items()}
    nobody = {"n": 0, "mean": [0.0] * tables.VECTOR, "std": [0.0] * tables.VECTOR}
    durable.write_json(out / tables.STATS, {"channels": channels, "tracks": nobody})
    found = vocabulary((r["tier"], r["value"]) for r in _every(rows["labels"]))
    info = {
        "groups": list(GROUPS),
        "step_ns": STEP_NS,
        "clip_steps": CLIP_STEPS,
        "thirds_deg": dict.fromkeys(GROUPS),
        **entries(None, found),
        "objects": [],
        "relations": [],
        "streams": sorted({"/".join(r[c] for c in ("role", "name", "kind")) for r in _every(rows["streams"])}),
        "cache": Recipe().name,
        "counts": counts,
    }
    tables.write_info(out, info)


def _every(parts: list[pa.Table]) -> Iterator[dict[str, Any]]:
    for part in parts:
        yield from part.to_pylist()
