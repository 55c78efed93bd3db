"""Reads a session with numpy and PyAV alone (session-format.md): python read_without_syncctl.py sessions/first"""

import json
import sys
from pathlib import Path

import av
import numpy as np


def rows(path):  # title of each sensor and timing track -> (N, C) counts: 24 bits that travel in the upper ones of 32
    blocks = {}
    with av.open(str(path)) as file:
        for packet in file.demux([s for s in file.streams.audio if s.metadata["title"] != "microphone"]):
            title, found = packet.stream.metadata["title"], packet.decode()
            blocks.setdefault(title, []).extend(f.to_ndarray().reshape(-1, f.layout.nb_channels) >> 8 for f in found)
    return {title: np.concatenate(found) for title, found in blocks.items()}


def samples(stream, tracks, settings):  # (K,) ns on the kit's clock; (K, rows_per_tick, C) values
    timing, counts, per_tick = tracks[f"{stream['sensor']}.timing"], tracks[stream["name"]], stream["rows_per_tick"]
    counts = counts[: len(counts) // per_tick * per_tick].reshape(-1, per_tick, counts.shape[1])
    fresh = np.flatnonzero(timing[: len(counts), 2] == 0)  # a torn file may hold more of one than of the other
    t_ns = stream["t0_ns"] + fresh * 10**9 // 60 + timing[fresh, 0].astype(np.int64) * 1000
    return t_ns, si(stream, settings.get(stream["sensor"]), counts[fresh].astype(float))


def frame_times(stream, tracks):  # (N,) ns on the device's clock: the timing track has seconds and microseconds
    since_first = tracks[stream["name"] + ".timing"].astype(np.int64)
    return stream["t0_ns"] - (stream["latency_ns"] or 0) + since_first @ (10**9, 1000, 0)


def si(stream, settings, x):  # counts in the units of the channels; BME680 needs the formulas of session-format.md
    if stream["model"] == "isl29125":
        return x[..., :3] * settings["range_lux"] / (2 ** settings["bits"] - 1)
    if stream["model"] == "mlx90393":  # at `res` 0 and 1
        gain = (5, 4, 3, 2.5, 2, 5 / 3, 4 / 3, 1)[settings["gain_sel"]] * 2 ** settings["res"]
        return np.concatenate([x[..., 1:] * (0.150, 0.150, 0.242) * gain, 25 + (x[..., :1] - 46244) / 45.2], -1)
    if stream["model"] == "tsl2591":
        lux = (x[..., 0] - x[..., 1]) ** 2 / x[..., 0] * 4.08 / (x[..., 3] + 1)
        return lux / np.take((1, 25, 428, 9876), x[..., 2].astype(int))
    return x * [c["scale"] for c in stream["channels"]] + [c["offset"] for c in stream["channels"]]


def on_reference(t_ns, clock, alignment):  # (N,) ns of a clock on that of the reference device
    mapped = t_ns
    for p in next((m["pieces"] for m in alignment["maps"] if m["source"] == clock), []):
        since = t_ns - p["origin_ns"]
        there = p["target_ns"] + since + np.rint(since * (p["skew_ppm"] * 1e-6)).astype(np.int64)
        mapped = there if mapped is t_ns else np.where(t_ns >= p["start_ns"], there, mapped)
    return mapped


if __name__ == "__main__":
    session, alignment = (json.loads(Path(sys.argv[1], f).read_text()) for f in ("session.json", "alignment.json"))
    for device in (d for d in session["devices"] if d["kind"] == "kit"):
        tracks = rows(Path(sys.argv[1], device["file"]))
        for stream in (s for s in device["streams"] if s["kind"] == "sensor"):
            t_ns, values = samples(stream, tracks, device["settings"])
            print(stream["name"], on_reference(t_ns, device["clock"], alignment)[:1], values[:1].ravel().round(3))
