import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from planted import T0, Turning

from ingest.targets import (
    GROUPS,
    MAX_GAP_NS,
    MEMBERS,
    MIRRORED,
    STEP_NS,
    Thirds,
    fit_thirds,
    movement,
    normalised_gaze,
    orientation_at,
    rotation_degrees,
)

component = st.floats(-1, 1, allow_nan=False)
quaternions = (
    st.tuples(component, component, component, component)
    .map(np.array)
    .filter(lambda q: np.linalg.norm(q) > 0.1)
    .map(lambda q: q / np.linalg.norm(q))
)


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    w = a[..., :1] * b[..., :1] - (a[..., 1:] * b[..., 1:]).sum(-1, keepdims=True)
    v = a[..., :1] * b[..., 1:] + b[..., :1] * a[..., 1:] + np.cross(a[..., 1:], b[..., 1:])
    return np.concatenate([w, v], axis=-1)


def about(axis: np.ndarray, degrees: float) -> np.ndarray:
    half = np.radians(degrees) / 2
    return np.concatenate([[np.cos(half)], np.sin(half) * axis / np.linalg.norm(axis)])


@given(quaternions, quaternions)
def test_the_angle_is_between_0_and_180_and_does_not_depend_on_signs_or_order(a, b):
    angle = rotation_degrees(a, b)
    assert 0 <= angle <= 180
    assert angle == pytest.approx(rotation_degrees(-a, b), abs=1e-9)
    assert angle == pytest.approx(rotation_degrees(b, a), abs=1e-9)


@given(quaternions, quaternions, quaternions, quaternions)
def test_neither_mounting_nor_the_rooms_heading_changes_the_angle(a, b, mounting, heading):
    turned = product(heading, product(np.stack([a, b]), mounting))
    assert rotation_degrees(*turned) == pytest.approx(rotation_degrees(a, b), abs=1e-5)


@given(quaternions, quaternions, st.floats(0, 180))
def test_a_planted_rotation_is_recovered(start, axis, degrees):
    direction = axis[1:] if np.linalg.norm(axis[1:]) > 1e-3 else np.array([1.0, 0, 0])
    assert rotation_degrees(start, product(start, about(direction, degrees))) == pytest.approx(degrees, abs=1e-5)


def test_a_hundredth_of_a_degree_is_not_lost():
    small = about(np.array([0.0, 0, 1]), 0.01)
    assert rotation_degrees(np.array([1.0, 0, 0, 0]), small) == pytest.approx(0.01, rel=1e-6)


def test_orientation_follows_the_shortest_arc_even_where_the_chip_changes_sign():
    q = np.stack([about(np.array([0.0, 1, 0]), 0), -about(np.array([0.0, 1, 0]), 40)])
    middle = orientation_at(np.array([0, 100_000_000]), q, np.array([25_000_000]))
    assert rotation_degrees(middle[0], about(np.array([0.0, 1, 0]), 10)) == pytest.approx(0, abs=1e-6)


def test_no_orientation_outside_the_samples_across_a_gap_or_before_the_chip_is_ready():
    t = np.array([0, 50, 100, 100 + MAX_GAP_NS // 1_000_000 + 1, 1000]) * 1_000_000
    q = np.tile([1.0, 0, 0, 0], (5, 1))
    q[0] = 0  # a BNO055 that is still starting answers zeros
    at = np.array([-1, 25, 75, 100, 200, 1001]) * 1_000_000
    assert np.isfinite(orientation_at(t, q, at)[:, 0]).tolist() == [False, False, True, False, False, False]
    assert np.isnan(orientation_at(t[:1], q[:1], at)).all()


def sensors_of(turning: Turning) -> dict:
    """Twenty samples a second of ten sensors over six seconds, with noise of a thousandth."""
    random = np.random.default_rng(0)
    out = {}
    for group in GROUPS:
        for name in MEMBERS[group]:
            t = T0 + np.sort(random.integers(0, 6_000_000_000, 120))
            out[name] = t, turning.quaternion(name, t)
    return out


def test_movement_is_the_larger_of_upper_and_lower():
    turning = Turning.of(1)
    dense = {
        name: (t := T0 + np.arange(0, 6_000_000_000, 5_000_000), turning.quaternion(name, t))
        for group in GROUPS
        for name in MEMBERS[group]
    }
    at = T0 + 1_000_000_000 + np.arange(10) * 400_000_000
    found = movement(dense, at)
    for column, group in enumerate(GROUPS):
        true = [np.abs(turning.angle(n, at) - turning.angle(n, at - STEP_NS)) for n in MEMBERS[group]]
        np.testing.assert_allclose(found[:, column], np.maximum.reduce(true), atol=0.01)


def test_a_silent_sensor_silences_its_group_alone_and_one_never_worn_does_not():
    sensors = sensors_of(Turning.of(2))
    at = T0 + 1_000_000_000 + np.arange(20) * 200_000_000
    t, q = sensors["larmd"]
    sensors["larmd"] = t[t < T0 + 3_000_000_000], q[t < T0 + 3_000_000_000]
    del sensors["rarmd"], sensors["neck"]
    found = movement(sensors, at)
    late = at > T0 + 3_000_000_000
    assert np.isnan(found[late, GROUPS.index("larmu")]).all()
    assert np.isfinite(found[:, GROUPS.index("rarmu")]).mean() > 0.5
    assert np.isnan(found[:, GROUPS.index("neck")]).all()


@given(st.integers(0, 2**31), st.floats(0.5, 8))
def test_between_28_and_38_percent_of_the_training_movement_is_in_each_third(seed, shape):
    degrees = np.random.default_rng(seed).gamma(shape, 3.0, (300, 6))
    for thirds, column in zip(fit_thirds(degrees), degrees.T, strict=True):
        assert thirds is not None
        share = np.bincount(thirds.label(column) + 1, minlength=3) / len(column)
        assert (share > 0.28).all()
        assert (share < 0.38).all()


def test_what_nobody_measured_has_no_label_and_no_thirds():
    degrees = np.full((9, 6), np.nan)
    degrees[:, 0] = np.arange(9)
    thirds = fit_thirds(degrees)
    assert thirds[1:] == (None,) * 5
    assert Thirds(1.0, 2.0).label(np.array([np.nan, 0.5, 1.0, 1.5, 2.0, 2.5])).tolist() == [-1, 0, 0, -1, -1, 1]


def test_the_edges_of_the_frame_are_0_and_1_and_a_mirror_is_1_minus_x():
    px = np.array([[-0.5, -0.5], [639.5, 359.5], [100.0, 50.0], [640.0, 10.0], [np.nan, 3.0]])
    gaze = normalised_gaze(px, (640, 360))
    np.testing.assert_array_equal(gaze[:2], [[0, 0], [1, 1]])
    assert np.isnan(gaze[3:]).all()
    mirrored = normalised_gaze(np.array([[639 - 100.0, 50.0]]), (640, 360))
    assert mirrored[0, 0] == pytest.approx(1 - gaze[2, 0], abs=1e-7)


def test_mirroring_twice_changes_nothing_and_swaps_sides():
    assert [MIRRORED[i] for i in MIRRORED] == list(range(6))
    assert [GROUPS[i] for i in MIRRORED] == ["neck", "body", "rlegu", "llegu", "rarmu", "larmu"]
