"""Media files read back: sound, frames, and the integer rows of sensor tracks.

Works on whatever is left of a file: a cut recording gives everything before the cut. Times of imported files
are container times, where 0 is what FFmpeg presents as 0 after edit lists and codec delay. Times of a kit's
streams never come from the container, which rounds to a millisecond: they come from the stream's `t0_ns`,
its rate and its timing track.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import av.error
import numpy as np

from firmware_host.errors import SessionError
from firmware_host.spec import Flag
from recorder.series import Sound
from recorder.session import Device, Session, Stream

SECOND_NS = 1_000_000_000
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
        container = av.open(str(path))
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
        for video in container.streams.video[:1]:
            size = (video.codec_context.width, video.codec_context.height)
            rate = float(video.average_rate or 0)
            found.append(Stream("camera", "video", _start_ns(video), rate, size=size))
        for audio in container.streams.audio[:1]:
            rate = float(audio.codec_context.sample_rate)
            found.append(Stream("microphone", "audio", _start_ns(audio), rate))
    if not found:
        raise SessionError(f"{path} has neither picture nor sound; give a recording")
    return tuple(found)


def _start_ns(stream: av.stream.Stream) -> int:
    if stream.start_time is None or stream.time_base is None:
        return 0
    return stream.start_time * stream.time_base.numerator * SECOND_NS // stream.time_base.denominator


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
    """The first (or only default) audio track of any media file, mixed to mono.

    Stretches that the container skips are filled with zeros, so that a sample's index stays its time.

    Raises:
        SessionError: not a media file, or without audio.
    """
    with opened(path) as container:
        if not container.streams.audio:
            raise SessionError(f"{path} has no audio track; give a recording with sound")
        stream = next((s for s in container.streams.audio if _title(s) == "microphone"), container.streams.audio[0])
        rate = stream.codec_context.sample_rate
        # FFmpeg drops an MP3's encoder delay but still counts it: such a file begins at 23 ms and plays from 0.
        delay_ns = _start_ns(stream) if container.format.name == "mp3" else 0
        blocks: list[np.ndarray] = []
        t0_ns, filled = None, 0
        for frame, _ in _decoded(container, [stream]):
            x = _mono(frame)
            at_ns = _pts_ns(frame)
            if at_ns is not None:
                if t0_ns is None:
                    t0_ns = at_ns
                gap = round((at_ns - t0_ns) * rate / SECOND_NS) - filled
                if gap > rate // 50:
                    blocks.append(np.zeros(gap, np.float32))
                    filled += gap
            blocks.append(x)
            filled += len(x)
    if not filled:
        raise SessionError(f"{path} has an audio track that holds no samples")
    return Sound(np.concatenate(blocks), float(rate), (t0_ns or 0) - delay_ns, clock or path.stem)


def read_sound(session: Session, device: Device) -> Sound:
    """The sound a device recorded, with its samples' times on the device's clock.

    Raises:
        SessionError: the device has no audio stream, or the file cannot be read.
    """
    streams = device.of_kind("audio")
    if not streams:
        raise SessionError(f"{device.name} recorded no sound")
    sound = read_sound_file(session.path(device.file), device.clock)
    if device.kind != "kit":
        return sound
    return Sound(sound.x, streams[0].rate_hz, streams[0].t0_ns, device.clock)


def frame_times_ns(session: Session, device: Device) -> np.ndarray:
    """When each video frame was taken: (N,) int64 ns on the device's clock.

    Raises:
        SessionError: the device has no video stream.
    """
    streams = device.of_kind("video")
    if not streams:
        raise SessionError(f"{device.name} recorded no video")
    path = session.path(device.file)
    if device.kind != "kit":
        return container_frame_times_ns(path)
    name = f"{streams[0].name}.timing"
    rows = read_rows(path, [name]).get(name)
    if rows is None:
        raise SessionError(f"{path} has no track '{name}', so its frames have no times")
    return picture_times_ns(streams[0].t0_ns, rows)


def picture_times_ns(t0_ns: int, rows: np.ndarray) -> np.ndarray:
    """(N, 3) rows of a camera's timing track to (N,) int64 ns, `t0_ns` being the time of the first frame."""
    return t0_ns + rows[:, 0].astype(np.int64) * SECOND_NS + rows[:, 1].astype(np.int64) * 1000


def container_frame_times_ns(path: Path) -> np.ndarray:
    """Presentation times of a file's video frames by packet headers alone: (N,) int64 ns, ascending."""
    with opened(path) as container:
        if not container.streams.video:
            raise SessionError(f"{path} has no video track")
        stream = container.streams.video[0]
        times = [t for p in container.demux(stream) if not p.is_discard and (t := _pts_ns(p)) is not None]
    return np.sort(np.array(times, np.int64))


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
            yield index, _pts_ns(frame) or 0, image


def timing_flags(rows: np.ndarray) -> np.ndarray:
    """The flag column of a timing track: (N,) int32, values of `firmware_host.spec.Flag`."""
    return rows[:, 2]


def fresh_ticks(timing: np.ndarray) -> np.ndarray:
    """Ticks at which a sensor gave a new sample: (M,) int64."""
    return np.flatnonzero(timing_flags(timing) == Flag.FRESH)


def _decoded(container: av.container.InputContainer, streams: list) -> Iterator[tuple]:
    """Frames of several streams; ends quietly where the file is cut or a block is damaged."""
    try:
        for packet in container.demux(streams):
            try:
                frames = packet.decode()
            except av.error.InvalidDataError:
                continue  # one damaged block: what follows may be whole
            for frame in frames:
                yield frame, packet.stream
    except (av.error.InvalidDataError, av.error.EOFError):
        return


def _mono(frame: av.AudioFrame) -> np.ndarray:
    x = frame.to_ndarray()
    channels = len(frame.layout.channels)
    x = x if frame.format.is_planar else x.reshape(-1, channels).T
    scale = 1.0 if x.dtype.kind == "f" else 2.0 ** (1 - 8 * x.dtype.itemsize)
    return (x.mean(axis=0, dtype=np.float64) * scale).astype(np.float32)


def _pts_ns(timed: av.AudioFrame | av.VideoFrame | av.Packet) -> int | None:
    if timed.pts is None or timed.time_base is None:
        return None
    return timed.pts * timed.time_base.numerator * SECOND_NS // timed.time_base.denominator


def _title(stream: av.stream.Stream) -> str:
    return stream.metadata.get("title") or f"stream {stream.index}"


def _strerror(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
