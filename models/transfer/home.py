"""The simulated home written in the five layouts: who knows what every pixel shows can set all five tasks.

    scene      the room in which the wearer stands, from the head camera
    action     clips of the head camera while the wearer's hands do what changes something (the paper's nine verbs;
               nobody peels in this home)
    dynamics   a thing in its box in the room camera's picture: moving left, right, up or down in it, or still; of those
               that are still, no more of a session than move in it
    walkable   which pixels of the head camera show a floor to walk on
    depth      how far every pixel of the head camera is

Needs sessions that were recorded with ``--truth-video``. People are held out whole, as in every dataset here.
"""

from __future__ import annotations

import csv
import json
import shutil
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from firmware_host.clock import SECOND_NS
from firmware_host.clockmap import ClockMap
from firmware_host.errors import SessionError
from ingest.splits import assign
from models.transfer.layouts import SURFACES, TASKS
from recorder.demux import video_frames
from recorder.samples import frame_times_ns
from recorder.session import Device, Session, open_session

VERBS = {
    "pick_up": "take", "take_out": "take", "put_down": "put", "put_in": "put", "open": "open", "close": "close",
    "scrub": "wash", "rinse": "wash", "wipe": "wash", "cut": "cut", "stir": "mix", "knead": "mix", "pour": "pour",
}  # fmt: skip
"""How the home's verbs begin -> the paper's."""
FLOOR = "floor"
CLIP_FRAMES = 5
SHORTEST_NS = SECOND_NS // 2
NEAR_NS = SECOND_NS // 25
PICTURE_EVERY = 5  # of the truth's frames, which are five a second
OBJECT_EVERY = 2
LEAST_SHARE = 0.0005  # of the picture's pixels, for an object to be asked about
STILL = "still"
STILL_SHARE = 0.03  # of the picture's width a second; slower is still

Asked = tuple[int, tuple[int, int, int, int], str]
"""Row of the truth's pixels, box (x1, y1, x2, y2), class."""


@dataclass(frozen=True)
class Home:
    """One simulated session, opened.

    Attributes:
        session: its manifest.
        truth: `truth.json`.
        split: where its person belongs.
    """

    session: Session
    truth: Mapping[str, Any]
    split: str

    @property
    def wearer(self) -> str:
        """Who wears the camera."""
        return str(self.truth["plan"]["participant"])

    def device(self, role: str) -> Device:
        """The first device of a role that has pictures."""
        for device in self.session.devices:
            if device.role == role and device.of_kind("video"):
                return device
        raise SessionError(f"{self.session.root} has no '{role}' camera; it cannot be exported")

    def pixels(self, camera: str) -> dict[str, np.ndarray]:
        """`truth-video/CAMERA.npz`."""
        path = self.session.root / "truth-video" / f"{camera}.npz"
        try:
            with np.load(path, allow_pickle=False) as packed:
                return {name: packed[name] for name in packed.files}
        except FileNotFoundError as error:
            raise SessionError(f"{path} does not exist; record the session with --truth-video") from error
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise SessionError(f"{path} cannot be read ({error}); record the session again") from error

    def pictures(self, device: Device, at_ns: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """For moments (N,) of world time in rising order: (which, RGB picture), without moments of no frame."""
        maps = {m["source"]: ClockMap.from_json(m) for m in self.truth["clock_maps"]}
        taken = maps[device.clock].forward(frame_times_ns(self.session, device))
        nearest = np.clip(np.searchsorted(taken, at_ns), 1, len(taken) - 1)
        nearest -= (at_ns - taken[nearest - 1]) < (taken[nearest] - at_ns)
        wanted: dict[int, list[int]] = {}
        for moment in np.flatnonzero(np.abs(taken[nearest] - at_ns) <= NEAR_NS).tolist():
            wanted.setdefault(int(nearest[moment]), []).append(moment)
        for index, _, image in video_frames(self.session.path(device.file), pixels="rgb24"):
            for moment in wanted.get(index, ()):
                yield moment, image


def export(sessions: Sequence[Path], out: Path, done: Callable[[float], None] = lambda _: None) -> dict[str, Any]:
    """Write the layouts; returns how many examples each split of each task has.

    Args:
        sessions: session folders.
        out: the folder to make.
        done: told 1 after each session.

    Raises:
        SessionError: a folder that is no simulated session, or one without ``--truth-video``; `out` holds something.
    """
    if out.exists() and any(out.iterdir()):
        raise SessionError(f"{out} exists; name another folder with --out")
    homes, part = opened(sessions), out.with_name(f".{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # what an export that was killed has left
    try:
        counts = _write_all(homes, part, done)
        if out.exists():
            out.rmdir()
        part.rename(out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return {"out": str(out), "sessions": len(homes), "examples": counts}


def _write_all(homes: list[Home], out: Path, done: Callable[[float], None]) -> dict[str, dict[str, int]]:
    counts = {task: dict.fromkeys(("train", "val", "test"), 0) for task in TASKS}
    known = {verb for home in homes if home.split == "train" for *_, verb in actions(home)}
    boxes: dict[str, list[dict[str, Any]]] = {"train": [], "val": [], "test": []}
    for home in homes:
        for task, number in (
            *_head_pictures(home, out),
            ("action", _clips(home, out, known)),
            ("dynamics", _objects(home, out, boxes[home.split])),
        ):
            counts[task][home.split] += number
        done(1)
    for split, rows in boxes.items():
        _write_boxes(out / "dynamics" / f"{split}.csv", rows)
    return counts


def opened(sessions: Sequence[Path]) -> list[Home]:
    """The sessions with their truth and the split of their people."""
    found: list[tuple[Session, Any]] = []
    for folder in sessions:
        session = open_session(folder)
        path = folder / "truth.json"
        if not path.is_file():
            raise SessionError(f"{folder} is no simulated session: it has no truth.json")
        try:
            found.append((session, json.loads(path.read_text(encoding="utf-8"))))
        except ValueError as error:
            raise SessionError(f"{path} cannot be read ({error}); record the session again") from error
    twice = [name for name, number in Counter(session.id for session, _ in found).items() if number > 1]
    if twice:
        raise SessionError(f"two sessions are called '{twice[0]}'; give folders whose names differ")
    split = assign({session.id: truth["people"] for session, truth in found})
    return [Home(session, truth, split[truth["people"][0]]) for session, truth in found]


def actions(home: Home) -> list[tuple[int, int, str]]:
    """(t0_ns, t1_ns, verb) of the wearer's actions that change something, of half a second or longer."""
    rows = []
    for label in home.truth["labels"]:
        verb = next((v for start, v in VERBS.items() if f"{label['value']}_".startswith(f"{start}_")), None)
        long = label["t1_ns"] - label["t0_ns"] >= SHORTEST_NS
        if label["tier"] == "atomic" and label["actor"] == home.wearer and verb and long:
            rows.append((label["t0_ns"], label["t1_ns"], verb))
    return rows


def heading(moved_px: np.ndarray, width: int) -> str:
    """What a movement (x, y) in px/s is called in a picture `width` px wide."""
    x, y = moved_px
    if max(abs(x), abs(y)) < STILL_SHARE * width:
        return STILL
    if abs(x) >= abs(y):
        return "right" if x > 0 else "left"
    return "down" if y > 0 else "up"


def box_of(seen: np.ndarray) -> tuple[int, int, int, int] | None:
    """(x1, y1, x2, y2) around the True pixels of (H, W); None where they are too few."""
    if seen.sum() < LEAST_SHARE * seen.size:
        return None
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _head_pictures(home: Home, out: Path) -> list[tuple[str, int]]:
    pixels = home.pixels("head")
    moments = np.arange(0, len(pixels["t_ns"]), PICTURE_EVERY)
    floor = pixels["classes"].tolist().index(FLOOR)
    rooms = [r for r in home.truth["relations"] if r[:2] == [home.wearer, "in_room"]]
    numbers = dict.fromkeys(("scene", "walkable", "depth"), 0)
    for which, image in home.pictures(home.device("ego"), pixels["t_ns"][moments]):
        at, name = moments[which], f"{home.session.id}__{which:04d}"
        room = next((r[2] for r in rooms if r[3] <= pixels["t_ns"][at] < r[4]), None)
        if room is not None:
            _write(out / "scene" / home.split / room.replace(" ", "_") / f"{name}.jpg", image)
            numbers["scene"] += 1
        mask = np.where(pixels["seen"][at] == floor, 255, 0).astype(np.uint8)
        for task, surface in (("walkable", mask), ("depth", pixels["depth_mm"][at])):
            _write(out / task / home.split / f"{name}.jpg", image)
            _write(out / task / home.split / (name + SURFACES[task]), surface)
            numbers[task] += 1
    return list(numbers.items())


def _clips(home: Home, out: Path, known: set[str]) -> int:
    found = [row for row in actions(home) if row[2] in known]
    moments = [(t0 + (t1 - t0) * (2 * k + 1) // (2 * CLIP_FRAMES), n, k)
               for n, (t0, t1, _) in enumerate(found) for k in range(CLIP_FRAMES)]  # fmt: skip
    moments.sort()
    written = set()
    for which, image in home.pictures(home.device("ego"), np.array([m[0] for m in moments], np.int64)):
        _, clip, frame = moments[which]
        name = f"{home.session.id}__{clip:04d}"
        _write(out / "action" / home.split / found[clip][2] / name / f"{frame:02d}.jpg", image)
        written.add(clip)
    return len(written)


def _objects(home: Home, out: Path, rows: list[dict[str, Any]]) -> int:
    pixels = home.pixels("third")
    persons = set(home.truth["pose"]["rotation_wxyz"])
    things = [i for i, c in enumerate(pixels["classes"].tolist()) if i > 1 and c not in persons and "/" not in c]
    asked = as_many_still(list(_in_sight(pixels, things)))
    moments, before = np.array(sorted({at for at, *_ in asked}), np.int64), len(rows)
    for which, image in home.pictures(home.device("third"), pixels["t_ns"][moments]):
        name = f"{home.session.id}__{which:04d}.jpg"
        for _, box, way in (row for row in asked if row[0] == moments[which]):
            rows.append({"image": name, **dict(zip(("x1", "y1", "x2", "y2"), box, strict=True)), "class": way})
            _write(out / "dynamics" / home.split / name, image)
    return len(rows) - before


def _in_sight(pixels: Mapping[str, np.ndarray], things: Sequence[int]) -> Iterator[Asked]:
    """What can be asked about: all that moves, and of what lies one thing a picture, in turns."""
    for turn, at in enumerate(range(0, len(pixels["t_ns"]), OBJECT_EVERY)):
        still = False
        for thing in np.roll(things, -turn).tolist():
            way = heading(pixels["moved_px"][at, thing], pixels["seen"].shape[2])
            box = None if way == STILL and still else box_of(pixels["seen"][at] == thing)
            if box is not None:
                still |= way == STILL
                yield at, box, way


def as_many_still(rows: Sequence[Asked]) -> list[Asked]:
    """All that move, and as many of the still ones, evenly over the session; or nearly all would be still."""
    still = [row for row in rows if row[2] == STILL]
    moving = [row for row in rows if row[2] != STILL]
    kept = np.linspace(0, len(still) - 1, min(len(still), len(moving))).round().astype(int)
    return sorted([*moving, *(still[i] for i in kept)])


def _write(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), image[..., ::-1] if image.ndim == 3 else image):
        raise SessionError(f"{path} cannot be written; is the disk full?")


def _write_boxes(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, ("image", "x1", "y1", "x2", "y2", "class"))
        table.writeheader()
        table.writerows(rows)
