"""Boxes that somebody drew, from labels to the `boxes` table: one row for a person, a moment and a camera.

A label about a part of a picture says an action; two actions of one person are two labels with one box. What was said
of the box stays in `labels`; where it is comes here, once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from ingest import tables
from recorder.session import Session

NO_PERSON = ("object", "relation")
"""Tiers whose boxes are of things."""


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


def labelled_boxes(session: Session, labels: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Rows of `boxes` from those of `labels` that have one, by camera, time and actor.

    A label that names no device means the first room camera, or the only camera there is. Its moment is its beginning.
    """
    cameras = [d for d in session.devices if d.of_kind("video")]
    usual = next((d.name for d in cameras if d.role == "third"), cameras[0].name if cameras else None)
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for label in labels:
        device = label.get("device") or usual
        if label["x1"] is None or device is None or label["tier"] in NO_PERSON:
            continue
        corners = {c: label[c] for c in ("x1", "y1", "x2", "y2")}
        key = (device, label["t0_ns"], label["actor"] or "", *corners.values())
        score = 1.0 if label["confidence"] is None else label["confidence"]
        rest = {"actor": label["actor"], "score": score, "source": label["source"]}
        found.setdefault(key, {"session": session.id, "device": device, "t_ns": label["t0_ns"], **corners, **rest})
    return tables.table("boxes", [found[key] for key in sorted(found)])
