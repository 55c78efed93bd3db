"""Gaze carried from one camera of a head to the other, against known geometry and beside the plain way.

Each recording is of one kind (see `tests.bench.gaze_world`), 1920x1080 through H.264, and is answered three times: by
`syncctl gaze`'s own path with the rigid pair it finds in that recording, by its homography alone, and by the plain way
(SIFT at full size, brute force, RANSAC homography) on one frame in 25, since it takes seconds for each. The gaze is
without error of its own, so what is counted is the carrying. Samples while the eyes jump are left out: there the
table, not the pictures, is what is wrong.

`python -m tests.bench gaze` runs all, `--quick` two short recordings at 960x540. `--kinds=desk,bare` runs those alone;
`--films=DIR` keeps the films there and takes them from there. Rows are printed as they come.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from firmware_host.errors import EvidenceError
from recorder import demux
from sync.gaze.carry import carry
from sync.gaze.films import Film, find_rig, plain_film
from sync.gaze.table import Gaze, Row
from tests.bench.gaze_world import KINDS, World, encode, world

PEER_EVERY = 25
SEED = 1
QUICK = ("desk", "bare")
JUMP_PX = 5.0
HEAD = (
    "kind   seed  by          asked  refused %  median px  p95 px  >50 px %  in 1/2/3 sigma %  sigma px  frames/CPU s"
)


def main(arguments: list[str] | None = None) -> None:
    """Run and print."""
    words = sys.argv[1:] if arguments is None else arguments
    told = dict(w[2:].split("=", 1) for w in words if w.startswith("--") and "=" in w)
    quick = "--quick" in words
    kinds = told["kinds"].split(",") if "kinds" in told else QUICK if quick else KINDS
    cv2.setNumThreads(1)
    print(HEAD)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(told.get("films", made)) / ("quick" if quick else "")
        folder.mkdir(parents=True, exist_ok=True)
        for kind in kinds:
            truth = world(kind, SEED, 2.0, width=960) if quick else world(kind, SEED, 5.0)
            recording(truth, f"{kind}{SEED}", folder)


def recording(truth: World, name: str, folder: Path) -> None:
    """Every way on one recording."""
    films = tuple(_film(truth, camera, folder / f"{name}_{camera}.mp4") for camera in ("scene", "head"))
    gaze = Gaze(*truth.gaze())
    t_ns = films[1].t_ns
    true = truth.looked_at(t_ns, "head")
    asked = np.isfinite(gaze.at(t_ns)).all(axis=1) & (gaze.doubt_px(t_ns) < JUMP_PX) & np.isfinite(true).all(axis=1)
    ways: dict[str, Callable[[], Iterator[Row]]] = {
        "rigid pair": lambda: _ours(*films, gaze, True),
        "homography": lambda: _ours(*films, gaze, False),
        "plain SIFT": lambda: _plain(*films, gaze, PEER_EVERY),
    }
    for way, answers in ways.items():
        begun = time.process_time()
        rows = list(answers())
        spent = time.process_time() - begun
        print(_line(name, way, rows, t_ns, true, asked, len(rows) / spent), flush=True)


def _film(truth: World, camera: str, path: Path) -> Film:
    """The film of one camera; its times are the world's."""
    if not path.is_file():
        encode(truth, camera, path)
    film, times = plain_film(path), truth.times_ns(camera)
    count = min(len(times), len(film.t_ns))
    return replace(film, pts_ns=film.pts_ns[:count], t_ns=times[:count])


def _ours(scene: Film, head: Film, gaze: Gaze, calibrated: bool) -> Iterator[Row]:
    """As `syncctl gaze` does; the search for the rigid pair is part of its time."""
    rig = None
    if calibrated:
        try:
            rig = find_rig(scene, head)
        except EvidenceError as error:
            print(f"  no rigid pair: {error}")
    return carry(scene.frames(), head.frames(), gaze, scene.size, head.size, rig, tracker_deg=0.0)


def _plain(scene: Film, head: Film, gaze: Gaze, every: int) -> Iterator[Row]:
    """SIFT at full size on the nearest frames, brute force, ratio 0.75, RANSAC at 5 px; it refuses only to fail."""
    sift = cv2.SIFT.create()
    wanted = np.arange(every // 2, len(head.t_ns), every)
    nearest = [int(np.argmin(np.abs(scene.t_ns - head.t_ns[k]))) for k in wanted]
    pictures = _full(scene, nearest), _full(head, wanted.tolist())
    for k, seen, here in zip(wanted, *pictures, strict=True):
        t_ns = int(head.t_ns[k])
        point = gaze.at(np.array([t_ns]))
        found = [sift.detectAndCompute(x, None) for x in (seen, here)]
        h = _homography(found) if np.isfinite(point).all() else None
        if h is None:
            yield Row(t_ns, None, None, None, "refused")
            continue
        x, y = cv2.perspectiveTransform(point[None], h)[0, 0]
        yield Row(t_ns, float(x), float(y), None, "homography")


def _homography(found: list) -> np.ndarray | None:
    if any(d is None or len(d) < 2 for _, d in found):
        return None
    pairs = cv2.BFMatcher(cv2.NORM_L2).knnMatch(found[0][1], found[1][1], k=2)
    good = [m[0] for m in pairs if len(m) == 2 and m[0].distance < 0.75 * m[1].distance]
    if len(good) < 5:
        return None
    a = np.float32([found[0][0][m.queryIdx].pt for m in good])
    b = np.float32([found[1][0][m.trainIdx].pt for m in good])
    return cv2.findHomography(a, b, cv2.RANSAC, 5.0)[0]


def _full(film: Film, wanted: list[int]) -> Iterator[np.ndarray]:
    """Frames at their own size, by number, ascending."""
    frames = demux.video_frames(film.path)
    index, _, image = next(frames)
    for number in wanted:
        while index < number:
            index, _, image = next(frames)
        yield image


@dataclass(frozen=True)
class _Errors:
    """Errors of the answered samples: (N,) px, and (N,) how many sigmas of the ellipse they are."""

    px: np.ndarray
    sigmas: np.ndarray


def _line(
    name: str, way: str, rows: list[Row], t_ns: np.ndarray, true: np.ndarray, asked: np.ndarray, speed: float
) -> str:
    place = {int(t): k for k, t in enumerate(t_ns)}
    here = [(r, place[r.t_ns]) for r in rows if asked[place[r.t_ns]]]
    answered = [(r, true[k]) for r, k in here if r.x_px is not None]
    start = f"{name[:-1]:7}{name[-1]:4}  {way:11}{len(here):6}"
    refused = 100 * (1 - len(answered) / max(len(here), 1))
    if not answered:
        return f"{start}{refused:11.1f}{'-':>11}{'-':>8}{'-':>10}{'-':>18}{'-':>10}{speed:14.2f}"
    found = _errors(answered)
    within = "/".join(f"{100 * np.mean(found.sigmas < k):.0f}" for k in (1, 2, 3)) if len(found.sigmas) else "-"
    sigma = [r.sigma_px for r, _ in answered if r.sigma_px is not None]
    numbers = f"{np.median(found.px):11.2f}{np.percentile(found.px, 95):8.1f}{100 * np.mean(found.px > 50):10.1f}"
    return f"{start}{refused:11.1f}{numbers}{within:>18}{np.median(sigma) if sigma else np.nan:10.1f}{speed:14.2f}"


def _errors(answered: list[tuple[Row, np.ndarray]]) -> _Errors:
    px, sigmas = [], []
    for row, true in answered:
        off = np.array([row.x_px, row.y_px]) - true
        px.append(float(np.linalg.norm(off)))
        if row.sigma_px is not None:
            angle = np.radians(row.angle_deg)
            along = off @ [np.cos(angle), np.sin(angle)]
            across = off @ [-np.sin(angle), np.cos(angle)]
            sigmas.append(float(np.hypot(along / row.sigma_px, across / row.minor_px)))
    return _Errors(np.array(px), np.array(sigmas))
