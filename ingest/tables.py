"""The tables of a dataset: their columns, and how they are written and read.

A dataset root is a folder of Parquet tables beside media that is never touched. Every table is sorted by session
and holds one row group or more per session, so that a reader takes the sessions it wants and never a whole
table. Times are int64 nanoseconds; a column `t_ns` is on the dataset's reference clock of its session, and a
column with `device` in its name is on the device's own. Equal input gives equal bytes.

    info.json           schema version, groups, thresholds, vocabulary, streams; written last
    sessions.parquet    one row a session
    streams.parquet     one row a stream, with its file relative to the root
    gops.parquet        byte ranges that decode on their own, for each video stream
    frames.parquet      when each video frame was taken, on both clocks
    targets.parquet     what the sensors say at every sixth of a second of each ego video
    labels.parquet      intervals and boxes on the reference clock
    boxes.parquet       who is where in which camera's picture
    tracks.parquet      each person's body, moment by moment
    relations.parquet   scene graph: subject, relation, object, from when to when
    splits.parquet      which session and person is train, val or test
    stats.json          mean, spread and bounds of what the training sessions measured
    series/SESSION/DEVICE.STREAM.parquet    sensor samples at their native rate, SI units
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from firmware_host.errors import SessionError
from ingest.store import Store
from ingest.targets import GROUPS
from recorder import durable
from recorder.series import Series

VERSION = 2
KIND = "syncctl dataset"
INFO = "info.json"
STATS = "stats.json"
VECTOR, JOINTS = 229, 24
"""Numbers of a person (see `ingest.people`) and joints of a body."""
SERIES_GROUP_NS = 60_000_000_000
"""A row group of a series holds one minute: a window is then read in under a millisecond."""


def _schema(**columns: pa.DataType) -> pa.Schema:
    return pa.schema(list(columns.items()))


_TEXT, _TIME, _COUNT = pa.string(), pa.int64(), pa.int64()

SCHEMAS: dict[str, pa.Schema] = {
    "sessions": _schema(
        id=_TEXT,
        participants=pa.list_(_TEXT),
        place=_TEXT,
        activity=_TEXT,
        created=_TEXT,
        duration_ns=_TIME,
        sealed=pa.bool_(),
        reference=_TEXT,
        folder=_TEXT,
    ),
    "streams": _schema(
        session=_TEXT,
        device=_TEXT,
        role=_TEXT,
        device_kind=_TEXT,
        wearer=_TEXT,
        clock=_TEXT,
        name=_TEXT,
        kind=_TEXT,
        sensor=_TEXT,
        model=_TEXT,
        rate_hz=pa.float64(),
        native_hz=pa.float64(),
        width=pa.int32(),
        height=pa.int32(),
        file=_TEXT,
        container=_TEXT,
        header_stop=_COUNT,
        t0_device_ns=_TIME,
        t0_ns=_TIME,
        t1_ns=_TIME,
        count=_COUNT,
    ),
    "gops": _schema(
        session=_TEXT,
        device=_TEXT,
        stream=_TEXT,
        t0_device_ns=_TIME,
        t1_device_ns=_TIME,
        start=_COUNT,
        stop=_COUNT,
        first_frame=_COUNT,
        frames=_COUNT,
    ),
    "frames": _schema(session=_TEXT, device=_TEXT, stream=_TEXT, frame=_COUNT, t_device_ns=_TIME, t_ns=_TIME),
    "targets": _schema(
        session=_TEXT,
        device=_TEXT,
        participant=_TEXT,
        run=pa.int32(),
        frame=_COUNT,
        t_ns=_TIME,
        gaze_x=pa.float32(),
        gaze_y=pa.float32(),
        **{f"deg_{group}": pa.float32() for group in GROUPS},
    ),
    "labels": _schema(
        session=_TEXT,
        tier=_TEXT,
        t0_ns=_TIME,
        t1_ns=_TIME,
        value=_TEXT,
        actor=_TEXT,
        x1=pa.float32(),
        y1=pa.float32(),
        x2=pa.float32(),
        y2=pa.float32(),
        source=_TEXT,
        confidence=pa.float32(),
        device=_TEXT,
    ),
    "boxes": _schema(
        session=_TEXT,
        device=_TEXT,
        t_ns=_TIME,
        actor=_TEXT,
        x1=pa.float32(),
        y1=pa.float32(),
        x2=pa.float32(),
        y2=pa.float32(),
        score=pa.float32(),
        source=_TEXT,
    ),
    "tracks": _schema(
        session=_TEXT,
        actor=_TEXT,
        t_ns=_TIME,
        vector=pa.list_(pa.float32(), VECTOR),
        measured=pa.list_(pa.bool_(), JOINTS),
        source=_TEXT,
    ),
    "relations": _schema(
        session=_TEXT, subject=_TEXT, relation=_TEXT, object=_TEXT, t0_ns=_TIME, t1_ns=_TIME, source=_TEXT
    ),
    "splits": _schema(session=_TEXT, participant=_TEXT, split=_TEXT),
}


def table(name: str, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Rows of the table called `name`; a column that a row lacks is null."""
    schema = SCHEMAS[name]
    return pa.table({c: [row.get(c) for row in rows] for c in schema.names}, schema=schema)


def columns(name: str, values: Mapping[str, Any], **constant: str) -> pa.Table:
    """The table called `name` from arrays of one length; NaN becomes null.

    Args:
        constant: columns that have the same text in every row.
    """
    schema = SCHEMAS[name]
    length = len(next(iter(values.values())))
    every = {**values, **{column: [text] * length for column, text in constant.items()}}
    return pa.table(
        {c: pa.array(every[c], schema.field(c).type, from_pandas=True) for c in schema.names}, schema=schema
    )


def concatenated(name: str, parts: Iterable[pa.Table]) -> pa.Table:
    """One table called `name` of all `parts`; an empty one where there are none."""
    return pa.concat_tables([SCHEMAS[name].empty_table(), *parts])


def write(path: Path, parts: Iterable[pa.Table], schema: pa.Schema) -> int:
    """Write a Parquet file, whole or not at all, one row group per non-empty part.

    Returns:
        how many rows it has.
    """
    rows = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    with durable.replacing(path) as scratch, pq.ParquetWriter(scratch, schema, compression="zstd") as writer:
        for part in parts:
            if part.num_rows:
                writer.write_table(part, row_group_size=part.num_rows)
                rows += part.num_rows
    return rows


def read(
    root: Path, name: str, *, sessions: Iterable[str] | None = None, wanted: Sequence[str] | None = None
) -> pa.Table:
    """Rows of the table called `name`, of some sessions or all, in the order of the file.

    Args:
        wanted: columns to read; None for all.

    Raises:
        SessionError: the table is missing or damaged.
    """
    path = root / f"{name}.parquet"
    key = "id" if name == "sessions" else "session"
    filters = None if sessions is None else pc.field(key).isin(pa.array(sorted(sessions), pa.string()))
    return _read(path, columns=None if wanted is None else list(wanted), filters=filters)


def series_path(root: Path, session: str, device: str, stream: str) -> Path:
    """Where the samples of one sensor stream are."""
    return root / series_name(session, device, stream)


def write_series(path: Path, series: Series, t_device_ns: Any) -> None:
    """Write aligned samples: `t_ns` on the reference clock, `t_device_ns`, and one float32 column a channel."""
    names = ["t_ns", "t_device_ns", *series.channels]
    arrays = [pa.array(series.t_ns), pa.array(t_device_ns), *(pa.array(x) for x in series.x.T)]
    whole = pa.table(arrays, names=names).replace_schema_metadata({"clock": series.clock})
    since = (series.t_ns - series.t_ns[0]) // SERIES_GROUP_NS if len(series.t_ns) else series.t_ns
    counts = [int((since == minute).sum()) for minute in sorted(set(since.tolist()))]
    starts = [sum(counts[:i]) for i in range(len(counts))]
    parts = (whole.slice(start, count) for start, count in zip(starts, counts, strict=True))
    write(path, parts, whole.schema)


def series_name(session: str, device: str, stream: str) -> str:
    """The same, from the root."""
    return f"series/{session}/{device}.{stream}.parquet"


def read_series(path: Path, t0_ns: int, t1_ns: int) -> pa.Table:
    """Samples of one series with `t0_ns` <= `t_ns` < `t1_ns`; only the minutes they are in are read.

    Raises:
        SessionError: the dataset has no such series.
    """
    return _read(path, filters=[("t_ns", ">=", t0_ns), ("t_ns", "<", t1_ns)])


def write_info(root: Path, info: Mapping[str, Any]) -> None:
    """Write `info.json`, which makes the folder a dataset; to be called last."""
    durable.write_json(root / INFO, {"kind": KIND, "version": VERSION, **info})


def read_info(root: Path | Store) -> dict[str, Any]:
    """Read and check `info.json`.

    Raises:
        SessionError: no dataset there, or one of another version.
    """
    store = root if isinstance(root, Store) else Store.at(root)
    path = store.path(INFO)
    if not store.exists(INFO):
        raise SessionError(
            f"{store.root} has no {INFO}, so it is not a dataset (or its build did not end); run `syncctl build`"
        )
    try:
        info = json.loads(store.read(INFO))
    except ValueError as error:
        raise SessionError(f"{path} is not valid JSON ({error}); build the dataset again") from error
    if not isinstance(info, dict) or info.get("kind") != KIND:
        raise SessionError(f"{path} does not describe a {KIND}; give the folder that `syncctl build` made")
    if info.get("version") != VERSION:
        raise SessionError(
            f"{store.root} is a dataset of version {info.get('version')}; this syncctl reads version {VERSION}: "
            "build it again, the sessions are untouched"
        )
    return info


def _read(path: Path, **options: Any) -> pa.Table:
    try:
        return pq.read_table(path, partitioning=None, **options)
    except FileNotFoundError:
        raise SessionError(f"the dataset has no {path.name} at {path.parent}; build it again") from None
    except (pa.ArrowInvalid, OSError) as error:
        raise SessionError(f"{path} cannot be read ({error}); build the dataset again") from error
