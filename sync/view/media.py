"""What of a device a browser can play, and when: a kit's tracks behind a head of ours, a film as it is."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from firmware_host.clock import SECOND_NS
from firmware_host.errors import SessionError
from recorder import demux
from recorder.samples import frame_times_ns
from recorder.session import Device, Session, Stream
from sync.view import mp4
from sync.view.blocks import Packets, tracks
from sync.view.timeline import Timeline

KNOT_S = 0.5
"""So often a sound's time is looked up; lines between, where they fit, take the place of most."""
CHAPTERS = ".ffconcat"
TYPES = {
    **{".mp4": "video/mp4", ".mov": "video/mp4", ".webm": "video/webm", ".mkv": "video/x-matroska"},
    **{".wav": "audio/wav", ".mp3": "audio/mpeg", ".m4a": "audio/mp4", ".flac": "audio/flac", ".ogg": "audio/ogg"},
}


@dataclass(frozen=True)
class Body:
    """Bytes that a player asks for: a head of ours, then a file of the session as it is."""

    head: bytes
    path: Path
    media_type: str

    @property
    def size(self) -> int:
        return len(self.head) + self.path.stat().st_size


@dataclass(frozen=True)
class Part:
    """One thing to play.

    Attributes:
        t_ns: (N,) int64, ascending, ns of the device's clock: of each picture, or of moments along a sound.
        player_s: (N,) float64, the player's time of the same.
    """

    body: Body
    t_ns: np.ndarray
    player_s: np.ndarray


def kit_tracks(session: Session, device: Device) -> dict[str, Packets]:
    """Where the packets of a kit's picture and sound lie; nothing for another device."""
    return tracks(session.path(device.file), frozenset({"camera", "microphone"})) if device.kind == "kit" else {}


def pictures(
    session: Session, device: Device, stream: Stream, packets: dict[str, Packets], time: Timeline
) -> list[Part]:
    """A device's video: one part, or one a chapter.

    Raises:
        SessionError: there are no pictures, or their file cannot be read.
    """
    path = session.path(device.file)
    t_ns = frame_times_ns(session, device)
    if device.kind == "kit":
        if "camera" not in packets:
            raise SessionError(f"{path} has no pictures")
        t_ns = t_ns[: len(packets["camera"].size)]
        page_ns = time.page_ns(device.clock, t_ns)
        parts = [_kit_pictures(path, stream.size or (0, 0), t_ns, page_ns, packets["camera"])]
    else:
        shown = [(file, demux.container_frame_times_ns(file)) for file, _ in chapters(session, path)]
        ends = np.cumsum([0, *(len(s) for _, s in shown)]).tolist()
        parts = [
            Part(_as_it_is(file), t_ns[first:stop], own_ns[: len(t_ns) - first] / SECOND_NS)
            for (file, own_ns), (first, stop) in zip(shown, pairwise(ends), strict=True)
        ]
    parts = [p for p in parts if len(p.t_ns)]
    if not parts:
        raise SessionError(f"{path} holds no pictures")
    return parts


def sounds(session: Session, device: Device, stream: Stream, packets: dict[str, Packets]) -> list[Part]:
    """A device's sound: one part, or one a chapter.

    Raises:
        SessionError: there is none, or its file cannot be read.
    """
    path = session.path(device.file)
    if device.kind != "kit":
        return [_film_sound(file, start_s) for file, start_s in chapters(session, path)]
    found = packets.get("microphone")
    if found is None or not found.rate_hz:
        raise SessionError(f"{path} has no sound")
    block = mp4.block_of(found)
    body = Body(mp4.sound_head(found, block, path.stat().st_size), path, "audio/mp4")
    player_s = _moments(len(found.size) * block / found.rate_hz)
    since_ns = np.rint(player_s * (found.rate_hz / stream.rate_hz) * SECOND_NS)
    return [Part(body, stream.t0_ns + since_ns.astype(np.int64), player_s)]


def chapters(session: Session, path: Path) -> list[tuple[Path, float]]:
    """The files of a film and when each begins, s of the film's time: the file itself, or those that a list names.

    Raises:
        SessionError: the list names what is no file of this session.
    """
    if path.suffix != CHAPTERS:
        return [(path, 0.0)]
    found: list[tuple[Path, float]] = []
    start_s = 0.0
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "file":
            file = path.parent / rest.strip().strip("'")
            if not file.absolute().is_relative_to(session.root.absolute()) or ".." in file.parts or not file.is_file():
                raise SessionError(f"{path} names '{rest}', which is no file of this session; add the film again")
            found.append((file, start_s))
        elif word == "duration" and _seconds(rest) > 0:
            start_s += _seconds(rest)
    return found


def _kit_pictures(path: Path, size: tuple[int, int], t_ns: np.ndarray, page_ns: np.ndarray, found: Packets) -> Part:
    """A kit's video, each picture shown at its time on the page."""
    n = len(t_ns)
    first = Packets(found.codec, found.private, 0.0, found.offset[:n], found.size[:n], found.key[:n])
    shown_ns = page_ns - page_ns[:1]
    head = mp4.video_head(first, shown_ns, size, path.stat().st_size)
    return Part(Body(head, path, "video/mp4"), t_ns, shown_ns / SECOND_NS)


def _film_sound(file: Path, start_s: float) -> Part:
    with demux.opened(file) as container:
        player_s = _moments((container.duration or 0) / 1e6)
    return Part(_as_it_is(file), np.rint((start_s + player_s) * SECOND_NS).astype(np.int64), player_s)


def _moments(long_s: float) -> np.ndarray:
    return np.append(np.arange(0, long_s, KNOT_S), long_s)


def _as_it_is(path: Path) -> Body:
    return Body(b"", path, TYPES.get(path.suffix.lower(), "application/octet-stream"))


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
