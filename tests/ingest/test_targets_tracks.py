import pickle

import numpy as np
import pytest

from firmware_host.errors import SessionError
from ingest.targets import tracks

FRAMES = np.arange(30, dtype=np.int64) * 33_333_333
SIZE = (640, 360)


def made(**other: object) -> dict:
    frame = np.array([5, 4, 5])
    box = np.array([[64, 36, 320, 180], [0, 0, 64, 36], [-10, -10, 700, 400]])
    pose = np.arange(3 * 229, dtype=np.float32).reshape(3, 229)
    return {
        "frame": frame,
        "track": np.array([2, 2, 1]),
        "box": box,
        "score": np.array([0.5, 1, 2]),
        "pose": pose,
        **other,
    }


def test_rows_come_by_track_and_time_with_boxes_as_fractions(tmp_path):
    np.savez(tmp_path / "t.npz", **made(appearance=np.ones((3, 8))))
    found = tracks.read(tmp_path / "t.npz", FRAMES, SIZE)
    assert found.track.tolist() == [1, 2, 2]
    assert found.t_ns.tolist() == [FRAMES[5], FRAMES[4], FRAMES[5]]
    np.testing.assert_allclose(found.box, [[0, 0, 1, 1], [0, 0, 0.1, 0.1], [0.1, 0.1, 0.5, 0.5]], atol=1e-7)
    assert found.pose[:, 0].tolist() == [458, 229, 0]
    assert found.score.tolist() == [1, 1, 0.5]
    assert found.appearance.shape == (3, 8)
    labels = found.labels(33_333_333)
    assert [(n.actor, n.t0_ns, n.confidence) for n in labels] == [
        ("2", FRAMES[4], 1.0),
        ("1", FRAMES[5], 1.0),
        ("2", FRAMES[5], 0.5),
    ]
    assert {n.t1_ns - n.t0_ns for n in labels} == {33_333_333}


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"frame": np.array([5, 4, 30])}, "frame 30, and the film has 30"),
        ({"pose": np.zeros((3, 226))}, "arrays of shapes"),
        ({"track": np.array([{"a": 1}, 2, 3], object)}, "cannot be read as tracks"),
    ],
)
def test_what_is_of_another_film_shape_or_a_pickle_is_refused(tmp_path, other, said):
    np.savez(tmp_path / "t.npz", **made(**other))
    with pytest.raises(SessionError, match=said):
        tracks.read(tmp_path / "t.npz", FRAMES, SIZE)


def test_a_pickle_is_not_opened(tmp_path):
    (tmp_path / "t.npz").write_bytes(pickle.dumps({"frame": 1}))
    with pytest.raises(SessionError, match="cannot be read as tracks"):
        tracks.read(tmp_path / "t.npz", FRAMES, SIZE)
