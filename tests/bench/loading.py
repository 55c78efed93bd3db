"""Clips a second and core: our reader beside raw PyAV, OpenCV and WebDataset's JPEG shards, on the same frames.

A film of 1080p is made, and copies of it as `syncctl cache` makes them. Every way reads the same random clips of
consecutive frames in one process and one thread; what counts is processor time, so that a busy machine changes little.
Ratios are to raw PyAV on the same file: seek to the keyframe, decode, scale, as an array. *As clips* are whole items
of `Clips` from a dataset of that film: other starts, and pictures turned to (T, 3, S, S) with their mask.
"""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import cv2
import numpy as np
import webdataset
from av.video.reformatter import VideoReformatter

from ingest.ask import Ask
from ingest.build import build
from ingest.cache import FrameReader, Recipe, write_video_cache
from ingest.dataset import Clips
from ingest.film import MP4, Video
from ingest.index import video_index

TESTS = Path(__file__).parents[1] / "ingest"
sys.path.insert(0, str(TESTS))
from planted import change_json, make_session  # noqa: E402

SECONDS = 10
TASKS = ((40, 128), (64, 400))
CLIPS = {"original": 6, "copy": 60}


def main() -> None:
    """Run and print."""
    clips = {name: count // 3 if "--quick" in sys.argv else count for name, count in CLIPS.items()}
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder) / "film.mkv"
        _film(film)
        for frames, size in TASKS:
            copy = Path(folder) / f"copy-{size}.mp4"
            write_video_cache(film, copy, Recipe(side=size))
            _compare(film, copy, frames, size, clips, Path(folder))
            _quality(film, copy, size)


def _film(path: Path) -> None:
    """1080p30 of moving noise and shapes, 8 Mbit/s, a keyframe a second: no easier than a room."""
    source = f"testsrc2=size=1920x1080:rate=30:duration={SECONDS},noise=alls=6:allf=t"
    options = ["-c:v", "libx264", "-preset", "veryfast", "-b:v", "8M", "-g", "30", "-bf", "0", "-sc_threshold", "0"]
    subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", source, *options, path], check=True)


def _compare(film: Path, copy: Path, frames: int, size: int, counts: dict[str, int], folder: Path) -> None:
    random = np.random.default_rng(0)
    starts = random.integers(0, 30 * SECONDS - frames, max(counts.values())).tolist()
    print(f"\n{frames} frames of {size} x {size}; clips a second and core")
    print(f"{'':34}{'original':>10}{'':>8}{'copy':>10}")
    found: dict[str, dict[str, float]] = {}
    for name, path in (("original", film), ("copy", copy)):
        ways: dict[str, Callable[[int, int, int], np.ndarray]] = {
            "ours": _ours(path),
            "raw PyAV": _pyav(path),
            "OpenCV": _opencv(path),
        }
        same = [way(starts[0], frames, size) for way in ways.values()]
        assert np.array_equal(same[0], same[1]), "ours and raw PyAV read other frames"
        spent = dict.fromkeys(ways, 0.0)
        for start in starts[: counts[name]]:  # in turns, so that whatever else runs here slows all alike
            for way, read in ways.items():
                began = time.process_time()
                read(start, frames, size)
                spent[way] += time.process_time() - began
        for way, seconds in spent.items():
            found.setdefault(way, {})[name] = counts[name] / seconds
    found["ours, as clips"] = _as_clips(film, frames, size, counts, folder / f"dataset-{size}")
    for way, rate in found.items():
        ratio = {name: rate[name] / found["raw PyAV"][name] for name in rate}
        print(f"{way:34}{rate['original']:10.2f}{ratio['original']:7.2f}x{rate['copy']:10.2f}{ratio['copy']:7.2f}x")
    shards = _webdataset(copy, starts[: counts["copy"]], frames, size, folder / f"{size}.tar")
    print(f"{'WebDataset, JPEG q90 cut before':34}{'':18}{shards:10.2f}{shards / found['raw PyAV']['copy']:7.2f}x")
    ours = found["ours"]
    print(f"copy over original, ours: {ours['copy'] / ours['original']:.0f}x")


def _as_clips(film: Path, frames: int, size: int, counts: dict[str, int], folder: Path) -> dict[str, float]:
    """Clips a second from a dataset of one session whose head camera made the film."""
    folder.mkdir()
    session = make_session(folder / "s", participant="p", seconds=2)
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", film, "-c", "copy", session / "head.mp4"], check=True)
    devices = json.loads((session / "session.json").read_text())["devices"]
    streams = next(d for d in devices if d["name"] == "head")["streams"]
    next(s for s in streams if s["kind"] == "video")["size"] = [1920, 1080]
    streams[:] = [s for s in streams if s["kind"] == "video"]
    change_json(session / "session.json", devices=devices)
    with ThreadPoolExecutor(1) as executor:
        root = build([session], folder / "dataset", executor, recipe=Recipe(side=size)).out
    ask = Ask(("ego",), frames=frames, step_ns=10**9 // 30, stride_ns=10**8, size=size)
    found = {}
    for name in ("copy", "original"):
        if name == "original":
            shutil.rmtree(root / "cache")
        clips = Clips(root, "train", ask)
        assert clips[0]["ego_valid"].all()
        order = np.random.default_rng(1).integers(0, len(clips), counts[name]).tolist()
        began = time.process_time()
        for index in order:
            clips[index]
        found[name] = counts[name] / (time.process_time() - began)
    return found


def _quality(film: Path, copy: Path, size: int) -> None:
    """What the copy weighs, and how far its pictures are from the original's scaled the same."""
    reader, shown = FrameReader(), range(30 * (SECONDS // 2))
    one, other = (reader.read(Video(path, video_index(path)), shown, (size, size)) for path in (film, copy))
    noise = np.mean([np.square(a.astype(np.float32) - b).mean() for a, b in zip(one, other, strict=True)])
    print(f"copy: {copy.stat().st_size / SECONDS / 1e3:.1f} kB/s, PSNR {10 * np.log10(255**2 / noise):.1f} dB")


def _ours(path: Path) -> Callable[[int, int, int], np.ndarray]:
    reader = FrameReader()
    video = Video(path, MP4 if path.suffix == ".mp4" else video_index(path))
    return lambda start, frames, size: reader.read(video, range(start, start + frames), (size, size))


def _pyav(path: Path) -> Callable[[int, int, int], np.ndarray]:
    container = av.open(str(path))
    stream = container.streams.video[0]
    stream.thread_type = "NONE"
    scaler = VideoReformatter()
    ticks = float(1 / (stream.time_base * 30))

    def read(start: int, frames: int, size: int) -> np.ndarray:
        container.seek(round(start * ticks), stream=stream)
        out = []
        for picture in container.decode(stream):
            if round(picture.pts / ticks) >= start:
                rgb = scaler.reformat(picture, size, size, "rgb24", interpolation="AREA", threads=1)
                out.append(rgb.to_ndarray())
            if len(out) == frames:
                break
        return np.stack(out)

    return read


def _opencv(path: Path) -> Callable[[int, int, int], np.ndarray]:
    cv2.setNumThreads(1)
    film = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])

    def read(start: int, frames: int, size: int) -> np.ndarray:
        film.set(cv2.CAP_PROP_POS_FRAMES, start)
        pictures = (film.read()[1] for _ in range(frames))
        return np.stack([cv2.resize(p, (size, size), interpolation=cv2.INTER_AREA)[..., ::-1] for p in pictures])

    return read


def _webdataset(path: Path, starts: list[int], frames: int, size: int, shard: Path) -> float:
    read = _ours(path)
    with tarfile.open(shard, "w") as tar:
        for number, start in enumerate(starts):
            for k, picture in enumerate(read(start, frames, size)):
                data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
                entry = tarfile.TarInfo(f"{number:06d}.{k:02d}.jpg")
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
    began = time.process_time()
    for sample in webdataset.WebDataset(str(shard), shardshuffle=False).decode("rgb8"):
        np.stack([sample[f"{k:02d}.jpg"] for k in range(frames)])
    return len(starts) / (time.process_time() - began)
