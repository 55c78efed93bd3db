"""What is wrong with a dataset, before a model learns it: leaks, gaps, labels, and clips that cannot be read.

Each finding is a sentence with a grade. `error` is what makes numbers false (a person in two splits, a clip that cannot
be read); `warning` is what somebody should know (a hole in a recording, a class that only the test has).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from firmware_host.errors import SessionError, SyncctlError
from ingest import splits
from ingest.cache import FrameReader
from ingest.opened import Dataset

GAP_NS = 500_000_000
"""Frames further apart are a hole."""
LOOKED_AT = 3
"""Places of each video that are decoded: the first frame, one in the middle, the last."""


@dataclass(frozen=True)
class Finding:
    """One thing that was found; `grade` is ``error`` or ``warning``."""

    grade: str
    what: str


def check(dataset: Dataset) -> tuple[list[Finding], dict[str, Any]]:
    """Everything that can be found without a model.

    Returns:
        findings, errors first; and label statistics: tier -> value -> split -> [labels, seconds].
    """
    split = {s: name for name in splits.SPLITS for s in dataset.sessions(name)}
    found = [*_leaks(dataset, split)]
    statistics: dict[str, Any] = {}
    reader = FrameReader()
    for session, name in split.items():
        found += _gaps(dataset, session)
        found += _unreadable(dataset, session, reader)
        _count_labels(dataset, session, name, statistics)
    reader.close()
    found += _one_sided(statistics, set(split.values()))
    return sorted(found, key=lambda f: f.grade), statistics


def _leaks(dataset: Dataset, split: dict[str, str]) -> Iterator[Finding]:
    """People and sessions in two splits, by the table of splits and by who is seen; and whether anything is a test."""
    rows = dataset.table("splits").to_pylist()
    try:
        splits.check([(r["session"], r["participant"], r["split"]) for r in rows])
    except SessionError as error:
        yield Finding("error", str(error))
    told: dict[str, list[str]] = {}
    for row in rows:
        told.setdefault(row["session"], []).append(row["participant"])
    seen: dict[str, set[str]] = {}
    for session, name in split.items():
        for person in _seen(dataset, session) - set(told[session]):
            seen.setdefault(person, set()).add(name)
    for person, names in sorted(seen.items()):
        names |= {name for session, name in split.items() if person in told[session]}
        if len(names) > 1:
            where = " and ".join(sorted(names))
            yield Finding(
                "error", f"'{person}' is seen in {where}, which leaks; build the dataset again, which ties them"
            )
    if why := splits.tied(told):
        yield Finding("warning", why)


def _seen(dataset: Dataset, session: str) -> set[str]:
    """Everybody named in what was seen of a session."""
    labels = dataset.rows.of("labels", session, ["tier", "actor"]).to_pylist()
    actors = {r["actor"] for r in labels if r["tier"] != "object"}
    for table in ("tracks", "boxes"):
        actors |= set(dataset.rows.of(table, session, ["actor"])["actor"].unique().to_pylist())
    return splits.named(actors)


def _gaps(dataset: Dataset, session: str) -> Iterator[Finding]:
    for row in dataset.streams(session):
        if row["kind"] != "video":
            continue
        times = dataset.frame_times(session, row["device"])
        if not len(times):
            yield Finding("warning", f"{session}: {row['device']} has no frame that can be decoded")
            continue
        holes = np.flatnonzero(np.diff(times) > GAP_NS)
        if len(holes):
            longest = int(np.diff(times)[holes].max())
            at_s = (times[holes[0]] - times[0]) / 1e9
            yield Finding(
                "warning",
                f"{session}: {row['device']} has {len(holes)} holes, the longest {longest / 1e9:.1f} s, "
                f"the first {at_s:.1f} s after its start",
            )


def _unreadable(dataset: Dataset, session: str, reader: FrameReader) -> Iterator[Finding]:
    for row in dataset.streams(session):
        if row["kind"] != "video" or not row["count"]:
            continue
        for original in (False, True):
            try:
                video = dataset.video(session, row["device"], original=original)
                first = video.index.gops[0].first_frame if video.index.gops else 0
                for frame in np.unique(np.linspace(first, row["count"] - 1, LOOKED_AT).astype(int)).tolist():
                    reader.read(video, [frame], (16, 16))
            except SyncctlError as error:
                yield Finding("error", f"{session}: {error}")


def _count_labels(dataset: Dataset, session: str, split: str, statistics: dict[str, Any]) -> None:
    rows = dataset.rows.of("labels", session, ["tier", "value", "t0_ns", "t1_ns"]).to_pylist()
    for row in rows:
        cell = statistics.setdefault(row["tier"], {}).setdefault(row["value"], {}).setdefault(split, [0, 0.0])
        cell[0] += 1
        cell[1] = round(cell[1] + (row["t1_ns"] - row["t0_ns"]) / 1e9, 3)


def _one_sided(statistics: dict[str, Any], present: set[str]) -> Iterator[Finding]:
    """Values that are tested and never trained."""
    for tier, values in sorted(statistics.items()):
        unseen = [v for v, cells in sorted(values.items()) if "train" in present and "train" not in cells]
        if unseen:
            where = Counter(split for v in unseen for split in values[v])
            yield Finding(
                "warning",
                f"{len(unseen)} values of tier '{tier}' are never in train, only in {', '.join(sorted(where))}: "
                f"{', '.join(unseen[:5])}{', ...' if len(unseen) > 5 else ''}",
            )
