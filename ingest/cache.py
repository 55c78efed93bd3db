"""Frames by their number, and the small copies of videos that training reads.

A clip of five frames out of a 1080p recording costs hundreds of milliseconds, nearly all of it decoding pixels
that are then thrown away. The cache holds each video once more as models eat it: the whole picture squeezed to a small
square, H.264, a keyframe every 16 frames, no B-frames, the same frames with the same numbers. It is derived: its
folder is named by a hash of its parameters, and deleting it costs only speed. Both are read exactly, never by nearest
time.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import av.container
import av.error
import cv2
import numpy as np
from av.video.reformatter import VideoReformatter

from firmware_host.errors import SessionError
from ingest.film import Film, Packet, Video, delay, open_film
from ingest.index import Gop, video_index
from recorder import durable

OPEN_FILMS, OPEN_PIXELS = 32, 8 * 1920 * 1080
"""What a reader keeps open: two cameras of the 16 sessions that clips keep, unless their pictures are large. A decoder
holds a dozen of them."""
MANIFEST = "manifest.json"


_FORM = 2
"""Counts up when equal parameters make other copies."""
DECODES_FAST = "fastdecode"
"""x264's tuning without what costs a decoder most (CABAC, the filter between blocks): twice as fast for a tenth more
bytes."""


@dataclass(frozen=True)
class Recipe:
    """What a cache is made like.

    Attributes:
        side: pixels; a picture is squeezed to a square of this side, as clips are; a shorter side stays as it is.
        gop: frames from keyframe to keyframe.
        crf: x264's constant quality; 18 is hard to tell from the original.
    """

    side: int = 128
    gop: int = 16
    crf: int = 18

    @property
    def name(self) -> str:
        """Folder of the cache, equal for equal parameters."""
        text = json.dumps({**asdict(self), "form": _FORM}, sort_keys=True)
        return f"h264-{self.side}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"

    def size(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) of a video in the cache: even numbers."""
        return max(2, min(self.side, width) // 2 * 2), max(2, min(self.side, height) // 2 * 2)


class FrameReader:
    """Reads frames of many films, keeping the decoders of the last few. One process, one thread."""

    def __init__(self) -> None:
        self._open: OrderedDict[Path, _Decoder] = OrderedDict()
        self._scaler = VideoReformatter()  # one for all: setting up a scaler costs ten times as much as using it

    def read(self, video: Video, frames: Sequence[int], size: tuple[int, int]) -> np.ndarray:
        """Some frames of a video, scaled.

        Args:
            frames: numbers in ascending order, counted from the video's first picture.
            size: (width, height) to scale to; the aspect is not kept for you.

        Returns:
            (N, height, width, 3) uint8 RGB.

        Raises:
            SessionError: the file is gone, or lacks one of the frames.
        """
        out = np.empty((len(frames), size[1], size[0], 3), np.uint8)
        for place, picture in enumerate(self._scaled(video, frames, size)):
            out[place] = picture
        return out

    def planes(self, video: Video, frames: Sequence[int], size: tuple[int, int]) -> np.ndarray:
        """The same as (N, 3, height, width), as networks want them; arguments and errors as of `read`."""
        out = np.empty((len(frames), 3, size[1], size[0]), np.uint8)
        for place, picture in enumerate(self._scaled(video, frames, size)):
            # Faster than a transposed copy, and six times as fast on rows without gaps.
            cv2.split(np.ascontiguousarray(picture), [*out[place]])
        return out

    def _scaled(self, video: Video, frames: Sequence[int], size: tuple[int, int]) -> Iterator[np.ndarray]:
        if not len(frames):
            return
        frames = [video.first + number for number in frames]
        done = 0
        try:
            for picture in self._pictures(video, frames):
                yield self._scaler.reformat(picture, *size, "rgb24", interpolation="AREA", threads=1).to_ndarray()
                done += 1
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise SessionError(f"{video.path}: frames {frames[0]} to {frames[-1]} cannot be read ({error})") from error
        if done < len(frames):
            raise SessionError(f"{video.path}: some of the frames {frames[0]} to {frames[-1]} cannot be decoded")

    def close(self) -> None:
        """Close every film."""
        while self._open:
            self._open.popitem()[1].container.close()

    def __reduce__(self) -> tuple[type[FrameReader], tuple[()]]:
        return FrameReader, ()  # decoders do not travel to another process

    def _pictures(self, video: Video, frames: Sequence[int]) -> Iterator[av.VideoFrame]:
        film, _, codec = self._decoder(video)
        packets = film.packets(video, frames[0], frames[-1])
        codec.flush_buffers()
        codec.reorder_depth = delay(packets)
        return _decoded(codec, packets, set(frames))

    def _decoder(self, video: Video) -> _Decoder:
        if video.path not in self._open:
            self._open[video.path] = _decoder(video)
        self._open.move_to_end(video.path)
        while len(self._open) > OPEN_FILMS or (len(self._open) > 1 and self._pixels() > OPEN_PIXELS):
            self._open.popitem(last=False)[1].container.close()
        return self._open[video.path]

    def _pixels(self) -> int:
        return sum(held.codec.width * held.codec.height for held in self._open.values())


class _Decoder(NamedTuple):
    """A film, and the decoder of its pictures as its demuxer sets it up, which is given packets of the film's own."""

    film: Film
    container: av.container.InputContainer
    codec: av.VideoCodecContext


def _decoder(video: Video) -> _Decoder:
    film = open_film(video)
    container = av.open(io.BytesIO(film.head), "r", format=film.format)
    stream = container.streams.video[0]
    stream.thread_type = "NONE"
    return _Decoder(film, container, stream.codec_context)


def _decoded(codec: av.VideoCodecContext, packets: Sequence[Packet], chosen: set[int]) -> Iterator[av.VideoFrame]:
    """The chosen frames, in order. A packet's time is its frame's number, so each picture says which it is."""
    for place, given in enumerate([*packets, None]):
        packet = None
        if given is not None:
            packet = av.Packet(given.data)
            packet.pts, packet.dts, packet.is_keyframe = given.frame, place, given.key
        for picture in codec.decode(packet):
            if picture.pts in chosen:
                chosen.remove(picture.pts)
                yield picture
        if not chosen:
            return


def write_manifest(folder: Path, recipe: Recipe, size: Mapping[str, Sequence[int]]) -> None:
    """Write `manifest.json` of a cache: its parameters, and (width, height) of each file.

    Pictures are squeezed as a whole and never cropped, so a box in fractions of the frame is the same in the copy.
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
        rate, shape = round(stream.average_rate or 30), (stream.width, stream.height)
    reader, size = FrameReader(), recipe.size(*shape)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with durable.replacing(target) as scratch:
            encode_video(scratch, _all_frames(reader, Video(source, index), size), size, rate, recipe, shape)
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
        SessionError: another codec, B-frames, whose packets are not in the order of the frames, or a damaged film.
    """
    try:
        yield from _packets(path)
    except av.FFmpegError as error:
        raise SessionError(f"{path} cannot be read: {error.strerror}") from error


def _packets(path: Path) -> Iterator[tuple[int, bytes]]:
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


def encode_video(
    path: Path,
    frames: Iterator[np.ndarray],
    size: tuple[int, int],
    rate: int,
    recipe: Recipe,
    shape: tuple[int, int] | None = None,
) -> None:
    """Write an MP4 of (height, width, 3) uint8 RGB pictures, one per 1 / `rate` s; equal input gives equal bytes.

    Args:
        size: (width, height) of the pictures.
        shape: (width, height) that they were squeezed from, in which players show them again.
    """
    options = {"movflags": "+faststart", "fflags": "+bitexact"}
    with av.open(str(path), "w", format="mp4", options=options) as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        if shape is not None:
            wider = Fraction(shape[0] * size[1], shape[1] * size[0]).limit_denominator(255)
            stream.codec_context.sample_aspect_ratio = wider
        stream.codec_context.thread_count = 1  # more threads would make the bytes depend on the machine
        stream.codec_context.options = {
            "preset": "veryfast",
            "tune": DECODES_FAST,
            "crf": str(recipe.crf),
            # mbtree: with it x264 gave other bytes for equal pictures in 3 runs of 100
            "x264-params": f"keyint={recipe.gop}:min-keyint={recipe.gop}:scenecut=0:bframes=0:mbtree=0:rc-lookahead=0",
        }
        for number, image in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(image, format="rgb24")
            picture.pts = number
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
