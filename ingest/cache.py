"""Frames by their number, and the small copies of videos that training reads.

A clip of five frames out of a 1080p recording costs hundreds of milliseconds, nearly all of it decoding pixels
that are then thrown away. The cache holds each video once more at the size that models eat: H.264, a keyframe
every 16 frames, no B-frames, the same frames with the same numbers. It is derived: its folder is named by a hash of
its parameters, and deleting it costs only speed. Both are read exactly, never by nearest time.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar, cast

import av
import av.error
import numpy as np
from av.video.reformatter import VideoReformatter

from firmware_host.errors import SessionError
from ingest.index import Gop, VideoIndex, video_index
from ingest.mp4 import Packets, mp4_packets, mp4_samples
from ingest.store import Store
from recorder import durable

OPEN_FILES, KNOWN_HEADS = 8, 256
"""Files a reader keeps open: opening costs as much as a clip, and PyAV's containers hold tens of megabytes. Headers are
small."""
MANIFEST = "manifest.json"
MP4 = VideoIndex("mp4", 0, ())
"""Of an MP4 a reader needs to know nothing beforehand."""


NO_PROBING = {"analyzeduration": "0", "fpsprobesize": "0", "probesize": "2048"}
"""The header says all that a decoder must know; probing a 1080p film would decode for 18 ms only to learn it again."""
Head = TypeVar("Head", bytes, Packets)


@dataclass(frozen=True)
class Recipe:
    """What a cache is made like.

    Attributes:
        short_side: pixels of the shorter side; a video that is smaller keeps its size.
        gop: frames from keyframe to keyframe.
        crf: x264's constant quality; 18 is hard to tell from the original.
    """

    short_side: int = 128
    gop: int = 16
    crf: int = 18

    @property
    def name(self) -> str:
        """Folder of the cache, equal for equal parameters."""
        text = json.dumps(asdict(self), sort_keys=True)
        return f"h264-{self.short_side}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"

    def size(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) of a video in the cache: aspect kept to the next even number."""
        scale = min(1.0, self.short_side / min(width, height))
        return max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)


@dataclass(frozen=True)
class Video:
    """A file and where its GOPs are.

    Attributes:
        path: of the file; from the root where it is in a store.
        store: where the file is, None for a file of this machine.
    """

    path: Path
    index: VideoIndex
    store: Store | None = None

    def bytes(self, start: int, stop: int) -> bytes:
        """One range of the file."""
        if self.store is not None:
            return self.store.read(self.path.as_posix(), start, stop)
        with self.path.open("rb") as file:
            file.seek(start)
            return file.read(stop - start)


class FrameReader:
    """Reads frames of many files, keeping the last few open. One process, one thread."""

    def __init__(self) -> None:
        self._start()
        self._inherited: tuple[object, ...] = ()

    def read(self, video: Video, frames: Sequence[int], size: tuple[int, int]) -> np.ndarray:
        """Some frames of a video, scaled.

        Args:
            frames: numbers in ascending order, counted from the first picture that the file shows.
            size: (width, height) to scale to; the aspect is not kept for you.

        Returns:
            (N, height, width, 3) uint8 RGB.

        Raises:
            SessionError: the file is gone, or lacks one of the frames.
        """
        if not len(frames):
            return np.empty((0, size[1], size[0], 3), np.uint8)
        if self._owner != os.getpid():
            # A forked worker shares file positions with its parent, so it opens files of its own. What it was born
            # with is kept: closing it would wait for threads of FFmpeg that only the parent has.
            self._inherited = (self._open, self._scaler)
            self._start()
        out = np.empty((len(frames), size[1], size[0], 3), np.uint8)
        done = 0
        try:
            for picture in self._pictures(video, frames):
                out[done] = self._scaler.reformat(picture, *size, "rgb24", interpolation="AREA", threads=1).to_ndarray()
                done += 1
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise SessionError(f"{video.path}: frames {frames[0]} to {frames[-1]} cannot be read ({error})") from error
        if done < len(frames):
            raise SessionError(f"{video.path}: some of the frames {frames[0]} to {frames[-1]} cannot be decoded")
        return out

    def close(self) -> None:
        """Close every file."""
        while self._open:
            self._open.popitem()[1].close()

    def __reduce__(self) -> tuple[type[FrameReader], tuple[()]]:
        return FrameReader, ()  # open files do not travel to another process

    def _start(self) -> None:
        self._open: OrderedDict[Path, _Mp4] = OrderedDict()
        self._heads: OrderedDict[Path, bytes | Packets] = OrderedDict()
        self._scaler = VideoReformatter()  # one for all: setting up a scaler costs ten times as much as using it
        self._owner = os.getpid()

    def _pictures(self, video: Video, frames: Sequence[int]) -> Iterator[av.VideoFrame]:
        if video.index.container == "matroska":
            header = self._head(video, lambda: video.bytes(0, video.index.header_stop))
            return _matroska(video, header, frames)
        if video.store is not None:
            return _packets(video, self._head(video, lambda: _remote_packets(video)), frames)
        file = self._mp4(video.path)
        return (file.frame(number) for number in frames)

    def _head(self, video: Video, read: Callable[[], Head]) -> Head:
        """What must be known of a file before any of its clips, read once."""
        head = self._heads.get(video.path)
        if head is None:
            if len(self._heads) >= KNOWN_HEADS:
                self._heads.popitem(last=False)
            head = self._heads[video.path] = read()
        return cast("Head", head)

    def _mp4(self, path: Path) -> _Mp4:
        if path not in self._open:
            if len(self._open) >= OPEN_FILES:
                self._open.popitem(last=False)[1].close()
            self._open[path] = _Mp4(path)
        self._open.move_to_end(path)
        return self._open[path]


class _Mp4:
    """An open MP4 that knows which frame comes next, so that reading on does not seek."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            samples = mp4_samples(file)
        self._pts = samples.pts
        self._keys = np.flatnonzero(samples.key)
        self._container = av.open(str(path))
        self._stream = self._container.streams.video[0]
        self._stream.thread_type = "NONE"
        self._decoded = self._container.decode(self._stream)
        self._next = 0

    def frame(self, number: int) -> av.VideoFrame:
        """Decode one frame.

        Raises:
            ValueError: the file has no such frame.
        """
        if not 0 <= number < len(self._pts):
            raise ValueError(f"there are {len(self._pts)} frames")
        key = int(self._keys[max(0, int(np.searchsorted(self._keys, number, side="right")) - 1)])
        if not key <= self._next <= number:
            self._container.seek(int(self._pts[key]), stream=self._stream)
            self._decoded = self._container.decode(self._stream)
        for picture in self._decoded:
            at = int(np.searchsorted(self._pts, picture.pts or 0))
            self._next = at + 1
            if at == number:
                return picture
            if at > number:
                break
        self._next = -1
        raise ValueError(f"frame {number} is damaged")

    def close(self) -> None:
        self._container.close()


def _remote_packets(video: Video) -> Packets:
    if video.store is None:
        raise ValueError("only for a file in a store")
    with video.store.open(video.path.as_posix()) as file:
        return mp4_packets(file)


def _packets(video: Video, table: Packets, frames: Sequence[int]) -> Iterator[av.VideoFrame]:
    """Frames of an MP4 by one range of bytes: from the first frame's keyframe to the last frame, without a demuxer."""
    first, last = table.reach(frames[0], frames[-1])
    start = int(table.offset[first : last + 1].min())
    data = video.bytes(start, int((table.offset + table.size)[first : last + 1].max()))
    codec = cast("av.VideoCodecContext", av.CodecContext.create(table.codec, "r"))
    codec.extradata, codec.thread_type = table.extradata, "NONE"
    number = {int(pts): n for n, pts in enumerate(table.shown)}
    chosen = set(frames)
    for k in [*range(first, last + 1), None]:
        packet = None
        if k is not None:
            at = int(table.offset[k]) - start
            packet = av.Packet(data[at : at + int(table.size[k])])
            packet.pts, packet.dts = int(table.pts[k]), k
        for picture in codec.decode(packet):
            if number.get(picture.pts or 0) in chosen:
                yield picture


def _matroska(video: Video, header: bytes, frames: Sequence[int]) -> Iterator[av.VideoFrame]:
    """Frames by one range of bytes: the header, and the clusters from the first frame's GOP to the last's."""
    gops = video.index.gops
    wanted = [g for g in gops if g.first_frame <= frames[-1] and g.first_frame + g.frames > frames[0]]
    if not wanted:
        raise ValueError(f"there are {video.index.end_frame} frames")
    start, stop = wanted[0].start, wanted[-1].stop
    base = next(g.first_frame for g in gops if g.start == start)  # the first keyframe of that cluster
    data = header + video.bytes(start, stop)
    chosen = set(frames)
    with av.open(io.BytesIO(data), "r", format="matroska", options=NO_PROBING) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        packets = [p for p in container.demux(stream) if p.pts is not None]
        while packets and not packets[0].is_keyframe:
            packets.pop(0)
        number = {pts: base + i for i, pts in enumerate(sorted(p.pts or 0 for p in packets))}
        for packet in [*packets, None]:
            for picture in stream.decode(packet):
                if number[picture.pts or 0] in chosen:
                    chosen.remove(number[picture.pts or 0])
                    yield picture
                if not chosen:
                    return


def write_manifest(folder: Path, recipe: Recipe, size: Mapping[str, Sequence[int]]) -> None:
    """Write `manifest.json` of a cache: its parameters, and (width, height) of each file.

    Pictures are scaled as a whole and never cropped, so a box in fractions of the frame is the same in the copy.
    """
    durable.write_json(folder / MANIFEST, {**asdict(recipe), "size": {name: list(size[name]) for name in sorted(size)}})


def write_video_cache(source: Path, target: Path, recipe: Recipe) -> tuple[int, int]:
    """Write the small copy of a video, whole or not at all; equal input gives equal bytes.

    Returns:
        (width, height) of the copy.

    Raises:
        SessionError: the source cannot be indexed or decoded.
    """
    index = video_index(source)
    if not index.gops:
        raise SessionError(f"{source} holds no keyframe, so none of its frames can be decoded")
    with av.open(str(source)) as container:
        stream = container.streams.video[0]
        rate = round(stream.average_rate or 30)
        size = recipe.size(stream.width, stream.height)
    reader = FrameReader()
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with durable.replacing(target) as scratch:
            encode_video(scratch, _all_frames(reader, Video(source, index), size), size, rate, recipe)
    finally:
        reader.close()
    return size


def _all_frames(reader: FrameReader, video: Video, size: tuple[int, int]) -> Iterator[np.ndarray]:
    def numbers(gop: Gop) -> range:
        return range(gop.first_frame, gop.first_frame + gop.frames)

    for gop in video.index.gops:
        images = reader.read(video, numbers(gop), size)
        if gop is video.index.gops[0]:  # what lies before the first keyframe cannot be decoded, but has numbers
            yield from images[:1].repeat(gop.first_frame, axis=0)
        yield from images


def video_packets(path: Path) -> Iterator[tuple[int, bytes]]:
    """A film's H.264 packets as Annex B, each with its parameter sets, and the number of the frame it is.

    Raises:
        SessionError: another codec, or B-frames, whose packets are not in the order of the frames.
    """
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        if stream.codec_context.name != "h264":
            raise SessionError(f"{path} is {stream.codec_context.name} and not H.264")
        annex_b, number, last = av.BitStreamFilterContext("h264_mp4toannexb,dump_extra", stream), 0, None
        for packet in container.demux(stream):
            if packet.pts is None or packet.is_discard:
                continue
            if last is not None and packet.pts < last:
                raise SessionError(f"{path} has B-frames; encode it again without them")
            last = packet.pts
            for out in annex_b.filter(packet):
                yield number, bytes(out)
            number += 1


def encode_video(path: Path, frames: Iterator[np.ndarray], size: tuple[int, int], rate: int, recipe: Recipe) -> None:
    """Write an MP4 of (height, width, 3) uint8 RGB pictures, one per 1 / `rate` s; equal input gives equal bytes."""
    options = {"movflags": "+faststart", "fflags": "+bitexact"}
    with av.open(str(path), "w", format="mp4", options=options) as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.thread_count = 1  # more threads would make the bytes depend on the machine
        stream.codec_context.options = {
            "preset": "veryfast",
            "crf": str(recipe.crf),
            # mbtree: with it x264 gave other bytes for equal pictures in 3 runs of 100
            "x264-params": f"keyint={recipe.gop}:min-keyint={recipe.gop}:scenecut=0:bframes=0:mbtree=0:rc-lookahead=0",
        }
        for number, image in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(image, format="rgb24")
            picture.pts = number
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
