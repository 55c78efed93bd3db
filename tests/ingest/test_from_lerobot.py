"""A LeRobotDataset v3 comes in: our own export comes back, and a folder as LeRobot writes it is read as it is meant."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from planted import SECOND, number_in, painted

import syncctl
from firmware_host.errors import SessionError
from ingest.ask import Ask
from ingest.checks import check
from ingest.dataset import Clips, open_dataset
from ingest.export import write
from ingest.export.lerobot import ARRAYS
from ingest.from_lerobot import bring
from recorder.mux import write_mp4

FPS, LENGTHS = 20, (30, 40)


@pytest.fixture(scope="module")
def exported(built, tmp_path_factory):
    out = tmp_path_factory.mktemp("lerobot") / "ours"
    write(built.out, "lerobot", out, split="train", fps=10)
    return out


def test_our_own_export_comes_back(exported, tmp_path):
    before = {p: p.stat().st_mtime_ns for p in exported.rglob("*")}
    result = CliRunner().invoke(syncctl.cli, ["import", str(exported), "--out", str(tmp_path / "back"), "--json"])
    assert json.loads(result.stdout)["sessions"] == 2
    assert {p: p.stat().st_mtime_ns for p in exported.rglob("*")} == before
    back = open_dataset(tmp_path / "back")
    assert back.sessions("train") == ["episode-000000", "episode-000001"]
    for episode, session in enumerate(back.sessions("train")):
        rows = pq.read_table(exported / f"data/chunk-000/file-{episode:03d}.parquet", partitioning=None)
        for feature, (_, names) in ARRAYS.items():
            t_ns, x = back.get(session, "lerobot", feature, 0, 2**62)
            assert t_ns.tolist() == [k * SECOND // 10 for k in range(rows.num_rows)]
            np.testing.assert_array_equal(x, np.float32(rows[feature].to_pylist()))
            assert back.rows.channels(session, "lerobot", feature) == tuple(names)
        for device in ("ego", "third"):
            t_ns, frames = back.get(session, device, "camera", SECOND, 2 * SECOND)
            film = exported / f"videos/observation.images.{device}/chunk-000/file-{episode:03d}.mp4"
            assert back.streams(session)[0]["file"].endswith(".mp4")
            assert (t_ns - SECOND).tolist() == [k * SECOND // 10 for k in range(10)]
            assert len(frames) == 10
            assert film.is_file()
        tasks = dict(enumerate(pq.read_table(exported / "meta/tasks.parquet")["task"].to_pylist()))
        doing = [tasks[k] for k in rows["task_index"].to_pylist()]
        (label,) = back.rows.of("labels", session).to_pylist()
        assert (label["tier"], label["value"]) == ("activity", "tea")
        assert (label["t1_ns"] - label["t0_ns"]) * 10 // SECOND == doing.count("tea")


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    """Two episodes in one file of rows and one of video, tasks as pandas writes them; one trains, one is a test."""
    root = tmp_path_factory.mktemp("theirs")
    total = sum(LENGTHS)
    starts = np.concatenate([[0], np.cumsum(LENGTHS)])[:-1].tolist()
    episode = np.repeat(range(2), LENGTHS)
    frame = np.concatenate([np.arange(n) for n in LENGTHS])
    state = np.arange(total * 3, dtype=np.float32).reshape(total, 3)
    (root / "data/chunk-000").mkdir(parents=True)
    pq.write_table(
        pa.table(
            {
                "observation.state": pa.FixedSizeListArray.from_arrays(pa.array(state.reshape(-1)), 3),
                "action": pa.array(state[:, :1].tolist(), pa.list_(pa.float32())),
                "next.done": pa.array(frame == 0),
                "timestamp": pa.array(np.float32(frame / FPS)),
                "frame_index": frame,
                "episode_index": episode,
                "index": np.arange(total),
                "task_index": episode,
            }
        ),
        root / "data/chunk-000/file-000.parquet",
    )
    key = "observation.images.top"
    video = root / f"videos/{key}/chunk-000/file-000.mp4"
    video.parent.mkdir(parents=True)
    write_mp4(video, (painted(n) for n in range(total)), fps=FPS, size=(192, 108))
    rows = [
        {
            "episode_index": k,
            "tasks": ["pick"],
            "length": n,
            "data/chunk_index": 0,
            "data/file_index": 0,
            f"videos/{key}/chunk_index": 0,
            f"videos/{key}/file_index": 0,
            f"videos/{key}/from_timestamp": starts[k] / FPS,
            f"videos/{key}/to_timestamp": (starts[k] + n) / FPS,
            "stats/action/mean": [0.0],
        }
        for k, n in enumerate(LENGTHS)
    ]
    (root / "meta/episodes/chunk-000").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), root / "meta/episodes/chunk-000/file-000.parquet")
    tasks = pa.table({"task_index": [0, 1], "__index_level_0__": ["pick", "place"]})
    pq.write_table(tasks, root / "meta/tasks.parquet")
    names = {"motors": ["pan", "lift", "grip"]}
    features = {
        "observation.state": {"dtype": "float32", "shape": [3], "names": names},
        "action": {"dtype": "float32", "shape": [1], "names": None},
        "next.done": {"dtype": "bool", "shape": [1], "names": None},
        key: {"dtype": "video", "shape": [108, 192, 3], "names": ["height", "width", "channels"]},
        "observation.images.wrist": {"dtype": "image", "shape": [4, 4, 3], "names": ["height", "width", "channels"]},
        **{n: {"dtype": "int64", "shape": [1], "names": None} for n in ("frame_index", "index", "task_index")},
    }
    info = {"codebase_version": "v3.0", "fps": FPS, "splits": {"train": "0:1", "test": "1:2"}, "features": features}
    info |= {"data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"}
    info |= {"video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"}
    (root / "meta/info.json").write_text(json.dumps(info))
    return root


def test_episodes_that_share_files_are_kept_apart(theirs, tmp_path):
    out = tmp_path / "out"
    assert bring(theirs, out)["left_out"] == ["'observation.images.wrist', which is image"]
    dataset = open_dataset(out)
    assert (dataset.sessions("train"), dataset.sessions("test")) == (["episode-000000"], ["episode-000001"])
    t_ns, frames = dataset.get("episode-000001", "top", "camera", 0, 2**62)
    assert [number_in(f) for f in frames] == list(range(30, 70))
    assert t_ns.tolist() == [k * SECOND // FPS for k in range(40)]
    device_ns, _ = dataset.get("episode-000001", "top", "camera", 0, 2**62, clock="device")
    assert device_ns[0] == 30 * SECOND // FPS
    t_ns, x = dataset.get("episode-000001", "lerobot", "observation.state", 0, 2**62)
    np.testing.assert_array_equal(x[:, 0], 3 * np.arange(30, 70))
    assert dataset.rows.channels("episode-000001", "lerobot", "observation.state") == ("pan", "lift", "grip")
    labels = [(r["value"], r["t0_ns"], r["t1_ns"]) for r in dataset.table("labels").to_pylist()]
    assert labels == [("pick", 0, 30 * SECOND // FPS), ("place", 0, 40 * SECOND // FPS)]
    assert dataset.stats["channels"]["lerobot.observation.state.pan"]["n"] == 30  # of the training episode alone
    assert [f.what for f in check(dataset)[0] if f.grade == "error"] == []


def test_a_model_gets_clips_of_it(theirs, tmp_path):
    bring(theirs, tmp_path / "out")
    ask = Ask(("third", "activity"), at="activity", frames=4, step_ns=SECOND // 10, size=32, stride_ns=SECOND // 2)
    clips = Clips(tmp_path / "out", "test", ask)
    item = clips[1]
    first = 30 + int(item["t_ns"]) * FPS // SECOND
    assert [number_in(f.permute(1, 2, 0).numpy()) for f in item["third"]] == [first, first + 2, first + 4, first + 6]
    assert clips.dataset.info["vocabulary"]["activity"][int(item["activity"])] == "place"


def test_what_is_none_or_damaged_is_said(theirs, tmp_path):
    with pytest.raises(SessionError, match="cannot be read as a LeRobotDataset v3"):
        bring(tmp_path, tmp_path / "out")
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta/info.json").write_text('{"codebase_version": "v2.1"}')
    with pytest.raises(SessionError, match=r"LeRobotDataset v2.1; convert it to v3.0"):
        bring(tmp_path, tmp_path / "out")
    with pytest.raises(SessionError, match="is not empty"):
        bring(theirs, tmp_path)
    moved = tmp_path / "moved"
    (moved / "data").mkdir(parents=True)
    for name in ("meta", "videos"):
        (moved / name).symlink_to(theirs / name)
    with pytest.raises(SessionError, match=r"episode 0 cannot be read .*file-000.parquet"):
        bring(moved, tmp_path / "out")
    assert not (tmp_path / "out" / "info.json").exists()
