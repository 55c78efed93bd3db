"""Gaze tables: what an eye tracker gives, and what is written for another camera's frames."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import numpy as np

from firmware_host.errors import SessionError
from recorder.durable import replacing

VERDICTS = ("ok", "homography", "refused", "missing")
COLUMNS = ("t_s", "x_px", "y_px", "sigma_px", "verdict", "minor_px", "angle_deg")
MAX_GAP_NS = 100_000_000
"""Gaze samples further apart than this are not interpolated: a blink lasts longer."""


@dataclass(frozen=True)
class Gaze:
    """Gaze of an eye tracker.

    Attributes:
        t_ns: (N,) int64 on the eye tracker's clock, ascending.
        xy_px: (N, 2) float64, pixels of the scene camera, origin at the centre of its top-left pixel; NaN
            where it is missing.
        disordered: how many rows of the table stood before an earlier one.
    """

    t_ns: np.ndarray
    xy_px: np.ndarray
    disordered: int = 0

    def at(self, t_ns: np.ndarray) -> np.ndarray:
        """Gaze at other times: (M, 2) float64, NaN where a neighbour is missing or too far away."""
        if len(self.t_ns) == 0:
            return np.full((len(t_ns), 2), np.nan)
        before, after = self._around(t_ns)
        gap = self.t_ns[after] - self.t_ns[before]
        share = (t_ns - self.t_ns[before]) / np.maximum(gap, 1)
        out = self.xy_px[before] + share[:, None] * (self.xy_px[after] - self.xy_px[before])
        out[(gap > MAX_GAP_NS) | (share < 0) | (share > 1)] = np.nan
        exact = self.t_ns[after] == t_ns
        out[exact] = self.xy_px[after][exact]
        return out

    def doubt_px(self, t_ns: np.ndarray) -> np.ndarray:
        """What interpolation may be wrong by: (M,) float64 px, a quarter of the way between the two neighbours.

        Eyes jump; between two samples nobody knows when.
        """
        if len(self.t_ns) == 0:
            return np.zeros(len(t_ns))
        before, after = self._around(t_ns)
        way = np.linalg.norm(self.xy_px[after] - self.xy_px[before], axis=1)
        inside = (t_ns > self.t_ns[before]) & (t_ns < self.t_ns[after])
        return np.where(inside & np.isfinite(way), way / 4, 0.0)

    def _around(self, t_ns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        after = np.minimum(np.searchsorted(self.t_ns, t_ns), len(self.t_ns) - 1)
        return np.maximum(after - 1, 0), after


@dataclass(frozen=True)
class Row:
    """Gaze at one frame of the other camera; pixels of that camera, None where there is no answer.

    Attributes:
        t_ns: time of the frame.
        x_px: where; `y_px` too.
        sigma_px: standard deviation along the longer axis of the error ellipse.
        verdict: one of `VERDICTS`: ``ok`` by the rigid pair, ``homography`` by one plane, ``refused`` where the
            pictures do not tell, ``missing`` where the eye tracker gave none.
        minor_px: standard deviation along the shorter axis.
        angle_deg: of the longer axis, from x towards y, -90 to 90.
    """

    t_ns: int
    x_px: float | None
    y_px: float | None
    sigma_px: float | None
    verdict: str
    minor_px: float | None = None
    angle_deg: float | None = None


def read_gaze(path: Path) -> Gaze:
    """Read a gaze table: CSV with the columns ``t_s, x_px, y_px``; an empty cell or NaN is a missing gaze.

    Rows are put in the order of their times; where two have the same, the later row counts.

    Raises:
        SessionError: no such file, no such columns, or a cell that is no number.
    """
    if not path.is_file():
        raise SessionError(f"{path} does not exist; give the eye tracker's gaze table")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (ValueError, csv.Error) as error:
        raise SessionError(f"{path} is not a CSV table ({error}); give the eye tracker's gaze table") from error
    if not rows or not {"t_s", "x_px", "y_px"} <= set(rows[0]):
        raise SessionError(f"{path} has no rows with the columns t_s, x_px, y_px")
    try:
        t_ns = np.array([_nanoseconds(r["t_s"]) for r in rows], np.int64)
        xy = np.array([[float(r[k] or "nan") for k in ("x_px", "y_px")] for r in rows])
    except (TypeError, ValueError, ArithmeticError) as error:
        raise SessionError(f"{path} has a cell that is not a number ({error}); mend it or leave it empty") from error
    xy[~(np.abs(xy) < 1e6).all(axis=1)] = np.nan
    order = np.argsort(t_ns, kind="stable")
    last = np.append(np.diff(t_ns[order]) > 0, True)
    return Gaze(t_ns[order][last], xy[order][last], int(np.sum(np.diff(t_ns) < 0)))


def _nanoseconds(text: str) -> int:
    """Decimal seconds to whole nanoseconds, without a float between."""
    return int((Decimal(text) * 10**9).to_integral_value())


def read_rows(path: Path) -> list[Row]:
    """The inverse of `write_rows`; tables without the ellipse's columns are read too.

    Raises:
        SessionError: no such table, or a damaged one.
    """
    if not path.is_file():
        raise SessionError(f"{path} does not exist; run `syncctl align` on its session")
    try:
        with path.open(newline="") as file:
            return [_read_row(r) for r in csv.DictReader(file)]
    except (OSError, KeyError, ValueError, TypeError, ArithmeticError) as error:
        raise SessionError(f"{path} cannot be read as a gaze table ({error}); run `syncctl align` again") from error


def _read_row(cells: dict[str, str]) -> Row:
    x, y, sigma, minor, angle = (
        float(cells[k]) if cells.get(k) else None for k in ("x_px", "y_px", "sigma_px", "minor_px", "angle_deg")
    )
    return Row(_nanoseconds(cells["t_s"]), x, y, sigma, cells["verdict"], minor, angle)


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write the table, whole or not at all: times to the nanosecond, empty cells where there is no answer."""
    with replacing(path) as scratch, scratch.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(COLUMNS)
        for r in rows:
            numbers = (r.x_px, r.y_px, r.sigma_px, r.verdict, r.minor_px, r.angle_deg)
            out.writerow([f"{Decimal(r.t_ns).scaleb(-9):.9f}", *("" if v is None else v for v in numbers)])
