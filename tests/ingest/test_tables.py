import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_host.errors import SessionError
from ingest import tables
from recorder.series import Series

SECOND = 1_000_000_000


def series(seconds: int, seed: int) -> Series:
    random = np.random.default_rng(seed)
    t_ns = 9_000_000_000_000_000_001 + np.sort(random.integers(0, seconds * SECOND, 20 * seconds))
    return Series(
        t_ns, random.normal(size=(len(t_ns), 3)).astype(np.float32), np.ones(len(t_ns), bool), ("x", "y", "z"), "kit-01"
    )


@settings(max_examples=20)
@given(st.integers(1, 200), st.integers(0, 99))
def test_a_series_comes_back_to_the_bit(tmp_path_factory, seconds, seed):
    path, given_series = tmp_path_factory.mktemp("series") / "a.parquet", series(seconds, seed)
    tables.write_series(path, given_series, given_series.t_ns - 7)
    back = tables.read_series(path, 0, 2**63 - 1)
    np.testing.assert_array_equal(back["t_ns"].to_numpy(), given_series.t_ns)
    np.testing.assert_array_equal(back["t_device_ns"].to_numpy(), given_series.t_ns - 7)
    np.testing.assert_array_equal(np.column_stack([back[c].to_numpy() for c in "xyz"]), given_series.x)


def test_a_minute_is_a_row_group_and_a_window_is_half_open(tmp_path):
    whole = series(150, 1)
    tables.write_series(tmp_path / "a.parquet", whole, whole.t_ns)
    assert pq.ParquetFile(tmp_path / "a.parquet").num_row_groups == 3
    t0, t1 = int(whole.t_ns[100]), int(whole.t_ns[1500])
    window = tables.read_series(tmp_path / "a.parquet", t0, t1)["t_ns"].to_numpy()
    np.testing.assert_array_equal(window, whole.t_ns[(whole.t_ns >= t0) & (whole.t_ns < t1)])


def test_only_the_sessions_asked_for_are_read(built):
    both = tables.read(built.out, "frames", sessions=["s-ben", "s-dora"])
    assert set(both["session"].to_pylist()) == {"s-ben", "s-dora"}
    assert pq.ParquetFile(built.out / "frames.parquet").num_row_groups == 4
    assert tables.read(built.out, "frames", sessions=[]).num_rows == 0


def test_unknown_gaze_is_null_for_other_tools_and_nan_for_us(built):
    column = tables.read(built.out, "targets")["gaze_x"]
    assert column.null_count > 0
    assert np.isnan(column.to_numpy()).sum() == column.null_count


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "is not a dataset"),
        ("{", "not valid JSON"),
        ('{"kind": "something"}', "does not describe"),
        ('{"kind": "syncctl dataset", "version": 99}', "version 99; this syncctl reads version 2"),
    ],
)
def test_what_is_no_dataset_of_this_version_is_refused(tmp_path, text, said):
    if text is not None:
        (tmp_path / "info.json").write_text(text)
    with pytest.raises(SessionError, match=said):
        tables.read_info(tmp_path)


def test_a_missing_or_damaged_table_is_named(tmp_path):
    with pytest.raises(SessionError, match=r"no labels\.parquet"):
        tables.read(tmp_path, "labels")
    (tmp_path / "labels.parquet").write_bytes(b"PAR1 but not really")
    with pytest.raises(SessionError, match="cannot be read"):
        tables.read(tmp_path, "labels")
