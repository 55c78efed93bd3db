"""Media files read back: sound, frames, and the integer rows of sensor tracks.

Works on whatever is left of a file: a cut recording gives everything before the cut. Times of imported files
are container times, where 0 is what FFmpeg presents as 0 after edit lists and codec delay. Times of a kit's
streams never come from the container, which rounds to a millisecond: `recorder.samples` has them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from io import RawIOBase
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, BinaryIO

import av
import av.error
import av.stream
import numpy as np

from firmware_host.clock import SECOND_NS
from firmware_host.errors import SessionError
from recorder.series import Sound
from recorder.session import Stream

BLOCK = 2**18
"""Samples of sound that are decoded before they are handed on."""
LONGEST_SKIP_S = 4 * 3600
"""A container that skips more than this between two frames is damaged."""
SLOWEST_HZ, FASTEST_HZ = 1000, 1_000_000
"""No microphone gives fewer or more samples a second; a header that says so would make days out of seconds."""
_SAMPLE_TYPES = {"u8": "u1", "s16": "i2", "s32": "i4", "s64": "i8", "flt": "f4", "dbl": "f8"}
COUNT_SHIFT = 8
"""24-bit counts travel in the upper bits of a 32-bit FLAC sample."""


@contextmanager
def opened(path: Path) -> Iterator[av.container.InputContainer]:
    """An open media file, always closed again: PyAV leaks what is not.

    Raises:
        SessionError: the file is missing, empty, or no media file that FFmpeg knows.
    """
    if not path.is_file():
        raise SessionError(f"{path} does not exist; check the name")
    try:
        container = av.open(str(path), metadata_errors="replace")
    except (av.error.FFmpegError, OSError) as error:
        raise SessionError(
            f"{path} cannot be read as a media file ({_strerror(error)}); it may be cut before its header ends"
        ) from error
    try:
        yield container
    finally:
        container.close()


def probe(path: Path) -> tuple[Stream, ...]:
    """The picture and sound streams of any media file: size, rate, and the container time of the first sample.

    Raises:
        SessionError: not a media file, or one without picture and sound.
    """
    found = []
    with opened(path) as container:
        for video in _known(container.streams.video)[:1]:
            size = (video.codec_context.width, video.codec_context.height)
            rate = float(video.average_rate or 0)
            found.append(Stream("camera", "video", _start_ns(video), rate, size=size))
        for audio in _known(container.streams.audio)[:1]:
            rate = float(audio.codec_context.sample_rate)
            found.append(Stream("microphone", "audio", _start_ns(audio), rate))
    if not found:
        raise SessionError(f"{path} has neither picture nor sound; give a recording")
    return tuple(found)


def _known(streams: Sequence) -> list:
    """Those whose codec FFmpeg has a decoder for: a damaged header can name any."""
    return [s for s in streams if s.codec_context is not None]


def _start_ns(stream: av.stream.Stream) -> int:
    if stream.start_time is None or stream.time_base is None:
        return 0
    return stream.start_time * stream.time_base.numerator * SECOND_NS // stream.time_base.denominator


def sought(file: BinaryIO | RawIOBase, t_ns: int) -> tuple[int, int]:
    """Seek in an open media file, as a player would.

    Returns:
        the file's duration in ns, and the time of the first packet after seeking to `t_ns`.

    Raises:
        SessionError: FFmpeg cannot open it, or finds nothing there.
    """
    try:
        with av.open(file, mode="r") as container:
            stream = next(iter(container.streams.video or container.streams))
            container.seek(t_ns // 1000)
            found = next(t for p in container.demux(stream) if (t := pts_ns(p)) is not None)
            return (container.duration or 0) * 1000, found
    except (av.error.FFmpegError, OSError, StopIteration) as error:
        raise SessionError(f"a player cannot seek in it ({_strerror(error)})") from error


def read_rows(path: Path, names: Collection[str]) -> dict[str, np.ndarray]:
    """Counts of several sensor or timing tracks in one pass.

    Returns:
        name -> (N, C) int32, N being what the file still holds. A name the file lacks is absent.
    """
    parts: dict[str, list[np.ndarray]] = {}
    with opened(path) as container:
        wanted = [s for s in container.streams.audio if _title(s) in names]
        for stream in wanted:
            parts[_title(stream)] = [np.empty((0, stream.codec_context.channels), np.int32)]
        if not wanted:
            return {}
        for frame, stream in _decoded(container, wanted):
            channels = stream.codec_context.channels
            parts[_title(stream)].append(frame.to_ndarray().reshape(-1, channels) >> COUNT_SHIFT)
    return {name: np.concatenate(blocks) for name, blocks in parts.items()}


def read_sound_file(path: Path, clock: str | None = None) -> Sound:
    """The first (or only default) audio track of any media file, mixed to mono; see `sound_blocks`.

    Raises:
        SessionError: not a media file, or without audio.
    """
    blocks = list(sound_blocks(path, clock))
    return replace(blocks[0], x=np.concatenate([b.x for b in blocks]))


def sound_blocks(path: Path, clock: str | None = None) -> Iterator[Sound]:
    """The same in blocks of a few seconds, each following the one before without a gap.

    Stretches that the container skips are filled with zeros, so that a sample's index stays its time. A skip counts
    where the next frame confirms it: one frame with a damaged time moves nothing.

    Raises:
        SessionError: not a media file, or without audio.
    """
    with opened(path) as container:
        tracks = _known(container.streams.audio)
        if not tracks:
            raise SessionError(f"{path} has no audio track; give a recording with sound")
        stream = next((s for s in tracks if _title(s) == "microphone"), tracks[0])
        rate = stream.codec_context.sample_rate
        if not SLOWEST_HZ <= rate <= FASTEST_HZ:
            raise SessionError(f"{path} has an audio track of {rate} samples a second; its header is damaged")
        # FFmpeg drops an MP3's encoder delay but still counts it: such a file begins at 23 ms and plays from 0.
        delay_ns = _start_ns(stream) if container.format.name == "mp3" else 0
        t0_ns, given = 0, 0
        for n, x in enumerate(_unbroken(container, stream, rate)):
            if isinstance(x, int):
                t0_ns = x - delay_ns if n == 0 else t0_ns
                continue
            yield Sound(x, float(rate), t0_ns + given * SECOND_NS // rate, clock or path.stem)
            given += len(x)
    if not given:
        raise SessionError(f"{path} has an audio track that holds no samples")


def _unbroken(
    container: av.container.InputContainer, stream: av.stream.Stream, rate: int
) -> Iterator[int | np.ndarray]:
    """The time of the first sample in ns, then mono blocks without gaps."""
    frames = (f for f, _ in _decoded(container, [stream]) if f.sample_rate == rate)
    held: list[av.AudioFrame] = []
    begun = False
    waiting = 0
    for frame, gap in _with_gaps(frames, stream, rate):
        if not begun:
            yield pts_ns(frame) or 0
            begun = True
        if held and (gap or waiting >= BLOCK or _format(frame) != _format(held[0])):
            yield _mono(held)
            held, waiting = [], 0
        for first in range(0, gap, BLOCK):
            yield np.zeros(min(gap - first, BLOCK), np.float32)
        held.append(frame)
        waiting += frame.samples
    if held:
        yield _mono(held)


def _with_gaps(frames: Iterator[Any], stream: av.stream.Stream, rate: int) -> Iterator[tuple[av.AudioFrame, int]]:
    """Each frame, and how many samples the container skipped before it."""
    unit = (stream.time_base or Fraction(1, rate)) * rate  # asked once: an hour of sound has 200,000 frames
    start: int | None = None
    filled = 0

    def skipped(frame: av.AudioFrame) -> int:
        if frame.pts is None or start is None:
            return 0
        gap = (frame.pts - start) * unit.numerator // unit.denominator - filled
        return gap if rate // 50 < gap < LONGEST_SKIP_S * rate else 0

    for frame, after in pairwise(chain(frames, [None])):
        start = (frame.pts or 0) if start is None else start
        gap = skipped(frame)
        if gap and (after is None or abs(skipped(after) - frame.samples - gap) > rate // 50):
            gap = 0  # its time alone says so, and the next one's does not
        filled += gap + frame.samples
        yield frame, gap


def _format(frame: av.AudioFrame) -> tuple[str, str]:
    return frame.format.name, frame.layout.name


def container_frame_times_ns(path: Path) -> np.ndarray:
    """Presentation times of a file's video frames by packet headers alone: (N,) int64 ns, ascending."""
    with opened(path) as container:
        if not container.streams.video:
            raise SessionError(f"{path} has no video track")
        stream = container.streams.video[0]
        times = [t for p in container.demux(stream) if not p.is_discard and (t := pts_ns(p)) is not None]
    return np.sort(np.array(times, np.int64))


def data_packets(path: Path, begins: bytes) -> list[tuple[int, int, bytes]]:
    """The packets of that data track of a media file whose packets begin with `begins`; nothing else is read.

    Returns:
        by time: (container time in ns, duration in ns, bytes); empty where no track is one.
    """
    with opened(path) as container:
        data = container.streams.data
        if hasattr(av.stream, "Discard"):  # the PyAV of Raspberry Pi OS (14) reads the other tracks and drops them
            for stream in container.streams:
                stream.discard = av.stream.Discard.default if stream in data else av.stream.Discard.all
        tracks: dict[int, list[tuple[int, int, bytes]]] = {s.index: [] for s in data}
        try:
            for packet in container.demux(list(data)) if data else ():
                if packet.size and (t_ns := pts_ns(packet)) is not None and packet.time_base is not None:
                    long_ns = (packet.duration or 0) * packet.time_base.numerator * SECOND_NS
                    entry = (t_ns, long_ns // packet.time_base.denominator, bytes(packet))
                    tracks[packet.stream.index].append(entry)
        except av.error.FFmpegError:
            pass  # a cut file: what came before the cut is whole
    return next((t for t in tracks.values() if t and t[0][2].startswith(begins)), [])


def video_frames(
    path: Path, *, pixels: str = "gray", width: int | None = None, every: int = 1
) -> Iterator[tuple[int, int, np.ndarray]]:
    """Decode a video from its start.

    Args:
        pixels: ``gray`` for (H, W) or ``rgb24`` for (H, W, 3), both uint8.
        width: scale to this width, aspect kept; None keeps the size.
        every: give only each `every`-th frame (all are decoded).

    Yields:
        (index, container time in ns, image).
    """
    with opened(path) as container:
        if not container.streams.video:
            raise SessionError(f"{path} has no video track")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        for index, (frame, _) in enumerate(_decoded(container, [stream])):
            if index % every:
                continue
            w = width or frame.width
            h = frame.height if width is None else max(2, round(frame.height * width / frame.width))
            image = frame.reformat(width=w, height=h, format=pixels).to_ndarray()
            yield index, pts_ns(frame) or 0, image


def _decoded(container: av.container.InputContainer, streams: list) -> Iterator[tuple]:
    """Frames of several streams; ends quietly where the file is cut or a block is damaged."""
    try:
        for packet in container.demux(streams):
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                continue  # one damaged block, whatever FFmpeg calls it: what follows may be whole
            for frame in frames:
                yield frame, packet.stream
    except (av.error.InvalidDataError, av.error.EOFError):
        return


def _mono(frames: list[av.AudioFrame]) -> np.ndarray:
    """(N,) float32 in [-1, 1]: the mean over the channels of frames of one format."""
    kind = frames[0].format
    dtype: np.dtype = np.dtype(_SAMPLE_TYPES[kind.packed.name])
    channels = len(frames[0].layout.channels)
    if kind.is_planar:
        planes = [_plane(frames, k, dtype, 1) for k in range(channels)]
    else:
        packed = _plane(frames, 0, dtype, channels)
        planes = [packed[k::channels] for k in range(channels)]
    x = planes[0].astype(np.float32)
    for plane in planes[1:]:
        x += plane
    scale = 1.0 if dtype.kind == "f" else 2.0 ** (1 - 8 * dtype.itemsize)
    with np.errstate(invalid="ignore", over="ignore"):  # damaged float sound may hold what is not a number
        x *= np.float32(scale / channels)
    return x - np.float32(1.0) if dtype.kind == "u" else x


def _plane(frames: list[av.AudioFrame], number: int, dtype: np.dtype, width: int) -> np.ndarray:
    parts = [np.frombuffer(memoryview(f.planes[number]), dtype)[: f.samples * width] for f in frames]
    return np.concatenate(parts)


def pts_ns(timed: av.AudioFrame | av.VideoFrame | av.Packet) -> int | None:
    """When a frame or packet is shown, ns since the container's time 0; None where nobody says."""
    pts, base = timed.pts, timed.time_base  # each asks FFmpeg anew, a hundred thousand times for an hour of sound
    return None if pts is None or base is None else pts * base.numerator * SECOND_NS // base.denominator


def _title(stream: av.stream.Stream) -> str:
    return stream.metadata.get("title") or f"stream {stream.index}"


def _strerror(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
