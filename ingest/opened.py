"""A dataset opened where it lies: its tables, its videos, and what any stream says at any time.

    dataset = open_dataset("dataset")                                  # or https://..., s3://..., memory://...
    t_ns, frames = dataset.get("s01", "head", "camera", t0_ns, t1_ns)
    t_ns, lux, valid = dataset.at("s01", "kit-01", "tsl2591.light", moments_ns, "hold")

Times are on the session's reference clock, or with ``clock="device"`` on the device's own.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from firmware_host.errors import ConfigError, SessionError, unknown_name
from ingest import tables
from ingest.cache import MANIFEST, FrameReader
from ingest.film import MP4, Video
from ingest.index import Gop, VideoIndex
from ingest.moments import FOREVER_NS, index_at, values_at
from ingest.rows import Rows
from ingest.splits import SPLITS
from ingest.store import Store

CLOCKS = ("reference", "device")


@dataclass(frozen=True)
class Dataset:
    """A dataset root.

    Attributes:
        store: where it is.
        info: the document of `info.json`.
        rows: its tables.
    """

    store: Store
    info: dict[str, Any]
    rows: Rows
    _reader: FrameReader = field(default_factory=FrameReader, repr=False, compare=False)
    _known: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def root(self) -> str:
        """Its folder or address."""
        return self.store.root

    def words(self, tier: str) -> tuple[str, ...]:
        """Names of a tier's classes, in the order of their numbers; none where it has no such labels."""
        return tuple(self.info["vocabulary"].get(tier, ()))

    @property
    def stats(self) -> dict[str, Any]:
        """The document of `stats.json`."""
        return self._once(tables.STATS, lambda: json.loads(self.store.read(tables.STATS)))

    def table(self, name: str, *sessions: str) -> pa.Table:
        """Rows of a table, of the named sessions or of all."""
        parts = [self.rows.of(name, s) for s in sessions] if sessions else list(self.rows.every(name))
        return tables.concatenated(name, parts)

    def sessions(self, split: str) -> list[str]:
        """Names of the sessions in a split, in alphabetical order.

        Raises:
            ConfigError: there is no split of that name.
        """
        if split not in SPLITS:
            raise ConfigError(unknown_name("split", split, SPLITS))
        rows = self.table("splits").to_pylist()
        return sorted({r["session"] for r in rows if r["split"] == split})

    def streams(self, session: str) -> list[dict[str, Any]]:
        """Rows of `streams` of one session."""
        return self.rows.of("streams", session).to_pylist()

    def video(self, session: str, device: str, *, original: bool = False, size: int = 0) -> Video:
        """The video of a device: a small copy where one is large enough, or the original.

        Args:
            original: not a copy.
            size: pixels that are wanted of each side: the smallest copy that has them, or the original.

        Raises:
            SessionError: that device recorded no video.
        """
        if not original and (copy := self._copy(f"{session}.{device}.mp4", size)):
            return self._video(copy, MP4, self._first(session, device))
        streams = self.streams(session)
        row = next((r for r in streams if r["device"] == device and r["kind"] == "video"), None)
        if row is None:
            raise SessionError(f"{self.root}: session '{session}' has no video of '{device}'")
        gops = tuple(
            Gop(r["start"], r["stop"], r["first_frame"], r["frames"])
            for r in self.rows.of("gops", session).to_pylist()
            if r["device"] == device and r["stream"] == row["name"]
        )
        index = VideoIndex(row["container"], row["header_stop"], gops)
        return self._video(row["file"], index, self._first(session, device))

    def frame_times(self, session: str, device: str, clock: str = "reference") -> np.ndarray:
        """When each frame of a device's video was taken: (N,) int64 ns."""
        rows = self.rows.of("frames", session, ["device", "t_ns" if _is_reference(clock) else "t_device_ns"])
        mine = pa.compute.equal(rows["device"], device)
        times: np.ndarray = rows.filter(mine)[1].to_numpy()
        return times

    def get(
        self,
        session: str,
        device: str,
        stream: str,
        t0_ns: int,
        t1_ns: int,
        size: tuple[int, int] | None = None,
        *,
        clock: str = "reference",
    ) -> tuple[np.ndarray, np.ndarray]:
        """What one stream recorded in an interval.

        Args:
            t0_ns, t1_ns: half open, ns.
            size: (width, height) of frames; None for the original's.
            clock: whose time it is, ``reference`` or ``device``.

        Returns:
            (N,) int64 ns on that clock, with (N, C) float32 in SI units for a sensor, or
            (N, height, width, 3) uint8 RGB of the original for a video.

        Raises:
            SessionError: there is no such stream, or its file is gone.
            ConfigError: an unknown clock.
        """
        row = self._stream(session, device, stream)
        if row["kind"] == "video":
            times = self.frame_times(session, device, clock)
            chosen = np.flatnonzero((times >= t0_ns) & (times < t1_ns))
            return times[chosen], self._frames(row, chosen, size)
        on_device = not _is_reference(clock)
        found = self.rows.series(session, device, stream, (t0_ns, t1_ns), device_clock=on_device)
        return found[int(on_device)], found.x

    def at(
        self,
        session: str,
        device: str,
        stream: str,
        at_ns: np.ndarray,
        policy: str = "nearest",
        *,
        reach_ns: int = FOREVER_NS,
        clock: str = "reference",
        size: tuple[int, int] | None = None,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What one stream says at moments of your choice; see `ingest.moments` for the policies.

        Args:
            at_ns: (M,) int64 ns, ascending.
            policy: ``before``, ``after``, ``nearest``, ``hold``, or for a sensor ``linear``.
            reach_ns: how far a sample may be from its moment.
            clock, size: as in `get`.

        Returns:
            times (M,) int64 ns on that clock, values (M, C) or (M, height, width, 3), 0 where there is no answer, and
            valid (M,) bool.

        Raises:
            SessionError: there is no such stream, or its file is gone.
            ConfigError: an unknown policy or clock, or ``linear`` of pictures.
        """
        row = self._stream(session, device, stream)
        at_ns = np.asarray(at_ns, np.int64)
        if row["kind"] == "video":
            times = self.frame_times(session, device, clock)
            if policy == "linear":
                raise ConfigError("pictures are not interpolated; use nearest, before, after or hold")
            index = index_at(times, at_ns, policy, reach_ns)
            shown, back = np.unique(index[index >= 0], return_inverse=True)
            frames = self._frames(row, shown, size)
            out = np.zeros((len(at_ns), *frames.shape[1:]), np.uint8)
            out[index >= 0] = frames[back]
            answered = np.where((index >= 0) & (policy != "hold"), times[index] if len(times) else at_ns, at_ns)
            return answered, out, index >= 0
        on_device = not _is_reference(clock)
        span = (int(at_ns.min()), int(at_ns.max()) + 1) if len(at_ns) else (0, 0)
        found = self.rows.series(session, device, stream, span, device_clock=on_device, more=1)
        return values_at(found[int(on_device)], found.x, at_ns, policy, reach_ns)

    def _stream(self, session: str, device: str, stream: str) -> dict[str, Any]:
        rows = self.streams(session)
        row = next((r for r in rows if (r["device"], r["name"]) == (device, stream)), None)
        if row is None:
            known = [f"{r['device']}/{r['name']}" for r in rows]
            raise SessionError(f"{self.root}: {unknown_name('stream', f'{device}/{stream}', known)}")
        return row

    def _frames(self, row: dict[str, Any], chosen: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
        video = self.video(row["session"], row["device"], original=True)
        return self._reader.read(video, chosen.tolist(), size or (row["width"], row["height"]))

    def _video(self, relative: str, index: VideoIndex, first: int) -> Video:
        if self.store.local:
            return Video(Path(self.store.path(relative)), index, None, first)
        return Video(Path(relative), index, self.store, first)

    def _first(self, session: str, device: str) -> int:
        """The number in its file of a video's first frame."""
        rows = self.rows.of("frames", session, ["device", "frame"])
        mine = rows.filter(pa.compute.equal(rows["device"], device))["frame"]
        return int(mine[0].as_py()) if len(mine) else 0

    def _copy(self, name: str, size: int) -> str | None:
        enough = [(side, folder) for side, folder, names in self._caches() if name in names and side >= size]
        path = f"cache/{min(enough)[1]}/{name}" if enough else None
        return path if path and (not self.store.local or self.store.exists(path)) else None

    def _caches(self) -> list[tuple[int, str, frozenset[str]]]:
        """Side, folder and files of every cache."""
        return self._once("caches", self._read_caches)

    def _read_caches(self) -> list[tuple[int, str, frozenset[str]]]:
        try:
            folders = [
                str(f).rstrip("/").rpartition("/")[2] for f in self.store.fs.ls(self.store.path("cache"), detail=False)
            ]
        except (OSError, ValueError):  # no listing, as of most web servers: the build's own cache is known by name
            folders = [str(self.info["cache"])]
        found = []
        for folder in sorted(folders):
            if self.store.exists(f"cache/{folder}/{MANIFEST}"):
                manifest = json.loads(self.store.read(f"cache/{folder}/{MANIFEST}"))
                if "side" in manifest:  # another syncctl's are only slower, and made again
                    found.append((int(manifest["side"]), folder, frozenset(manifest["size"])))
        return found

    def _once(self, key: str, make: Any) -> Any:
        if key not in self._known:
            self._known[key] = make()
        return self._known[key]


def open_dataset(root: Path | str) -> Dataset:
    """Open what `syncctl build` made.

    Args:
        root: a folder, or an address that fsspec knows.

    Raises:
        SessionError: no dataset there, or one of another version.
    """
    store = Store.at(root)
    return Dataset(store, tables.read_info(store), Rows(store))


def _is_reference(clock: str) -> bool:
    if clock not in CLOCKS:
        raise ConfigError(unknown_name("clock", clock, CLOCKS))
    return clock == "reference"
