"""A film as an MP4 that every player opens, for annotation tools and browsers: H.264 and AAC, from time 0 on.

The film's own packets are copied where they are H.264, so that every picture is the recorded one and nothing is lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np

from firmware_host.clock import SECOND_NS
from firmware_host.errors import SessionError
from recorder.demux import opened, sound_blocks
from recorder.series import Sound


def write_proxy(source: Path, target: Path, lead_ns: int = 0) -> bool:
    """Copy a film into an MP4 that every player opens: its own H.264, and its microphone as AAC.

    Times are those of the film, but the first picture is shown from time 0 on: an MP4 that begins later needs an edit
    list, which not all players of annotation tools heed. A film of another codec is encoded; a torn one ends earlier.

    Args:
        lead_ns: how much later than in the film everything is shown, 0 or more; silence and the first picture fill it.

    Returns:
        whether the pictures are the film's own packets.

    Raises:
        SessionError: no media file, or one without pictures.
    """
    options = {"movflags": "+faststart", "fflags": "+bitexact"}
    with opened(source) as film, av.open(str(target), "w", format="mp4", options=options) as container:
        if not film.streams.video:
            raise SessionError(f"{source} has no pictures, so there is nothing to copy")
        shown = film.streams.video[0]
        copied = shown.codec_context.name == "h264"
        lead = round(Fraction(lead_ns, SECOND_NS) / (shown.time_base or Fraction(1, 1000)))
        packets = _own_packets(film, container, lead) if copied else _encoded_packets(film, container, lead)
        sound = _Aac(source, container, lead_ns)
        for packet in packets:
            for heard in sound.until(float(packet.pts * packet.time_base)):
                container.mux(heard)
            container.mux(packet)
        for heard in sound.until(float("inf")):
            container.mux(heard)
    return copied


def _own_packets(film: Any, container: Any, lead: int) -> Iterator[Any]:
    shown = film.streams.video[0]
    video = container.add_stream_from_template(shown)

    def packets() -> Iterator[Any]:
        begun = False
        for packet in film.demux(shown):
            if packet.pts is None or not (begun or packet.is_keyframe):
                continue
            packet.pts, packet.dts = packet.pts + lead, packet.dts + lead
            if not begun and packet.pts > 0:
                packet.pts, packet.dts = 0, min(packet.dts, 0)
            begun = True
            packet.stream = video
            yield packet

    return _until_torn(packets())


def _encoded_packets(film: Any, container: Any, lead: int) -> Iterator[Any]:
    shown = film.streams.video[0]
    video = container.add_stream("libx264", rate=shown.average_rate or 30)
    video.width, video.height, video.pix_fmt = shown.width // 2 * 2, shown.height // 2 * 2, "yuv420p"
    video.codec_context.time_base = shown.time_base
    video.codec_context.options = {"preset": "veryfast", "crf": "20", "x264-params": "bframes=0"}

    def packets() -> Iterator[Any]:
        for number, picture in enumerate(_until_torn(film.decode(shown))):
            small = picture.reformat(video.width, video.height, "yuv420p")
            small.pts, small.time_base = picture.pts + lead if number else min(picture.pts + lead, 0), picture.time_base
            small.pict_type = 0  # the new encoder chooses its own keyframes
            yield from video.encode(small)
        yield from video.encode(None)

    return packets()


def _until_torn(found: Iterator[Any]) -> Iterator[Any]:
    try:
        yield from found
    except (av.error.FFmpegError, OSError):
        return


class _Aac:
    """A film's microphone, encoded as far as its pictures have come, so that both lie beside each other in the file."""

    def __init__(self, source: Path, container: Any, lead_ns: int) -> None:
        self._blocks = sound_blocks(source)
        self._given = 0
        self._waiting = self._next()
        if self._waiting is not None:
            self._rate = round(self._waiting.rate_hz)
            self._stream = container.add_stream("aac", rate=self._rate, layout="mono")
            lead = round((self._waiting.t0_ns + lead_ns) * self._rate / 1e9)  # the file's sound begins at its time 0
            x = np.concatenate([np.zeros(max(0, lead), np.float32), self._waiting.x[max(0, -lead) :]])
            self._waiting = replace(self._waiting, x=x)

    def until(self, t_s: float) -> Iterator[Any]:
        """Packets of at least what is heard before a moment."""
        while self._waiting is not None and self._given < t_s * self._rate:
            frame = av.AudioFrame.from_ndarray(self._waiting.x[None].astype(np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = self._rate, self._given, Fraction(1, self._rate)
            self._given += len(self._waiting.x)
            self._waiting = self._next()
            yield from self._stream.encode(frame)
            if self._waiting is None:
                yield from self._stream.encode(None)

    def _next(self) -> Sound | None:
        try:
            return next((block for block in self._blocks if len(block.x)), None)
        except SessionError:  # it has no sound
            return None
