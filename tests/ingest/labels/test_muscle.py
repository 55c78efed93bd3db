import json

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_host.errors import SessionError
from ingest import tables
from ingest.labels import muscle
from ingest.labels.muscle import SENSORS, Record
from ingest.targets import GROUPS


def made(name: str, n: int, seed: int) -> Record:
    random = np.random.default_rng(seed)
    gaze = random.uniform(0, 224, (n, 2)).astype(np.float32)
    gaze[::3] = -1
    frames = np.cumsum(random.integers(1, 3, n))
    return Record(
        name,
        tuple(f"{name}/{f:06d}.jpg" for f in frames),
        frames,
        frames / 6,
        gaze,
        random.integers(-1, 2, (n, 10)).astype(np.int8),
    )


def same(a: Record, b: Record) -> bool:
    arrays = all(np.array_equal(getattr(a, k), getattr(b, k)) for k in ("frames", "t_s", "gaze_px", "move"))
    return arrays and (a.name, a.images) == (b.name, b.images)


def test_records_come_back_and_are_what_the_public_loader_opens(tmp_path):
    records = [made("b", 7, 1), made("a", 12, 2)]
    assert muscle.write(records, tmp_path, "train") == []
    found = muscle.read(tmp_path, "train")
    assert [r.name for r in found] == ["a", "b"]
    assert all(same(x, y) for x, y in zip(found, records[::-1], strict=True))
    start = tmp_path / "annotation_h5" / "train_"
    with h5py.File(f"{start}gaze_points.h5") as gaze, h5py.File(f"{start}move_label.h5") as move:
        assert gaze["a"].shape == (12, 2)
        assert move["b"][:].shape == (7, len(SENSORS))
    assert json.loads((tmp_path / "annotation_h5" / "train_h5pyind_2_frameind.json").read_text())["b"][0] in (1, 2)
    gaze = found[0].gaze()
    assert np.isnan(gaze[::3]).all()
    np.testing.assert_allclose(gaze[1], found[0].gaze_px[1] / [299, 224], rtol=1e-6)


@settings(max_examples=10)
@given(lengths=st.dictionaries(st.text("aä _.1", min_size=1, max_size=5), st.integers(0, 20), max_size=4))
def test_any_records_come_back_to_the_bit(lengths, tmp_path_factory):
    folder = tmp_path_factory.mktemp("any")
    records = [made(f"r{name}", n, n) for name, n in sorted(lengths.items())]
    assert muscle.write(records, folder, "val") == []
    found = muscle.read(folder, "val")
    assert len(found) == len(records)
    assert all(same(x, y) for x, y in zip(found, records, strict=True))


def test_equal_records_are_equal_bytes(tmp_path):
    for name in ("one", "two"):
        muscle.write([made("a", 5, 3)], tmp_path / name, "val")
    files = sorted(p.name for p in (tmp_path / "one" / "annotation_h5").iterdir())
    assert len(files) == 5
    for file in files:
        one, two = ((tmp_path / n / "annotation_h5" / file).read_bytes() for n in ("one", "two"))
        assert one == two


def test_what_is_missing_or_of_another_shape_is_refused(tmp_path):
    with pytest.raises(SessionError, match="train annotations cannot be read"):
        muscle.read(tmp_path, "train")
    record = made("a", 5, 3)
    with pytest.raises(ValueError, match="a has 5 pictures"):
        Record("a", record.images, record.frames[:4], record.t_s, record.gaze_px, record.move)


def test_a_dataset_becomes_records_of_its_splits(tmp_path):
    rows = []
    for session, device, runs in (("s1", "head", [0, 0, 0, 1]), ("s2", "cap", [0, 0])):
        for k, run in enumerate(runs):
            about = {"session": session, "device": device, "participant": "p", "run": run, "frame": 5 * k}
            gaze = {"gaze_x": None if k == 1 else 0.25, "gaze_y": None if k == 1 else 0.5}
            rows.append({**about, "t_ns": 10**18 + k * 10**9 // 6, **gaze, "deg_llegu": k, "deg_neck": 9.0})
    tables.write(tmp_path / "targets.parquet", [tables.table("targets", rows)], tables.SCHEMAS["targets"])
    split = [{"session": s, "participant": "p", "split": name} for s, name in (("s1", "train"), ("s2", "test"))]
    tables.write(tmp_path / "splits.parquet", [tables.table("splits", split)], tables.SCHEMAS["splits"])
    tables.write_info(tmp_path, {"thirds_deg": {g: None if g == "neck" else [0.5, 1.5] for g in GROUPS}})
    found = muscle.of_dataset(tmp_path)
    assert {s: [r.name for r in every] for s, every in found.items()} == {
        "train": ["s1.head"],
        "val": [],
        "test": ["s2.cap"],
    }
    one = found["train"][0]
    assert one.images[2] == "s1.head/000010.jpg"
    assert one.frames.tolist() == [0, 1, 2, 4]  # the hole between the runs
    np.testing.assert_allclose(one.t_s, np.arange(4) / 6, atol=1e-9)
    assert one.gaze_px.tolist() == [[74.75, 112.0], [-1, -1], [74.75, 112.0], [74.75, 112.0]]
    column = dict(zip(SENSORS, one.move.T.tolist(), strict=True))
    assert column["llegu"] == column["llegd"] == [0, -1, 1, 1]
    assert column["neck"] == [-1] * 4  # nobody in training wore it
    assert column["rarmd"] == [-1] * 4  # not measured
