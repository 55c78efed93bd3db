"""Gaze through two films of one head, whose geometry is known."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from firmware_host.errors import EvidenceError, SessionError
from sync.gaze.carry import carry
from sync.gaze.films import carried, find_rig, plain_film
from sync.gaze.table import Gaze
from tests.bench.gaze_world import world


def answered(films, gaze, rig, frames=None, tracker_deg=0.0):
    scene, head = films
    return list(carry(scene.frames(), head.frames(frames), gaze, scene.size, head.size, rig, tracker_deg))


@pytest.fixture(scope="module")
def rows(desk_films, desk, desk_rig):
    return answered(desk_films, Gaze(*desk.gaze()), desk_rig)


def errors(rows, desk):
    gaze = Gaze(*desk.gaze())
    t_ns = np.array([r.t_ns for r in rows])
    true = desk.looked_at(t_ns, "head")
    out = []
    for row, place, doubt in zip(rows, true, gaze.doubt_px(t_ns), strict=True):
        if row.x_px is not None and doubt < 2 and np.isfinite(place[0]):
            out.append((np.hypot(row.x_px - place[0], row.y_px - place[1]), row.sigma_px))
    return np.array(out).T


def test_the_rig_is_found_in_the_recording(desk_rig, desk):
    way = desk.rig[1] / np.linalg.norm(desk.rig[1])
    assert desk_rig.way @ way > np.cos(np.radians(15))


def test_gaze_follows_through_parallax_between_frames_of_different_times(rows, desk):
    error, sigma = errors(rows, desk)
    asked = sum(r.verdict != "missing" for r in rows)
    assert len(error) > 0.6 * asked
    assert np.median(error) < 1.5
    assert np.mean(error > 12.5) < 0.08  # 50 px of a picture 1920 wide
    assert np.mean(error < 3 * sigma) > 0.9


def test_one_plane_is_worse_and_says_so(desk_films, desk, rows):
    plain = answered(desk_films, Gaze(*desk.gaze()), None, np.arange(0, 56, 8))
    assert {r.verdict for r in plain} <= {"homography", "refused", "missing"}
    assert {r.verdict for r in rows} <= {"ok", "refused", "missing"}
    assert np.median(errors(plain, desk)[0]) > 2 * np.median(errors(rows, desk)[0])


def test_the_trackers_own_error_is_in_the_ellipse(desk_films, desk, desk_rig, rows):
    wide = answered(desk_films, Gaze(*desk.gaze()), desk_rig, np.arange(8), tracker_deg=2.0)
    narrow = {r.t_ns: r for r in rows}
    own = np.radians(2.0) * desk_rig.head.focal[0]
    both = [(w, narrow[w.t_ns]) for w in wide if w.x_px is not None and narrow[w.t_ns].x_px is not None]
    assert both
    for w, n in both:
        assert w.minor_px == pytest.approx(np.hypot(n.minor_px, own), rel=0.2)


def test_missing_gaze_stays_missing_and_rows_are_thinned(desk_films, desk, desk_rig, rows):
    """Frames that are not asked for change nothing in those that are, but for what the last answer tells the next."""
    t_ns, xy = desk.gaze()
    xy = xy.copy()
    xy[t_ns > 200_000_000] = np.nan
    told = []
    thin = list(carried(*desk_films, Gaze(t_ns, xy), desk_rig, 3, told.append))
    assert [r.t_ns for r in thin] == desk_films[1].t_ns[::3].tolist()
    assert [r.verdict == "missing" for r in thin[:5]] == [False, False, True, True, True]
    assert sum(told) == 3 * len(thin)
    for few, every in zip(thin[:2], rows[:4:3], strict=True):
        assert np.hypot(few.x_px - every.x_px, few.y_px - every.y_px) < few.sigma_px


def test_the_cameras_may_be_of_other_brightness_and_contrast(desk_films, desk, desk_rig, rows):
    """Cameras of two makers expose by themselves, and each has its own curve."""
    scene, head = desk_films
    curve = np.clip(30 + 0.55 * 255 * (np.arange(256) / 255) ** 1.6, 0, 255).astype(np.uint8)
    shown = ((t_ns, curve[image]) for t_ns, image in islice(head.frames(), 24))
    dull = list(carry(scene.frames(), shown, Gaze(*desk.gaze()), scene.size, head.size, desk_rig, 0.0))
    assert sum(r.verdict == "ok" for r in dull) >= 0.9 * sum(r.verdict == "ok" for r in rows[:24])
    error, sigma = errors(dull, desk)
    assert np.median(error) < 2
    assert np.mean(error < 3 * sigma) > 0.9


def test_bare_walls_give_no_rig_and_no_answer():
    bare = world("bare", 2, seconds=0.25, width=480)
    frames = {camera: list(bare.frames(camera)) for camera in ("scene", "head")}
    rows = list(carry(frames["scene"], frames["head"], Gaze(*bare.gaze()), (480, 270), (480, 270)))
    asked = [r for r in rows if r.verdict != "missing"]
    assert asked
    assert {r.verdict for r in asked} == {"refused"}


def test_recordings_that_do_not_meet_give_no_rig(desk_films):
    scene, head = desk_films
    with pytest.raises(EvidenceError, match="time in common"):
        find_rig(scene, replace(head, t_ns=head.t_ns + 60_000_000_000))


def test_a_damaged_film_gives_the_pictures_that_are_left(desk_files, tmp_path):
    data = bytearray(desk_files[1].read_bytes())
    rng = np.random.default_rng(1)
    for at in rng.integers(len(data) // 3, 2 * len(data) // 3, 300):
        data[at] ^= 0xFF
    (tmp_path / "head.mp4").write_bytes(data)
    try:
        film = plain_film(tmp_path / "head.mp4")
    except SessionError:
        return
    few = [t for t, _ in film.frames(np.arange(0, len(film.pts_ns), 4))]
    every = [t for t, _ in film.frames()]
    assert few == sorted(set(few) & set(film.t_ns[::4].tolist()))
    assert set(few) <= set(every) <= set(film.t_ns.tolist())


def test_pictures_are_those_asked_for(desk_films):
    head = desk_films[1]
    frames = dict(head.frames())
    assert list(frames) == head.t_ns.tolist()
    wanted = np.array([0, 7, 40])
    for (t_ns, image), k in zip(head.frames(wanted), wanted, strict=True):
        assert t_ns == head.t_ns[k]
        assert (image == frames[t_ns]).all()
