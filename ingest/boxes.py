"""Boxes that somebody drew, from labels to the `boxes` table: one row for a person, a moment and a camera.

A label about a part of a picture says an action; two actions of one person are two labels with one box. What was said
of the box stays in `labels`; where it is comes here, once. A box holds from a label's beginning to its end, so that it
is written down at every moment that has any box: at the beginnings of all, and five times a second between.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from firmware_host.clock import SECOND_NS
from ingest import tables
from recorder.session import Session

NO_PERSON = ("object", "relation")
"""Tiers whose boxes are of things."""
EVERY_NS = SECOND_NS // 5
"""From one moment to the next of a box that stands for long: as often as the simulated home tells where people are."""
_CORNERS = ("x1", "y1", "x2", "y2")


def labelled_relations(session: Session, labels: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Rows of `relations` from labels of tier `relation`, whose value is ``relation:object``, by time."""
    rows = []
    for label in labels:
        relation, mark, thing = label["value"].partition(":")
        if label["tier"] == "relation" and mark and label["actor"]:
            said = {"subject": label["actor"], "relation": relation, "object": thing, "source": label["source"]}
            rows.append({"session": session.id, **said, "t0_ns": label["t0_ns"], "t1_ns": label["t1_ns"]})
    key = ("t0_ns", "subject", "relation", "object")
    return tables.table("relations", sorted(rows, key=lambda r: tuple(r[k] for k in key)))


def labelled_boxes(session: Session, labels: Iterable[Mapping[str, Any]], span_ns: tuple[int, int]) -> pa.Table:
    """Rows of `boxes` from those of `labels` that have one, by camera, time and actor.

    A label that names no device means the first room camera, or the only camera there is. Wherever one box begins, the
    others that hold at that moment are told again: what is in the picture at a moment is all rows of that moment.

    Args:
        span_ns: from when to when the session was recorded; of a box that stands for longer, that part is told.
    """
    cameras = [d for d in session.devices if d.of_kind("video")]
    usual = next((d.name for d in cameras if d.role == "third"), cameras[0].name if cameras else None)
    drawn: dict[str, list[Mapping[str, Any]]] = {}
    for label in labels:
        device = label.get("device") or usual
        if label["x1"] is not None and device is not None and label["tier"] not in NO_PERSON:
            t0_ns = max(label["t0_ns"], min(span_ns[0], label["t1_ns"]))
            drawn.setdefault(device, []).append({**label, "t0_ns": t0_ns, "t1_ns": min(label["t1_ns"], span_ns[1])})
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for device, boxed in drawn.items():
        moments = _moments(boxed)
        for label in boxed:
            corners = {c: label[c] for c in _CORNERS}
            score = 1.0 if label["confidence"] is None else label["confidence"]
            rest = {"actor": label["actor"], "score": score, "source": label["source"]}
            first, stop = np.searchsorted(moments, [label["t0_ns"], max(label["t1_ns"], label["t0_ns"] + 1)])
            for t_ns in moments[first:stop].tolist():
                key = (device, t_ns, label["actor"] or "", *corners.values())
                found.setdefault(key, {"session": session.id, "device": device, "t_ns": t_ns, **corners, **rest})
    return tables.table("boxes", [found[key] for key in sorted(found)])


def _moments(boxed: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """(M,) int64 ns, ascending: where a box begins, and each `EVERY_NS` of the clock that is in one."""
    grid = [np.arange(-(-b["t0_ns"] // EVERY_NS), -(-b["t1_ns"] // EVERY_NS)) * EVERY_NS for b in boxed]
    return np.unique(np.concatenate([np.array([b["t0_ns"] for b in boxed], np.int64), *grid]).astype(np.int64))
