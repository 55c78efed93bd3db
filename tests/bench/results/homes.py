"""LART in homes of two people, whose bodies come from the simulator itself: nothing is drawn, so there may be many
homes.

Beside the verbs of both, a class for each relation of a person to the other: who is near, who faces whom, who talks.
One track cannot know these; two can.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ingest.people import person_vector
from recorder import durable
from recorder.world import ACTIVITIES, World
from recorder.world.plan import WorldPlan
from tests.bench.results import bodies
from tests.bench.results.bodies import HZ, OTHER, Bodies
from tests.bench.results.splits import split_of

HOMES, PEOPLE, PLACES = 96, 12, 8
LASTING_S, FROM_S = 60, 2
GRAPH_HZ = 2
ARMS: dict[str, dict[str, int]] = {
    "one track, one moment": {"people": 1, "steps": 1},
    "one track": {"people": 1},
    "both tracks": {"people": 2},
}


def plan_of(number: int) -> WorldPlan:
    """One home: its people, place and activity, drawn by its number."""
    random = np.random.default_rng([number, 0x40E5])
    activity, place = str(random.choice(ACTIVITIES)), f"r{int(random.integers(PLACES)) + 1:02d}"
    participant = f"p{number % PEOPLE + 1:02d}"
    return WorldPlan(LASTING_S, 900_000 + number, activity, participant, place, people=2)


def describe(number: int, folder: Path) -> None:
    """Write `folder`/NUMBER.npz, unless it is there: vectors (2, S, 229) and, for every label, where it holds."""
    path = folder / f"{number:03d}.npz"
    if path.exists():
        return
    world = World(plan_of(number))
    t_ns = (np.arange(FROM_S * HZ, (LASTING_S - FROM_S) * HZ) * (1_000_000_000 // HZ)).astype(np.int64)
    people = world.plan.names
    vector = np.stack([person_vector(world.body24(t_ns, k)[0]) for k in range(len(people))])
    things = list(world.home.things)
    spans = [
        (bodies.verb_of(label.value, things), people.index(label.actor), label.t0_ns, label.t1_ns)
        for label in world.labels()
        if label.tier == "atomic"
    ]
    every = t_ns[:: HZ // GRAPH_HZ]
    for at, graph in zip(every.tolist(), world.scene_graphs(every), strict=True):
        half = 500_000_000 // GRAPH_HZ
        spans += [(f"{r} {OTHER}", people.index(a), at - half, at + half) for a, r, b in graph if {a, b} <= set(people)]
    names = sorted({name for name, *_ in spans})
    actions = np.zeros((len(people), len(t_ns), len(names)), bool)
    for name, who, begin, end in spans:
        actions[who, (t_ns >= begin) & (t_ns < end), names.index(name)] = True
    world.close()
    with durable.replacing(path) as scratch, scratch.open("wb") as file:
        np.savez_compressed(file, vector=vector, actions=actions, names=np.array(names), about=np.array(people[0]))


@lru_cache(maxsize=1)
def read_bodies(folder: Path) -> Bodies:
    """All homes together."""
    held = []
    for number in range(HOMES):
        with np.load(folder / f"{number:03d}.npz") as packed:
            held.append({key: packed[key] for key in packed.files})
    return joined(held)


def joined(held: list[dict[str, Any]]) -> Bodies:
    """Homes of different vocabularies, and of lengths that differ by some steps, as one."""
    names = sorted({name for h in held for name in h["names"].tolist()})
    size = len(held), held[0]["vector"].shape[0], max(h["vector"].shape[1] for h in held)
    vector, valid = np.zeros((*size, held[0]["vector"].shape[2]), np.float32), np.zeros(size, bool)
    joints, actions = np.ones((*size, 24), bool), np.zeros((*size, len(names)), bool)
    for k, h in enumerate(held):
        count = h["vector"].shape[1]
        vector[k, :, :count], valid[k, :, :count] = h["vector"], h.get("valid", True)
        joints[k, :, :count] = h.get("joints", True)
        actions[k, :, :count][..., [names.index(n) for n in h["names"].tolist()]] = h["actions"]
    about = np.array([str(h["about"]) for h in held])
    kept = bodies.common(actions, about)
    home = np.array([f"{k:03d}" for k in range(len(held))])
    return Bodies(vector, valid, joints, actions[..., kept], home, about, tuple(names[k] for k in kept))


def run(arm: str, seed: int, folder: Path) -> dict[str, Any]:
    """An arm; what a run's file holds."""
    known = read_bodies(folder)
    return bodies.result(known, split_of(0, known.about), seed, **ARMS[arm])
