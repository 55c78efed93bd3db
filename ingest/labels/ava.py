"""AVA's csv (Gu et al., CVPR 2018): at whole seconds of a film, who does what in which box.

A row is ``video, second, x1, y1, x2, y2, action id, person id``, or with a score in the last place, as detectors write;
corners are fractions of the picture. What the ids mean is in a label map (``.pbtxt``); seconds that nobody could judge
are in a second csv (``video, second``). A box is of its moment, an action of the second around it: [s - 0.5, s + 0.5).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from firmware_host.errors import SessionError, unknown_name
from ingest.labels.label import SECOND_NS, Box, Label, in_order, of_seconds
from recorder import durable

ATOMIC, PERSON, EXCLUDED = "atomic", "person", "excluded"
ACTS = (ATOMIC, "action")
"""Tiers whose intervals say what the person in a box of tier `person` does."""
REACH_NS = SECOND_NS // 50
"""A box of a moment is one of a keyframe where it is no further from it: about half a frame."""
_ITEM = re.compile(r"item\s*\{(.*?)\}", re.S)
_FIELD = re.compile(r"(\w+):\s*(?:\"((?:[^\"\\]|\\.)*)\"|'([^']*)'|(-?\d+))")


def map_of(path: Path) -> Path:
    """Where the label map of a csv is written."""
    return path.with_suffix(".pbtxt")


def excluded_of(path: Path) -> Path:
    """Where the excluded seconds of a csv are written."""
    return path.with_name(f"{path.stem}_excluded_timestamps.csv")


def read_map(path: Path) -> dict[int, str]:
    """A label map: id -> name; it may say ``id`` or ``label_id``.

    Raises:
        SessionError: it holds no item with a name and an id.
    """
    names = {}
    for item in _ITEM.findall(path.read_text(encoding="utf-8")):
        fields = {key: quoted or single or number for key, quoted, single, number in _FIELD.findall(item)}
        number = fields.get("id") or fields.get("label_id")
        if number and "name" in fields:
            names[int(number)] = re.sub(r"\\(.)", r"\1", fields["name"])
    if not names:
        raise SessionError(f"{path} holds no 'item {{ name: ... id: ... }}'; give AVA's label map")
    return names


def read(path: Path, names: Mapping[int, str], video: str | None = None, excluded: Path | None = None) -> list[Label]:
    """Rows of one video, in the time of its film: a box of tier `person`, and what is done in it of tier `atomic`.

    Args:
        names: the label map.
        video: which video's rows; None where the file has those of one.
        excluded: a csv of excluded seconds, which become labels of tier `excluded`.

    Returns:
        labels; the actor is the person id, or where a row has none one for each box, ``SECOND.NUMBER``.

    Raises:
        SessionError: a row that is none, an id without a name, rows of several videos and no `video`.
    """
    rows = list(_rows(path))
    videos = {row[0] for _, row in rows}
    if video is None and len(videos) > 1:
        raise SessionError(f"{path} has rows of {len(videos)} videos; say which is meant")
    if video is not None and video not in videos:
        raise SessionError(f"{path}: {unknown_name('video', video, videos)}")
    labels: list[Label] = []
    strangers: dict[tuple[str, ...], str] = {}
    for line, row in rows:
        if video in (None, row[0]) and row[2]:
            labels += _labels(path, line, row, names, strangers)
    for _, row in _rows(excluded) if excluded else ():
        if row[0] == (video or next(iter(videos), row[0])):
            labels.append(Label(EXCLUDED, *_around(float(row[1])), EXCLUDED))
    return in_order(dict.fromkeys(labels))


def write(labels: Iterable[Label], path: Path, video: str, names: Mapping[int, str] | None = None) -> list[Label]:
    """Write the csv, its label map, and where there are any its excluded seconds.

    A boxed label gives a row at each whole second in it, or next to it if it is a moment. In tier `person` it takes the
    actions of its actor from the tiers `ACTS`; in any other its value is the action.

    Args:
        labels: in the film's time.
        names: the label map; None for one of the actions that occur, from 1 in alphabetical order.

    Returns:
        labels that gave no row: no whole second of the film in them, nobody's box around them, or not in `names`.
    """
    every = in_order(labels)
    ids = {name: number for number, name in (names or _numbered(every)).items()}
    people = _people(every)
    acts = {a: [n for n in every if n.tier in ACTS and not n.box and n.actor == a] for a in people}
    rows, used = set(), set()
    for label in every:
        for second, act in _acts(label, acts[label.actor]) if label.box else ():
            if act.value in ids:
                used |= {label, act}
                rows.add((second, people[label.actor], label.box, ids[act.value]))
    seconds = [s for n in every if n.tier == EXCLUDED and not n.box for s in _seconds(n)]
    _write(path, ((video, f"{s:04d}", *_corners(box), act, who) for s, who, box, act in sorted(rows)))
    if seconds:
        _write(excluded_of(path), ((video, f"{s:04d}") for s in sorted(set(seconds))))
    items = (f'item {{\n  name: "{_escaped(name)}"\n  id: {number}\n}}\n' for name, number in ids.items())
    durable.write_bytes(map_of(path), "".join(items).encode())
    return [n for n in every if n not in used and not (n.tier == EXCLUDED and not n.box and _seconds(n))]


def _acts(label: Label, own: Sequence[Label]) -> Iterator[tuple[int, Label]]:
    """At each whole second in a boxed label, what is done in it; `own` are the acts of its actor."""
    for second in _seconds(label):
        now = second * SECOND_NS
        for act in [n for n in own if n.t0_ns <= now < n.t1_ns] if label.tier == PERSON else [label]:
            yield second, act


def _seconds(label: Label) -> range:
    """Whole seconds of the film in a label; of a moment that which is next to it, if near enough."""
    if label.t0_ns == label.t1_ns:
        nearest = (label.t0_ns + SECOND_NS // 2) // SECOND_NS
        near = abs(label.t0_ns - nearest * SECOND_NS) <= REACH_NS
        return range(max(0, nearest), nearest + 1) if near else range(0)
    return range(max(0, -(-label.t0_ns // SECOND_NS)), -(-label.t1_ns // SECOND_NS))


def _people(labels: Sequence[Label]) -> dict[str | None, int]:
    """Person ids: an actor that is a number keeps it, others follow in alphabetical order, nobody is -1."""
    actors = sorted({n.actor for n in labels if n.actor})
    numbers: dict[str | None, int] = {a: int(a) for a in actors if a.isdecimal() and a.isascii()}
    first = max([-1, *numbers.values()]) + 1
    others = [a for a in actors if a not in numbers]
    return {**numbers, **{a: first + i for i, a in enumerate(others)}, None: -1}


def _numbered(labels: Sequence[Label]) -> dict[int, str]:
    boxed = {n.value for n in labels if n.box and n.tier != PERSON}
    return dict(enumerate(sorted(boxed | {n.value for n in labels if not n.box and n.tier in ACTS}), start=1))


def _labels(
    path: Path, line: int, row: list[str], names: Mapping[int, str], strangers: dict[tuple[str, ...], str]
) -> Iterator[Label]:
    """The box of a row and what is done in it; `strangers` are the boxes without a person id so far."""
    try:
        x1, y1, x2, y2 = (float(c) for c in row[2:6])
        action, last = row[6], row[7] if len(row) > 7 else ""
        scored = bool(last) and not re.fullmatch(r"-?\d+", last)
        actor = last
        if scored or last in ("", "-1"):
            number = sum(key[0] == row[1] for key in strangers) + 1
            actor = strangers.setdefault((row[1], *row[2:6]), f"{row[1]}.{number}")
        sure = float(last) if scored else None
        moment = of_seconds(float(row[1]))
        box: Box = (x1, y1, x2, y2)
        yield Label(PERSON, moment, moment, PERSON, actor, box, None if action else sure)
        if action:
            if int(action) not in names:
                raise ValueError(f"action id {action} is not in the label map")
            yield Label(ATOMIC, *_around(float(row[1])), names[int(action)], actor, None, sure)
    except (ValueError, IndexError) as error:
        raise SessionError(f"{path} line {line}: {error}; mend or remove the row") from error


def _around(second: float) -> tuple[int, int]:
    middle = of_seconds(second)
    return middle - SECOND_NS // 2, middle + SECOND_NS // 2


def _corners(box: Box | None) -> list[str]:
    return [f"{c:.6f}" for c in box or ()]


def _escaped(name: str) -> str:
    return name.replace("\\", "\\\\").replace('"', '\\"')


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    with path.open(newline="", encoding="utf-8") as file:
        try:
            rows = [row for row in enumerate(csv.reader(file), start=1) if row[1]]
        except (UnicodeDecodeError, csv.Error) as error:
            raise SessionError(f"{path} cannot be read as csv ({error}); save it as UTF-8 text") from error
    for line, row in rows:
        if len(row) < 2:
            raise SessionError(f"{path} line {line} has no second; a row begins with video and second")
        yield line, [*row, *[""] * (7 - len(row))]


def _write(path: Path, rows: Iterable[Sequence[object]]) -> None:
    with durable.replacing(path) as scratch, scratch.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
