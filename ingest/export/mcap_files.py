"""MCAP: a session as one indexed log, for Foxglove, Lichtblick and ROS tools.

Every message is JSON with its schema beside it, so that a reader needs nothing of ours. Video is the recording's own
H.264, a packet a message (`foxglove.CompressedVideo`), which those tools want as Annex B and without B-frames.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mcap.writer import Writer

from firmware_host.errors import SessionError
from ingest.cache import video_packets
from ingest.opened import Dataset
from recorder import durable

TIME = {"type": "object", "properties": {"sec": {"type": "integer"}, "nsec": {"type": "integer"}}}
TEXT, NUMBER, WHOLE = {"type": "string"}, {"type": "number"}, {"type": "integer"}
VIDEO = {
    "type": "object",
    "properties": {
        "timestamp": TIME,
        "frame_id": TEXT,
        "data": {"type": "string", "contentEncoding": "base64"},
        "format": TEXT,
    },
}
LABEL = {
    "type": "object",
    "properties": {"value": TEXT, "actor": TEXT, "t0_ns": WHOLE, "t1_ns": WHOLE, "source": TEXT},
}
Message = tuple[int, str, dict[str, Any]]


def write_session(dataset: Dataset, session: str, path: Path) -> list[str]:
    """Write one session; times are ns on its reference clock.

    Returns:
        sentences about what was left out: sound, and video that these tools cannot show.
    """
    left_out: list[str] = []
    schemas: dict[str, tuple[str, dict[str, Any]]] = {}
    messages: list[Iterator[Message]] = []
    for row in dataset.streams(session):
        topic = f"/{row['device']}/{row['name']}"
        if row["kind"] == "sensor" and row["count"]:
            channels = dataset.rows.channels(session, row["device"], row["name"])
            schemas[topic] = topic[1:], {"type": "object", "properties": dict.fromkeys(channels, NUMBER)}
            messages.append(_samples(dataset, row, topic, channels))
        elif row["kind"] == "video" and row["count"]:
            schemas[topic] = "foxglove.CompressedVideo", VIDEO
            messages.append(_video(dataset, row, topic))
        elif row["kind"] == "audio":
            left_out.append(f"{session}: the sound of {row['device']}, for which MCAP has no common schema")
    tiers = dataset.rows.of("labels", session, ["tier"])["tier"].unique().to_pylist()
    schemas |= {f"/labels/{tier}": ("syncctl.Label", LABEL) for tier in tiers}
    messages.append(_labels(dataset, session))
    with durable.replacing(path) as scratch, scratch.open("wb") as file:
        writer: Any = Writer(file)
        writer.start(profile="", library="syncctl")
        known = {n: writer.register_schema(n, "jsonschema", json.dumps(s).encode()) for n, s in schemas.values()}
        channel = {topic: writer.register_channel(topic, "json", known[name]) for topic, (name, _) in schemas.items()}
        for stream in messages:
            try:
                for t_ns, topic, content in stream:
                    writer.add_message(channel[topic], t_ns, json.dumps(content).encode(), t_ns)
            except SessionError as error:
                left_out.append(f"{session}: {error}")
        writer.finish()
    return left_out


def _samples(dataset: Dataset, row: dict[str, Any], topic: str, channels: tuple[str, ...]) -> Iterator[Message]:
    minute, at, end = 60_000_000_000, row["t0_ns"] - 60_000_000_000, row["t1_ns"] + 1
    while at < end:
        found = dataset.rows.series(row["session"], row["device"], row["name"], (at, min(at + minute, end)))
        for t_ns, values in zip(found.t_ns.tolist(), found.x.tolist(), strict=True):
            yield t_ns, topic, {c: v if v == v else None for c, v in zip(channels, values, strict=True)}
        at += minute


def _video(dataset: Dataset, row: dict[str, Any], topic: str) -> Iterator[Message]:
    times = dataset.frame_times(row["session"], row["device"]).tolist()
    path = Path(dataset.store.path(row["file"]))
    if not dataset.store.local:
        raise SessionError(f"{path} is not on this machine; export where the recordings are")
    for number, data in video_packets(path):
        if number < len(times):
            t_ns = times[number]
            stamp = {"sec": t_ns // 10**9, "nsec": t_ns % 10**9}
            packet = base64.b64encode(data).decode()
            yield t_ns, topic, {"timestamp": stamp, "frame_id": row["device"], "data": packet, "format": "h264"}


def _labels(dataset: Dataset, session: str) -> Iterator[Message]:
    for r in dataset.rows.of("labels", session).to_pylist():
        said = {c: r[c] or "" for c in ("value", "actor", "source")}
        yield max(0, r["t0_ns"]), f"/labels/{r['tier']}", {**said, "t0_ns": r["t0_ns"], "t1_ns": r["t1_ns"]}
