"""Who does what in the room camera's picture: the Action Transformer's head and HGRNN, on boxes that are given.

A keyframe is a second of a session of two people that has a box in it: two seconds of pictures as maps of 14 x 14 cells
(`pictures`), the boxes, and what each person does, as verbs and as relations to the other. HGRNN reads the scene as
4 x 4 cells, each person as 4 x 4 cells of its box, and the keyframes around by seconds.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from firmware_host.errors import ConfigError
from ingest.anchors import anchors
from ingest.ask import ATOMIC, Ask
from ingest.cache import FrameReader
from ingest.dataset import open_dataset
from ingest.view import SessionView
from models import boxes as boxing
from models.hgrnn import Config as HgrnnConfig
from models.hgrnn import Model as Hgrnn
from models.hgrnn.model import focal_loss
from models.vat import Config as VatConfig
from models.vat.heads import Heads
from recorder import durable
from tests.bench.results import pictures
from tests.bench.results.bodies import OTHER, common, groups_of, verb_of
from tests.bench.results.clips import STEP_NS, sessions_of
from tests.bench.results.scoring import action_scores, rounded, session_weights
from tests.bench.results.splits import Split, check_guests
from tests.bench.results.towers import size_of

FRAMES, SIZE, CELLS, BLOCK, PERSONS = 20, 112, 14, 5, 2
ROI_CELLS, AROUND = 4, 3
WIDTH = ROI_CELLS**2 * pictures.CHANNELS
BATCH, RATE, EVERY = 32, 2e-3, 100
VAT_STEPS, HGRNN_STEPS = 1000, 3000
"""At most: of what is looked at every so many steps, the best is kept (`_learn`)."""

SMALL = VatConfig(
    background=False, narrow=8, frozen_norm=False, query="low", layers=2, width=32, hidden=128, dropout=0.2, location=16
)
VAT = {
    "I3D head": replace(SMALL, head="i3d"),
    "Action Transformer": SMALL,
    "Action Transformer, no location": replace(SMALL, location=0),
    "Action Transformer, all cells": replace(SMALL, query="high"),
}
RNN = HgrnnConfig(inputs=WIDTH, features=48, hidden=48, head=48, persons=PERSONS, context=AROUND)
HGRNN = {
    "HGRNN": RNN,
    "HGRNN, scene only": replace(RNN, iterations=0),
    "HGRNN, graph only": replace(RNN, context=0),
    "HGRNN, neither": replace(RNN, iterations=0, context=0),
    "HGRNN, one iteration": replace(RNN, iterations=1),
    "HGRNN, one second around": replace(RNN, context=1),
}
ARMS = (*VAT, *HGRNN)


@dataclass(frozen=True)
class Scenes:
    """Keyframes of a dataset.

    Attributes:
        maps: (K, T, C, 14, 14) float16.
        boxes: (K, 2, 4); valid: (K, 2) bool.
        actions: (K, 2, A) bool.
        session, about: (K,) text; whom the session is about.
        moment_ns: (K,) int64.
        names: of the A classes.
    """

    maps: np.ndarray
    boxes: np.ndarray
    valid: np.ndarray
    actions: np.ndarray
    session: np.ndarray
    about: np.ndarray
    moment_ns: np.ndarray
    names: tuple[str, ...]

    @property
    def groups(self) -> dict[str, list[int]]:
        """As `bodies.groups_of`."""
        return groups_of(self.names)


def describe(data: str, session: str, folder: Path) -> None:
    """Write `folder`/SESSION.npz, unless it is there."""
    path = folder / f"{session}.npz"
    if path.exists():
        return
    dataset, reader = open_dataset(data), FrameReader()
    ask = Ask(("third", "boxes"), at="boxes", frames=FRAMES, step_ns=STEP_NS, size=SIZE, persons=PERSONS)
    view, begins = SessionView(dataset, session, ask), anchors(dataset.rows, session, ask)[0].tolist()
    moments = [t + FRAMES // 2 * STEP_NS for t in begins]
    found = [view.clip(reader, t, -1) for t in begins]
    maps = [pictures.blocked(pictures.described(f["third"], CELLS), BLOCK) for f in found]
    names, actions = _done(dataset, session, moments, view.people)
    place = np.array([f["box_person"] for f in found])
    with durable.replacing(path) as scratch, scratch.open("wb") as file:
        np.savez_compressed(
            file,
            maps=np.array(maps, np.float16),
            boxes=np.array([f["boxes"] for f in found]),
            valid=np.array([f["box_valid"] for f in found]),
            actions=np.take_along_axis(actions, place[:, :, None], axis=1),
            names=np.array(names),
            about=np.array(view.focus or ""),
            moment_ns=np.array(moments, np.int64),
        )


def _done(dataset: Any, session: str, moments: list[int], people: list[str]) -> tuple[list[str], np.ndarray]:
    """Classes, and (K, people, A) which each person does at each moment."""
    spans = []
    for row in dataset.rows.of("labels", session).to_pylist():
        if row["tier"] == ATOMIC and row["actor"] in people:
            spans.append((verb_of(row["value"], dataset.info["objects"]), row["actor"], row["t0_ns"], row["t1_ns"]))
    for row in dataset.rows.of("relations", session).to_pylist():
        if {row["subject"], row["object"]} <= set(people):
            spans.append((f"{row['relation']} {OTHER}", row["subject"], row["t0_ns"], row["t1_ns"]))
    names, at = sorted({name for name, *_ in spans}), np.array(moments, np.int64)
    actions = np.zeros((len(moments), len(people), len(names)), bool)
    for name, who, begin, end in spans:
        actions[(at >= begin) & (at < end), people.index(who), names.index(name)] = True
    return names, actions


def read_scenes(data: str, folder: Path) -> Scenes:
    """Put the sessions' files together."""
    held, dataset = [], open_dataset(data)
    for session in sessions_of(dataset):
        with np.load(folder / f"{session}.npz") as packed:
            held.append({key: packed[key] for key in packed.files} | {"session": session})
    held = [h for h in held if len(h["maps"])]
    company = [dataset.rows.of("sessions", h["session"])["participants"].to_pylist()[0] for h in held]
    check_guests([(str(h["about"]), everybody) for h, everybody in zip(held, company, strict=True)])
    names = sorted({name for h in held for name in h["names"].tolist()})
    actions = []
    for h in held:
        whole = np.zeros((*h["actions"].shape[:2], len(names)), bool)
        whole[..., [names.index(n) for n in h["names"].tolist()]] = h["actions"]
        actions.append(whole)
    rest = {key: np.concatenate([h[key] for h in held]) for key in ("maps", "boxes", "valid", "moment_ns")}
    session, about = (
        np.concatenate([np.full(len(h["maps"]), str(h[key])) for h in held]) for key in ("session", "about")
    )
    done = np.concatenate(actions)
    kept = common(done[:, :, None], about)
    return Scenes(actions=done[..., kept], session=session, about=about, names=tuple(names[k] for k in kept), **rest)


def run(arm: str, scenes: Scenes, split: Split, seed: int) -> dict[str, Any]:
    """Train an arm on a split and measure it on everybody who has a box: what a run's file holds.

    One of those who are learned from, another with each seed, only says when to stop.
    """
    torch.manual_seed(seed)
    scale = Scaled(scenes, split)
    head: nn.Module
    if arm in VAT:
        head = Heads(replace(VAT[arm], actions=len(scenes.names)), pictures.CHANNELS)
        judged: Callable[[np.ndarray], Tensor] = lambda rows: head(*scale.maps(rows))[0]  # noqa: E731
    else:
        head = Hgrnn(replace(HGRNN[arm], classes=len(scenes.names)))
        judged = lambda rows: head(scale.features(rows))["actions"]  # noqa: E731
    stopped = _learn(head, judged, scenes, split, seed, VAT_STEPS if arm in VAT else HGRNN_STEPS)
    rows = np.flatnonzero(split.test)
    scores, wanted = _told(head, judged, scenes, rows)
    session = np.repeat(scenes.session[rows], scenes.valid[rows].sum(1))
    groups = {name: chosen for name, chosen in scenes.groups.items() if chosen}
    measures = action_scores(scores, wanted, session_weights(session, split.number), groups)
    blind = action_scores(np.zeros_like(wanted), wanted, np.ones((1, len(session))), groups)
    return {
        "reads": {"everybody": rounded(measures)},
        "chance": {name: float(value[0]) for name, value in blind.items()},
        "parameters": size_of(head),
        "classes": list(scenes.names),
        "sessions": len(set(scenes.session.tolist())),
        "learned_from": int(split.train.sum()),
        "stopped": stopped,
        "asked": len(session),
    }


def _told(
    head: nn.Module, judged: Callable[[np.ndarray], Tensor], scenes: Scenes, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What is said of everybody in some keyframes, and what they do: (N, A) each."""
    head.eval()
    with torch.no_grad():
        scores = torch.cat([judged(some) for some in np.array_split(rows, max(1, len(rows) // 64))]).numpy()
    valid = scenes.valid[rows]
    return scores[valid], scenes.actions[rows][valid].astype(np.float32)


def _learn(
    head: nn.Module, judged: Callable[[np.ndarray], Tensor], scenes: Scenes, split: Split, seed: int, steps: int
) -> int:
    """Focal loss of both models, AdamW along a cosine; returns at which step the person kept back was known best."""
    people = sorted(set(scenes.about[split.train].tolist()))
    back = split.train & (scenes.about == people[seed % len(people)])
    rows, looked_at = np.flatnonzero(split.train & ~back), np.flatnonzero(back)
    if not len(rows):
        raise ConfigError("of those who are learned from one is kept back, and there is but one; simulate more people")
    random = np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(head.parameters(), RATE, weight_decay=0.05)
    best, at, kept = -1.0, 0, head.state_dict()
    for step in range(steps):
        head.train()
        optimizer.param_groups[0]["lr"] = (
            RATE * min(1.0, (step + 1) / 20) * 0.5 * (1 + math.cos(math.pi * step / steps))
        )
        some = random.choice(rows, BATCH)
        wanted = torch.from_numpy(scenes.actions[some].astype(np.float32))
        loss = focal_loss(judged(some), wanted, torch.from_numpy(scenes.valid[some]), 2.0)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(head.parameters(), 2.0)
        optimizer.step()
        if (step + 1) % EVERY == 0:
            scores, done = _told(head, judged, scenes, looked_at)
            found = float(action_scores(scores, done, np.ones((1, len(done))), {})["map"][0])
            if found > best:
                best, at, kept = found, step + 1, copy.deepcopy(head.state_dict())
    head.load_state_dict(kept)
    head.eval()
    return at


class Scaled:
    """Maps less the training keyframes' mean, over their deviation; and HGRNN's features of them."""

    def __init__(self, scenes: Scenes, split: Split) -> None:
        self.scenes = scenes
        seen = scenes.maps[split.train].astype(np.float32)
        self.mean = torch.from_numpy(seen.mean((0, 1, 3, 4)))[:, None, None, None]
        self.deviation = torch.from_numpy(seen.std((0, 1, 3, 4)) + 1e-4)[:, None, None, None]
        self.scene, self.person = (torch.cat(part) for part in zip(*self._features(), strict=True))

    def maps(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """(B, C, T, 14, 14) and boxes (B, 2, 4)."""
        values = torch.from_numpy(self.scenes.maps[rows].astype(np.float32)).transpose(1, 2)
        return (values - self.mean) / self.deviation, torch.from_numpy(self.scenes.boxes[rows])

    def features(self, rows: np.ndarray) -> dict[str, Tensor]:
        """HGRNN's batch: the keyframes and `AROUND` before and after, where they are a second apart."""
        scenes, around = self.scenes, np.arange(-AROUND, AROUND + 1)
        near = np.clip(rows[:, None] + around, 0, len(scenes.session) - 1)
        apart = scenes.moment_ns[near] - scenes.moment_ns[rows][:, None] - around * 1_000_000_000
        there = (scenes.session[near] == scenes.session[rows][:, None]) & (np.abs(apart) < 500_000_000)
        index, there_t = torch.from_numpy(near), torch.from_numpy(there)
        valid = torch.from_numpy(scenes.valid)[index] & there_t[..., None]
        scene = torch.where(there_t[..., None], self.scene[index], 0)
        return {"scene_features": scene, "person_features": self.person[index], "person_features_valid": valid}

    def _features(self) -> Iterator[tuple[Tensor, Tensor]]:
        every = np.arange(len(self.scenes.session))
        for rows in np.array_split(every, max(1, len(every) // 64)):
            maps, boxes = self.maps(rows)
            still = maps.mean(dim=2)  # (B, C, 14, 14)
            inside = boxing.pooled(still, boxes, ROI_CELLS).flatten(2)  # (B, 2, C * 16)
            yield nn.functional.adaptive_avg_pool2d(still, ROI_CELLS).flatten(1), inside
