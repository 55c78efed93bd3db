"""LART on the wearer of a recorded session: a body from the simulator's truth, and one from its ten sensors.

The sensors sit askew, warm up and meet iron, as in docs/flaws.toml, and nobody tells how they are strapped on. They
know no place; so the truth is read with its place and without.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ingest.anchors import focus
from ingest.ask import ATOMIC
from ingest.dataset import Dataset, open_dataset
from ingest.rows import fixed
from ingest.targets.pose import body_pose
from tests.bench.results import bodies
from tests.bench.results.bodies import Bodies
from tests.bench.results.clips import sessions_of
from tests.bench.results.homes import joined
from tests.bench.results.splits import Split

PLACE = slice(226, 229)
ARMS = ("body from truth", "body from truth, no place", "body from ten sensors")


def read_bodies(data: str) -> Bodies:
    """Of every session its wearer twice: track 0 from truth, track 1 from the sensors."""
    dataset = open_dataset(data)
    return joined([held for name in sessions_of(dataset) if (held := worn(dataset, name))])


def worn(dataset: Dataset, session: str) -> dict[str, Any]:
    """The wearer's two bodies and what they do; nothing where there is no wearer or no truth."""
    streams = dataset.streams(session)
    wearer = focus(streams, dataset.rows.of("sessions", session)["participants"].to_pylist()[0])
    rows = dataset.rows.of("tracks", session)
    mine = np.array([a == wearer for a in rows["actor"].to_pylist()], bool)
    if not mine.any():
        return {}
    t_ns, true = rows["t_ns"].to_numpy()[mine], fixed(rows["vector"])[mine]
    span = int(t_ns[0]) - 1_000_000_000, int(t_ns[-1]) + 1_000_000_000
    sensors = {}
    for row in streams:
        if row["wearer"] == wearer and row["name"].endswith(".quaternion") and row["count"]:
            found = dataset.rows.series(session, row["device"], row["name"], span)
            sensors[row["sensor"]] = found.t_ns, found.x
    felt, measured = body_pose(sensors, t_ns)
    labels = [r for r in dataset.rows.of("labels", session).to_pylist() if r["tier"] == ATOMIC and r["actor"] == wearer]
    spans = [(bodies.verb_of(r["value"], dataset.info["objects"]), r["t0_ns"], r["t1_ns"]) for r in labels]
    names = sorted({name for name, *_ in spans})
    actions = np.zeros((len(t_ns), len(names)), bool)
    for name, begin, end in spans:
        actions[(t_ns >= begin) & (t_ns < end), names.index(name)] = True
    return {
        "vector": np.stack([true, felt]),
        "valid": np.stack([np.ones(len(t_ns), bool), measured.any(1)]),
        "joints": np.stack([np.ones_like(measured), measured]),
        "actions": np.stack([actions, actions]),
        "names": np.array(names),
        "about": wearer,
    }


def run(arm: str, known: Bodies, split: Split, seed: int) -> dict[str, Any]:
    """An arm; what a run's file holds."""
    which = slice(1, 2) if arm == ARMS[2] else slice(0, 1)
    vector = known.vector[:, which].copy()
    if arm != ARMS[0]:
        vector[..., PLACE] = 0
    chosen = Bodies(
        vector,
        known.valid[:, which],
        known.joints[:, which],
        known.actions[:, which],
        known.home,
        known.about,
        known.names,
    )
    return bodies.result(chosen, split, seed, partial=arm == ARMS[2])
