"""Gaze tables: read in any order, interpolated but not across blinks, written whole."""

from __future__ import annotations

import numpy as np
import pytest

from firmware_host.errors import SessionError
from sync.gaze import Gaze, Row, read_gaze, read_rows, write_rows


def test_gaze_is_interpolated_but_not_across_a_blink():
    gaze = Gaze(np.array([0, 10, 20, 400]) * 1_000_000, np.array([[0.0, 0], [10, 20], [np.nan, np.nan], [40, 40]]))
    at = gaze.at(np.array([5, 10, 15, 200, 500, -5]) * 1_000_000)
    assert at[0] == pytest.approx([5, 10])
    assert at[1] == pytest.approx([10, 20])
    assert np.isnan(at[2:]).all()
    assert np.isnan(Gaze(np.zeros(0, np.int64), np.zeros((0, 2))).at(np.array([1]))).all()


def test_tables_keep_nanoseconds_and_gaps(tmp_path):
    rows = [Row(1_000_000_000_000_000_123, 1.25, 2.5, 4.0, "ok", 2.0, -89.5), Row(2, None, None, None, "missing")]
    write_rows(tmp_path / "g.csv", rows)
    assert read_rows(tmp_path / "g.csv") == rows
    assert (tmp_path / "g.csv").read_text().splitlines()[0] == "t_s,x_px,y_px,sigma_px,verdict,minor_px,angle_deg"


def test_a_gaze_table_is_read_in_order_of_time(tmp_path):
    (tmp_path / "g.csv").write_text("t_s,x_px,y_px\n0.020000001,3,4\n0.01,1,2\n0.03,,\n")
    gaze = read_gaze(tmp_path / "g.csv")
    assert gaze.t_ns.tolist() == [10_000_000, 20_000_001, 30_000_000]
    assert np.isnan(gaze.xy_px[2]).all()
    assert gaze.disordered == 1


def test_nan_infinity_and_a_time_twice_are_read(tmp_path):
    (tmp_path / "g.csv").write_text("t_s,x_px,y_px\n0.01,nan,2\n0.02,inf,1\n0.03,1,-1e300\n0.04,1,1\n0.04,7,8\n")
    gaze = read_gaze(tmp_path / "g.csv")
    assert gaze.t_ns.tolist() == [10_000_000, 20_000_000, 30_000_000, 40_000_000]
    assert np.isnan(gaze.xy_px[:3]).any(axis=1).all()
    assert gaze.xy_px[3].tolist() == [7, 8]


def test_between_two_samples_nobody_knows_when_the_eye_jumped():
    gaze = Gaze(np.array([0, 10, 20]) * 1_000_000, np.array([[0.0, 0], [40, 0], [np.nan, np.nan]]))
    assert gaze.doubt_px(np.array([0, 5, 10, 15]) * 1_000_000) == pytest.approx([0, 10, 0, 0])


def test_tables_without_an_ellipse_are_read(tmp_path):
    (tmp_path / "old.csv").write_text("t_s,x_px,y_px,sigma_px,verdict\n0.5,1,2,3,ok\n1,,,,refused\n")
    assert read_rows(tmp_path / "old.csv") == [Row(500_000_000, 1, 2, 3, "ok"), Row(10**9, None, None, None, "refused")]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a,b\n1,2\n",
        "t_s,x_px,y_px\n0,one,2\n",
        "t_s,x_px,y_px\nnever,1,2\n",
        "t_s,x_px,y_px\nnan,1,2\n",
        "t_s,x_px,y_px\n1e30,1,2\n",
        "\0\xff,",
    ],
)
def test_what_is_no_gaze_table_is_a_sentence(tmp_path, text):
    (tmp_path / "g.csv").write_text(text)
    with pytest.raises(SessionError, match=r"g\.csv"):
        read_gaze(tmp_path / "g.csv")
    with pytest.raises(SessionError, match="does not exist"):
        read_gaze(tmp_path / "none.csv")
