import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ingest.targets.pose import HEAD, JOINTS, NECK, PARENTS, SEGMENT_OF, VECTOR, body_pose, mountings
from recorder.world import WorldPlan, smpl
from recorder.world.world import World

T = np.arange(0, 8_000_000_000, 100_000_000)


@pytest.fixture(scope="module")
def world() -> World:
    return World(WorldPlan(duration_s=10, seed=5))


@pytest.fixture(scope="module")
def sensors(world) -> dict:
    """Ten perfect sensors, 100 times a second."""
    t = np.arange(0, 10_000_000_000, 10_000_000)
    return {name: (t, world.orientation(name, t)) for name in world.segments}


def turned_apart(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(M, 24) degrees between the joints of two vectors."""
    one, two = (v[:, : 9 * JOINTS].reshape(-1, 3, 3) for v in (a, b))
    return np.degrees((Rotation.from_matrix(one).inv() * Rotation.from_matrix(two)).magnitude()).reshape(-1, JOINTS)


def truth(world: World) -> np.ndarray:
    found = world.body24(T)[0]
    turns = Rotation.from_rotvec(found[:, :72].reshape(-1, 3)).as_matrix().reshape(len(T), -1)
    return np.concatenate([turns, found[:, 72:]], axis=1)


def test_the_joints_are_smpls():
    assert PARENTS == smpl.PARENTS
    assert {smpl.JOINTS[j]: s for j, s in SEGMENT_OF.items()} == smpl.SEGMENT_OF


def test_it_is_the_body_that_the_simulated_home_knows(world, sensors):
    vector, measured = body_pose(sensors, T)
    assert vector.shape == (len(T), VECTOR)
    assert vector.dtype == np.float32
    apart = turned_apart(vector, truth(world))
    assert apart.max() < 0.05  # degrees: float32, and an arc between samples 10 ms apart
    assert sorted(np.flatnonzero(measured.all(axis=0))) == sorted([*SEGMENT_OF, NECK])
    assert not measured[:, 3].any()
    assert np.ptp(turned_apart(vector[:1].repeat(len(T), 0), vector), axis=0)[4] > 5  # somebody moves


def test_however_they_are_strapped_on_one_moment_of_standing_tells(world, sensors):
    random = np.random.default_rng(3)
    strapped = {n: Rotation.random(random_state=random) for n in sensors}
    loose = {
        n: (t, np.roll((Rotation.from_quat(np.roll(q, -1, 1)) * strapped[n]).as_quat(), 1, axis=1))
        for n, (t, q) in sensors.items()
    }
    facing = 130.0
    upright = np.roll(Rotation.from_euler("z", facing, degrees=True).as_quat(), 1)
    standing = {n: np.roll((Rotation.from_quat(np.roll(upright, -1)) * s).as_quat(), 1) for n, s in strapped.items()}
    vector, _ = body_pose(loose, T, mountings(standing, facing))
    assert turned_apart(vector, truth(world)).max() < 0.05
    wrong, _ = body_pose(loose, T)
    assert turned_apart(wrong, truth(world)).max() > 20


def test_a_joint_needs_its_own_sensor_and_its_parents(sensors):
    def which(*missing):
        return set(np.flatnonzero(body_pose({n: s for n, s in sensors.items() if n not in missing}, T)[1].any(axis=0)))

    everything = which()
    assert everything - which("larmu") == {16, 18}  # the shoulder, and the elbow that is against it
    assert everything - which("larmd") == {18}
    assert everything - which("neck") == {NECK, HEAD}
    assert which("body") == {4, 5, 18, 19}
    t, q = sensors["llegd"]
    silent = {**sensors, "llegd": (t[t < 4_000_000_000], q[t < 4_000_000_000])}
    vector, measured = body_pose(silent, T)
    assert measured[T < 3_900_000_000, 4].all()
    assert not measured[T > 4_000_000_000, 4].any()
    assert (vector[-1, 36:45].reshape(3, 3) == np.eye(3)).all()
    nobody, never = body_pose({}, T)
    assert not never.any()
    assert (nobody[:, : 9 * JOINTS].reshape(-1, 3, 3) == np.eye(3)).all()
    assert not nobody[:, 9 * JOINTS :].any()
