"""``syncctl detect``: persons in a room camera's film, as boxes that a dataset is built with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from firmware_host.clock import SECOND_NS
from firmware_host.errors import ConfigError, SessionError, unknown_name
from recorder.terminal import emit, json_option, note, progress

if TYPE_CHECKING:
    from ingest.ego import Aligned
    from ingest.labels.label import Label
    from models.detector import Detector

PERSON, LEAST, PATIENCE_S = "person", 0.1, 3.0
"""Somebody who walks is a third of a box further after a fifth of a second; who was away for longer is somebody new."""


@dataclass(frozen=True)
class Seen:
    """What was found in a film.

    Attributes:
        t_ns: (F,) int64, when each picture was taken, on the reference clock.
        boxes: for each picture (N, 4) in fractions of it.
        scores: for each picture (N,).
        tracks: for each picture (N,) int64, who; -1 for nobody.
    """

    t_ns: np.ndarray
    boxes: list[np.ndarray]
    scores: list[np.ndarray]
    tracks: list[np.ndarray]


@click.command()
@click.argument("session", type=click.Path(path_type=Path))
@click.option("--model", required=True, type=click.Path(path_type=Path), help="A detector exported to ONNX.")
@click.option("--film", metavar="DEVICE", help="Whose film; the first room camera's if not given.")
@click.option("--size", type=click.IntRange(32), default=640, show_default=True, help="Side in pixels that it takes.")
@click.option("--person", type=click.IntRange(0), help="Its class of a person; COCO's if not given.")
@click.option("--sure", type=click.FloatRange(0, 1), default=0.3, show_default=True, help="Least score of a box.")
@click.option("--every", type=click.FloatRange(0.01), default=0.2, show_default=True, help="Seconds between pictures.")
@click.option("--who", "named", multiple=True, metavar="TRACK=NAME", help="Who a track is; may be repeated.")
@click.option("--name", default="detected", show_default=True, help="Keep them as labels/NAME.csv.")
@click.option("--replace", "again", is_flag=True, help="Write labels/NAME.csv anew.")
@json_option
def detect(
    session: Path,
    model: Path,
    film: str | None,
    size: int,
    person: int | None,
    sure: float,
    every: float,
    named: Sequence[str],
    name: str,
    again: bool,
    as_json: bool,
) -> None:
    """Find the persons in a film of SESSION, number them from picture to picture, and keep their boxes as labels.

    The detector is yours: YOLO v5 to v11, SSD or TorchVision, exported to ONNX; OpenCV runs it. `syncctl build`
    reads the boxes. For what somebody does to be known of their box, the box must have their name: look who is who,
    and give --who.

    \b
    Example:
      syncctl detect sessions/first --model yolov8n.onnx
      syncctl detect sessions/first --model yolov8n.onnx --who 0=anna --who 2=ben --replace
      syncctl detect sessions/first --model ssd.onnx --size 300 --film kit-02 --sure 0.5 --name kit-02
    """
    from ingest.ego import open_aligned
    from ingest.labels import exchange
    from models.detector import Detector

    who = _names(named)
    aligned = open_aligned(session)
    if (session / exchange.FOLDER / f"{name}.csv").exists() and not again:
        raise ConfigError(
            f"{session} has labels/{name}.csv already; give --replace to write it anew, or another --name"
        )
    if (session / "truth.json").exists():
        note("this session is simulated and knows its true boxes; a dataset of it will have both")
    device = _filmed(aligned, film)
    seen = look(aligned, device, Detector(model, size=size, person=person, sure=sure), every)
    labels = labels_of(seen, device, who)
    path = exchange.store(labels, aligned, name, again=again, known=None)
    tracks = [_track(seen, number, who) for number in np.unique(np.concatenate([[-1], *seen.tracks])).tolist()[1:]]
    document = {"file": str(path), "device": device, "pictures": len(seen.t_ns), "boxes": len(labels), "tracks": tracks}
    lines = [f"{path}: {len(labels)} boxes of {len(tracks)} persons in {len(seen.t_ns)} pictures of {device}"]
    lines += [f"  {t['name']:12} {t['boxes']:6} boxes, {t['t0_s']:8.1f} to {t['t1_s']:.1f} s" for t in tracks]
    emit(as_json, document, lines)


def look(aligned: Aligned, name: str, detector: Detector, every_s: float) -> Seen:
    """Run a detector over the film of a device, a picture each `every_s` seconds or as near as its rate allows."""
    from models.linking import Frame, link
    from recorder.demux import video_frames
    from recorder.samples import frame_times_ns

    device, to_reference = next((d, m) for d, m in aligned.devices if d.name == name)
    times = frame_times_ns(aligned.session, device)
    stream = device.of_kind("video")[0]
    period_s = float(np.median(np.diff(times))) / SECOND_NS if len(times) > 1 else every_s
    step = max(1, round(every_s / period_s))
    width = detector.size if stream.size and stream.size[0] > detector.size else None
    at_ns, boxes, scores = [], [], []
    pictures = video_frames(aligned.session.path(device.file), pixels="rgb24", width=width, every=step)
    with progress(f"persons in {name}", -(-len(times) // step)) as advance:
        for index, _, frame in pictures:
            if index >= len(times):
                break
            found, sure = detector(frame)
            at_ns.append(int(to_reference.forward(int(times[index]))))
            boxes.append(found)
            scores.append(sure)
            advance(1)
    tracks = link([Frame(found) for found in boxes], least=LEAST, patience=round(PATIENCE_S / (step * period_s)))
    return Seen(np.array(at_ns, np.int64), boxes, scores, tracks)


def labels_of(seen: Seen, device: str, who: dict[int, str]) -> list[Label]:
    """A label of tier ``person`` for each box in a track, of its moment; the actor is the track or its name."""
    from ingest.labels.label import Label

    return [
        Label(PERSON, int(at), int(at), PERSON, who.get(number, str(number)), tuple(box), score, device)
        for at, *found in zip(seen.t_ns, seen.boxes, seen.scores, seen.tracks, strict=True)
        for box, score, number in zip(*(part.tolist() for part in found), strict=True)
        if number >= 0
    ]


def _filmed(aligned: Aligned, name: str | None) -> str:
    films = {d.name: d.role for d, _ in aligned.devices if d.of_kind("video")}
    if name is None:
        name = next((n for n, role in sorted(films.items()) if role == "third"), None)
        if name is None:
            raise SessionError(f"{aligned.session.root} has no room camera on the reference clock; name a --film")
    if name not in films:
        raise SessionError(f"{aligned.session.root}: {unknown_name('film', name, films)}")
    return name


def _names(pairs: Sequence[str]) -> dict[int, str]:
    found = {}
    for pair in pairs:
        track, _, name = pair.partition("=")
        if not (track.isdecimal() and name):
            raise ConfigError(f"--who takes TRACK=NAME, as in 0=anna, not '{pair}'")
        found[int(track)] = name
    return found


def _track(seen: Seen, number: int, who: dict[int, str]) -> dict[str, object]:
    """When a track is there, seconds from the first picture, and how many boxes it has."""
    counts = np.array([int((tracks == number).sum()) for tracks in seen.tracks])
    there = (seen.t_ns[counts > 0] - seen.t_ns[0]) / SECOND_NS
    name = who.get(number, str(number))
    return {
        "name": name,
        "boxes": int(counts.sum()),
        "t0_s": round(float(there[0]), 3),
        "t1_s": round(float(there[-1]), 3),
    }
