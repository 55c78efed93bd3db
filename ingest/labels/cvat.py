"""CVAT for video 1.1 (XML): tracks of boxes, in pixels of the film.

As in CVAT, between two frames that are told a box goes along a line, one that is `outside` ends it, and the last one
stands until the task ends. A run of frames in which it stays where it is becomes one label from its first frame to the
one after its last. A track's label is the value; its attributes `tier`, `actor` and `confidence` are the rest. A track
without them, drawn in CVAT, is of tier `person` where its label says so and else of `object`, and its number is its
actor. Intervals without a box have no place in it, and a moment becomes a frame.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np

from firmware_host.errors import SessionError
from ingest.labels.label import Box, Label, box_of_px, box_px, in_order
from recorder import durable

PERSON, OBJECT = "person", "object"
_ABOUT = ("tier", "actor", "confidence")


def read(path: Path, frames_ns: np.ndarray, size: tuple[int, int] | None = None) -> list[Label]:
    """The tracks, in the film's time.

    Args:
        frames_ns: (N,) int64, when each frame of the film is shown, in its time.
        size: (width, height) that the boxes are in; None for what the file says.

    Raises:
        SessionError: it is no such file, says no size, or speaks of a frame that the film has not.
    """
    root = _root(path)
    told = [root.findtext(f".//original_size/{side}") for side in ("width", "height")]
    if size is None:
        if None in told:
            raise SessionError(f"{path} does not say how large its pictures are; export it from CVAT again")
        size = int(told[0] or 0), int(told[1] or 0)
    last = root.findtext("meta//stop_frame")
    stop = min(len(frames_ns), int(last) + 1) if last and last.isdecimal() else len(frames_ns)
    labels: list[Label] = []
    for track in root.iterfind("track"):
        try:
            labels += _track(track, frames_ns, size, stop)
        except (ValueError, KeyError) as error:
            raise SessionError(f"{path} at track {track.get('id')}: {error}; mend it in CVAT") from error
    return in_order(labels)


def write(labels: Iterable[Label], path: Path, frames_ns: np.ndarray, size: tuple[int, int]) -> list[Label]:
    """Write tracks to be opened in CVAT, one for each tier, value, actor and confidence.

    Args:
        labels: in the film's time; each holds from the first frame at or after its begin to the last before its end.

    Returns:
        labels that it cannot hold: those without a box, and those in which no frame lies.
    """
    every = in_order(labels)
    tracks: dict[tuple[str, str, str, str], dict[int, Box]] = {}
    left = []
    for label in every:
        frames = _frames(label, frames_ns)
        sure = "" if label.confidence is None else repr(label.confidence)
        if label.box is None or not frames:
            left.append(label)
            continue
        boxes = tracks.setdefault((label.tier, label.value, label.actor or "", sure), {})
        boxes.update(dict.fromkeys(frames, label.box))
    root = ET.Element("annotations")
    ET.SubElement(root, "version").text = "1.1"
    _meta(root, path.stem, len(frames_ns), size, sorted({key[1] for key in tracks}))
    for number, (key, boxes) in enumerate(sorted(tracks.items())):
        _write_track(root, number, key, boxes, len(frames_ns), size)
    ET.indent(root)
    durable.write_bytes(path, ET.tostring(root, "utf-8", xml_declaration=True) + b"\n")
    return left


def _frames(label: Label, frames_ns: np.ndarray) -> range:
    first, stop = np.searchsorted(frames_ns, [label.t0_ns, label.t1_ns])
    if label.t0_ns == label.t1_ns:  # a moment is the frame shown then
        first = max(0, int(np.searchsorted(frames_ns, label.t0_ns, side="right")) - 1)
        stop = first + 1
    return range(int(first), int(stop))


def _meta(root: ET.Element, name: str, count: int, size: tuple[int, int], values: list[str]) -> None:
    task = ET.SubElement(ET.SubElement(root, "meta"), "task")
    for key, text in (("name", name), ("size", str(count)), ("mode", "interpolation"), ("start_frame", "0")):
        ET.SubElement(task, key).text = text
    ET.SubElement(task, "stop_frame").text = str(max(0, count - 1))
    labels = ET.SubElement(task, "labels")
    for value in values:
        label = ET.SubElement(labels, "label")
        ET.SubElement(label, "name").text = value
        attributes = ET.SubElement(label, "attributes")
        for one in _ABOUT:
            attribute = ET.SubElement(attributes, "attribute")
            about = (("name", one), ("mutable", "False"), ("input_type", "text"), ("default_value", ""), ("values", ""))
            for key, text in about:
                ET.SubElement(attribute, key).text = text
    original = ET.SubElement(task, "original_size")
    ET.SubElement(original, "width").text, ET.SubElement(original, "height").text = str(size[0]), str(size[1])


def _write_track(
    root: ET.Element, number: int, key: tuple[str, ...], boxes: dict[int, Box], count: int, size: tuple[int, int]
) -> None:
    tier, value, actor, sure = key
    track = ET.SubElement(root, "track", id=str(number), label=value, source="manual")
    for frame, box in sorted(boxes.items()):
        _write_box(track, frame, box, size, (tier, actor, sure), outside=False)
        if frame + 1 not in boxes and frame + 1 < count:
            _write_box(track, frame + 1, box, size, (tier, actor, sure), outside=True)


def _write_box(
    track: ET.Element, frame: int, box: Box, size: tuple[int, int], about: tuple[str, ...], *, outside: bool
) -> None:
    corners = dict(zip(("xtl", "ytl", "xbr", "ybr"), (f"{v:.3f}" for v in box_px(box, size)), strict=True))
    shown = {"outside": str(int(outside)), "occluded": "0", "keyframe": "1", "z_order": "0"}
    element = ET.SubElement(track, "box", {"frame": str(frame), **shown, **corners})
    for name, text in zip(_ABOUT, about, strict=True):
        ET.SubElement(element, "attribute", name=name).text = text


def _track(track: ET.Element, frames_ns: np.ndarray, size: tuple[int, int], stop: int) -> Iterator[Label]:
    """One label for each run of frames in which the box stays where it is."""
    value = track.attrib["label"]
    run: tuple[int, int, Box, dict[str, str]] | None = None
    for frame, box, about in _shown(_told(track, len(frames_ns), size), stop):
        if run and (run[1] + 1, run[2], run[3]) == (frame, box, about):
            run = (run[0], frame, box, about)
            continue
        if run:
            yield _label(track, value, run, frames_ns)
        run = (frame, frame, box, about)
    if run:
        yield _label(track, value, run, frames_ns)


Told = tuple[int, Box | None, dict[str, str]]
"""Frame, box (None from where the track is not shown), attributes."""


def _told(track: ET.Element, count: int, size: tuple[int, int]) -> list[Told]:
    """What the file says of a track, by frame."""
    told: list[Told] = []
    for element in sorted(track.iterfind("box"), key=lambda b: int(b.attrib["frame"])):
        frame = int(element.attrib["frame"])
        if not 0 <= frame < count:
            raise ValueError(f"its frame {frame} is not one of the film's {count}")
        about = {a.attrib["name"]: a.text or "" for a in element.iterfind("attribute")}
        edges = [float(element.attrib[e]) for e in ("xtl", "ytl", "xbr", "ybr")]
        outside = element.get("outside") == "1"
        told.append((frame, None if outside else box_of_px(edges[0], edges[1], edges[2], edges[3], size), about))
    return told


def _shown(told: Sequence[Told], stop: int) -> Iterator[tuple[int, Box, dict[str, str]]]:
    """Every frame that a track is shown in, up to `stop`: between two that are told its box goes along a line."""
    for here, there in zip(told, [*told[1:], None], strict=True):
        frame, box, about = here
        if box is None:
            continue
        until, goal = (there[0], there[1]) if there else (max(stop, frame + 1), None)
        for between in range(frame, until):
            share = (between - frame) / (until - frame)
            yield between, _between(box, goal or box, share), about


def _between(a: Box, b: Box, share: float) -> Box:
    x1, y1, x2, y2 = (p + (q - p) * share for p, q in zip(a, b, strict=True))
    return x1, y1, x2, y2


def _label(track: ET.Element, value: str, run: tuple[int, int, Box, dict[str, str]], frames_ns: np.ndarray) -> Label:
    first, last, box, about = run
    period = int(np.median(np.diff(frames_ns))) if len(frames_ns) > 1 else 0
    end = frames_ns[last + 1] if last + 1 < len(frames_ns) else frames_ns[last] + period
    ours = "tier" in about
    tier = about["tier"] if ours else PERSON if value.lower() == PERSON else OBJECT
    actor = (about.get("actor") or None) if ours else about.get("actor") or track.get("id")
    sure = float(about["confidence"]) if about.get("confidence") else None
    return Label(tier, int(frames_ns[first]), int(end), value, actor, box, sure)


def _root(path: Path) -> ET.Element:
    try:
        root = ET.parse(path).getroot()
    except (ET.ParseError, OSError, UnicodeDecodeError) as error:
        raise SessionError(f"{path} cannot be read as XML ({error}); export 'CVAT for video 1.1' again") from error
    if root.tag != "annotations" or root.findtext("version") != "1.1":
        raise SessionError(f"{path} is not 'CVAT for video 1.1'; export that from CVAT")
    if root.find("image") is not None:
        raise SessionError(f"{path} is 'CVAT for images'; export 'CVAT for video 1.1', which has tracks")
    return root
