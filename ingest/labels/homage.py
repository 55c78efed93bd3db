"""HOMAGE's folders (Rai et al., CVPR 2021): what a recording is of, what is done in it, and its scene graphs.

    list_with_activity_labels/{train,val,test}_list.csv          p0030_r003_a002,activity
    annotation_files/atomic_actions/p0030/p0030_r003_a002__aa.json   frame_start, frame_end, class, action_length
    annotation_files/scene_graphs/p0030/p0030_r003_a002__sg.csv      our own columns, see GRAPH
    {train,val,test}_split.csv, {train,val,test}_split_atomic.csv    path, first, last, label, and again for each view

The first two are as the authors' public code reads them; the last as it writes them for its training, read where the
first two say nothing. Frames count from 0 and both ends are in the action. No file of their scene graphs is public, so
that is our own table of what the paper describes: at frames sampled evenly over each action, which object is in which
relation to the person, and both boxes. In tiers: `activity`, `atomic`, `relation`
(value ``relation:object``), `person` and `object` (boxes).
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from firmware_host.errors import SessionError
from ingest.labels.label import SECOND_NS, Box, Label, in_order
from recorder import durable

ACTIVITY, ATOMIC, RELATION, PERSON, OBJECT = "activity", "atomic", "relation", "person", "object"
LISTS, ACTIONS, GRAPHS = "list_with_activity_labels", "annotation_files/atomic_actions", "annotation_files/scene_graphs"
_CORNERS = ("x1", "y1", "x2", "y2")
GRAPH = (
    "frame",
    "person",
    "relation",
    "object",
    *(f"person_{c}" for c in _CORNERS),
    *(f"object_{c}" for c in _CORNERS),
)
LONG_NS, LONG_SAMPLES, SHORT_SAMPLES = 2 * SECOND_NS, 5, 3
"""The paper samples 3 or 5 frames an action and does not say when which: here 5 from two seconds on."""


def read(root: Path, name: str, frames_ns: np.ndarray) -> list[Label]:
    """What the folders say of one recording, in the time of its film.

    Args:
        root: the folder that holds `LISTS` and the others.
        name: ``p0030_r003_a002``: person, run and activity.
        frames_ns: (N,) int64, when each frame of the film is shown.

    Raises:
        SessionError: nothing is said of it, or a file is not what it should be.
    """
    person = name.split("_")[0]
    labels = []
    try:
        for path in sorted((root / LISTS).glob("*.csv")):
            rows = [row for row in _rows(path) if row[0] == name]
            labels += [Label(ACTIVITY, *_frames(frames_ns, 0, len(frames_ns) - 1), row[1], person) for row in rows]
        path = _action_file(root, name)
        for action in json.loads(path.read_text(encoding="utf-8")) if path.is_file() else ():
            span = _frames(frames_ns, int(action["frame_start"]), int(action["frame_end"]))
            labels.append(Label(ATOMIC, *span, action["class"], person))
        for tier, path in () if labels else _splits(root):
            labels += _split(path, name, tier, frames_ns)
        path = _graph_file(root, name)
        labels += _read_graph(path, frames_ns) if path.is_file() else []
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise SessionError(f"{path}: {error}; mend it or take the folder as it was published") from error
    if not labels:
        raise SessionError(f"{root} says nothing of {name}; names are like p0030_r003_a002")
    return in_order(dict.fromkeys(labels))


def write(labels: Iterable[Label], root: Path, name: str, frames_ns: np.ndarray, split: str = "train") -> list[Label]:
    """Add one recording to the folders, or replace what they say of it.

    Args:
        labels: in the film's time.
        split: in which list its activity goes: train, val or test.

    Returns:
        labels that the folders cannot hold: of other tiers, activities after the first, and relations and boxes at no
        sampled frame.
    """
    every = in_order(labels)
    activities = [n for n in every if n.tier == ACTIVITY]
    atomic = [n for n in every if n.tier == ATOMIC and not n.box]
    used: set[Label] = {*activities[:1], *atomic}
    for number in ("train", "val", "test"):
        path = root / LISTS / f"{number}_list.csv"
        kept = [row for row in _rows(path) if row[0] != name] if path.is_file() else []
        _write(path, [*kept, *([[name, activities[0].value]] if activities and number == split else [])])
    actions = []
    for label in atomic:
        first, last = _span(label, frames_ns)
        actions.append(
            {"frame_start": first, "frame_end": last, "class": label.value, "action_length": last - first + 1}
        )
    path = _action_file(root, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    durable.write_json(path, actions)
    rows = list(_graph_rows(every, _sampled(atomic, frames_ns), frames_ns, used))
    _write(_graph_file(root, name), [list(GRAPH), *rows])
    return [n for n in every if n not in used]


def sampled(first: int, last: int, count: int) -> list[int]:
    """`count` frames spread evenly over first to last, both in it: the middles of as many equal parts."""
    length = last - first + 1
    return sorted({first + (2 * k + 1) * length // (2 * count) for k in range(count)})


def _sampled(atomic: Sequence[Label], frames_ns: np.ndarray) -> list[int]:
    found: set[int] = set()
    for label in atomic:
        count = LONG_SAMPLES if label.t1_ns - label.t0_ns >= LONG_NS else SHORT_SAMPLES
        found |= set(sampled(*_span(label, frames_ns), count))
    return sorted(found)


def _graph_rows(
    labels: Sequence[Label], frames: Sequence[int], frames_ns: np.ndarray, used: set[Label]
) -> Iterator[list[Any]]:
    """Rows of the scene graphs; adds to `used` what they hold."""
    kinds = [n for n in labels if n.tier in (RELATION, PERSON, OBJECT)]
    for frame in frames:
        now = [n for n in kinds if _shown(n, int(frames_ns[frame]))]
        boxes = {(n.tier, n.actor if n.tier == PERSON else n.value): n for n in now if n.box and n.tier != RELATION}
        for label in (n for n in now if n.tier == RELATION):
            relation, _, thing = label.value.partition(":")
            person, other = boxes.get((PERSON, label.actor)), boxes.get((OBJECT, thing))
            used |= {label} | ({person} if person else set()) | ({other} if other else set())
            corners = [
                *(person.box if person and person.box else [""] * 4),
                *(other.box if other and other.box else [""] * 4),
            ]
            yield [frame, label.actor or "", relation, thing, *corners]


def _shown(label: Label, now_ns: int) -> bool:
    return label.t0_ns <= now_ns < max(label.t1_ns, label.t0_ns + 1)


def _read_graph(path: Path, frames_ns: np.ndarray) -> Iterator[Label]:
    """A relation or a box at a sampled frame lasts as long as that frame is shown."""
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            span = _frames(frames_ns, int(row["frame"]), int(row["frame"]))
            who = row["person"] or None
            yield Label(RELATION, *span, f"{row['relation']}:{row['object']}", who)
            for tier, value, actor in ((PERSON, PERSON, who), (OBJECT, row["object"], None)):
                box = _box(row, tier)
                if box:
                    yield Label(tier, *span, value, actor, box)


def _splits(root: Path) -> Iterator[tuple[str, Path]]:
    for split in ("train", "val", "test"):
        for tier, file in ((ACTIVITY, f"{split}_split.csv"), (ATOMIC, f"{split}_split_atomic.csv")):
            if (root / file).is_file():
                yield tier, root / file


def _split(path: Path, name: str, tier: str, frames_ns: np.ndarray) -> Iterator[Label]:
    """Rows of four columns a view; all views of one row say the same, so the first is taken."""
    for row in _rows(path):
        person, run, _, activity = row[0].rstrip("/").rsplit("/", 1)[-1].split("_")
        if f"{person}_{run}_{activity}" == name:
            yield Label(tier, *_frames(frames_ns, int(row[1]), int(row[2])), row[3], person)


def _box(row: dict[str, str], whose: str) -> Box | None:
    corners = [row[f"{whose}_{c}"] for c in _CORNERS]
    x1, y1, x2, y2 = (float(c) if c else 0.0 for c in corners)
    return (x1, y1, x2, y2) if all(corners) else None


def _frames(frames_ns: np.ndarray, first: int, last: int) -> tuple[int, int]:
    """From when `first` is shown until what comes after `last` is."""
    if not 0 <= first <= last < len(frames_ns):
        raise ValueError(f"frames {first} to {last} are not in the film of {len(frames_ns)} frames")
    return int(frames_ns[first]), end_ns(frames_ns, last)


def end_ns(frames_ns: np.ndarray, frame: int) -> int:
    """When a frame is no longer shown; the last one lasts as long as one usually does."""
    if frame + 1 < len(frames_ns):
        return int(frames_ns[frame + 1])
    return int(frames_ns[frame]) + (int(np.median(np.diff(frames_ns))) if len(frames_ns) > 1 else 0)


def _span(label: Label, frames_ns: np.ndarray) -> tuple[int, int]:
    """First and last frame of a label: those shown nearest to its ends."""
    edges = np.append(frames_ns, end_ns(frames_ns, len(frames_ns) - 1))
    first, stop = (int(np.abs(edges - t).argmin()) for t in (label.t0_ns, label.t1_ns))
    first = min(first, len(frames_ns) - 1)
    return first, max(first, stop - 1)


def _action_file(root: Path, name: str) -> Path:
    return root / ACTIONS / name.split("_")[0] / f"{name}__aa.json"


def _graph_file(root: Path, name: str) -> Path:
    return root / GRAPHS / name.split("_")[0] / f"{name}__sg.csv"


def _rows(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return [row for row in csv.reader(file) if row]


def _write(path: Path, rows: Iterable[Sequence[Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with durable.replacing(path) as scratch, scratch.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
