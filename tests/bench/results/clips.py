"""A dataset as arrays, made once: what four seconds of every stream are, and what is done in them.

Each second of a session is read once (its pictures described by `pictures`, its sound in 32 bands of tenths of a
second); a clip is four of them, beginning at every second. One file a session, so that a stopped command goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from firmware_host.clock import SECOND_NS
from ingest.anchors import anchors
from ingest.ask import ACTIVITY, ATOMIC, Ask
from ingest.cache import FrameReader
from ingest.dataset import Dataset, open_dataset
from ingest.splits import SPLITS
from ingest.view import SessionView
from recorder import durable
from tests.bench.results import pictures

STREAMS = ("ego", "third", "audio", "environment", "thermal", "imu")
VIEWS = ("ego", "third")
STEPS, STEP_NS, SECONDS = 10, SECOND_NS // 10, 4
BLOCK = 5
SIZE, CELLS = 64, 8
SOUND_ROWS, BANDS = 86, 32


@dataclass(frozen=True)
class Home:
    """Clips of a dataset, all splits together.

    Attributes:
        streams: name -> (K, seconds * parts, ...), of each of the K clips.
        valid: name -> bool of a prefix of that shape.
        activity: (K,) int64, -1 unknown.
        atomic: (K, A) of 0 and 1, fine actions that at least `least` people did.
        graph: (K, 1, O, R) bool.
        session, person: (K,) text.
        start_s: (K,) int64, which second of its session a clip begins with.
        activities, actions: names.
    """

    streams: dict[str, np.ndarray]
    valid: dict[str, np.ndarray]
    activity: np.ndarray
    atomic: np.ndarray
    graph: np.ndarray
    session: np.ndarray
    person: np.ndarray
    start_s: np.ndarray
    activities: tuple[str, ...]
    actions: tuple[str, ...]


def asks() -> tuple[Ask, Ask]:
    """For the streams of one second, and for the labels of a clip; clips of both begin at the same moments."""
    second = Ask(STREAMS, frames=STEPS, step_ns=STEP_NS, size=SIZE, audio_rows=SOUND_ROWS, audio_role="third")
    return second, Ask((*VIEWS, ACTIVITY, ATOMIC, "graph"), frames=SECONDS * STEPS, step_ns=STEP_NS)


def sessions_of(dataset: Dataset) -> list[str]:
    """Every session, whatever its split: the splits by person are made here."""
    return sorted(name for split in SPLITS for name in dataset.sessions(split))


def describe(data: str, session: str, folder: Path) -> None:
    """Write `folder`/SESSION.npz, unless it is there."""
    path = folder / f"{session}.npz"
    if path.exists():
        return
    dataset, reader = open_dataset(data), FrameReader()
    second, clip = asks()
    views = [SessionView(dataset, session, ask) for ask in (second, clip)]
    begins = [anchors(dataset.rows, session, ask)[0].tolist() for ask in (second, clip)]
    arrays: dict[str, np.ndarray] = {}
    units = [unit(views[0].clip(reader, t, -1)) for t in begins[0]]
    known = [views[1].labels(t, -1) for t in begins[1]]
    for key in units[0] if units else ():
        arrays[key] = np.stack([u[key] for u in units])
    for key in ("activity", "atomic"):
        arrays[key] = np.array([k[key] for k in known])
    arrays["graph"] = np.array([k["graph"].any(0) for k in known])
    arrays["person"] = np.array(views[1].focus or "")
    with durable.replacing(path) as scratch, scratch.open("wb") as file:
        np.savez_compressed(file, **arrays)


def unit(item: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """One second of every stream."""
    out = {}
    for view in VIEWS:
        cells = pictures.blocked(pictures.described(item[view], CELLS), BLOCK)
        out[view] = pictures.folded(cells).astype(np.float16)  # (2, 64, 4, 4)
        out[f"{view}_valid"] = item[f"{view}_valid"].reshape(-1, BLOCK).all(axis=1)
    bands = item["audio"].reshape(BANDS, -1, SOUND_ROWS).mean(axis=1)  # (32, 86)
    parts = np.array_split(np.arange(SOUND_ROWS), STEPS)
    sound = [np.concatenate([bands[:, p].mean(axis=1), bands[:, p].max(axis=1)]) for p in parts]
    out["audio"] = np.stack(sound).astype(np.float16)  # (10, 64)
    out["audio_valid"] = np.array([item["audio_valid"][p].all() for p in parts])
    return out | {key: item[key] for name in STREAMS[3:] for key in (name, f"{name}_valid")}


def read_home(data: str, folder: Path) -> Home:
    """Put the sessions' files together: a clip is `SECONDS` seconds in a row."""
    dataset = open_dataset(data)
    parts = list(_sessions(folder, sessions_of(dataset)))
    words = dataset.info["vocabulary"]
    atomic = np.concatenate([p["atomic"] for p in parts])
    person = np.concatenate([p["person"] for p in parts])
    kept = [k for k in range(atomic.shape[1]) if len(set(person[atomic[:, k] > 0])) >= least(person)]
    return Home(
        {name: np.concatenate([p[name] for p in parts]) for name in STREAMS},
        {name: np.concatenate([p[f"{name}_valid"] for p in parts]) for name in STREAMS},
        np.concatenate([p["activity"] for p in parts]),
        atomic[:, kept].astype(np.float32),
        np.concatenate([p["graph"] for p in parts])[:, None],
        np.concatenate([p["session"] for p in parts]),
        person,
        np.concatenate([p["start_s"] for p in parts]),
        tuple(words.get(ACTIVITY, ())),
        tuple(words[ATOMIC][k] for k in kept),
    )


def least(person: np.ndarray) -> int:
    """How many people must have done an action for it to be a class: some to learn from, others to be asked about."""
    return max(2, 2 * len(set(person.tolist())) // 3)


def _sessions(folder: Path, names: list[str]) -> Iterator[dict[str, np.ndarray]]:
    for name in names:
        with np.load(folder / f"{name}.npz") as packed:
            held = {key: packed[key] for key in packed.files}
        count = len(held["activity"])
        rows = np.arange(count)[:, None] + np.arange(SECONDS)
        clips = {key: held[key][rows] for s in STREAMS for key in (s, f"{s}_valid")}  # (K, 4, parts, ...)
        yield {
            **{key: value.reshape(count, -1, *value.shape[3:]) for key, value in clips.items()},
            **{key: held[key] for key in ("activity", "atomic", "graph")},
            "session": np.full(count, name),
            "person": np.full(count, str(held["person"])),
            "start_s": rows[:, 0],
        }
