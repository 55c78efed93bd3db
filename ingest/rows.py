"""The tables of a dataset, read where they lie and never whole.

A row group belongs to one session, and its statistics say to which; a window of a series is in the minutes whose
statistics meet it. So what is read, and what stays in memory, does not grow with the dataset.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from firmware_host.errors import SessionError
from ingest import tables
from ingest.store import Store

OPEN_TABLES = 32
"""Files whose footers stay in memory."""


class Rows:
    """Reads the tables and series of one root. It travels to another process without its open files."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._open: OrderedDict[str, tuple[pq.ParquetFile, dict[str, list[int]]]] = OrderedDict()

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
        self, session: str, device: str, stream: str, span_ns: tuple[int, int], column: str = "t_ns"
    ) -> pa.Table:
        """Samples of one stream with `column` in a half open span; only the minutes it meets are read.

        Raises:
            SessionError: the dataset has no such series.
        """
        name = tables.series_name(session, device, stream)
        file, _ = self._file(name)
        meta, at = file.metadata, file.schema_arrow.get_field_index(column)
        bounds = [meta.row_group(i).column(at).statistics for i in range(meta.num_row_groups)]
        met = [i for i, b in enumerate(bounds) if b is None or (b.min < span_ns[1] and b.max >= span_ns[0])]
        rows = self._groups(file, name, met)
        return rows.filter(pc.and_(pc.greater_equal(rows[column], span_ns[0]), pc.less(rows[column], span_ns[1])))

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
            where = path.rpartition("/")
            raise SessionError(f"the dataset has no {where[2]} at {where[0]}; build it again") from None
        except (pa.ArrowInvalid, OSError) as error:
            raise SessionError(f"{path} cannot be read ({error}); build the dataset again") from error

    def __getstate__(self) -> dict[str, Any]:
        return {"store": self.store, "_open": OrderedDict()}


def _by_session(file: pq.ParquetFile, key: str) -> dict[str, list[int]]:
    """Session -> its row groups, by their statistics; sessions in the order of the file."""
    at = file.schema_arrow.names.index(key)
    # A list column before `key` would shift the leaves; `id` and `session` are always first.
    groups: dict[str, list[int]] = {}
    for i in range(file.metadata.num_row_groups):
        bounds = file.metadata.row_group(i).column(at).statistics
        groups.setdefault(bounds.min, []).append(i)
    return groups


def as_columns(rows: pa.Table, names: Sequence[str]) -> np.ndarray:
    """Number columns side by side: (N, C) float32, NaN where null."""
    return np.stack([rows[c].to_numpy().astype(np.float32) for c in names], axis=1)


def fixed(column: pa.ChunkedArray) -> np.ndarray:
    """A column of lists of one length: (N, L)."""
    whole = column.combine_chunks()
    length = whole.type.list_size
    flat = whole.flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(-1, length)
