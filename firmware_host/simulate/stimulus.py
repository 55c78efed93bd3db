"""What the world does to a kit's sensors: tables in physical units, prepared before a recording.

What the columns of a chip's table mean is in the docstring of its class.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from firmware_host.errors import SessionError

Environment = Callable[[int], list[float]]
"""Time on the kit's clock, ns, to one row of a table: C numbers."""


@dataclass(frozen=True)
class Stimulus:
    """Tables of what each sensor feels, on one even grid.

    Attributes:
        t0_ns: kit-clock time of row 0.
        rate_hz: rows per second.
        tables: sensor name -> (N, C) float32; N may differ.
    """

    t0_ns: int
    rate_hz: float
    tables: Mapping[str, np.ndarray]

    def environment(self, sensor: str, *, quaternion: bool = False) -> Environment:
        """What `sensor` feels at any time: linear between rows, constant before the first and after the last.

        With `quaternion`, the first four columns are made sign-continuous and kept at length one.
        """
        table = np.asarray(self.tables[sensor], dtype=np.float64)
        if quaternion:
            table = _sign_continuous(table)

        last = len(table) - 1

        def at(t_ns: int) -> list[float]:
            row = min(max((t_ns - self.t0_ns) * self.rate_hz / 1e9, 0.0), float(last))
            below = min(int(row), max(last - 1, 0))
            share, one, other = row - below, table[below].tolist(), table[min(below + 1, last)].tolist()
            values = [a + share * (b - a) for a, b in zip(one, other, strict=True)]  # too few for numpy to be worth it
            if quaternion:
                length = math.hypot(*values[:4])
                values[:4] = [x / length for x in values[:4]]
            return values

        return at

    def save(self, path: Path) -> None:
        """Write the tables as ``.npz``. `t0_ns` is left out: it is only known when a recording starts."""
        with path.open("wb") as file:
            np.savez(file, rate_hz=np.float64(self.rate_hz), **_named(self.tables))

    @classmethod
    def load(cls, path: Path, t0_ns: int) -> Stimulus:
        """Read what `save` wrote, row 0 being at `t0_ns`.

        Raises:
            SessionError: no such file, or not a stimulus.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                tables = {k.removeprefix("table."): file[k] for k in file.files if k.startswith("table.")}
                return cls(t0_ns, float(file["rate_hz"]), tables)
        except (OSError, ValueError, KeyError) as error:
            raise SessionError(f"{path} is not a stimulus ({error}); prepare the simulation again") from error


def _named(tables: Mapping[str, np.ndarray]) -> dict[str, Any]:
    return {f"table.{name}": table for name, table in tables.items()}


def _sign_continuous(table: np.ndarray) -> np.ndarray:
    """q and -q are one rotation; choose signs so that neighbours are near each other."""
    q = table[:, :4]
    flips = np.sum(q[1:] * q[:-1], axis=1) < 0
    signs = np.concatenate([[1.0], np.where(np.cumsum(flips) % 2, -1.0, 1.0)])
    return np.concatenate([q * signs[:, None], table[:, 4:]], axis=1)
