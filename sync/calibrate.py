"""A camera's lens from a film of a chessboard.

Corners of the board's inner squares are found in pictures of the whole film; of those that differ most (place, size and
tilt of the board) the lens is fitted, by Zhang's method (2000) as OpenCV has it: Brown's polynomial first, and the
fish-eye's where it fits clearly better. Views that fit badly (a blurred board) are left out and the rest fitted again.

What the views do not tell is refused. A board that is always seen square on leaves the focal length free, and the fit's
own covariance does not say so (it called one known to 0.01 % that was wrong by a third): some views must be tilted. A
board that never comes near the edges leaves the distortion free there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from firmware_host.errors import ConfigError, EvidenceError, SessionError
from recorder import demux
from recorder.session import MANIFEST, Device, open_session
from sync.gaze.lens import Lens

LOOKED_AT = 90
"""Pictures of the film that are searched for the board."""
FITTED = 28
FEWEST = 8
SEARCHED_WIDTH = 960
MIN_COVER = 0.45
"""The corners of all views together must span this share of the picture's width and height."""
MAX_FOCAL_SIGMA = 0.01
MAX_RMS_SHARE = 1.5e-3
"""A larger error than this share of the picture's width (3 px of 1920) is no fit."""
CLEARLY = 0.9
TILTED_DEG, TILTED_VIEWS = 8.0, 4
"""So many views must show the board tilted against the picture by so much."""
BAD_VIEW = 2.5
# OpenCV 4 has these in cv2.fisheye.
_FLAGS = cv2 if hasattr(cv2, "CALIB_RECOMPUTE_EXTRINSIC") else cv2.fisheye
FISHEYE_FLAGS = _FLAGS.CALIB_RECOMPUTE_EXTRINSIC | _FLAGS.CALIB_FIX_SKEW


@dataclass(frozen=True)
class Calibration:
    """A lens and how well it is known.

    Attributes:
        lens: for pictures of the film's size.
        rms_px: root mean square distance of the corners from where the lens sees them.
        views: how many were fitted, of `found` in which the board was seen, of `tried`.
        focal_sigma: standard deviation of the focal length over the focal length.
        tilted: views in which the board is tilted against the picture.
    """

    lens: Lens
    rms_px: float
    views: int
    found: int
    tried: int
    focal_sigma: float
    tilted: int


def calibrate(path: Path, board: tuple[int, int], done: Callable[[float], None] = lambda _: None) -> Calibration:
    """The lens of the camera that filmed a chessboard.

    Args:
        board: inner corners across and down: 9x6 for a board of 10x7 squares.
        done: told 1 for every frame of the film.

    Raises:
        EvidenceError: too few views of the board, or such as do not tell the lens.
        SessionError: no such film.
    """
    pts = demux.container_frame_times_ns(path)
    every = max(1, -(-len(pts) // LOOKED_AT))
    found: list[np.ndarray] = []
    tried, size = 0, (0, 0)
    for _, _, image in demux.video_frames(path, every=every):
        done(float(every))
        if size != (0, 0) and image.shape != size[::-1]:
            continue
        tried, size = tried + 1, (image.shape[1], image.shape[0])
        corners = board_corners(image, board)
        found += [] if corners is None else [corners]
    return replace(fitted(found, board, size), tried=tried)


def board_corners(image: np.ndarray, board: tuple[int, int]) -> np.ndarray | None:
    """Inner corners of a chessboard in a gray picture, (N, 2) float32 px row by row; None where it is not all seen."""
    scale = min(1.0, SEARCHED_WIDTH / image.shape[1])
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else image
    flags = cv2.CALIB_CB_ADAPTIVE_THRESH | cv2.CALIB_CB_NORMALIZE_IMAGE | cv2.CALIB_CB_FAST_CHECK
    seen, corners = cv2.findChessboardCorners(small, board, flags=flags)
    if not seen:
        return None
    corners = ((corners.reshape(-1, 2) + 0.5) / scale - 0.5).astype(np.float32)
    grid = corners.reshape(board[1], board[0], 2)
    nearest = min(np.linalg.norm(np.diff(grid, axis=k), axis=2).min() for k in (0, 1))
    reach = int(np.clip(nearest / 3, 2, 11))
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_MAX_ITER, 40, 0.005)
    refined = cv2.cornerSubPix(image, corners[:, None].copy(), (reach, reach), (-1, -1), stop)
    return np.asarray(refined).reshape(-1, 2)


def fitted(found: Sequence[np.ndarray], board: tuple[int, int], size: tuple[int, int]) -> Calibration:
    """The lens that sees the corners of all views where they were found.

    Args:
        found: of each view, (columns * rows, 2) px.
        board: inner corners across and down.
        size: (width, height) of the pictures.

    Raises:
        EvidenceError: too few views, or such as do not tell the lens.
    """
    if len(found) < FEWEST:
        raise EvidenceError(
            f"a board of {board[0]}x{board[1]} inner corners was seen whole in {len(found)} pictures, {FEWEST} are "
            "needed; film it slowly, whole and sharp, from many sides"
        )
    views = [found[k] for k in _different(found, size)]
    span = np.ptp(np.concatenate(views), axis=0) / size
    if span.min() < MIN_COVER:
        raise EvidenceError(
            f"the board was seen in {100 * span[0]:.0f} % of the width and {100 * span[1]:.0f} % of the height alone; "
            "move it to all corners of the picture"
        )
    brown = best = _kept(_brown, views, board, size)
    try:
        fisheye = _kept(_fisheye, views, board, size)
        if fisheye.rms_px < CLEARLY * brown.rms_px:
            best = replace(fisheye, focal_sigma=brown.focal_sigma, tilted=brown.tilted)
    except cv2.error:
        pass  # OpenCV gives up on views that no fish-eye sees
    if not best.rms_px < MAX_RMS_SHARE * size[0]:
        raise EvidenceError(
            f"no lens sees the corners nearer than {best.rms_px:.1f} px; is the board flat, and its size right?"
        )
    if brown.tilted < TILTED_VIEWS or not brown.focal_sigma < MAX_FOCAL_SIGMA:
        raise EvidenceError(
            "the board was always seen from the same side, which leaves the focal length open; film it tilted too"
        )
    return replace(best, found=len(found))


def _different(found: Sequence[np.ndarray], size: tuple[int, int]) -> list[int]:
    """The views that differ most from each other: each next one is the furthest from those taken."""
    place = np.array([v.mean(axis=0) / size[0] for v in found])
    spread = np.array([[np.linalg.norm(v[-1] - v[0]), np.linalg.norm(v.std(axis=0))] for v in found]) / size[0]
    tilt = np.array([_tilt(v) for v in found])
    what = np.column_stack([place, spread, 0.5 * tilt])
    chosen = [int(np.argmin(np.linalg.norm(what - what.mean(axis=0), axis=1)))]
    gap = np.linalg.norm(what - what[chosen[0]], axis=1)
    while len(chosen) < min(FITTED, len(found)):
        chosen.append(int(np.argmax(gap)))
        gap = np.minimum(gap, np.linalg.norm(what - what[chosen[-1]], axis=1))
    return chosen


def _tilt(view: np.ndarray) -> np.ndarray:
    """(2,) how the spacing of the corners grows along the picture: 0 for a board seen square on."""
    middle = view - view.mean(axis=0)
    scale = np.linalg.norm(middle.std(axis=0))
    return np.asarray((middle**3).mean(axis=0) / scale**3)


def _kept(
    fit: Callable[..., tuple[Calibration, np.ndarray]],
    views: list[np.ndarray],
    board: tuple[int, int],
    size: tuple[int, int],
) -> Calibration:
    """Fit, leave out the views that fit badly, and fit again."""
    first, error = fit(views, board, size)
    good = [v for v, e in zip(views, error, strict=True) if e < BAD_VIEW * np.median(error)]
    return first if len(good) in (len(views), *range(FEWEST)) else fit(good, board, size)[0]


def _squares(board: tuple[int, int]) -> np.ndarray:
    """(N, 3) float32 places of the corners on the board, in squares."""
    out = np.zeros((board[0] * board[1], 3), np.float32)
    out[:, :2] = np.mgrid[: board[0], : board[1]].T.reshape(-1, 2)
    return out


def _brown(views: list[np.ndarray], board: tuple[int, int], size: tuple[int, int]) -> tuple[Calibration, np.ndarray]:
    squares = [_squares(board)] * len(views)
    rms, k, bend, turns, _, doubt, _, error = cv2.calibrateCameraExtended(
        squares, [v[:, None] for v in views], size, np.eye(3), np.zeros(5)
    )
    lens, sigma = _lens("brown", k, bend, size), float(doubt[0, 0] / k[0, 0])
    return Calibration(lens, float(rms), len(views), 0, 0, sigma, _tilted(turns)), np.asarray(error).ravel()


def _fisheye(views: list[np.ndarray], board: tuple[int, int], size: tuple[int, int]) -> tuple[Calibration, np.ndarray]:
    squares = [_squares(board)[None].astype(np.float64)] * len(views)
    corners = [v[None].astype(np.float64) for v in views]
    rms, k, bend, turns, ways = cv2.fisheye.calibrate(
        squares, corners, size, np.eye(3), np.zeros((4, 1)), flags=FISHEYE_FLAGS
    )
    error = []
    for s, v, r, t in zip(squares, corners, turns, ways, strict=True):
        seen = cv2.fisheye.projectPoints(s.reshape(-1, 1, 3), r, t, k, bend)[0]
        error.append(np.sqrt(np.mean(np.sum((seen.reshape(-1, 2) - v.reshape(-1, 2)) ** 2, axis=1))))
    return Calibration(_lens("fisheye", k, bend, size), float(rms), len(views), 0, 0, 0.0, 0), np.array(error)


def _tilted(turns: Sequence[np.ndarray]) -> int:
    """In how many views the board is tilted, by its rotation vectors."""
    lean = [abs(float(cv2.Rodrigues(turn)[0][2, 2])) for turn in turns]
    return int(np.sum(np.array(lean) < np.cos(np.radians(TILTED_DEG))))


def _lens(model: str, k: np.ndarray, bend: np.ndarray, size: tuple[int, int]) -> Lens:
    focal, middle = (float(k[0, 0]), float(k[1, 1])), (float(k[0, 2]), float(k[1, 2]))
    return Lens(size, model, focal, middle, tuple(float(b) for b in np.ravel(bend)))


def board_size(text: str) -> tuple[int, int]:
    """``9x6`` as (9, 6).

    Raises:
        ConfigError: not of that form, or no board.
    """
    match = re.fullmatch(r"(\d{1,2})[xX](\d{1,2})", text.strip())
    if match is None or min(int(n) for n in match.groups()) < 3:
        raise ConfigError(f"--board {text} is no chessboard; give its inner corners across and down, like 9x6")
    return int(match[1]), int(match[2])


def session_of(video: Path) -> Path:
    """The session folder a film belongs to: the nearest one above it, or the working directory.

    Raises:
        SessionError: neither is a session.
    """
    for folder in (*video.resolve().parents, Path.cwd()):
        if (folder / MANIFEST).is_file():
            return folder
    raise SessionError(f"{video} lies in no session; say with --session which one the camera belongs to")


def store(root: Path, name: str, found: Calibration, board: tuple[int, int], video: Path) -> Device:
    """Write a lens into the manifest of a session, whole or not at all.

    Raises:
        SessionError: no such session or device, or one whose pictures are of another size.
    """
    session = open_session(root)
    device = session.device(name)
    sizes = [s.size for s in device.of_kind("video")]
    if found.lens.size not in sizes:
        seen = "x".join(map(str, found.lens.size))
        raise SessionError(f"{name} recorded pictures of {_told(sizes)}, not {seen}; film the board in the same mode")
    how: dict[str, Any] = {"rms_px": round(found.rms_px, 4), "views": found.views, "board": list(board)}
    device = replace(device, intrinsics={**found.lens.to_json(), **how, "video": video.name})
    replace(session, devices=tuple(device if d.name == name else d for d in session.devices)).save()
    return device


def _told(sizes: Sequence[tuple[int, int] | None]) -> str:
    return ", ".join("x".join(map(str, s)) for s in sizes if s) or "no known size"
