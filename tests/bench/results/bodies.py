"""LART on bodies over time: whose they are, what they do, and how a small one is trained and asked."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models.lart import PRESETS, Model
from tests.bench.results.scoring import action_scores, rounded, session_weights
from tests.bench.results.splits import Split
from tests.bench.results.towers import size_of

HZ, WINDOW, ASKED_EVERY = 10, 25, 20
LEARNED, BATCH, RATE, DECAY = 300, 32, 1e-3, 0.05
MEETING = ("talk", "listen", "watch_person", "hand_over", "take")
"""What takes two."""
OTHER = "the other"


def groups_of(names: Sequence[str]) -> dict[str, list[int]]:
    """``interaction`` -> classes that take two; ``own`` -> the others."""
    two = [k for k, n in enumerate(names) if n in MEETING or n.endswith(OTHER)]
    return {"interaction": two, "own": [k for k in range(len(names)) if k not in two]}


@dataclass(frozen=True)
class Bodies:
    """Persons of homes, ten times a second.

    Attributes:
        vector: (H, N, S, 229) float32; person 0 is whom a home is about.
        valid: (H, N, S) bool.
        joints: (H, N, S, 24) bool, rotations that are measured.
        actions: (H, N, S, A) bool.
        home, about: (H,) text.
        names: of the A classes.
    """

    vector: np.ndarray
    valid: np.ndarray
    joints: np.ndarray
    actions: np.ndarray
    home: np.ndarray
    about: np.ndarray
    names: tuple[str, ...]

    @property
    def groups(self) -> dict[str, list[int]]:
        """As `groups_of`."""
        return groups_of(self.names)

    def windows(self, homes: np.ndarray, every: int) -> np.ndarray:
        """(K, 2): home and first step of each window of the homes (H,) bool."""
        starts = np.arange(0, self.vector.shape[2] - WINDOW + 1, every)
        chosen = np.flatnonzero(homes)
        return np.stack([np.repeat(chosen, len(starts)), np.tile(starts, len(chosen))], axis=1)

    def batch(self, windows: np.ndarray, first: np.ndarray, people: int, steps: int = WINDOW) -> dict[str, Tensor]:
        """The middle `steps` of windows (K, 2), of each the person `first` (K,) and then the other."""
        lead = (WINDOW - steps) // 2
        at = windows[:, 1, None] + lead + np.arange(steps)
        who = (first[:, None] + np.arange(people)) % self.vector.shape[1]
        place = windows[:, 0, None, None], who[:, :, None], at[:, None, :]
        found = {"tracks": self.vector[place], "tracks_valid": self.valid[place], "tracks_joints": self.joints[place]}
        found["track_actions"] = self.actions[place].astype(np.float32)
        return {name: torch.from_numpy(value) for name, value in found.items()}


def verb_of(label: str, things: Iterable[str]) -> str:
    """What is done, without what it is done to: ``pour_kettle`` -> ``pour``."""
    verb, _, thing = label.rpartition("_")
    return verb if verb and thing in set(things) else label


def result(
    bodies: Bodies, split: Split, seed: int, *, people: int = 1, steps: int = WINDOW, **how: Any
) -> dict[str, Any]:
    """Train a small LART on a split's homes and ask it about everybody in the others.

    Args:
        people: tracks of a clip, the person of interest first.
        steps: moments of a clip, in its middle.
        how: ``partial`` tells the model which rotations are measured.
    """
    torch.manual_seed(seed)
    net = replace(PRESETS["tiny"]().net, people=people, classes=len(bodies.names), dropout=0.1, **how)
    model = learned(Model(net), bodies, bodies.windows(split.train, HZ), seed, steps)
    scores, wanted, home = answers(model, bodies, bodies.windows(split.test, ASKED_EVERY), steps)
    weights = session_weights(home, split.number)
    measures = action_scores(scores, wanted, weights, {k: v for k, v in bodies.groups.items() if v})
    blind = action_scores(
        np.zeros_like(scores), wanted, np.ones((1, len(home))), {k: v for k, v in bodies.groups.items() if v}
    )
    chance = {name: float(value[0]) for name, value in blind.items()}
    reads = {"everybody": rounded(measures)}
    return {
        "reads": reads,
        "chance": chance,
        "parameters": size_of(model),
        "classes": list(bodies.names),
        "sessions": len(bodies.home),
        "asked": len(home),
    }


def learned(model: Model, bodies: Bodies, windows: np.ndarray, seed: int, steps: int) -> Model:
    """AdamW along a cosine; each batch has either person first."""
    random, config = np.random.default_rng(seed), model.config
    known = bodies.vector[np.unique(windows[:, 0])][bodies.valid[np.unique(windows[:, 0])]]
    model.standardise(torch.from_numpy(known.mean(0)), torch.from_numpy(np.maximum(known.std(0), 0.05)))
    optimizer = torch.optim.AdamW(model.parameters(), RATE, weight_decay=DECAY)
    model.train()
    for step in range(LEARNED):
        optimizer.param_groups[0]["lr"] = (
            RATE * min(1.0, (step + 1) / 20) * 0.5 * (1 + math.cos(math.pi * step / LEARNED))
        )
        rows = windows[random.integers(len(windows), size=BATCH)]
        first = random.integers(bodies.vector.shape[1], size=BATCH)
        loss, _ = model.loss(bodies.batch(rows, first, config.people, steps))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 2.0)
        optimizer.step()
    return model.eval()


@torch.no_grad()
def answers(model: Model, bodies: Bodies, windows: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of everybody who is there in the middle of each window: scores (K, A), truth (K, A) and home (K,)."""
    scores, wanted, home = [], [], []
    for who in range(bodies.vector.shape[1]):
        there = windows[bodies.valid[windows[:, 0], who, windows[:, 1] + WINDOW // 2]]
        for some in np.array_split(there, max(1, len(there) // 128)):
            batch = bodies.batch(some, np.full(len(some), who), model.config.people, steps)
            scores.append(model.predict(batch)["actions"][:, 0].numpy())
            wanted.append(batch["track_actions"][:, 0, steps // 2].numpy())
            home.append(bodies.home[some[:, 0]])
    return np.concatenate(scores), np.concatenate(wanted), np.concatenate(home)


def common(actions: np.ndarray, about: np.ndarray) -> list[int]:
    """Classes (of H x N x S x A) that at least two thirds of the people, or their guests, do."""
    people = sorted(set(about.tolist()))
    did = np.stack([actions[about == p].any(axis=(0, 1, 2)) for p in people])
    return np.flatnonzero(did.sum(0) >= max(2, 2 * len(people) // 3)).tolist()
