"""Figures: valid SVG, round ticks, and peaks that survive thinning."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.figure import MAX_POINTS, Curve, Figure, svg, thinned, ticks


def test_a_figure_is_well_formed_and_says_what_it_shows():
    x = np.linspace(0, 1, 2000)
    curves = [
        Curve(x, np.sin(x), name="a < b", colour=1),
        Curve(x[:3], x[:3], "points"),
        Curve(x[:2], np.zeros(2), "band", "± sigma", 0, np.ones(2)),
    ]
    text = svg(Figure("R & D", "seconds", "ms", curves, "what it means", marks=(0.5,)))
    root = ElementTree.fromstring(text)
    shapes = [e.tag for e in root.iter()]
    assert (shapes.count("polyline"), shapes.count("circle"), shapes.count("polygon")) == (1, 3, 1)
    words = " ".join(root.itertext())
    assert all(w in words for w in ("R & D", "a < b", "seconds", "ms", "what it means"))


@pytest.mark.parametrize("y", [np.zeros(5), np.full(5, np.nan), np.zeros(0)])
def test_flat_missing_and_empty_curves_are_drawn(y):
    ElementTree.fromstring(svg(Figure("t", "x", "y", [Curve(np.arange(len(y)), y, "points")])))


def test_thinning_keeps_the_highest_and_the_lowest():
    y = np.zeros(100_000)
    y[31_337], y[77_777] = 5.0, -4.0
    _, small = thinned(np.arange(len(y)), y)
    assert len(small) <= MAX_POINTS
    assert (small.max(), small.min()) == (5.0, -4.0)


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_ticks_lie_inside_and_are_few(low, span):
    marks = ticks(low, low + span, 5)
    assert all(low - 1e-6 * span <= m <= low + span * (1 + 1e-6) + 1e-9 for m in marks)
    assert 1 <= len(marks) <= 7
