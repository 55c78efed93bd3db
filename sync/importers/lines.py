"""Text that others wrote, read so that what is damaged is left out and counted: JSON lines, and CSV by its column
names."""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from firmware_host.errors import SessionError

MOST_BYTES = 2**32
"""A file that unpacks to more than this is no recording."""


def json_file(path: Path) -> dict[str, Any]:
    """A JSON document that is an object.

    Raises:
        SessionError: missing, damaged, or another kind of document.
    """
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise SessionError(f"{path} cannot be read ({_why(error)}); copy the recording again") from error
    if not isinstance(document, dict):
        raise SessionError(f"{path} is not what its maker writes; copy the recording again")
    return document


def json_lines(path: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """Every line of a gzipped file that is a JSON object, and notes on what is not.

    Raises:
        SessionError: the file is missing, or not one line of it can be read.
    """
    rows: list[dict[str, Any]] = []
    notes: list[str] = []
    bad = 0
    try:
        with gzip.open(path, "rb") as file:
            for line in _bounded(file, path):
                try:
                    row = json.loads(line)
                    rows += [row] if isinstance(row, dict) else []
                    bad += not isinstance(row, dict)
                except (ValueError, RecursionError):
                    bad += bool(line.strip())
    except FileNotFoundError as error:
        raise SessionError(f"{path} does not exist; copy the whole recording") from error
    except (OSError, EOFError, zlib.error) as error:
        notes.append(f"{path.name} is cut or damaged ({_why(error)}); what comes before is used")
    if not rows:
        raise SessionError(f"{path} holds nothing that can be read; copy the recording again")
    if bad:
        notes.append(f"{path.name}: {bad} damaged lines are left out")
    return rows, notes


def numbers(value: Any, count: int) -> list[float]:
    """`count` numbers out of a JSON list; NaN for each that is none, or where the list is not that long."""
    if not isinstance(value, list) or len(value) != count:
        return [float("nan")] * count
    return [number(v) for v in value]


def number(value: Any) -> float:
    """A JSON number; NaN for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return float("nan")
    return float(value) if abs(value) < 1e300 else float("nan")


def csv_columns(path: Path, wanted: dict[str, str]) -> dict[str, list[str]]:
    """Columns of a CSV file by their heads.

    Args:
        wanted: our name -> its head.

    Raises:
        SessionError: the file is missing, is no text, or lacks a column.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            heads = [(h or "").strip() for h in reader.fieldnames or ()]
            reader.fieldnames = heads
            missing = [head for head in wanted.values() if head not in heads]
            if missing:
                raise SessionError(f"{path} has no column '{missing[0]}'; export the recording again")
            rows = list(reader)
    except (OSError, ValueError, csv.Error) as error:
        raise SessionError(f"{path} cannot be read as a table ({_why(error)})") from error
    return {name: [row[head] or "" for row in rows] for name, head in wanted.items()}


def whole_numbers(cells: list[str], path: Path) -> np.ndarray:
    """(N,) int64 of the cells of a column.

    Raises:
        SessionError: a cell that is no whole number of 63 bits; says which line.
    """
    try:
        return np.array([int(c) for c in cells], np.int64)
    except (ValueError, OverflowError) as error:
        line = next(i for i, c in enumerate(cells, 2) if not _is_whole(c))
        raise SessionError(f"{path} line {line} has no time; mend or remove the row") from error


def floats(cells: list[str]) -> np.ndarray:
    """(N,) float64 of the cells of a column; NaN for what is no number."""
    return np.array([_float(c) for c in cells], np.float64)


def _is_whole(cell: str) -> bool:
    try:
        return abs(int(cell)) < 2**63
    except ValueError:
        return False


def _float(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return float("nan")


def _bounded(file: gzip.GzipFile, path: Path) -> Iterator[bytes]:
    read = 0
    for line in file:
        read += len(line)
        if read > MOST_BYTES:
            raise SessionError(f"{path} unpacks to more than {MOST_BYTES >> 30} GiB, so it is no recording")
        yield line


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
