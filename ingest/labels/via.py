"""VIA 3 (Dutta and Zisserman, VGG Image Annotator): a project of one film with segments in time and boxes in frames.

A segment is ``z = [t0, t1]``, a box ``z = [t]`` with ``xy = [2, x, y, width, height]`` in pixels of the film; times are
its seconds. Each tier is an attribute with its values as options; who and how surely are text attributes. VIA gives a
box one moment: how long it stands is the text attribute `until_s`, and a box without it is a moment.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from firmware_host.errors import SessionError, unknown_name
from ingest.labels.label import SECOND_NS, Label, box_of_px, box_px, in_order, of_seconds
from recorder import durable

TEXT, SELECT, RECTANGLE, VIDEO = 1, 4, 2, 4
SEGMENT, REGION = "FILE1_Z2_XY0", "FILE1_Z1_XY1"
ACTOR, CONFIDENCE, UNTIL = _ABOUT = ("actor", "confidence", "until_s")


def linked(path: Path) -> list[str]:
    """Names of the films of a project.

    Raises:
        SessionError: it is no VIA 3 project.
    """
    return [str(f["fname"]).rsplit("/", 1)[-1] for f in _project(path)["file"].values()]


def read(path: Path, size: tuple[int, int], film: str | None = None) -> list[Label]:
    """Segments and boxes of one film, in its time.

    Args:
        size: (width, height) of the film in pixels.
        film: its file name; None where the project has one.

    Raises:
        SessionError: it is no VIA 3 project, has several films and none is named, or a shape is no rectangle.
    """
    project = _project(path)
    files = {key: str(f["fname"]).rsplit("/", 1)[-1] for key, f in project["file"].items()}
    if film is None and len(files) > 1:
        raise SessionError(f"{path} has {len(files)} films; say which is meant")
    if film is not None and film not in files.values():
        raise SessionError(f"{path}: {unknown_name('film', film, files.values())}")
    views = {
        v for v, of in project["view"].items() if film is None or any(files[str(f)] == film for f in of["fid_list"])
    }
    labels = []
    for key, entry in project["metadata"].items():
        if str(entry["vid"]) in views:
            try:
                labels += _labels(entry, project["attribute"], size)
            except (ValueError, KeyError, TypeError, IndexError) as error:
                raise SessionError(f"{path} at metadata {key}: {error}; mend it in VIA") from error
    return in_order(labels)


def write(labels: Iterable[Label], path: Path, film: Path, size: tuple[int, int]) -> list[Label]:
    """Write a project to be opened in VIA.

    Args:
        labels: in the film's time.
        film: the film's file, which VIA is to find beside itself.
        size: its (width, height) in pixels.

    Returns:
        labels that it cannot hold: those whose tier has the name of a text attribute.
    """
    left = [n for n in in_order(labels) if n.tier in _ABOUT]
    every = [n for n in in_order(labels) if n.tier not in _ABOUT]
    attributes: dict[str, dict[str, Any]] = {}
    for anchor, boxed in ((SEGMENT, False), (REGION, True)):
        these = [n for n in every if bool(n.box) == boxed]
        for tier in sorted({n.tier for n in these}):
            options = {str(i): value for i, value in enumerate(sorted({n.value for n in these if n.tier == tier}))}
            _add(attributes, tier, anchor, SELECT, options)
        for name in (ACTOR, CONFIDENCE, *([UNTIL] if boxed else [])) if these else ():
            _add(attributes, name, anchor, TEXT, {})
    entries = {f"1_{i:08d}": _entry(label, attributes, size) for i, label in enumerate(every)}
    durable.write_json(path, _document(path.stem, film.name, attributes, entries))
    return left


def _document(name: str, film: str, attributes: dict[str, dict[str, Any]], entries: dict[str, Any]) -> dict[str, Any]:
    """A project of one film as VIA 3 saves one."""
    return {
        "project": {
            "pid": "__VIA_PROJECT_ID__",
            "rev": "__VIA_PROJECT_REV_ID__",
            "rev_timestamp": "__VIA_PROJECT_REV_TIMESTAMP__",
            "pname": name,
            "creator": "VGG Image Annotator (http://www.robots.ox.ac.uk/~vgg/software/via)",
            "created": 0,
            "vid_list": ["1"],
        },
        "config": {
            "file": {"loc_prefix": {"1": "", "2": "", "3": "", "4": ""}},
            "ui": {
                "file_content_align": "center",
                "file_metadata_editor_visible": True,
                "spatial_metadata_editor_visible": True,
                "temporal_segment_metadata_editor_visible": True,
                "spatial_region_label_attribute_id": "",
                "gtimeline_visible_row_count": "4",
            },
        },
        "attribute": attributes,
        "file": {"1": {"fid": "1", "fname": film, "type": VIDEO, "loc": 2, "src": film}},
        "metadata": entries,
        "view": {"1": {"fid_list": ["1"]}},
    }


def _add(attributes: dict[str, dict[str, Any]], name: str, anchor: str, kind: int, options: dict[str, str]) -> None:
    about = {"aname": name, "anchor_id": anchor, "type": kind, "desc": "", "options": options, "default_option_id": ""}
    attributes[str(len(attributes) + 1)] = about


def _entry(label: Label, attributes: Mapping[str, dict[str, Any]], size: tuple[int, int]) -> dict[str, Any]:
    anchor = REGION if label.box else SEGMENT
    text = {ACTOR: label.actor, CONFIDENCE: label.confidence}
    begin_s, end_s = round(label.t0_ns / SECOND_NS, 6), round(label.t1_ns / SECOND_NS, 6)
    place: list[float] = []
    if label.box:
        text[UNTIL] = end_s if label.t1_ns > label.t0_ns else None
        x1, y1, x2, y2 = box_px(label.box, size)
        place = [RECTANGLE, *(round(v, 3) for v in (x1, y1, x2 - x1, y2 - y1))]
    values = {}
    for number, about in attributes.items():
        if about["anchor_id"] != anchor:
            continue
        if about["type"] == TEXT and text.get(about["aname"]) is not None:
            values[number] = str(text[about["aname"]])
        elif about["type"] == SELECT and about["aname"] == label.tier:
            values[number] = next(key for key, value in about["options"].items() if value == label.value)
    return {"vid": "1", "flg": 0, "z": [begin_s] if label.box else [begin_s, end_s], "xy": place, "av": values}


def _labels(entry: Mapping[str, Any], attributes: Mapping[str, Any], size: tuple[int, int]) -> list[Label]:
    """One label for each attribute of an entry that is neither the actor nor about the label itself."""
    said = {attributes[number]["aname"]: (attributes[number], value) for number, value in entry["av"].items()}
    about = {name: said.pop(name)[1] for name in _ABOUT if name in said}
    times = [of_seconds(float(t)) for t in entry["z"]]
    if not times:
        return []  # about the film as a whole
    end = of_seconds(float(about[UNTIL])) if about.get(UNTIL) else times[-1]
    box = None
    if entry["xy"]:
        shape, x, y, width, height = entry["xy"][:5]
        if shape != RECTANGLE:
            raise ValueError(f"its shape is number {shape}, and only rectangles ({RECTANGLE}) are boxes")
        box = box_of_px(x, y, x + width, y + height, size)
    sure = float(about[CONFIDENCE]) if about.get(CONFIDENCE) else None
    return [
        Label(tier, times[0], end, value, about.get(ACTOR) or None, box, sure)
        for tier, (attribute, chosen) in said.items()
        for value in _values(attribute, chosen)
    ]


def _values(attribute: Mapping[str, Any], chosen: str) -> list[str]:
    """What an attribute says: free text, or its options; a checkbox may have several."""
    if attribute["type"] == TEXT:
        return [chosen]
    return [attribute["options"].get(one, one) for one in chosen.split(",") if one != ""]


def _project(path: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if not {"attribute", "file", "metadata", "view"} <= set(document):
            raise KeyError("attribute, file, metadata or view is missing")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SessionError(f"{path} is no VIA 3 project ({error}); save it in VIA as a project (.json)") from error
    return document
