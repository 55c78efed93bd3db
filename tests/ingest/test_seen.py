"""Boxes of a session that several sources speak of."""

from __future__ import annotations

from types import SimpleNamespace

import pyarrow as pa

from ingest import tables
from ingest.view import seen

SECOND = 1_000_000_000


def row(t_s, actor, source):
    told = {"session": "s", "device": "kit-01", "t_ns": round(t_s * SECOND), "actor": actor, "source": source}
    return told | {"x1": 0.1, "y1": 0.1, "x2": 0.2, "y2": 0.2, "score": 1.0}


def test_boxes_of_two_sources_are_found_whichever_came_first(monkeypatch):
    rows = [row(t, "anna", "labels") for t in (10, 11, 12)] + [row(t, "7", "tracks") for t in (1, 2, 3)]
    table = pa.Table.from_pylist(rows, schema=tables.SCHEMAS["boxes"])
    monkeypatch.setattr(seen, "camera", lambda *_: {"device": "kit-01"})
    of = SimpleNamespace(rows=lambda _: table, streams=None, ask=SimpleNamespace(view=None))
    found = {t: [who for who, *_ in seen.Seen(of).boxes_at(t * SECOND)] for t in (2, 11, 6)}
    assert found == {2: ["7"], 11: ["anna"], 6: []}
