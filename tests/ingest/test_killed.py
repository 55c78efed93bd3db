"""A build or a cache that is killed at any moment and run again ends as one that never was."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from test_build import digests

from ingest.build import build, find_sessions
from ingest.checks import check
from ingest.copies import make_cache
from ingest.opened import open_dataset
from ingest.workers import executor

KILLED = Path(__file__).with_name("killed.py")


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(KILLED), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)


@pytest.mark.parametrize("moments", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_at_random_moments_and_run_again_it_is_the_same_bytes(sessions, tmp_path, moments):
    some = tmp_path / "sessions"
    for name in ("s-anna", "s-dora"):
        shutil.copytree(sessions / name, some / name)
    clean, broken = tmp_path / "clean", tmp_path / "broken"
    random = np.random.default_rng(moments)
    for what in ("build", "cache"):
        writes = int(run(what, some, clean, 0).stdout)
        before = set(broken.rglob("*.mp4"))
        for last in random.integers(1, writes, moments).tolist():
            ended = run(what, some, broken, last)
            if ended.returncode == 0:  # what earlier ones finished was kept, so that there were fewer writes
                break
            assert ended.returncode == -signal.SIGKILL, ended.stderr
        assert run(what, some, broken, 0).returncode == 0
        assert digests(broken) == digests(clean)
        assert set(broken.rglob("*.mp4")) > before


def test_a_cluster_makes_the_same_bytes_and_a_worker_that_is_killed_changes_nothing(built, sessions):
    distributed = pytest.importorskip("distributed") if os.environ.get("CI") != "true" else __import__("distributed")
    out = built.out.parent / "clustered"
    killed = []
    with distributed.LocalCluster(2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster:

        def kill_one(_: str) -> None:
            if not killed:
                worker = next(iter(cluster.workers.values()))
                killed.append(worker.pid)
                os.kill(worker.pid, signal.SIGKILL)

        with executor(None, cluster.scheduler_address) as workers:
            made = build(find_sessions([sessions]), out, workers, done=kill_one)
    assert killed
    assert digests(made.out) == digests(built.out)


def test_a_larger_cache_of_one_camera_serves_its_larger_clips(built, inline):
    from ingest.cache import Recipe

    root = built.out.parent / "with-larger"
    shutil.copytree(built.out, root)
    folder, refused = make_cache(root, inline, Recipe(160), ("third",))
    assert not refused
    dataset = open_dataset(root)
    for size, place in ((128, dataset.info["cache"]), (144, folder.name)):
        video = dataset.video("s-anna", "kit-01", size=size)
        assert (video.path.parent.name, video.path.name) == (place, "s-anna.kit-01.mp4")
    assert dataset.video("s-anna", "head", size=144).path.name == "head.mp4"


def test_a_check_finds_what_was_planted(built):
    findings, labels = check(open_dataset(built.out))
    assert findings == []
    assert labels["activity"]["tea"]["train"] == [2, 2.0]
    root = built.out.parent / "damaged"
    shutil.copytree(built.out, root)
    (copy,) = root.glob("cache/*/s-ben.head.mp4")
    data = bytearray(copy.read_bytes())
    data[len(data) // 4 : -len(data) // 4] = bytes(len(data[len(data) // 4 : -len(data) // 4]))
    copy.write_bytes(data)
    import pyarrow as pa

    from ingest import tables

    rows = [("s-anna", "anna", "train"), ("s-ben", "anna", "test")]
    split = [{"session": s, "participant": p, "split": n} for s, p, n in rows]
    tables.write(root / "splits.parquet", [tables.table("splits", split)], tables.SCHEMAS["splits"])
    label = tables.table(
        "labels", [{"session": "s-ben", "tier": "activity", "t0_ns": 0, "t1_ns": 10**9, "value": "nap"}]
    )
    both = pa.concat_tables([tables.read(root, "labels", sessions=["s-anna"]), label])
    groups = [both.filter(pa.compute.equal(both["session"], s)) for s in ("s-anna", "s-ben")]
    tables.write(root / "labels.parquet", groups, tables.SCHEMAS["labels"])
    said = [(f.grade, f.what) for f in check(open_dataset(root))[0]]
    assert any(g == "error" and "'anna' would be in both train and test" in w for g, w in said)
    assert any(g == "error" and "'guest00' is seen in test and train, which leaks" in w for g, w in said)
    assert any(g == "error" and "s-ben: " in w and "cannot be" in w for g, w in said)
    assert any(g == "warning" and "never in train, only in test: nap" in w for g, w in said)
