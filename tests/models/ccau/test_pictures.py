"""Attention as a picture, contexts in the plane."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from models.ccau.attention import picture
from models.ccau.embedding import scatter, tsne


def test_what_is_looked_at_is_bright():
    frame = np.full((32, 32, 3), 200, np.uint8)
    weights = np.zeros((4, 4), np.float32)
    weights[0, 3] = 1  # top right
    shown = picture(frame, weights)
    assert shown.shape == frame.shape
    assert shown.dtype == np.uint8
    assert shown[2, 29].min() > 190
    assert shown[29, 2].max() == 50
    assert (picture(frame, np.full((1, 1), 1.0)) == 200).all()


def test_points_are_drawn_where_they_are_in_their_classes_colour():
    svg = scatter(np.array([[0.0, 0], [1, 2], [1, 0]]), np.array([0, 1, 0]), ("sit & eat", "walk"))
    root = ET.fromstring(svg)
    dots = root.findall("{*}circle")
    assert len(dots) == 3
    assert dots[0].get("fill") == dots[2].get("fill") != dots[1].get("fill")
    assert float(dots[0].get("cx")) < float(dots[1].get("cx")) == float(dots[2].get("cx"))
    assert dots[0].find("{*}title").text == "sit & eat"
    assert {text.text for text in root.findall("{*}text")} == {"sit & eat", "walk"}


def test_tsne_keeps_clusters_together_and_is_the_same_for_a_seed():
    if "CI" not in os.environ:
        pytest.importorskip("sklearn")
    rng = np.random.default_rng(0)
    context = np.concatenate([rng.normal(size=(15, 6)), 20 + rng.normal(size=(15, 6))])
    points = tsne(context, seed=1)
    assert points.shape == (30, 2)
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)
    assert apart[:15, :15].max() < apart[:15, 15:].min()
    assert np.array_equal(points, tsne(context, seed=1))
