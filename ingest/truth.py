"""What a simulated session knows exactly, as the tables that a real one would fill by annotation.

`truth.json` and `truth.npz` are on world time; here they come onto the session's reference clock through the true map
of the first kit and the measured one from there, so that they are as well timed as everything else in the dataset, and
not better. A session without these files has no rows.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from firmware_host.clockmap import ClockMap
from firmware_host.errors import SessionError
from ingest import tables
from ingest.bodies import track_rows
from ingest.people import person_vector
from recorder.session import Device, Session
from sync.alignment import Alignment

SOURCE = "truth"
FILES = ("truth.json", "truth.npz")


def truth_tables(session: Session, alignment: Alignment) -> dict[str, pa.Table]:
    """Rows of `boxes`, `tracks` and `relations`; empty tables for a session that was not simulated.

    Raises:
        SessionError: a truth file is damaged.
    """
    if not (session.root / FILES[0]).is_file():
        return {name: tables.SCHEMAS[name].empty_table() for name in ("boxes", "tracks", "relations")}
    try:
        document = json.loads((session.root / FILES[0]).read_text())
        clock = _to_reference(document, alignment)
        return {
            "boxes": _boxes(session, document, clock),
            "tracks": _tracks(session, document["people"], clock),
            "relations": _relations(session, document["relations"], clock),
        }
    except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise SessionError(
            f"{session.root}: its truth files cannot be read ({error}); remove them or restore them"
        ) from error


class _Clock:
    """World time to the reference, by way of one kit's clock."""

    def __init__(self, kit: ClockMap, to_reference: ClockMap) -> None:
        self._kit, self._to_reference = kit, to_reference

    def __call__(self, world_ns: Any) -> np.ndarray:
        return self._to_reference.forward(self._kit.inverse(np.asarray(world_ns, np.int64).reshape(-1)))


def _to_reference(document: Mapping[str, Any], alignment: Alignment) -> _Clock:
    maps = [ClockMap.from_json(m) for m in document["clock_maps"]]
    known = {alignment.reference, *(m.source for m in alignment.maps)}
    kit = next((m for m in maps if m.source in known), None)
    if kit is None:
        raise ValueError("no clock of them has a place on the reference clock")
    return _Clock(kit, alignment.to_reference(kit.source))


def _boxes(session: Session, document: Mapping[str, Any], clock: _Clock) -> pa.Table:
    rows = []
    t_ns = clock(document["boxes"]["t_ns"]).tolist()
    for device, name in _cameras(session, document["boxes"]):
        size = next((s.size for s in device.of_kind("video") if s.size), None)
        if size is None:
            continue
        for at, seen in zip(t_ns, document["boxes"][name], strict=True):
            for who, kind, *edges in seen:
                if kind != "person":
                    continue
                x1, y1, x2, y2 = ((e + 0.5) / size[i % 2] for i, e in enumerate(edges))
                corners = {"x1": x1, "y1": y1, "x2": x2, "y2": y2, "score": 1.0}
                rows.append({"session": session.id, "device": device.name, "t_ns": at, "actor": who, **corners})
    return tables.table("boxes", [{**r, "source": SOURCE} for r in rows])


def _cameras(session: Session, boxes: Mapping[str, Any]) -> list[tuple[Device, str]]:
    """Devices with pictures, and what the truth calls them: the first room kit's camera is ``third``."""
    first = next((d.name for d in session.devices if d.role == "third" and d.of_kind("video")), None)
    found = [(d, "third" if d.name == first and d.name not in boxes else d.name) for d in session.devices]
    return [(device, name) for device, name in found if name in boxes]


def _tracks(session: Session, people: list[str], clock: _Clock) -> pa.Table:
    parts = []
    with np.load(session.root / FILES[1], allow_pickle=False) as packed:
        t_ns = clock(packed["t_ns"])
        for who in sorted(people):
            vector = person_vector(packed[f"{who}.smpl"])
            every = np.ones((len(vector), tables.JOINTS), bool)
            parts.append(track_rows(session.id, who, t_ns, vector, every, SOURCE))
    return tables.concatenated("tracks", parts)


def _relations(session: Session, triples: list[list[Any]], clock: _Clock) -> pa.Table:
    starts, stops = clock([t[3] for t in triples]).tolist(), clock([t[4] for t in triples]).tolist()
    rows = [
        {"session": session.id, "subject": s, "relation": r, "object": o, "t0_ns": a, "t1_ns": b, "source": SOURCE}
        for (s, r, o, *_), a, b in zip(triples, starts, stops, strict=True)
    ]
    return tables.table("relations", sorted(rows, key=lambda r: (r["t0_ns"], r["subject"], r["relation"], r["object"])))
