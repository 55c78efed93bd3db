"""Labels as a CSV or a Parquet table, on the reference clock: what a session keeps in ``labels/*.csv``.

A file has a header and at least the columns ``tier, t0_ns, t1_ns, value, actor``; ``x1, y1, x2, y2`` (fractions of the
picture of ``device``) make a label a box, and ``confidence`` is in [0, 1]. An empty cell is nothing said. A round trip
is exact to the bit in both.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from firmware_host.errors import SessionError
from ingest.labels import words
from ingest.labels.label import Label, in_order
from recorder import durable

REQUIRED = ("tier", "t0_ns", "t1_ns", "value", "actor")
BOX = ("x1", "y1", "x2", "y2")
COLUMNS = (*REQUIRED, *BOX, "confidence", "device")
SCHEMA = pa.schema(
    [
        ("tier", pa.string()),
        ("t0_ns", pa.int64()),
        ("t1_ns", pa.int64()),
        ("value", pa.string()),
        ("actor", pa.string()),
        *((c, pa.float64()) for c in (*BOX, "confidence")),
        ("device", pa.string()),
    ]
)


def read_labels(folder: Path, session: str) -> list[dict[str, Any]]:
    """Rows of the `labels` table from a session's ``labels`` folder, by time within tier; empty without one.

    Raises:
        SessionError: a file lacks a column, a row is not what its column says (names file and line), or a value is not
            in the folder's ``vocabulary.json``.
    """
    rows = []
    known = words.of_folder(folder)
    for path in sorted(folder.glob("*.csv")):
        found = read(path)
        if known:
            known.check(found, str(path))
        rows += [{"session": session, "source": path.stem, **row(label)} for label in found]
    return by_time(rows)


def by_time(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of the `labels` table in its order: by time within tier."""
    return sorted(rows, key=lambda r: (r["tier"], r["t0_ns"], r["t1_ns"], r["value"], r["actor"] or "", r["source"]))


def read(path: Path) -> list[Label]:
    """The labels of a CSV or Parquet file, in the order of its rows.

    Raises:
        SessionError: it lacks a column, or a row is not what its column says; names file and line.
    """
    return _read_parquet(path) if path.suffix == ".parquet" else _read_csv(path)


def write(labels: Iterable[Label], path: Path) -> list[Label]:
    """Write labels by tier and time, whole or not at all; returns what the format cannot hold, which is nothing."""
    rows = [row(label) for label in in_order(labels)]
    with durable.replacing(path) as scratch:
        if path.suffix == ".parquet":
            pq.write_table(pa.Table.from_pylist(rows, SCHEMA), scratch, compression="zstd")
        else:
            with scratch.open("w", newline="", encoding="utf-8") as file:
                table = csv.DictWriter(file, COLUMNS)
                table.writeheader()
                table.writerows(rows)
    return []


def row(label: Label) -> dict[str, Any]:
    """A label as a row; None where nothing is said."""
    box = label.box or (None,) * 4
    return {
        "tier": label.tier,
        "t0_ns": label.t0_ns,
        "t1_ns": label.t1_ns,
        "value": label.value,
        "actor": label.actor,
        **dict(zip(BOX, box, strict=True)),
        "confidence": label.confidence,
        "device": label.device,
    }


def _read_csv(path: Path) -> list[Label]:
    with path.open(newline="", encoding="utf-8-sig") as file:  # spreadsheets begin their files with a mark
        reader = csv.DictReader(file)
        try:
            _require(path, reader.fieldnames or ())
            return [_label(found) for found in reader]
        except (ValueError, TypeError, csv.Error) as error:
            raise SessionError(f"{path} line {reader.line_num}: {error}; mend or remove the row") from error


def _read_parquet(path: Path) -> list[Label]:
    try:
        rows = pq.read_table(path, partitioning=None).to_pylist()
        _require(path, pq.read_schema(path).names)
        return [_label(found) for found in rows]
    except (pa.ArrowInvalid, OSError, ValueError, TypeError) as error:
        raise SessionError(f"{path} cannot be read as a table of labels ({error}); write it again") from error


def _require(path: Path, columns: Iterable[str]) -> None:
    missing = [c for c in REQUIRED if c not in columns]
    if missing:
        raise SessionError(f"{path} has no column '{missing[0]}'; a label file has {', '.join(REQUIRED)}")


def _label(found: Mapping[str, Any]) -> Label:
    if not found["tier"] or found["value"] is None:
        raise ValueError("a label needs a tier and a value")
    corners = [_number(found.get(c)) for c in BOX]
    if any(c is None for c in corners) and any(c is not None for c in corners):
        raise ValueError("a box needs all of x1, y1, x2, y2")
    box = None if None in corners else (corners[0], corners[1], corners[2], corners[3])
    return Label(
        found["tier"],
        int(found["t0_ns"]),
        int(found["t1_ns"]),
        found["value"],
        found["actor"] or None,
        box,  # type: ignore[arg-type]  # no corner is None here
        _number(found.get("confidence")),
        found.get("device") or None,
    )


def _number(cell: Any) -> float | None:
    return None if cell is None or cell == "" else float(cell)
