"""One Matroska file per kit: H.264 as the encoder made it, sound and sensor rows as FLAC.

FFmpeg encodes, and writes the header; `recorder.clusters` appends the packets. FFmpeg's own writing of them lets
packets wait for those of the sparsest track, and without pictures keeps a place to seek to for every track and cluster
in memory until the end: 30 MB an hour for a body kit. FLAC blocks are short so that a power cut costs little.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.stream import Disposition

from firmware_host.clock import TICK_HZ
from firmware_host.spec import COUNT_LIMIT
from recorder.annexb import length_prefixed
from recorder.clusters import Block, ClusterFile
from recorder.demux import COUNT_SHIFT

MILLISECOND = Fraction(1, 1000)
BLOCK_TICKS = 16
"""Ticks a FLAC block of a sensor track holds: FLAC allows no shorter block, and 16 ticks are 0.27 s."""
SOUND_BLOCK = 4096
SENSOR_OPTIONS = {"compression_level": "2", "max_partition_order": "0"}
"""FLAC's for sensors: in 16 rows a predictor of its own takes more room than it saves, and doubles the track; to look
for partitions of them takes half the time and finds none."""
HEADER_OPTIONS = {"flush_packets": "1", "default_mode": "passthrough", "fflags": "+bitexact"}
DEFAULT_TRACK: Any = Disposition.default.value
"""A plain integer: the PyAV of Raspberry Pi OS (14) takes nothing else."""
LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}


@dataclass(frozen=True)
class EncodedFrame:
    """One H.264 access unit in Annex B form, and when its picture was taken (ns on the kit's clock)."""

    data: bytes
    t_ns: int
    keyframe: bool


@dataclass(frozen=True)
class RowTrack:
    """A FLAC stream of integer rows: its title, rows per second, channels, and what to tell about it."""

    title: str
    rate_hz: int
    channels: int
    metadata: dict[str, str]

    @property
    def block(self) -> int:
        """Rows in a FLAC block."""
        return BLOCK_TICKS * max(1, self.rate_hz // TICK_HZ)


class _FlacStream:
    """Collects rows, encodes them by whole blocks, and keeps count of what it gave."""

    def __init__(self, container: av.container.OutputContainer, track: RowTrack, block: int) -> None:
        self._block = block
        self._layout = LAYOUTS[track.channels]
        self._pending: list[np.ndarray] = []
        self._waiting = 0
        self._done = 0
        stream = container.add_stream("flac", rate=track.rate_hz)
        stream.codec_context.layout = self._layout
        stream.codec_context.format = "s32"
        options = {"frame_size": str(block), "bits_per_raw_sample": "24"}
        if block != SOUND_BLOCK:
            options |= SENSOR_OPTIONS
        stream.codec_context.options = options
        stream.metadata["title"] = track.title
        for key, value in track.metadata.items():
            stream.metadata[key] = value
        self.stream = stream
        self.offset = 0

    def put(self, rows: np.ndarray) -> Iterator[Block]:
        """Add (n, channels) int32 counts of 24 bits; full blocks leave at once."""
        if rows.size and not -COUNT_LIMIT <= rows.min() <= rows.max() < COUNT_LIMIT:
            raise ValueError(f"{self.stream.metadata['title']}: a count does not fit 24 bits")
        self._pending.append(rows)
        self._waiting += len(rows)
        if self._waiting < self._block:
            return
        waiting = np.concatenate(self._pending)
        whole = len(waiting) - len(waiting) % self._block
        for start in range(0, whole, self._block):
            yield from self._encoded(waiting[start : start + self._block])
        self._pending = [waiting[whole:]]
        self._waiting = len(waiting) - whole

    def finish(self) -> Iterator[Block]:
        """Encode what is left, in one last short block."""
        if self._waiting:
            yield from self._encoded(np.concatenate(self._pending))
            self._pending, self._waiting = [], 0
        yield from self._blocks(self.stream.encode(None))

    def _encoded(self, rows: np.ndarray) -> Iterator[Block]:
        packed = np.ascontiguousarray(rows.astype(np.int32) << COUNT_SHIFT).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, format="s32", layout=self._layout)
        frame.sample_rate = self.stream.codec_context.sample_rate
        frame.pts = self._done + self.offset
        self._done += len(rows)
        yield from self._blocks(self.stream.encode(frame))

    def _blocks(self, packets: list[av.Packet]) -> Iterator[Block]:
        rate = self.stream.codec_context.sample_rate
        for packet in packets:
            if packet.pts is None or not packet.size:  # the last one tells a checksum of the whole, and holds nothing
                continue
            start, end = ((2000 * k + rate) // (2 * rate) for k in (packet.pts, packet.pts + (packet.duration or 0)))
            yield Block(start, self.stream.index + 1, bytes(packet), end - start, keyframe=True)


class MatroskaWriter:
    """Writes one kit's file. Not thread-safe: one thread owns it."""

    def __init__(
        self,
        path: Path,
        tracks: Sequence[RowTrack],
        *,
        first_frame: EncodedFrame | None = None,
        fps: int = 30,
        sound_rate_hz: int | None = None,
    ) -> None:
        """Declare every stream and write the header.

        Args:
            tracks: sensor and timing tracks in the order they shall have.
            first_frame: the keyframe the video begins with, carrying SPS and PPS; None for no video.
            fps: nominal frame rate.
            sound_rate_hz: nominal rate of the microphone; None for no sound.
        """
        header = io.BytesIO()
        self._container = av.open(header, "w", format="matroska", options=HEADER_OPTIONS)
        self._frame_ms = 1000 // fps
        self._video = self._add_video(first_frame) if first_frame else None
        self._sound = None
        if sound_rate_hz:
            track = RowTrack("microphone", sound_rate_hz, 1, {})
            self._sound = _FlacStream(self._container, track, SOUND_BLOCK)
            self._sound.stream.disposition = DEFAULT_TRACK
        self._tracks = {t.title: _FlacStream(self._container, t, t.block) for t in tracks}
        self._container.start_encoding()
        self._file = ClusterFile(path, header.getvalue(), self._video)

    @property
    def fault(self) -> OSError | None:
        """Why the disk takes nothing more, None while it does. Nothing is raised: the recording ends."""
        return self._file.fault

    def _add_video(self, first: EncodedFrame) -> int:
        """Declare the video; returns its number in the file."""
        # The parser reads SPS and PPS from the stream's own bytes; no encoder settings are assumed.
        with av.open(io.BytesIO(first.data), format="h264") as probe:
            stream = self._container.add_stream_from_template(probe.streams.video[0])
        stream.time_base = MILLISECOND
        stream.metadata["title"] = "camera"
        stream.disposition = DEFAULT_TRACK
        return int(stream.index) + 1

    def video(self, frame: EncodedFrame, since_start_ns: int) -> None:
        """Mux one access unit, shown `since_start_ns` after the file's time 0."""
        assert self._video is not None, "this file was opened without video"
        t_ms = round(Fraction(since_start_ns, 1_000_000))
        self._file.add(Block(t_ms, self._video, length_prefixed(frame.data), self._frame_ms, frame.keyframe))

    def sound(self, x: np.ndarray, since_start_ns: int) -> None:
        """Add (n,) int32 samples of 24 bits. The first call's `since_start_ns` places the track."""
        assert self._sound is not None, "this file was opened without sound"
        if not self._sound.offset:
            rate = self._sound.stream.codec_context.sample_rate
            self._sound.offset = max(0, round(since_start_ns * rate / 1e9))
        self._add(self._sound.put(x.reshape(-1, 1)))

    def rows(self, title: str, rows: np.ndarray) -> None:
        """Add (n, channels) int32 counts to a track."""
        self._add(self._tracks[title].put(rows))

    def settle(self) -> None:
        """Hand what was added to the disk, once it is worth a cluster."""
        self._file.settle()

    def close(self) -> None:
        """Write what is waiting, and the index."""
        for flac in (*([self._sound] if self._sound else []), *self._tracks.values()):
            self._add(flac.finish())
        self._file.close()
        self._container.close()

    def _add(self, blocks: Iterator[Block]) -> None:
        for block in blocks:
            self._file.add(block)


def sensor_metadata(sensor: str, model: str, channels: Sequence, native_hz: float) -> dict[str, str]:
    """What a sensor track tells any reader of the file: names, units and scales of its counts."""
    meaning = [{"name": c.name, "unit": c.unit, "scale": c.scale, "offset": c.offset} for c in channels]
    return {
        "SENSOR": sensor,
        "MODEL": model,
        "CHANNELS": json.dumps(meaning, separators=(",", ":")),
        "NATIVE_RATE_HZ": f"{native_hz:g}",
    }


def write_mp4(
    path: Path,
    frames: Iterable[np.ndarray],
    *,
    fps: int,
    size: tuple[int, int],
    sound: np.ndarray | None = None,
    sound_rate_hz: int = 48_000,
    crf: float = 22.0,
) -> None:
    """Write what a consumer camera would: H.264 and AAC in MP4, both starting at container time 0.

    Args:
        frames: (H, W, 3) uint8 RGB or (H * 3 / 2, W) uint8 planar YUV 4:2:0, one per 1/fps second.
        size: (width, height) in pixels, even.
        sound: (N,) float32 in [-1, 1].
        sound_rate_hz: of the sound.
        crf: H.264's constant rate factor, 0 (loses nothing) to 51.
    """
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        video = container.add_stream("libx264", rate=fps)
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        video.codec_context.thread_count = 1  # more threads would make the bytes depend on the machine
        video.codec_context.options = {
            "preset": "superfast",  # a third less time than veryfast, no worse a picture, a third more bytes
            "crf": f"{crf:g}",
            "x264-params": f"keyint={fps}:bframes=0:scenecut=0:mbtree=0:rc-lookahead=0:sync-lookahead=0",
        }
        audio = container.add_stream("aac", rate=sound_rate_hz, layout="mono") if sound is not None else None
        if audio is not None:
            audio.codec_context.options = {"aac_coder": "fast"}  # a third of the time, 1 dB more noise
        given = 0
        for index, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24" if image.ndim == 3 else "yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, fps)
            container.mux(video.encode(frame))
            if audio is not None and sound is not None:
                until = round((index + 1) * sound_rate_hz / fps)
                given = _encode_sound(container, audio, sound, given, until)
        if audio is not None and sound is not None:
            _encode_sound(container, audio, sound, given, len(sound), last=True)
            container.mux(audio.encode(None))
        container.mux(video.encode(None))


def _encode_sound(container, audio, sound: np.ndarray, start: int, until: int, last: bool = False) -> int:  # type: ignore[no-untyped-def]
    """Encode whole AAC frames of `sound` from `start` up to at most `until`; return how far it came."""
    block = 1024
    until = min(until, len(sound))
    while until - start >= block or (last and until > start):
        stop = min(start + block, until)
        frame = av.AudioFrame.from_ndarray(sound[None, start:stop].astype(np.float32), format="fltp", layout="mono")
        frame.sample_rate = audio.codec_context.sample_rate
        frame.pts = start
        container.mux(audio.encode(frame))
        start = stop
    return start
