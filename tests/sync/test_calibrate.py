"""A lens from views of a chessboard: recovered, stored, and refused where the views do not tell."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from firmware_host.errors import ConfigError, EvidenceError, SessionError
from recorder.session import Device, Session, Stream, open_session
from sync.calibrate import Calibration, board_corners, board_size, fitted, session_of, store
from sync.gaze.lens import Lens

BOARD = (9, 6)
SIZE = (1280, 720)
BROWN = Lens(SIZE, "brown", (640.0, 642.0), (645.0, 355.0), (-0.12, 0.02, 0.001, -0.001, 0.0))
FISHEYE = Lens(SIZE, "fisheye", (520.0, 520.0), (636.0, 362.0), (-0.03, 0.01, 0.0, 0.0))


def views(
    lens: Lens, count: int = 24, tilt_deg: float = 40.0, near: float = 0.22, aside: float = 1.0, noise_px: float = 0.1
) -> list:
    """Corners of a board of 25 mm squares held in many ways before a lens."""
    rng = np.random.default_rng(4)
    x, y = np.meshgrid(np.arange(9) - 4.0, np.arange(6) - 2.5)
    board = 0.025 * np.column_stack([x.ravel(), y.ravel(), np.zeros(54)])
    out = []
    while len(out) < count:
        turn = Rotation.from_euler("xyz", rng.uniform(-1, 1, 3) * [tilt_deg, tilt_deg, 20], degrees=True)
        z = rng.uniform(near, 2 * near)
        px = lens.pixels(
            turn.apply(board) + [aside * rng.uniform(-0.9, 0.9) * z, aside * rng.uniform(-0.5, 0.5) * z, z]
        )
        if np.isfinite(px).all() and (px > 5).all() and (px < np.array(SIZE) - 5).all():
            out.append((px + noise_px * rng.normal(size=px.shape)).astype(np.float32))
    return out


@pytest.mark.parametrize("lens", [BROWN, FISHEYE], ids=["brown", "fisheye"])
def test_a_known_lens_is_recovered(lens):
    found = fitted(views(lens), BOARD, SIZE)
    assert found.lens.model == lens.model
    assert found.rms_px < 0.25
    x, y = np.meshgrid(np.linspace(60, 1220, 9), np.linspace(60, 660, 7))
    px = np.column_stack([x.ravel(), y.ravel()])
    apart = np.degrees(np.arccos(np.clip(np.sum(found.lens.rays(px) * lens.rays(px), axis=1), -1, 1)))
    assert apart.max() < 0.4


def test_one_blurred_view_is_left_out():
    shown = views(BROWN)
    shown[3] = shown[3] + 6 * np.random.default_rng(1).normal(size=shown[3].shape).astype(np.float32)
    found = fitted(shown, BOARD, SIZE)
    assert found.views == len(shown) - 1
    assert found.rms_px < 0.25


@pytest.mark.parametrize(
    ("shown", "why"),
    [
        (lambda: views(BROWN, 5), "seen whole in 5 pictures"),
        (lambda: views(BROWN, near=0.5, aside=0.05), "corners of the picture"),
        (lambda: views(BROWN, tilt_deg=1.0, noise_px=0.4), "same side"),
        (
            lambda: [v + 9 * np.random.default_rng(2).normal(size=v.shape).astype(np.float32) for v in views(BROWN)],
            "flat",
        ),
    ],
    ids=["few", "middle alone", "square on", "no lens"],
)
def test_views_that_do_not_tell_are_refused(shown, why):
    with pytest.raises(EvidenceError, match=why):
        fitted(shown(), BOARD, SIZE)


def test_corners_are_found_to_a_tenth_of_a_pixel():
    squares = np.kron((np.indices((7, 10)).sum(axis=0) % 2), np.ones((40, 40)))
    sheet = np.pad(200 * (1 - squares) + 20, 60, constant_values=220).astype(np.uint8)
    warp = np.array([[0.9, 0.1, 150.0], [-0.05, 0.95, 120.0], [8e-5, 5e-5, 1.0]])
    image = cv2.GaussianBlur(cv2.warpPerspective(sheet, warp, SIZE, borderValue=220), (0, 0), 1.0)
    x, y = np.meshgrid(np.arange(1, 10) * 40 + 59.5, np.arange(1, 7) * 40 + 59.5)
    true = cv2.perspectiveTransform(np.stack([x, y], axis=-1).reshape(1, -1, 2), warp)[0]
    found = board_corners(image, BOARD)
    assert found is not None
    gap = np.linalg.norm(found[:, None] - true[None], axis=2).min(axis=1)
    assert gap.max() < 0.15
    assert board_corners(np.full(SIZE[::-1], 128, np.uint8), BOARD) is None


@pytest.fixture
def session(tmp_path):
    camera = Stream("camera", "video", 0, 30.0, size=SIZE)
    devices = tuple(Device(n, "media", "ego", n, f"{n}.mp4", (camera,)) for n in ("head", "other"))
    Session(tmp_path, "s", devices, sealed=True).save()
    return tmp_path


def test_the_session_keeps_the_lens(session, tmp_path):
    found = Calibration(BROWN, 0.2, 20, 22, 90, 0.001, 15)
    store(session, "head", found, BOARD, tmp_path / "board.mp4")
    devices = open_session(session).devices
    assert [d.name for d in devices] == ["head", "other"]
    assert Lens.from_json(devices[0].intrinsics, "head") == BROWN
    assert devices[0].intrinsics["rms_px"] == 0.2
    assert devices[1].intrinsics is None


def test_a_lens_of_another_mode_is_refused(session, tmp_path):
    found = Calibration(BROWN.scaled(640), 0.2, 20, 22, 90, 0.001, 15)
    with pytest.raises(SessionError, match="1280x720, not 640x360"):
        store(session, "head", found, BOARD, tmp_path / "board.mp4")
    with pytest.raises(SessionError, match="unknown device"):
        store(session, "hat", found, BOARD, tmp_path / "board.mp4")


def test_sessions_of_before_still_load(session):
    path = session / "session.json"
    document = json.loads(path.read_text())
    for device in document["devices"]:
        del device["intrinsics"]
    path.write_text(json.dumps(document))
    assert open_session(session).device("head").intrinsics is None


def test_the_session_is_the_one_the_film_lies_in(session, tmp_path, monkeypatch):
    (session / "calibration").mkdir()
    assert session_of(session / "calibration" / "board.mp4") == session.resolve()
    monkeypatch.chdir("/")
    with pytest.raises(SessionError, match="--session"):
        session_of(tmp_path.parent / "elsewhere" / "board.mp4")


def test_a_board_is_told_by_its_inner_corners():
    assert board_size("9x6") == (9, 6)
    for text in ("9", "9x", "2x6", "axb", "9x6x3"):
        with pytest.raises(ConfigError, match="9x6"):
            board_size(text)
