"""LeRobotDataset v3: one table of rows at one rate, and video of the same rate; a session is an episode.

The format has one clock and one rate, no sound, no intervals and no mask. So each row has what the batch contract says
at its moment, masks are columns of their own, and the activity under way is the row's task. There is no `action`:
nobody here drives a robot.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from firmware_host.clock import SECOND_NS
from ingest.anchors import camera
from ingest.ask import ACTIVITY, ENVIRONMENT, IMU, Ask
from ingest.cache import FrameReader, Recipe, encode_video
from ingest.moments import index_at
from ingest.opened import Dataset
from ingest.view import SessionView
from recorder import durable

DATA = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
SIX = [f"{axis}{k}" for axis in "xy" for k in range(3)] + [f"turn_{a}" for a in "xyz"]
ARRAYS = {
    "observation.imu": ("imu", [f"{n}.{c}" for n in IMU for c in SIX]),
    "observation.imu_valid": ("imu_valid", list(IMU)),
    "observation.environment": ("environment", list(ENVIRONMENT)),
    "observation.environment_valid": ("environment_valid", list(ENVIRONMENT)),
    "observation.gaze": ("gaze", ["x", "y"]),
    "observation.gaze_valid": ("gaze_valid", ["valid"]),
}
NO_TASK = "unlabelled"
CHUNK_FILES = 1000
SHORT_SIDE = 240


def write_lerobot(dataset: Dataset, names: list[str], out: Path, fps: int) -> list[str]:
    """Write the folder.

    Returns:
        sentences about what was left out.
    """
    tasks = [*dataset.words(ACTIVITY), NO_TASK]
    reader, total = FrameReader(), 0
    episodes: list[dict[str, Any]] = []
    left_out: list[str] = []
    sizes = _sizes(dataset, names)
    spread: dict[str, list[np.ndarray]] = {name: [] for name in ARRAYS}
    for session in names:
        view = SessionView(dataset, session, Ask(("imu", "environment", "gaze", "activity"), frames=1, step_ns=1))
        moments = _moments(dataset, session, sizes, fps)
        if not len(moments):
            left_out.append(f"{session}: its cameras do not run at the same time, or it lacks one that others have")
            continue
        columns, doing = _columns(view, moments, tasks, reader)
        episode = len(episodes)
        where = {"chunk_index": episode // CHUNK_FILES, "file_index": episode % CHUNK_FILES}
        _write(out / DATA.format(**where), _table(columns, doing, total, episode, fps))
        entry: dict[str, Any] = {
            "episode_index": episode,
            "tasks": [tasks[k] for k in sorted(set(doing.tolist()))],
            "length": len(moments),
            **{f"data/{k}": v for k, v in where.items()},
            "meta/episodes/chunk_index": 0,
            "meta/episodes/file_index": 0,
            "dataset_from_index": total,
            "dataset_to_index": total + len(moments),
        }
        for key, (role, size) in sizes.items():
            frames = _pictures(dataset, session, role, moments, size, reader)
            path = out / VIDEO.format(video_key=key, **where)
            path.parent.mkdir(parents=True, exist_ok=True)
            with durable.replacing(path) as scratch:
                encode_video(scratch, frames, size, fps, Recipe(gop=2))
            entry |= {f"videos/{key}/{k}": v for k, v in where.items()}
            entry |= {f"videos/{key}/from_timestamp": 0.0, f"videos/{key}/to_timestamp": len(moments) / fps}
        for name, held in spread.items():
            held.append(_summary(columns[name]))
        episodes.append(entry)
        total += len(moments)
        left_out.append(f"{session}: its sound, boxes, tracks and atomic labels, for which the format has no place")
    reader.close()
    if episodes:
        _write_meta(out, episodes, tasks, sizes, fps, total, spread)
    return left_out


def _sizes(dataset: Dataset, names: list[str]) -> dict[str, tuple[str, tuple[int, int]]]:
    """Video key -> role and (width, height), of the cameras that the first session has."""
    found = {}
    for role in ("ego", "third"):
        row = camera(dataset.streams(names[0]), role) if names else None
        if row and row["count"]:
            found[f"observation.images.{role}"] = role, _within(row["width"], row["height"])
    return found


def _within(width: int, height: int) -> tuple[int, int]:
    """(width, height) with the same aspect and a shorter side of `SHORT_SIDE` at the most, in even numbers."""
    scale = min(1.0, SHORT_SIDE / min(width, height))
    return round(width * scale / 2) * 2, round(height * scale / 2) * 2


def _moments(dataset: Dataset, session: str, sizes: dict[str, Any], fps: int) -> np.ndarray:
    rows = [camera(dataset.streams(session), role) for role, _ in sizes.values()]
    if not rows or any(r is None or not r["count"] for r in rows):
        return np.empty(0, np.int64)
    first, last = max(r["t0_ns"] for r in rows if r), min(r["t1_ns"] for r in rows if r)
    count = max(0, int((last - first) * fps // SECOND_NS))
    return first + np.arange(count, dtype=np.int64) * SECOND_NS // fps


def _columns(
    view: SessionView, moments: np.ndarray, tasks: list[str], reader: FrameReader
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    rows = [view.clip(reader, t_ns, -1) for t_ns in moments.tolist()]
    columns = {name: np.stack([r[key][0].reshape(-1) for r in rows]) for name, (key, _) in ARRAYS.items()}
    doing = np.array([int(r["activity"]) for r in rows])
    return columns, np.where(doing < 0, len(tasks) - 1, doing)


def _table(columns: dict[str, np.ndarray], doing: np.ndarray, first: int, episode: int, fps: int) -> pa.Table:
    count = len(doing)
    arrays = {
        name: pa.FixedSizeListArray.from_arrays(pa.array(x.reshape(-1)), x.shape[1]) for name, x in columns.items()
    }
    return pa.table(
        {
            **arrays,
            "timestamp": pa.array(np.arange(count, dtype=np.float32) / fps, pa.float32()),
            "frame_index": pa.array(np.arange(count)),
            "episode_index": pa.array(np.full(count, episode)),
            "index": pa.array(first + np.arange(count)),
            "task_index": pa.array(doing.astype(np.int64)),
        }
    )


def _pictures(
    dataset: Dataset, session: str, role: str, moments: np.ndarray, size: tuple[int, int], reader: FrameReader
) -> Iterator[np.ndarray]:
    row = camera(dataset.streams(session), role)
    if row is None:
        return
    video = dataset.video(session, row["device"], size=min(size))
    index = index_at(dataset.frame_times(session, row["device"]), moments, "nearest")
    for part in np.array_split(index, max(1, len(index) // 64)):
        shown, back = np.unique(part, return_inverse=True)
        yield from reader.read(video, shown.tolist(), size)[back]


def _task_table(tasks: list[str]) -> pa.Table:
    """Tasks as LeRobot reads them: by pandas, with the text as index."""
    columns = [{"name": n, "field_name": n, "metadata": None} for n in ("task_index", "task")]
    columns[0] |= {"pandas_type": "int64", "numpy_type": "int64"}
    columns[1] |= {"pandas_type": "unicode", "numpy_type": "object"}
    about = {"index_columns": ["task"], "column_indexes": [], "columns": columns, "pandas_version": "2.0.0"}
    table = pa.table({"task_index": list(range(len(tasks))), "task": tasks})
    return table.replace_schema_metadata({"pandas": json.dumps(about)})


def _summary(x: np.ndarray) -> np.ndarray:
    """(5, C): count, sum, sum of squares, least and greatest."""
    x = x.astype(np.float64)
    return np.stack([np.full(x.shape[1], len(x)), x.sum(0), (x**2).sum(0), x.min(0), x.max(0)])


def _write_meta(
    out: Path,
    episodes: list[dict[str, Any]],
    tasks: list[str],
    sizes: dict[str, Any],
    fps: int,
    total: int,
    spread: dict[str, list[np.ndarray]],
) -> None:
    features: dict[str, Any] = {
        name: {"dtype": "bool" if name.endswith("_valid") else "float32", "shape": [len(names)], "names": names}
        for name, (_, names) in ARRAYS.items()
    }
    for key, (_, (width, height)) in sizes.items():
        about = {"video.fps": fps, "video.codec": "h264", "video.pix_fmt": "yuv420p", "video.height": height}
        about |= {"video.width": width, "video.channels": 3, "video.is_depth_map": False, "has_audio": False}
        shape = {"shape": [height, width, 3], "names": ["height", "width", "channels"]}
        features[key] = {"dtype": "video", **shape, "info": about}
    features["timestamp"] = {"dtype": "float32", "shape": [1], "names": None}
    for name in ("frame_index", "episode_index", "index", "task_index"):
        features[name] = {"dtype": "int64", "shape": [1], "names": None}
    _write(out / "meta/episodes/chunk-000/file-000.parquet", pa.Table.from_pylist(episodes))
    _write(out / "meta/tasks.parquet", _task_table(tasks))
    stats = {}
    for name, parts in spread.items():
        count, sums, squares = np.sum([p[:3] for p in parts], axis=0)
        deviation = np.sqrt(np.maximum(squares / count - (sums / count) ** 2, 0))
        low, high = np.min([p[3] for p in parts], axis=0), np.max([p[4] for p in parts], axis=0)
        mean = (sums / count).tolist()
        found = {"min": low.tolist(), "max": high.tolist(), "mean": mean, "std": deviation.tolist()}
        stats[name] = {**found, "count": [total]}
    durable.write_json(out / "meta/stats.json", stats)
    document = {
        "codebase_version": "v3.0",
        "robot_type": None,
        "total_episodes": len(episodes),
        "total_frames": total,
        "total_tasks": len(tasks),
        "chunks_size": CHUNK_FILES,
        "data_files_size_in_mb": 100,
        "video_files_size_in_mb": 200,
        "fps": fps,
        "splits": {"train": f"0:{len(episodes)}"},
        "data_path": DATA,
        "video_path": VIDEO,
        "features": features,
    }
    durable.write_json(out / "meta/info.json", document)


def _write(path: Path, rows: pa.Table) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with durable.replacing(path) as scratch:
        pq.write_table(rows, scratch)
