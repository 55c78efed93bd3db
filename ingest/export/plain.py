"""A dataset as plain tables, for whatever reads CSV or Parquet: a folder a session, one table for each stream.

    columns.csv                 what each column is: table, column, unit
    SESSION/labels.csv          tier, t0_ns, t1_ns, value, actor, box, confidence, device; `labels import` takes it back
    SESSION/DEVICE.STREAM.csv   t_ns, t_device_ns, and one column a channel
    SESSION/DEVICE.frames.csv   frame, t_ns, t_device_ns: when each picture was taken
    SESSION/targets.csv         gaze and movement at every sixth of a second

A `t_ns` is on the session's reference clock and a `t_device_ns` on the device's own, in nanoseconds; values are as the
series have them, in SI units or what the chip's makers use for them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pc_csv
import pyarrow.parquet as pq

from firmware_host.sensors import SENSORS
from ingest import tables
from ingest.labels import table as labels
from ingest.opened import Dataset
from recorder import durable

UNITS = {"t_ns": "ns", "t_device_ns": "ns", "t0_ns": "ns", "t1_ns": "ns"}
SHARES = ("x1", "y1", "x2", "y2", "gaze_x", "gaze_y")
"""Columns in fractions of a picture."""


def write_plain(dataset: Dataset, names: list[str], out: Path, form: str) -> list[str]:
    """Write ``csv`` or ``parquet``.

    Returns:
        sentences about what was left out: sound and pictures.
    """
    about: dict[tuple[str, str], str] = {}
    kinds: set[str] = set()
    for session in names:
        for name, rows, units in _tables(dataset, session):
            path = out / session / f"{name}.{form}"
            path.parent.mkdir(exist_ok=True)
            with durable.replacing(path) as scratch:
                _write(rows, units, scratch, form)
            about |= {(name, column): units.get(column, "") for column in rows.column_names}
        kinds |= {row["kind"] for row in dataset.streams(session)} & {"audio", "video"}
    every = sorted(about)
    columns = {"table": [t for t, _ in every], "column": [c for _, c in every], "unit": [about[key] for key in every]}
    with durable.replacing(out / "columns.csv") as scratch:
        pc_csv.write_csv(pa.table(columns), scratch)
    return [f"{' and '.join(sorted(kinds))}, of which a table has only the times"] if kinds else []


def _tables(dataset: Dataset, session: str) -> Iterator[tuple[str, pa.Table, dict[str, str]]]:
    """Name, rows, and units of the columns of every table of a session."""
    rows = dataset.rows.of("labels", session)
    yield "labels", rows.select([*labels.COLUMNS]), dict.fromkeys(SHARES, "1") | UNITS
    targets = dataset.rows.of("targets", session)
    degrees = {c: "degree" for c in targets.column_names if c.startswith("deg_")}
    if targets.num_rows:
        yield "targets", targets.drop_columns(["session"]), dict.fromkeys(SHARES, "1") | degrees | UNITS
    frames = dataset.rows.of("frames", session)
    for row in dataset.streams(session):
        if row["kind"] == "video" and row["count"]:
            mine = frames.filter(pa.compute.equal(frames["device"], row["device"]))
            yield f"{row['device']}.frames", mine.select(["frame", "t_ns", "t_device_ns"]), UNITS
        elif row["kind"] == "sensor" and row["count"]:
            found = pq.read_table(dataset.store.open(tables.series_name(session, row["device"], row["name"])))
            yield f"{row['device']}.{row['name']}", found, _units(row) | UNITS


def _units(row: dict[str, str]) -> dict[str, str]:
    """Channel -> unit, of a stream of a chip that this version knows; an image has its channels row by row."""
    spec = SENSORS.get(row["model"] or "")
    if spec is None:
        return {}
    channels = spec.si_channels(row["name"].removeprefix(f"{row['sensor']}."))
    units = {c.name: c.unit for c in channels}
    return units | {f"row{r}_{name}": unit for r in range(8) for name, unit in units.items()}


def _write(rows: pa.Table, units: dict[str, str], path: Path, form: str) -> None:
    if form == "csv":
        pc_csv.write_csv(rows, path)
        return
    fields = [f.with_metadata({"unit": units[f.name]}) if f.name in units else f for f in rows.schema]
    pq.write_table(rows.cast(pa.schema(fields, rows.schema.metadata)), path)
