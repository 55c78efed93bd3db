"""Features of any trained backbone, computed once and stored beside the tables: one vector a scene, one a person's box.

The backbone is a function from a clip and boxes to vectors; whoever has torch makes it (`models.features`). Sessions
are done one after the other and each is kept when it is done, under a key that holds what the features depend on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from firmware_host.clock import SECOND_NS
from firmware_host.errors import ConfigError
from ingest import tables
from ingest.anchors import anchors, camera
from ingest.ask import Ask
from ingest.cache import FrameReader
from ingest.opened import Dataset, open_dataset
from ingest.part import part_folder
from ingest.splits import SPLITS
from ingest.view import SessionView
from recorder import durable

FOLDER = "features"


class Backbone(Protocol):
    """What turns a clip into vectors.

    Attributes:
        frames, step_ns, size: T, their distance and S of the clips it reads.
        dims: D.
        key: names its weights; other weights, another key.
    """

    frames: int
    step_ns: int
    size: int
    dims: int
    key: str

    def __call__(self, frames: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Features of one clip.

        Args:
            frames: (T, 3, S, S) uint8 RGB; the moment is the middle one, T // 2.
            boxes: (P, 4) float32 x1, y1, x2, y2 in [0, 1], P may be 0.

        Returns:
            scene (D,) and persons (P, D), float32.
        """


def store(
    root: Path,
    name: str,
    backbone: Backbone,
    *,
    view: str = "third",
    every_ns: int = SECOND_NS,
    done: Callable[[str], None] = lambda _: None,
) -> dict[str, int]:
    """Store the features of every session under a name.

    Args:
        root: a dataset in a folder of this machine.
        view: role of the camera; moments are those of its boxes, or every `every_ns` where there are none.
        every_ns: moments are at least so far apart.
        done: called with the name of each session that is finished.

    Returns:
        ``sessions``, ``moments`` and ``persons`` that have features.

    Raises:
        ConfigError: a name that cannot be a file's.
        SessionError: no dataset there, or a video cannot be read.
    """
    if not name.replace("-", "").replace("_", "").isalnum():
        raise ConfigError(f"'{name}' cannot name features; use letters, digits, - and _")
    dataset = open_dataset(root)
    said = f"{backbone.key} {backbone.frames} {backbone.step_ns} {backbone.size} {backbone.dims} {view} {every_ns}"
    sessions = sorted(s for split in SPLITS for s in dataset.sessions(split))
    schema = pa.schema(
        {"session": pa.string(), "device": pa.string(), "t_ns": pa.int64(), "actor": pa.string()}
        | {"x": pa.list_(pa.float32(), backbone.dims)}
    )
    parts = []
    reader = FrameReader()
    for session in sessions:
        part = part_folder(root, session) / f"{FOLDER}-{name}.parquet"
        boxes = dataset.rows.of("boxes", session)
        key = hashlib.sha256(f"{said} {dataset.streams(session)} {boxes.to_pylist()}".encode()).hexdigest()
        if not _is_of(part, key):
            rows = _rows(dataset, session, backbone, view, every_ns, reader)
            keyed = schema.with_metadata({"key": key})
            tables.write(part, [pa.Table.from_pylist(rows, schema=keyed)], keyed)
        parts.append(part)
        done(session)
    reader.close()
    whole = (pq.read_table(part, partitioning=None).replace_schema_metadata(None) for part in parts)
    (root / FOLDER).mkdir(exist_ok=True)
    total = tables.write(root / FOLDER / f"{name}.parquet", whole, schema)
    about = {"key": backbone.key, "dims": backbone.dims, "frames": backbone.frames, "step_ns": backbone.step_ns}
    durable.write_json(root / FOLDER / f"{name}.json", {**about, "size": backbone.size, "view": view})
    actor = pq.read_table(root / FOLDER / f"{name}.parquet", columns=["actor"], partitioning=None)["actor"]
    return {"sessions": len(sessions), "moments": actor.null_count, "persons": total - actor.null_count}


def _is_of(part: Path, key: str) -> bool:
    return part.is_file() and (pq.read_schema(part).metadata or {}).get(b"key") == key.encode()


def _rows(
    dataset: Dataset, session: str, backbone: Backbone, view: str, every_ns: int, reader: FrameReader
) -> list[dict[str, object]]:
    shown = camera(dataset.streams(session), view)
    if shown is None or not shown["count"]:
        return []
    settings: dict[str, Any] = {
        "frames": backbone.frames,
        "step_ns": backbone.step_ns,
        "size": backbone.size,
        "stride_ns": every_ns,
    }
    ask = Ask((view,), at="boxes", view=view, **settings)
    starts, _ = anchors(dataset.rows, session, ask)
    if not len(starts):
        starts, _ = anchors(dataset.rows, session, Ask((view,), view=view, **settings))
    seen, rows = SessionView(dataset, session, ask), []
    for t0_ns in starts.tolist():
        frames = seen.clip(reader, t0_ns, -1)[view]
        at_ns = t0_ns + ask.frames // 2 * ask.step_ns
        people = [(who, box) for who, box, _ in seen.boxes_at(at_ns) if who is not None]
        where = np.stack([box for _, box in people]) if people else np.empty((0, 4), np.float32)
        scene, persons = backbone(frames, where)
        vectors = [(None, scene), *((who, x) for (who, _), x in zip(people, persons, strict=True))]
        named = {"session": session, "device": shown["device"], "t_ns": at_ns}
        rows += [{**named, "actor": who, "x": np.asarray(x, np.float32).tolist()} for who, x in vectors]
    return rows
