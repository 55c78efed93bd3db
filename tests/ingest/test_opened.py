"""A dataset read where it lies: the same answers from a folder, from memory and over HTTP, by one range a clip."""

import pickle
import shutil
import subprocess
from pathlib import Path

import fsspec
import numpy as np
import pytest
from planted import BODY, T0, all_frames, cut
from ranged import served

from firmware_host.errors import ConfigError, SessionError
from ingest.ask import Ask
from ingest.build import build, find_sessions
from ingest.cache import FrameReader
from ingest.dataset import Clips, open_dataset
from ingest.film import Video
from ingest.index import video_index
from ingest.store import Store

SMALL = (64, 36)
SECOND = 1_000_000_000


@pytest.fixture(scope="module")
def place(sessions, tmp_path_factory, inline):
    """Recordings and their dataset side by side; ben's first kit lost its end in a power cut."""
    root = tmp_path_factory.mktemp("place")
    for name in ("s-anna", "s-ben"):
        shutil.copytree(sessions / name, root / "sessions" / name)
    cut(sessions / "s-ben" / "kit-01.mkv", root / "sessions" / "s-ben" / "kit-01.mkv", 0.7)
    build(find_sessions([root / "sessions"]), root / "dataset", inline)
    return root


@pytest.fixture(scope="module", params=["folder", "memory", "http"])
def dataset(place, request):
    if request.param == "folder":
        yield open_dataset(place / "dataset")
    elif request.param == "memory":
        memory = fsspec.filesystem("memory")
        memory.put(str(place), "/place", recursive=True)
        yield open_dataset("memory://place/dataset")
        memory.rm("/place", recursive=True)
    else:
        with served(place) as (address, _):
            yield open_dataset(f"{address}/dataset")


FILES = [("s-anna", "kit-01"), ("s-ben", "kit-01"), ("s-anna", "head")]


def test_200_random_clips_are_the_frames_of_a_full_decode(dataset, place):
    every, times = {}, {}
    for session, device in FILES:
        file = next((place / "sessions" / session).glob(f"{device}.m*"))
        every[session, device] = all_frames(file, SMALL)
        times[session, device] = dataset.frame_times(session, device)
        timed = len(times[session, device])  # of a cut file's last frames nothing says when they were taken
        assert 0 <= len(every[session, device]) - timed <= (15 if session == "s-ben" else 0)
        every[session, device] = every[session, device][:timed]
    assert len(every["s-ben", "kit-01"]) < len(every["s-anna", "kit-01"])
    random = np.random.default_rng(5)
    for _ in range(200):
        key = FILES[random.integers(3)]
        t0_ns = int(random.integers(times[key][0] - SECOND // 4, times[key][-1] + 1))
        t1_ns = t0_ns + int(random.integers(0, SECOND))
        t_ns, frames = dataset.get(*key, "camera", t0_ns, t1_ns, SMALL)
        inside = (times[key] >= t0_ns) & (times[key] < t1_ns)
        np.testing.assert_array_equal(t_ns, times[key][inside])
        np.testing.assert_array_equal(frames, every[key][inside])


def test_clips_are_the_same_wherever_the_dataset_lies(dataset, place):
    ask = Ask(("ego", "third", "audio", "imu", "thermal", "boxes"), frames=4, size=32, audio_rows=40)
    here = Clips(place / "dataset", "train", ask)
    there = Clips(
        dataset.root if dataset.store.local else dataset.store.fs.unstrip_protocol(dataset.root), "train", ask
    )
    assert len(here) == len(there) > 2
    for i in (0, 2):
        one, other = here[i], there[i]
        assert one.keys() == other.keys()
        assert all((one[k] == other[k]) is True or bool((one[k] == other[k]).all()) for k in one)


def test_one_range_of_bytes_a_clip(place):
    with served(place) as (address, asked):
        dataset = open_dataset(f"{address}/dataset")
        for session, device in FILES:
            times = dataset.frame_times(session, device)
            dataset.get(session, device, "camera", int(times[0]), int(times[1]), SMALL)  # now its header is known
            for first in (3, 14, 22):
                asked.clear()
                _, frames = dataset.get(session, device, "camera", int(times[first]), int(times[first + 8]), SMALL)
                assert len(frames) == 8
                assert [a for a in asked if not a.endswith(".parquet")] == [
                    f"{device}.m{'p4' if device == 'head' else 'kv'}"
                ]


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        ("mp4", "-c:v libx264 -bf 3 -g 12"),
        ("mp4", "-c:v libx264 -bf 2 -ss 0.3"),
        ("mp4", "-c:v libx264 -bf 3 -x264-params open-gop=1:keyint=10:b-pyramid=normal"),
        ("mp4", "-c:v libx265 -g 9 -x265-params log-level=none"),
        ("mp4", "-c:v mpeg4 -bf 2 -g 12"),
        ("mp4", "-c:v mjpeg"),
        ("mkv", "-c:v libx264 -bf 3 -g 12"),
        ("mkv", "-c:v libvpx-vp9 -g 12 -deadline realtime -cpu-used 8"),
    ],
)
def test_films_of_other_makers_are_read_as_they_are_decoded(sessions, tmp_path, tool, suffix, options):
    film = tmp_path / f"a.{suffix}"
    command = [tool("ffmpeg"), "-v", "error", "-i", sessions / "s-anna" / "head.mp4", *options.split(), film]
    subprocess.run(command, check=True)
    every, index = all_frames(film, SMALL), video_index(film)
    here, stored = Video(film, index), Video(Path(film.name), index, Store.at(tmp_path))
    reader, random = FrameReader(), np.random.default_rng(1)
    for k in range(30):
        first = int(random.integers(0, len(every) - 9))
        chosen = [first, first + 3, first + 8]
        np.testing.assert_array_equal(reader.read((here, stored)[k % 2], chosen, SMALL), every[chosen])


def test_both_clocks_and_every_policy(built):
    dataset = open_dataset(built.out)
    device_ns = BODY.inverse(np.array([T0 + SECOND, T0 + 2 * SECOND]))
    on_reference = dataset.get("s-ben", "kit-02", "neck.quaternion", T0 + SECOND, T0 + 2 * SECOND)
    on_device = dataset.get("s-ben", "kit-02", "neck.quaternion", *device_ns.tolist(), clock="device")
    np.testing.assert_array_equal(on_device[1], on_reference[1])
    np.testing.assert_allclose(BODY.forward(on_device[0]), on_reference[0], atol=1)
    at = on_reference[0][3:6] + 7_000_000
    for policy, shift in (("before", 0), ("nearest", 0), ("after", 1)):
        times, x, valid = dataset.at("s-ben", "kit-02", "neck.quaternion", at, policy)
        assert valid.all()
        np.testing.assert_array_equal(times, on_reference[0][3 + shift : 6 + shift])
        np.testing.assert_array_equal(x, on_reference[1][3 + shift : 6 + shift])
    _, x, _ = dataset.at("s-ben", "kit-02", "neck.quaternion", at, "linear")
    share = 7_000_000 / np.diff(on_reference[0])[3:6, None]
    np.testing.assert_allclose(x, on_reference[1][3:6] * (1 - share) + on_reference[1][4:7] * share, rtol=1e-6)
    _, x, valid = dataset.at("s-ben", "kit-02", "neck.quaternion", at, "hold", reach_ns=6_000_000)
    assert not valid.any()
    assert not x.any()
    times, frames, valid = dataset.at(
        "s-ben", "kit-01", "camera", np.array([T0 - SECOND, T0 + 10**8]), "hold", size=SMALL
    )
    assert valid.tolist() == [False, True]
    assert times.tolist() == [T0 - SECOND, T0 + 10**8]
    assert frames.shape == (2, 36, 64, 3)
    with pytest.raises(ConfigError, match="not interpolated"):
        dataset.at("s-ben", "kit-01", "camera", at, "linear")
    with pytest.raises(ConfigError, match="did you mean 'device'"):
        dataset.get("s-ben", "kit-01", "camera", 0, 1, clock="devise")


def test_a_moment_between_two_minutes_is_interpolated_from_both(tmp_path):
    from ingest import tables
    from ingest.rows import Rows
    from recorder.series import Series

    t_ns = np.arange(0, 150, 20, dtype=np.int64) * SECOND + 9
    x = np.arange(len(t_ns), dtype=np.float32)[:, None]
    whole = Series(t_ns, x, np.ones(len(t_ns), bool), ("v",), "kit-01")
    tables.write_series(tables.series_path(tmp_path, "s", "d", "x"), whole, t_ns)
    rows = Rows(Store.at(tmp_path))
    for at in (t_ns[2] + SECOND, t_ns[3] - SECOND, t_ns[5] + 1, t_ns[0] - 5, t_ns[-1] + 5):
        around = rows.series("s", "d", "x", (int(at), int(at) + 1), more=1)
        expected = [i for i in (np.searchsorted(t_ns, at) - 1, np.searchsorted(t_ns, at)) if 0 <= i < len(t_ns)]
        assert around.x[:, 0].tolist() == expected


def test_the_smallest_copy_that_is_large_enough_is_read_or_else_the_original(built, tmp_path):
    root = tmp_path / "dataset"
    shutil.copytree(built.out, root)
    usual = open_dataset(root).info["cache"]
    for side in (64, 96):
        folder = root / "cache" / f"h264-{side}-x"
        shutil.copytree(root / "cache" / usual, folder)
        manifest = (folder / "manifest.json").read_text().replace('"side": 128', f'"side": {side}')
        (folder / "manifest.json").write_text(manifest)
    dataset = open_dataset(root)
    asked = {size: dataset.video("s-anna", "head", size=size).path.parent.name for size in (50, 64, 65, 112, 129)}
    assert asked == {50: "h264-64-x", 64: "h264-64-x", 65: "h264-96-x", 112: usual, 129: "s-anna"}
    assert pickle.loads(pickle.dumps(dataset)).video("s-anna", "head").path.parent.name == "h264-64-x"


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(SessionError, match="cannot be opened"):
        open_dataset("nosuch://place")
    with pytest.raises(SessionError, match=r"no info\.json"):
        open_dataset("memory://nowhere")
    with pytest.raises(SessionError, match="cannot be read"):
        Store.at(tmp_path).read("gone.bin", 0, 10)
