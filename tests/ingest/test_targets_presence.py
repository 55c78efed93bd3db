import numpy as np
import pytest

from ingest.targets.presence import Blob, blobs, empty_room, presence, warmth
from recorder.world import WorldPlan
from recorder.world.world import World


def picture(*spots: tuple[int, int, float]) -> np.ndarray:
    out = np.zeros((1, 8, 8), np.float32)
    for row, column, kelvin in spots:
        out[0, row, column] = kelvin
    return out


def test_a_blob_is_where_the_warmth_is_the_warmest_first():
    found = blobs(picture((1, 1, 2.0), (1, 2, 6.0), (2, 3, 2.0), (6, 6, 3.0), (7, 0, 1.0)))
    assert found == [[Blob(1.2, 2.0, 3, 6.0, 10.0), Blob(6.0, 6.0, 1, 3.0, 3.0)]]
    assert blobs(np.full((2, 8, 8), np.nan, np.float32)) == [[], []]


def test_walls_are_taken_off_pixel_by_pixel_and_somebody_who_never_moves_is_no_wall():
    random = np.random.default_rng(0)
    wall = 21 + random.uniform(-0.8, 0.8, 64)
    seen = wall + random.normal(0, 0.1, (400, 64))
    seen[:, 27] += 7  # sits there all the time
    seen[100:200, 50] += 5  # comes and goes
    empty = empty_room(seen)
    assert np.abs(np.delete(empty - wall, 27)).max() < 0.4
    found = blobs(warmth(seen))
    assert [len(f) for f in found[:100]] == [1] * 100
    assert [len(f) for f in found[110:190]] == [2] * 80
    assert found[0][0].row == 3
    assert found[0][0].column == 3
    assert blobs(warmth(wall[None], wall)) == [[]]


def test_a_current_comes_and_goes_with_a_margin_between_and_a_missed_reading_changes_nothing():
    current = np.zeros((12, 4))
    current[:, 2] = [0, 0, 50, 70, 40, 40, np.nan, 40, 20, 50, 0, 0]
    current[6] = np.nan
    found = presence(current + [500, -40, 7, 0])
    assert found.astype(int).tolist() == [0, 0, 0, 1, 1, 1, 1, 1, 0, 0, 0, 0]
    assert not presence(np.full((3, 4), np.nan)).any()


@pytest.fixture(scope="module")
def home() -> dict[str, np.ndarray]:
    """A minute and a half of somebody in all three rooms, as chips in the living room measure it every two seconds."""
    world = World(WorldPlan(duration_s=90, seed=5))
    t = np.arange(0, world.duration_ns, 2_000_000_000)
    noise = np.random.default_rng(0)
    people = [[b for b in seen if b.kind == "person"] for seen in world.boxes("third", t)]
    rooms = [next(o for _, relation, o in graph if relation == "in_room") for graph in world.scene_graphs(t)]
    return {
        "thermal": world.thermal(t) + noise.normal(0, 0.25, (len(t), 64)),
        "infrared": world.infrared(t) + noise.normal(0, 5, (len(t), 4)),
        "middle": np.array([(seen[0].x1 + seen[0].x2) / 2 if seen else np.nan for seen in people]),
        "room": np.array(rooms),
    }


def test_the_warmest_blob_is_where_the_camera_beside_it_sees_the_person(home):
    found = blobs(warmth(home["thermal"]))
    column = np.array([f[0].column if f else np.nan for f in found])
    both = np.isfinite(column) & np.isfinite(home["middle"])
    assert np.corrcoef(column[both], home["middle"][both])[0, 1] > 0.97
    assert np.isfinite(column)[home["room"] == "living room"].mean() > 0.6
    assert not np.isfinite(column)[home["room"] == "bedroom"].any()


def test_presence_is_in_the_room_of_the_kit_and_not_behind_two_walls(home):
    there = presence(home["infrared"])
    assert there[home["room"] == "living room"].mean() > 0.9
    assert there[home["room"] == "bedroom"].mean() < 0.1
