"""The arms of the HOMAGE paper's tables: what a clip's activity and actions are, by streams alone and together.

Towers share nothing, so that training them side by side without cooperation is training each alone; the arm ``alone``
is therefore the single-modality baseline of every stream at once, and any of its streams may be read together
afterwards, as the mean of what each says.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from models.ccau import Config
from models.ccau.fewshot import SHOTS, Features, few_shot, novel_classes
from tests.bench.results.clips import SECONDS, STEPS, STREAMS, Home
from tests.bench.results.scoring import action_scores, activity_scores, rounded, session_weights
from tests.bench.results.splits import Split
from tests.bench.results.towers import Described, size_of

LEARNED, BATCH, RATE, DECAY = 200, 32, 2e-3, 0.05
FORETOLD = 200
ASKED_EVERY = 2
NOVEL = 3
VIEWS, TRIO = ("ego", "third"), ("ego", "third", "audio")
ROOM = ("audio", "environment", "thermal")
SENSORS = (*ROOM, "imu")
DESCRIBED = TRIO
TOGETHER = (VIEWS, ("ego", "audio"), ("third", "audio"), TRIO, ROOM, SENSORS, (*VIEWS, *SENSORS))

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class Arm:
    """A way to train.

    Attributes:
        modalities: streams.
        cooperation: weight of the alignment of every pair.
        attention: weigh the cells of a view, or take their mean.
        tasks: as `models.ccau.Config.tasks`.
        weighting: of the tasks, the same.
        distillation: ``none``, ``static`` (every stream in turn is taught by the others, trained alone first) or
            ``cooperative``.
        pretext: views first foretell what comes next, without labels.
        labelled: of how many training people the labels are known; 0 of all.
        few: hold activities out and learn them from a few clips afterwards.
    """

    modalities: tuple[str, ...] = TRIO
    cooperation: float = 0.0
    attention: bool = True
    tasks: str = "activity/atomic"
    weighting: str = "fixed"
    distillation: str = "none"
    pretext: bool = False
    labelled: int = 0
    few: bool = False


ARMS = {
    "alone": Arm(STREAMS),
    "cooperative ego third": Arm(VIEWS, 1.0),
    "cooperative ego audio": Arm(("ego", "audio"), 1.0),
    "cooperative third audio": Arm(("third", "audio"), 1.0),
    "cooperative": Arm(cooperation=1.0),
    "cooperative, all streams": Arm(STREAMS, 1.0),
    "alone, no attention": Arm(attention=False),
    "cooperative, no attention": Arm(cooperation=1.0, attention=False),
    "static distillation": Arm(tasks="activity", distillation="static"),
    "cooperative distillation": Arm(tasks="activity", distillation="cooperative"),
    "activity alone": Arm(tasks="activity"),
    "activity, cooperative": Arm(cooperation=1.0, tasks="activity"),
    "atomic alone": Arm(tasks="atomic"),
    "atomic, cooperative": Arm(cooperation=1.0, tasks="atomic"),
    "cooperative, learned weights": Arm(cooperation=1.0, weighting="uncertainty"),
    "foretelling first": Arm(VIEWS, pretext=True),
    "one person's labels": Arm(VIEWS, labelled=1),
    "foretelling first, one person's labels": Arm(VIEWS, pretext=True, labelled=1),
    "scene graph": Arm(("graph",)),
    "few, alone": Arm(few=True),
    "few, cooperative": Arm(cooperation=1.0, few=True),
}


def run(name: str, home: Home, split: Split, seed: int, steps: int = LEARNED) -> dict[str, object]:
    """Train an arm on a split and measure it: what a run's file holds."""
    arm, data = ARMS[name], Streams(home, split)
    learn_from = split.train & (home.activity >= 0)
    if arm.few:
        return _few(arm, home, split, data, learn_from, seed, steps)
    if arm.labelled:
        people = sorted(set(home.person[split.train].tolist()))
        learn_from &= home.person == people[seed % len(people)]
    rows = np.flatnonzero(learn_from)
    if arm.distillation == "static":
        readings, size = _taught(arm, home, data, rows, split, seed, steps)
    else:
        model = built(arm, home, seed)
        if arm.pretext:
            adopted(model, foretelling(arm, home, data, np.flatnonzero(split.train), seed, steps))
        learned(model, data, rows, seed, steps)
        readings, size = answers(model, data, asked(home, split)), size_of(model)
    found = dict(_measured(arm, home, split, readings))
    return {"reads": found, "parameters": size, "learned_from": len(rows), "asked": len(asked(home, split))}


class Streams:
    """Batches of a home's clips, what was described beforehand less the training clips' mean, over their deviation."""

    def __init__(self, home: Home, split: Split) -> None:
        self.home = home
        self.scale = {}
        for name in DESCRIBED:
            seen = home.streams[name][split.train].astype(np.float32)
            over = tuple(i for i in range(seen.ndim) if i != 2)
            mean, deviation = seen.mean(over, keepdims=True)[0], seen.std(over, keepdims=True)[0]
            self.scale[name] = torch.from_numpy(mean), torch.from_numpy(deviation + 1e-4)

    def batch(self, rows: np.ndarray, modalities: Sequence[str]) -> Batch:
        """Clips by their numbers, with their labels."""
        home, found = self.home, dict[str, Tensor]()
        for name in modalities:
            if name == "graph":
                found[name] = torch.from_numpy(home.graph[rows].astype(np.float32))
                continue
            values = torch.from_numpy(home.streams[name][rows].astype(np.float32))
            if name in self.scale:
                mean, deviation = self.scale[name]
                values = (values - mean) / deviation
            found[name], found[f"{name}_valid"] = values, torch.from_numpy(home.valid[name][rows])
        labels = {"activity": home.activity[rows], "atomic": home.atomic[rows]}
        found |= {name: torch.from_numpy(value) for name, value in labels.items()}
        return found | {"atomic_valid": torch.ones(len(rows), dtype=torch.bool)}


def built(arm: Arm, home: Home, seed: int, **changes: object) -> Described:
    """The model of an arm, from the seed's weights."""
    torch.manual_seed(seed)
    config = Config(
        modalities=arm.modalities,
        size=128,
        widths=(1, 1, 1, 1),
        hidden=48,
        sensor_width=32,
        objects=home.graph.shape[2],
        relations=home.graph.shape[3],
        attention=arm.attention,
        activities=len(home.activities),
        atomics=len(home.actions),
        tasks=arm.tasks,
        head_dropout=0.5,
        weighting=arm.weighting,
        cooperation=arm.cooperation,
        projection=32,
        distillation="cooperative" if arm.distillation == "cooperative" else "none",
        label_weight=0.9 if arm.distillation != "none" else 1.0,
        teacher_weight=0.1 * 2.5**2 if arm.distillation != "none" else 0.0,
        blocks=SECONDS * STEPS // 5,
    )
    return Described(replace(config, **changes))


def learned(model: nn.Module, data: Streams, rows: np.ndarray, seed: int, steps: int) -> None:
    """AdamW along a cosine over batches drawn by the seed."""
    random = np.random.default_rng(seed)
    modalities = model.config.modalities
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], RATE, weight_decay=DECAY)
    model.train()
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = (
            RATE * min(1.0, (step + 1) / 20) * 0.5 * (1 + math.cos(math.pi * step / steps))
        )
        loss, _ = model.loss(data.batch(random.choice(rows, BATCH), modalities))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()


def foretelling(arm: Arm, home: Home, data: Streams, rows: np.ndarray, seed: int, steps: int) -> Described:
    """A model that has learned, without labels, what comes next."""
    model = built(replace(arm, cooperation=0.0), home, seed, stage="predict")
    learned(model, data, rows, seed, min(steps, FORETOLD))
    return model


@torch.no_grad()
def adopted(model: nn.Module, other: nn.Module) -> None:
    """Take every weight that both have."""
    own = model.state_dict()
    shared = {name: value for name, value in other.state_dict().items() if name in own}
    model.load_state_dict(own | shared)


def asked(home: Home, split: Split) -> np.ndarray:
    """Clips that are asked about: every other second of the test people."""
    return np.flatnonzero(split.test & (home.activity >= 0) & (home.start_s % ASKED_EVERY == 0))


@torch.no_grad()
def answers(model: nn.Module, data: Streams, rows: np.ndarray) -> dict[str, np.ndarray]:
    """The model's `predict` of the clips."""
    model.eval()
    parts = [
        model.predict(data.batch(some, model.config.modalities)) for some in np.array_split(rows, -(-len(rows) // 128))
    ]
    return {name: torch.cat([part[name] for part in parts]).numpy() for name in parts[0]}


def together(readings: Mapping[str, np.ndarray], names: Sequence[str], task: str) -> np.ndarray:
    """What several streams say: the mean over those that a clip has."""
    present = np.stack([readings[f"{name}.present"] for name in names]).sum(0)
    total = np.stack([readings[f"{name}.{task}"] for name in names]).sum(0)
    return np.asarray(total / np.maximum(present, 1)[:, None])


def _measured(
    arm: Arm, home: Home, split: Split, readings: Mapping[str, np.ndarray]
) -> Iterator[tuple[str, dict[str, list[float | None]]]]:
    rows = asked(home, split)
    weights = session_weights(home.session[rows], split.number)
    reads = [(name,) for name in arm.modalities]
    reads += [names for names in TOGETHER if set(names) <= set(arm.modalities)]
    for names in reads:
        found: dict[str, np.ndarray] = {}
        if "activity" in arm.tasks:
            found |= activity_scores(together(readings, names, "activity"), home.activity[rows], weights)
        if "atomic" in arm.tasks:
            found |= action_scores(together(readings, names, "atomic"), home.atomic[rows], weights)
        yield "+".join(names), rounded(found)


def _taught(
    arm: Arm, home: Home, data: Streams, rows: np.ndarray, split: Split, seed: int, steps: int
) -> tuple[dict[str, np.ndarray], int]:
    """Each stream taught by the others, which stay as they were trained alone."""
    teachers = built(replace(arm, distillation="none"), home, seed)
    learned(teachers, data, rows, seed, steps)
    readings: dict[str, np.ndarray] = {}
    for name in arm.modalities:
        student = built(arm, home, seed, distillation="static", students=(name,))
        own = student.state_dict()
        taken = {k: v for k, v in teachers.state_dict().items() if k in own and not k.startswith(f"towers.{name}.")}
        student.load_state_dict(own | taken)
        learned(student, data, rows, seed, steps)
        found = answers(student, data, asked(home, split))
        readings |= {key: value for key, value in found.items() if key.startswith(f"{name}.")}
    return readings, size_of(teachers)


def _few(
    arm: Arm, home: Home, split: Split, data: Streams, learn_from: np.ndarray, seed: int, steps: int
) -> dict[str, object]:
    """Some activities are held out; a linear layer learns them from k clips of the frozen model's contexts."""
    novel = novel_classes(len(home.activities), min(NOVEL, len(home.activities) - 1))
    model = built(arm, home, seed)
    learned(model, data, np.flatnonzero(learn_from & ~np.isin(home.activity, novel)), seed, steps)
    known = np.flatnonzero(learn_from), asked(home, split)
    contexts = [answers(model, data, rows) for rows in known]
    found: dict[str, dict[str, list[float]]] = {}
    for names in (*((n,) for n in arm.modalities), arm.modalities):
        parts = [
            Features(np.concatenate([c[f"{n}.context"] for n in names], axis=1), home.activity[r], home.atomic[r])
            for c, r in zip(contexts, known, strict=True)
        ]
        scores = few_shot(parts[0], parts[1], novel, SHOTS)
        found["+".join(names)] = {f"top1_{s.shots}": [float(s.top1.mean())] for s in scores}
        found["+".join(names)] |= {f"map_{s.shots}": [float(s.mean_ap.mean())] for s in scores}
    return {"reads": found, "parameters": size_of(model), "novel": [home.activities[c] for c in novel]}


def described(home: Home, split: Split) -> dict[str, object]:
    """What a run's file says of the dataset, and what blind guessing reaches on the split's test clips."""
    return {
        "chance": chances(home, split),
        "sessions": len(set(home.session.tolist())),
        "people": len(set(home.person.tolist())),
        "activities": list(home.activities),
        "actions": len(home.actions),
    }


def chances(home: Home, split: Split) -> dict[str, float]:
    """What blind guessing reaches on a split's test clips."""
    rows = asked(home, split)
    weights = np.ones((1, len(rows)))
    blind = action_scores(np.zeros((len(rows), len(home.actions))), home.atomic[rows], weights)
    top = {f"top{k}": min(1.0, k / len(home.activities)) for k in (1, 3)}
    return top | {name: float(value[0]) for name, value in blind.items()}
