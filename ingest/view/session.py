"""What the tables say of one session, read once and kept while its clips are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from ingest.anchors import actors, focus
from ingest.ask import ATOMIC, Ask
from ingest.opened import Dataset

Arrays = dict[str, np.ndarray]


class SessionRows:
    """One session of a dataset, for the clips of one `Ask`."""

    def __init__(self, dataset: Dataset, session: str, ask: Ask) -> None:
        self.dataset, self.session, self.ask = dataset, session, ask
        self.streams = dataset.streams(session)
        participants = self.rows("sessions")["participants"].to_pylist()[0]
        self.focus = focus(self.streams, participants)

    @property
    def info(self) -> dict[str, Any]:
        """The document of `info.json`."""
        return self.dataset.info

    def rows(self, name: str, wanted: Sequence[str] | None = None) -> pa.Table:
        """The session's rows of a table."""
        return self.dataset.rows.of(name, self.session, wanted)

    @cached_property
    def actors(self) -> list[str]:
        """Everybody with a track, in alphabetical order."""
        return actors(self.dataset.rows, self.session)

    @cached_property
    def people(self) -> list[str]:
        """Everybody with a track or a box, in alphabetical order: the numbers of `box_person`."""
        boxed = self.rows("boxes", ["actor"])["actor"].to_pylist()
        return sorted({*self.actors, *(a for a in boxed if a)})

    def acting(self, span_ns: tuple[int, int], actor: str | None) -> np.ndarray:
        """(A,) 1 for each atomic action of an actor that meets a half open span."""
        place = self.classes(ATOMIC)
        out = np.zeros(len(place), np.float32)
        for value, a, b, who in self.labels.get(ATOMIC, ()):
            if a < span_ns[1] and (b > span_ns[0] or a == b == span_ns[0]) and who in (actor, None):
                out[place[value]] = 1
        return out

    @cached_property
    def labels(self) -> dict[str, list[tuple[str, int, int, str | None]]]:
        """Tier -> (value, t0_ns, t1_ns, actor)."""
        found: dict[str, list[tuple[str, int, int, str | None]]] = {}
        for r in self.rows("labels").to_pylist():
            found.setdefault(r["tier"], []).append((r["value"], r["t0_ns"], r["t1_ns"], r["actor"]))
        return found

    def classes(self, tier: str) -> dict[str, int]:
        """Value -> its number, of a tier."""
        return self._classes.get(tier, {})

    @cached_property
    def _classes(self) -> dict[str, dict[str, int]]:
        return {tier: {v: i for i, v in enumerate(values)} for tier, values in self.info["vocabulary"].items()}
