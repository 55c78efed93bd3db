import hashlib
import json
import shutil
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from planted import (
    BODY,
    GUEST,
    HEAD,
    MIDPOINT_US,
    SECOND,
    SENSORS,
    T0,
    Turning,
    change_json,
    cut,
    gaze_px,
    make_session,
)

from firmware_host.errors import ConfigError, SessionError
from ingest import ego, part, tables
from ingest.build import build, find_sessions
from ingest.index import video_index
from ingest.targets import GROUPS, MEMBERS, STEP_NS


def digests(root: Path) -> dict[str, str]:
    """Every file of a dataset but the journal of its build."""
    files = (p for p in sorted(root.rglob("*")) if p.is_file() and p.name != part.DONE)
    return {str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def column(root: Path, name: str, session: str, *names: str) -> list[np.ndarray]:
    rows = tables.read(root, name, sessions=[session])
    return [rows[c].to_numpy() for c in names]


def test_planted_rotations_are_recovered(built):
    turning = Turning.of(1)  # ben
    t_ns, *found = column(built.out, "targets", "s-ben", "t_ns", *(f"deg_{g}" for g in GROUPS))
    assert len(t_ns) == 20
    for group, degrees in zip(GROUPS, found, strict=True):
        true = np.maximum.reduce(
            [np.abs(turning.angle(n, t_ns) - turning.angle(n, t_ns - STEP_NS)) for n in MEMBERS[group]]
        )
        # at 20 Hz the arc between two samples cuts the corner of this motion by at most 0.8 degrees a sample
        np.testing.assert_allclose(degrees, true, atol=1.0)
        assert np.abs(degrees - true).mean() < 0.35


def test_samples_are_the_fresh_readings_at_their_own_time_on_the_reference(built):
    for name in ("neck", "larmd"):
        rows = tables.read_series(tables.series_path(built.out, "s-anna", "kit-02", f"{name}.quaternion"), 0, 2**62)
        tick = np.arange(SENSORS.index(name) % 3, 240, 3)
        t_device_ns = 77 * SECOND + tick * SECOND // 60 + MIDPOINT_US * 1000
        np.testing.assert_array_equal(rows["t_device_ns"].to_numpy(), t_device_ns)
        np.testing.assert_array_equal(rows["t_ns"].to_numpy(), BODY.forward(t_device_ns))
        x = np.column_stack([rows[c].to_numpy() for c in "wxyz"])
        np.testing.assert_allclose(x, Turning.of(0).quaternion(name, rows["t_ns"].to_numpy()), atol=4e-5)


def test_a_sensor_of_many_rows_a_tick_keeps_its_layout(built):
    rows = tables.read_series(tables.series_path(built.out, "s-anna", "kit-01", "thermal.pixels"), 0, 2**62)
    assert rows.num_rows == 40
    assert rows.column_names[2:4] == ["row0_column0", "row0_column1"]
    third = [rows[c][3].as_py() for c in rows.column_names[2:]]
    assert third == [(i + 3) * 0.25 for i in range(64)]


def test_frames_and_gaze_are_on_the_reference_clock(built):
    frame, t_ns, x, y = column(built.out, "targets", "s-carl", "frame", "t_ns", "gaze_x", "gaze_y")
    np.testing.assert_array_equal(frame, np.arange(20) * 5)
    np.testing.assert_array_equal(t_ns, HEAD.forward(frame * SECOND // 30))
    seen = ~np.isin(np.arange(20) % 7, [2, 4, 6])  # missing, refused, outside
    np.testing.assert_array_equal(np.isfinite(x), seen)
    expected = (gaze_px(frame) + 0.5) / (192, 108)
    np.testing.assert_allclose(np.column_stack([x, y])[seen], expected[seen], atol=1e-6)


def test_what_is_known_of_sessions_streams_and_labels_is_kept(built, sessions):
    row = tables.read(built.out, "sessions", sessions=["s-dora"]).to_pylist()[0]
    assert (row["participants"], row["place"], row["activity"], row["reference"]) == (
        ["dora"],
        "kitchen",
        "tea",
        "kit-01",
    )
    assert row["duration_ns"] == pytest.approx(4 * SECOND, abs=0.1 * SECOND)
    assert (built.out / row["folder"]).resolve() == (sessions / "s-dora").resolve()
    streams = {(r["device"], r["name"]): r for r in tables.read(built.out, "streams", sessions=["s-dora"]).to_pylist()}
    head = streams["head", "camera"]
    assert (head["role"], head["wearer"], head["count"], head["container"]) == ("ego", "dora", 100, "mp4")
    assert head["t0_ns"] == T0 + 250_000_000
    assert streams["kit-02", "neck.quaternion"]["count"] == 80
    labels = tables.read(built.out, "labels", sessions=["s-dora"]).to_pylist()
    assert [(r["tier"], r["value"], r["t0_ns"], r["actor"]) for r in labels] == [
        ("action", "pour", T0, "dora"),
        ("activity", "tea", T0, "dora"),
    ]
    info = tables.read_info(built.out)
    assert info["vocabulary"] == {"action": ["pour"], "activity": ["tea"], "atomic": ["hold", "pour", "sit"]}


def test_thirds_come_from_the_training_people_alone(built, sessions, tmp_path, inline):
    assert built.splits == {"train": ["anna", "ben", GUEST], "val": ["carl"], "test": ["dora"]}
    two = build([sessions / "s-anna", sessions / "s-carl"], tmp_path / "two", inline, test=["carl"])
    one = build([sessions / "s-anna", sessions / "s-dora"], tmp_path / "one", inline, test=["dora"])
    thirds = [tables.read_info(b.out)["thirds_deg"] for b in (two, one, built)]
    assert thirds[0] == thirds[1] != thirds[2]
    train = np.concatenate(
        [np.column_stack(column(built.out, "targets", s, *(f"deg_{g}" for g in GROUPS))) for s in ("s-anna", "s-ben")]
    )
    for i, group in enumerate(GROUPS):
        low, high = thirds[2][group]
        assert 0.28 < (train[:, i] <= low).mean() < 0.38
        assert 0.28 < (train[:, i] > high).mean() < 0.38


def test_the_bytes_do_not_depend_on_who_did_the_work(built, sessions):
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        other = build(find_sessions([sessions]), built.out.parent / "pooled", pool)
    assert digests(other.out) == digests(built.out)


def test_a_build_that_was_broken_off_goes_on_and_ends_the_same(built, sessions, inline, monkeypatch):
    out = built.out.parent / "resumed"
    calls = []

    def stopped(name: str) -> None:
        calls.append(name)
        if len(calls) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(find_sessions([sessions]), out, inline, done=stopped)
    for name in ("s-carl", "s-dora"):
        (part.part_folder(out, name) / part.DONE).unlink()
    assert not (out / tables.INFO).exists()
    made = []
    whole = part._write_tables
    monkeypatch.setattr(part, "_write_tables", lambda a, *rest: (made.append(a.session.id), whole(a, *rest))[1])
    build(find_sessions([sessions]), out, inline)
    assert made == ["s-carl", "s-dora"]
    assert digests(out) == digests(built.out)


def test_what_changed_is_built_again_and_a_deleted_cache_is_remade(tmp_path, inline):
    folder = make_session(tmp_path / "s-eve", participant="eve", seconds=2)
    first = build([folder], tmp_path / "out", inline)
    before = digests(first.out)
    shutil.rmtree(first.out / "cache")
    assert digests(build([folder], first.out, inline).out) == before
    rows = f"action,{T0 + 1},{T0 + 2},sit,eve\naction,{T0 + 9 * SECOND},{T0 + 10 * SECOND},rise,eve\n"
    (folder / "labels" / "mine.csv").write_text("tier,t0_ns,t1_ns,value,actor\n" + rows)
    again = build([folder], first.out, inline)
    assert again.counts["labels"] == first.counts["labels"] + 1
    (said,) = again.notes["s-eve"]
    assert "1 labels lie outside the recording" in said
    assert "'rise' of mine, by 7." in said


def test_a_video_that_changed_is_copied_again(tmp_path, inline):
    folder = make_session(tmp_path / "s", participant="eve", seconds=2)
    out = build([folder], tmp_path / "out", inline).out
    (copy,) = out.glob("cache/*/s.head.mp4")
    before = copy.read_bytes()
    other = make_session(tmp_path / "other", participant="eve", seconds=3)
    shutil.copy(other / "head.mp4", folder / "head.mp4")
    build([folder], out, inline)
    assert copy.read_bytes() != before
    assert tables.read(out, "frames").filter(tables.pc.field("device") == "head").num_rows == 70


def test_unaligned_sessions_are_refused_by_name_or_left_out_and_reported(tmp_path, inline):
    good = make_session(tmp_path / "good", participant="ann", seconds=2)
    bad = make_session(tmp_path / "bad", participant="bo", seconds=2, aligned=False)
    headless = make_session(tmp_path / "headless", participant="bo", seconds=2)
    change_json(headless / "alignment.json", maps=[])
    with pytest.raises(SessionError, match=r"bad is not aligned yet.*--skip"):
        build([good, bad], tmp_path / "out", inline)
    assert not (tmp_path / "out" / tables.INFO).exists()
    with pytest.raises(SessionError, match="head camera has no place on the reference clock"):
        build([good, headless], tmp_path / "out", inline)
    made = build([good, bad, headless], tmp_path / "out", inline, skip=True)
    assert made.sessions == ("good",)
    assert set(made.skipped) == {str(bad), str(headless)}
    with pytest.raises(SessionError, match="not aligned"):
        build([bad], tmp_path / "none", inline, skip=True)


def test_a_device_that_was_not_aligned_is_left_out_and_said(tmp_path, inline):
    folder = make_session(tmp_path / "s", participant="ann", seconds=2)
    change_json(folder / "alignment.json", maps=[HEAD.to_json()])
    made = build([folder], tmp_path / "out", inline)
    assert made.left_out == {"s": {"kit-02": "it has no place on the reference clock"}}
    neck, x = column(made.out, "targets", "s", "deg_neck", "gaze_x")
    assert np.isnan(neck).all()
    assert np.isfinite(x).any()


def test_a_film_in_chapters_is_left_out_in_a_sentence_and_the_rest_is_built(tmp_path, inline):
    folder = make_session(tmp_path / "s", participant="ann", seconds=2)
    (folder / "head").mkdir()
    (folder / "head.mp4").rename(folder / "head" / "GX010042.MP4")
    (folder / "head.ffconcat").write_text("ffconcat version 1.0\nfile head/GX010042.MP4\nduration 2\n")
    devices = json.loads((folder / "session.json").read_text())["devices"]
    change_json(
        folder / "session.json",
        devices=[d | ({"file": "head.ffconcat"} if d["name"] == "head" else {}) for d in devices],
    )
    made = build([folder], tmp_path / "out", inline)
    assert list(made.left_out["s"]) == ["head"]
    assert "in chapters" in made.left_out["s"]["head"]
    (devices_built,) = column(made.out, "streams", "s", "device")
    assert set(devices_built) == {"kit-01", "kit-02"}
    assert made.counts["frames"] > 0


def test_a_power_cut_costs_the_end_and_nothing_else(tmp_path, inline, built, sessions):
    folder = tmp_path / "s-anna"
    shutil.copytree(sessions / "s-anna", folder)
    for name in ("kit-01.mkv", "kit-02.mkv"):
        cut(sessions / "s-anna" / name, folder / name, 0.6)
    made = build([folder], tmp_path / "out", inline)
    whole = np.column_stack(column(built.out, "targets", "s-anna", *(f"deg_{g}" for g in GROUPS)))
    left = np.column_stack(column(made.out, "targets", "s-anna", *(f"deg_{g}" for g in GROUPS)))
    assert np.isfinite(left).all(axis=1).sum() >= 8
    np.testing.assert_array_equal(left[np.isfinite(left)], whole[np.isfinite(left)])
    assert 20 <= tables.read(made.out, "frames").filter(tables.pc.field("device") == "kit-01").num_rows < 60


def test_both_cameras_are_copied_and_one_that_filmed_nothing_is_said(tmp_path, inline, built):
    names = sorted(path.name for path in built.out.glob("cache/*/*.mp4"))
    assert names == sorted(f"s-{n}.{d}.mp4" for n in ("anna", "ben", "carl", "dora") for d in ("head", "kit-01"))
    folder = make_session(tmp_path / "s", participant="ann", seconds=2)
    film = folder / "kit-01.mkv"
    film.write_bytes(film.read_bytes()[: video_index(film).gops[0].start + 30])
    made = build([folder], tmp_path / "out", inline)
    assert [path.name for path in made.out.glob("cache/*/*.mp4")] == ["s.head.mp4"]
    assert made.notes["s"] == ["kit-01: its film holds no keyframe, so that none of its pictures can be decoded"]


def test_a_silent_sensor_leaves_its_group_without_movement(tmp_path, inline):
    folder = make_session(tmp_path / "s", participant="ann", silent="rlegd")
    made = build([folder], tmp_path / "out", inline)
    right, left = column(made.out, "targets", "s", "deg_rlegu", "deg_llegu")
    assert np.isfinite(left).all()
    assert np.isfinite(right[:8]).all()
    assert np.isnan(right[-6:]).all()


def test_wrong_input_gets_a_sentence(sessions, tmp_path, inline):
    (tmp_path / "empty").mkdir()
    with pytest.raises(SessionError, match="holds no session"):
        find_sessions([tmp_path / "empty"])
    with pytest.raises(ConfigError, match="did you mean 'anna'"):
        build(find_sessions([sessions]), tmp_path / "out", inline, test=["ana"])
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("years of work")
    with pytest.raises(SessionError, match="holds other files"):
        build(find_sessions([sessions]), tmp_path / "full", inline)
    shutil.copytree(sessions / "s-anna", tmp_path / "twin")
    with pytest.raises(SessionError, match="both called 's-anna'"):
        build([sessions / "s-anna", tmp_path / "twin"], tmp_path / "out", inline)


def test_another_versions_dataset_is_not_written_into(built, sessions, tmp_path, inline):
    shutil.copytree(built.out, tmp_path / "old")
    change_json(tmp_path / "old" / tables.INFO, version=0)
    with pytest.raises(SessionError, match="version 0"):
        build(find_sessions([sessions]), tmp_path / "old", inline)


def test_what_people_and_trackers_said_of_a_real_session_is_in_its_tables(tmp_path, inline):
    folder = make_session(tmp_path / "s", participant="ann", seconds=2)
    rows = [
        "tier,t0_ns,t1_ns,value,actor,x1,y1,x2,y2,confidence,device",
        f"person,{T0 + SECOND},{T0 + SECOND},person,ann,0.1,0.2,0.3,0.4,0.9,kit-01",
        f"atomic,{T0 + SECOND},{T0 + SECOND},pour,ann,0.1,0.2,0.3,0.4,0.9,",
        f"object,{T0 + SECOND},{T0 + SECOND},cup,,0.5,0.5,0.6,0.6,,kit-01",
        f"relation,{T0},{T0 + SECOND},holding:cup,ann,,,,,,",
    ]
    (folder / "labels" / "mine.csv").write_text("\n".join(rows) + "\n")
    (folder / "tracks").mkdir()
    pose = np.random.default_rng(0).normal(size=(2, 229)).astype(np.float32)
    boxes = np.array([[19.2, 10.8, 96, 54]] * 2)
    np.savez(folder / "tracks" / "kit-01.npz", frame=[3, 4], track=[7, 7], box=boxes, score=[0.5, 0.6], pose=pose)
    out = build([folder], tmp_path / "out", inline).out
    found = tables.read(out, "boxes").to_pylist()
    assert [(r["actor"], r["t_ns"], r["source"]) for r in found] == [
        ("ann", T0 + SECOND, "mine"),
        *(("7", T0 + n * SECOND // 15 // 1000 * 1000, "tracks") for n in (3, 4)),
    ]
    np.testing.assert_allclose([found[1][c] for c in ("x1", "y1", "x2", "y2")], [0.1, 0.1, 0.5, 0.5], atol=1e-6)
    (relation,) = tables.read(out, "relations").to_pylist()
    assert (relation["subject"], relation["relation"], relation["object"]) == ("ann", "holding", "cup")
    tracks = tables.read(out, "tracks")
    by = {who: tracks.filter(tables.pc.equal(tracks["actor"], who)) for who in ("ann", "7")}
    np.testing.assert_array_equal(np.array(by["7"]["vector"].to_pylist(), np.float32), pose)
    assert set(by["ann"]["source"].to_pylist()) == {"imu"}
    assert np.array(by["ann"]["measured"].to_pylist())[5].sum() >= 10


def test_gaze_of_a_tracker_that_was_started_twice_is_put_together(tmp_path):
    folder = make_session(tmp_path / "s-anna", participant="anna")
    head = ego.open_aligned(folder).session.device("head")
    t_ns, px = ego._gaze(ego.open_aligned(folder), head)
    rows = (folder / "gaze_head.csv").read_text().splitlines()
    halves = [rows[:1], rows[:1]]
    for k, row in enumerate(rows[1:]):
        missing = f"{row.split(',')[0]},,,,missing"
        halves[0].append(row if k % 2 else missing)
        halves[1].append(missing if k % 2 else row)
    for name, half in zip(("gaze_head.csv", "gaze_head_late.csv"), halves, strict=True):
        (folder / name).write_text("\n".join(half) + "\n")
    one = json.loads((folder / "alignment.json").read_text())["gaze"][0]
    both = [one | {"file": "gaze_head.csv"}, one | {"file": "gaze_head_late.csv"}]
    change_json(folder / "alignment.json", gaze=both)
    again_ns, again = ego._gaze(ego.open_aligned(folder), head)
    np.testing.assert_array_equal(again_ns, t_ns)
    np.testing.assert_array_equal(again, px)
    assert np.isfinite(px).any()
