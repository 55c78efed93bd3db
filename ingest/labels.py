"""Labels: what a person, or the simulator's truth, says about an interval.

A tier is a named row of labels, as in annotation tools: `activity`, `action`, `person`. A session keeps its labels in
``labels/*.csv``, each with a header and at least the columns ``tier, t0_ns, t1_ns, value, actor``; times are on the
session's reference clock, intervals half open. ``x1, y1, x2, y2`` (fractions of the frame) make it a box, and
``confidence`` is in [0, 1].
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from firmware_host.errors import SessionError

REQUIRED = ("tier", "t0_ns", "t1_ns", "value", "actor")
BOX = ("x1", "y1", "x2", "y2")


def read_labels(folder: Path, session: str) -> list[dict[str, Any]]:
    """Rows of the `labels` table from a session's ``labels`` folder, by time within tier; empty without one.

    Raises:
        SessionError: a file lacks a column, or a row is not what its column says; names file and line.
    """
    rows = [row for path in sorted(folder.glob("*.csv")) for row in _read(path, session)]
    return sorted(rows, key=lambda r: (r["tier"], r["t0_ns"], r["t1_ns"], r["value"], r["actor"] or ""))


def vocabulary(tiers_and_values: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Tier -> its values, both in alphabetical order."""
    values: dict[str, set[str]] = {}
    for tier, value in tiers_and_values:
        values.setdefault(tier, set()).add(value)
    return {tier: sorted(values[tier]) for tier in sorted(values)}


def _read(path: Path, session: str) -> list[dict[str, Any]]:
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        missing = [c for c in REQUIRED if c not in (reader.fieldnames or ())]
        if missing:
            raise SessionError(f"{path} has no column '{missing[0]}'; a label file has {', '.join(REQUIRED)}")
        rows = []
        for row in reader:
            try:
                rows.append(_label(row, session, path.stem))
            except (ValueError, TypeError) as error:
                raise SessionError(f"{path} line {reader.line_num}: {error}; mend or remove the row") from error
    return rows


def _label(row: dict[str, str], session: str, source: str) -> dict[str, Any]:
    t0_ns, t1_ns = int(row["t0_ns"]), int(row["t1_ns"])
    if t1_ns < t0_ns:
        raise ValueError(f"the interval ends ({t1_ns}) before it begins ({t0_ns})")
    optional = {c: float(row[c]) if row.get(c) else None for c in (*BOX, "confidence")}
    return {
        "session": session,
        "tier": row["tier"],
        "t0_ns": t0_ns,
        "t1_ns": t1_ns,
        "value": row["value"],
        "actor": row["actor"] or None,
        "source": source,
        **optional,
    }
