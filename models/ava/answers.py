"""A run's answers on a split as AVA's files: what it found, what is true, and what the ids mean.

A clip is a frame: the video is its session, the second that of the recording in which the clip's middle lies, counted
from when the session's first stream began. Clips of these models are a second or more apart, so no two share a name
but those of two persons at one time, who do share the frame. `syncctl ava` measures one file against the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from firmware_host.clock import SECOND_NS
from models.ava.rows import UNSORTED, LabelMap, Rows, frame_name, write_label_map, write_rows
from models.report import Example, evenly, png
from recorder import durable

FOUND, TRUE, MAP, PICTURES = "detections.csv", "truth.csv", "labels.pbtxt", "pictures"


@runtime_checkable
class Located(Protocol):
    """Labels of persons in boxes; a clip is a frame, named by its number."""

    names: tuple[str, ...]

    def acts(self) -> Rows:
        """What is true."""

    def found(self, predicted: Mapping[str, np.ndarray]) -> Rows:
        """What the model says."""


@runtime_checkable
class Drawn(Protocol):
    """Labels of clips of which a model's work can be shown."""

    def pictures(self, dataset: Any, predicted: Mapping[str, np.ndarray], index: int) -> dict[str, Example]:
        """Pictures of one clip, by what they show."""


def write(folder: Path, dataset: Any, truth: Located, predicted: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Write the three files into a folder, which is made.

    Args:
        dataset: clips of `ingest.dataset.Clips`, or around them.
        truth: of these clips.
        predicted: of the model.

    Returns:
        paths, and how many rows and frames they have.
    """
    folder.mkdir(parents=True, exist_ok=True)
    frames = np.array(frames_of(dataset), dtype=np.str_)
    files = {FOUND: truth.found(predicted), TRUE: truth.acts()}
    for name, rows in files.items():
        named = frames[rows.frame.astype(np.int64)] if len(rows) else rows.frame
        write_rows(replace(rows, frame=named), folder / name)
    ids = range(1, len(truth.names) + 1)
    write_label_map(LabelMap(dict(zip(ids, truth.names, strict=True)), dict.fromkeys(ids, UNSORTED)), folder / MAP)
    counts = {"detections": len(files[FOUND]), "truth": len(files[TRUE]), "frames": len(np.unique(frames))}
    return {"folder": str(folder), "files": [FOUND, TRUE, MAP], **counts}


def write_pictures(
    folder: Path, dataset: Any, truth: Drawn, predicted: Mapping[str, np.ndarray], count: int
) -> list[str]:
    """Write PNG files of clips spread over the split, ``SESSION-SECOND-WHAT.png``; returns their names."""
    (folder / PICTURES).mkdir(parents=True, exist_ok=True)
    names, frames = [], frames_of(dataset)
    for index in evenly(len(dataset), count):
        for what, example in truth.pictures(dataset, predicted, index).items():
            names.append(f"{PICTURES}/{frames[index].replace(',', '-')}-{what}.png")
            durable.write_bytes(folder / names[-1], png(example.frame))
    return names


def frames_of(dataset: Any) -> Sequence[str]:
    """What AVA would call the moment that each clip is about."""
    began: dict[str, int] = {}
    names = []
    for item in (dataset.labels(i) for i in range(len(dataset))):
        session = item["session"]
        if session not in began:
            streams = dataset.dataset.rows.of("streams", session, ["t0_ns"])["t0_ns"].to_pylist()
            began[session] = min(t for t in streams if t is not None)
        at_ns = int(item["t_ns"]) + dataset.ask.frames // 2 * dataset.ask.step_ns
        names.append(frame_name(session, (at_ns - began[session]) // SECOND_NS))
    return names
