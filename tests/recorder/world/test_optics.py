"""Lens and shutter: the picture, the truth about it, and OpenCV agree."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from recorder.world import World, WorldPlan
from recorder.world.optics import INSTANT, Lens, Shutter

BENT = WorldPlan(duration_s=20.0, seed=5, activity="make_tea", width=160, height=90, barrel=0.06, decentred=0.004)
LENS = Lens(-0.1, 0.01, 0.002, -0.001)


@pytest.fixture(scope="module")
def bent() -> World:
    return World(BENT)


def fast(world: World) -> np.ndarray:
    """(3,) ns: three times at which the head turns fast."""
    t = np.arange(3 * 10**9, 17 * 10**9, 2 * 10**7)
    speed = np.linalg.norm(world._spin("head", t), axis=1)
    return t[np.argsort(-speed)[[0, 40, 80]]]


def test_a_lens_bends_as_opencv_s_does() -> None:
    flat = np.random.default_rng(0).uniform(-1, 1, (100, 2))
    points = np.column_stack([flat, np.ones(100)])
    theirs = cv2.projectPoints(points, np.zeros(3), np.zeros(3), np.eye(3), np.array([-0.1, 0.01, 0.002, -0.001]))[0]
    assert LENS.bent(flat) == pytest.approx(theirs[:, 0], abs=1e-12)
    assert LENS.straight(LENS.bent(flat)) == pytest.approx(flat, abs=1e-9)


def test_what_is_far_aside_does_not_come_back_into_the_picture() -> None:
    far = Lens(-0.09).bent(np.array([[3.0, 0.0], [30.0, 0.0], [300.0, 0.0]]))[:, 0]
    assert (np.diff(far) > 0).all()
    assert np.isnan(Lens(-0.05).bent(np.array([[np.nan, 1.0]]))).any()


@pytest.mark.parametrize("camera", ["third", "head"])
def test_boxes_bound_what_is_drawn_through_a_lens(bent: World, camera: str) -> None:
    t, seen = np.arange(4 * 10**9, 16 * 10**9, 2 * 10**9), 0
    poses, straight = bent.poses(t), World(WorldPlan(20.0, 5, "make_tea", width=160, height=90))
    moved = []
    for index, boxes in enumerate(bent.boxes(camera, t)):
        drawn = bent.renderer.bodies(poses, index, camera)
        unbent = {box.name: box for box in straight.boxes(camera, t[index : index + 1])[0]}
        for box in boxes:
            parts = bent.segments if box.kind == "person" else (box.name,)
            y, x = np.nonzero(np.isin(drawn, [bent.renderer.names.index(part) for part in parts]))
            if len(x) < 12:
                continue
            seen += 1
            assert x.min() > box.x1 - 1.6
            assert x.max() < box.x2 + 1.6
            assert y.min() > box.y1 - 1.6
            assert y.max() < box.y2 + 1.6
            moved.append(abs(unbent[box.name].x1 - box.x1) if box.name in unbent else 0.0)
    assert seen > 10
    assert max(moved) > 2, "the lens does something"


def test_a_picture_shows_what_its_names_say(bent: World) -> None:
    """What is drawn through the lens by GL, and the pixels' names, which are looked up: edges are at one place."""
    t = np.arange(4 * 10**9, 16 * 10**9, 3 * 10**9)
    poses, off = bent.poses(t), []
    for index, picture in enumerate(bent.render("third", t)):
        named = bent.renderer.bodies(poses, index, "third") >= 0
        edges = cv2.Canny(picture, 60, 120) > 0
        outline = cv2.morphologyEx(named.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((2, 2), np.uint8)) > 0
        near = [np.roll(edges, (dy, dx), (0, 1)) for dy in range(-1, 2) for dx in range(-1, 2)]
        off.append(1 - (np.any(near, axis=0) & outline).sum() / outline.sum())
    assert np.mean(off) < 0.35, off


def test_each_line_of_a_rolling_shutter_is_of_its_own_time(bent: World) -> None:
    shutter, rows, better = Shutter(0.017, 0.0), np.arange(4, 90, 9), []
    for t in fast(bent):
        rolled, at_once = (next(bent.render("head", [int(t)], how)).astype(int)[rows] for how in (shutter, INSTANT))
        own = t + np.rint(((rows + 0.5) / 90 - 0.5) * 0.017e9).astype(int)
        true = np.stack([picture[row] for picture, row in zip(bent.render("head", own), rows, strict=True)]).astype(int)
        better.append(np.abs(rolled - true).mean() / np.abs(at_once - true).mean())
    assert np.median(better) < 0.5, better


def test_an_exposure_is_the_mean_of_what_was_seen_meanwhile(bent: World) -> None:
    better = []
    for t in fast(bent):
        blurred, sharp = (
            next(bent.render("head", [int(t)], how)).astype(float) for how in (Shutter(0.0, 0.02), INSTANT)
        )
        moments = t + np.rint(((np.arange(12) + 0.5) / 12 - 0.5) * 0.02e9).astype(int)
        mean = np.mean([picture.astype(float) for picture in bent.render("head", moments)], axis=0)
        better.append(np.abs(blurred - mean).mean() / np.abs(sharp - mean).mean())
        assert abs((blurred - mean).mean()) < 3
    assert np.median(better) < 0.5, better


def test_nothing_is_blurred_that_rests(bent: World) -> None:
    t = [6 * 10**9]
    one, other = (next(bent.render("third", t, how)) for how in (Shutter(0.033, 0.033), INSTANT))
    assert np.array_equal(one, other)
