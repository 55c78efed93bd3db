"""Figures of a split's labels: gaze where it was, turns as they were measured."""

from __future__ import annotations

import base64
import re

import cv2
import numpy as np
import pytest
from made_clips import MadeClips

from models import muscles
from models.evaluate import Illustrated
from models.figures import CELLS, bars, heat_map
from models.metrics import turns
from models.muscles import GROUPS


def test_the_heat_map_is_brightest_where_people_looked_and_black_where_nobody_did():
    gaze = np.array([[0.1, 0.9]] * 9 + [[0.5, 0.5]] + [[1.2, -0.3]])
    picture = base64.b64decode(re.search(r"base64,([^\"]+)", heat_map(gaze)).group(1))
    red = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)[..., 2]
    assert red.shape == (CELLS, CELLS)
    assert red[int(0.9 * CELLS), int(0.1 * CELLS)] == 255
    assert red[CELLS // 2, CELLS // 2] == red[0, CELLS - 1] == 85  # a ninth as often, by its root
    assert (red > 0).sum() == 3


def test_bars_are_as_long_as_their_values():
    svg = bars("turn", {"neck": 2.0, "<arm>": 1.0})
    widths = [float(w) for w in re.findall(r'<rect [^>]*width="([0-9.]+)"', svg)]
    assert widths[0] == pytest.approx(2 * widths[1])
    assert "&lt;arm&gt;" in svg


def test_turns_are_means_over_what_was_measured():
    degrees = np.zeros((1, 2, len(GROUPS)))
    known = np.zeros(degrees.shape, bool)
    degrees[0, :, 0], known[0, :, 0] = (3, 5), True
    degrees[0, 0, 1], known[0, 0, 1] = 7, True
    assert turns(degrees, known) == {GROUPS[0]: 4.0, GROUPS[1]: 7.0}


def test_the_labels_of_muscles_are_drawn_in_its_report():
    truth = muscles.truth(MadeClips(8))
    assert isinstance(truth, Illustrated)
    drawn = truth.figures()
    assert len(drawn) == 2
    assert all(figure.startswith("<figure>") for figure in drawn)
    assert all(group in drawn[1] for group in GROUPS)
