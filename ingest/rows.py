"""The tables of a dataset, read where they lie and never whole.

A row group belongs to one session, and its statistics say to which; a window of a series is in the minutes whose
statistics meet it. So what is read, and what stays in memory, does not grow with the dataset.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from firmware_host.errors import SessionError
from ingest import tables
from ingest.store import Store

OPEN_TABLES, KEPT_MINUTES = 256, 1024
"""Files whose footers stay in memory, and minutes of series: about 60 kB each."""
_TIMES = ("t_ns", "t_device_ns")


class Samples(NamedTuple):
    """A stretch of a series: (N,) int64 ns on the reference and on the device's clock, and (N, C) float32 values."""

    t_ns: np.ndarray
    t_device_ns: np.ndarray
    x: np.ndarray


class Rows:
    """Reads the tables and series of one root. It travels to another process without its open files."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._open: OrderedDict[str, tuple[pq.ParquetFile, dict[str, list[int]]]] = OrderedDict()
        self._minutes: OrderedDict[tuple[str, int], Samples] = OrderedDict()

    def of(self, name: str, session: str, wanted: Sequence[str] | None = None) -> pa.Table:
        """A session's rows of a table, in the order of the file; empty where it has none.

        Raises:
            SessionError: the table is missing or damaged.
        """
        file, groups = self._file(f"{name}.parquet", "id" if name == "sessions" else "session")
        return self._groups(file, name, groups.get(session, []), wanted)

    def every(self, name: str, wanted: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """A table session by session."""
        file, groups = self._file(f"{name}.parquet", "id" if name == "sessions" else "session")
        for held in groups.values():
            yield self._groups(file, name, held, wanted)

    def series(
        self,
        session: str,
        device: str,
        stream: str,
        span_ns: tuple[int, int],
        *,
        device_clock: bool = False,
        more: int = 0,
    ) -> Samples:
        """Samples of one stream in a half open span of a clock; only the minutes it meets are read.

        Args:
            device_clock: the span is on the device's clock and not on the reference.
            more: samples to give before and after those in the span, where there are.

        Raises:
            SessionError: the dataset has no such series.
        """
        name = tables.series_name(session, device, stream)
        file, _ = self._file(name)
        at = file.schema_arrow.get_field_index("t_device_ns" if device_clock else "t_ns")
        bounds = [file.metadata.row_group(i).column(at).statistics for i in range(file.metadata.num_row_groups)]
        met = [i for i, b in enumerate(bounds) if b.min < span_ns[1] and b.max >= span_ns[0]]
        if more:
            after = sum(b.max < span_ns[0] for b in bounds)  # of a span between two minutes
            around = range(min(met, default=after) - 1, max(met, default=after - 1) + 2)
            met = [i for i in around if 0 <= i < len(bounds)]
        parts = [self._minute(file, name, i) for i in met] or [_samples(file.schema_arrow.empty_table())]
        found = Samples(*map(np.concatenate, zip(*parts, strict=True)))
        first, last = np.searchsorted(found[int(device_clock)], span_ns)
        return Samples(*(a[max(0, first - more) : last + more] for a in found))

    def channels(self, session: str, device: str, stream: str) -> tuple[str, ...]:
        """Names of a series' columns of values."""
        file, _ = self._file(tables.series_name(session, device, stream))
        return tuple(n for n in file.schema_arrow.names if n not in _TIMES)

    def _minute(self, file: pq.ParquetFile, name: str, group: int) -> Samples:
        key = name, group
        if key not in self._minutes:
            if len(self._minutes) >= KEPT_MINUTES:
                self._minutes.popitem(last=False)
            self._minutes[key] = _samples(self._groups(file, name, [group]))
        self._minutes.move_to_end(key)
        return self._minutes[key]

    def _groups(
        self, file: pq.ParquetFile, name: str, groups: Iterable[int], wanted: Sequence[str] | None = None
    ) -> pa.Table:
        columns = None if wanted is None else list(wanted)
        try:
            # A forked worker inherits no threads, so none are asked for.
            return file.read_row_groups(list(groups), columns=columns, use_threads=False)
        except (pa.ArrowInvalid, OSError) as error:
            raise SessionError(f"{self.store.path(name)} cannot be read ({error}); build the dataset again") from error

    def _file(self, name: str, key: str | None = None) -> tuple[pq.ParquetFile, dict[str, list[int]]]:
        if name not in self._open:
            file = self._opened(name)
            if len(self._open) >= OPEN_TABLES:
                self._open.popitem(last=False)[1][0].close()
            self._open[name] = file, _by_session(file, key) if key else {}
        self._open.move_to_end(name)
        return self._open[name]

    def _opened(self, name: str) -> pq.ParquetFile:
        path = self.store.path(name)
        try:
            return pq.ParquetFile(path if self.store.local else self.store.open(name))
        except FileNotFoundError:
            folder, _, file = path.rpartition("/")
            raise SessionError(f"the dataset has no {file} at {folder}; build it again") from None
        except (pa.ArrowInvalid, OSError) as error:
            raise SessionError(f"{path} cannot be read ({error}); build the dataset again") from error

    def __getstate__(self) -> dict[str, Any]:
        return {"store": self.store, "_open": OrderedDict(), "_minutes": OrderedDict()}


def _samples(rows: pa.Table) -> Samples:
    values = [rows[c].to_numpy() for c in rows.column_names if c not in _TIMES]
    return Samples(rows["t_ns"].to_numpy(), rows["t_device_ns"].to_numpy(), np.stack(values, axis=1))


def _by_session(file: pq.ParquetFile, key: str) -> dict[str, list[int]]:
    """Session -> its row groups, by their statistics; sessions in the order of the file."""
    at = file.schema_arrow.names.index(key)  # always the first column, so that no list before it shifts the leaves
    groups: dict[str, list[int]] = {}
    for i in range(file.metadata.num_row_groups):
        groups.setdefault(file.metadata.row_group(i).column(at).statistics.min, []).append(i)
    return groups


def fixed(column: pa.ChunkedArray) -> np.ndarray:
    """A column of lists of one length: (N, L)."""
    whole = column.combine_chunks()
    flat: np.ndarray = whole.flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(-1, whole.type.list_size)
