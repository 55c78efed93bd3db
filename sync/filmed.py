"""A film, as the methods of movement need it: times, small grey pictures, and what is known of the shutter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from recorder.demux import container_frame_times_ns, video_frames
from recorder.samples import frame_times_ns
from recorder.session import Device, Session
from sync.importers.found import SERIES, read_series

EXPOSED = 1 / 3
"""Share of a frame's time that a shutter of unknown speed is open, and a quarter of it either way: from a bright window
to a room at night."""
EXPOSED_SIGMA = 1 / 4
EXPOSURE = "exposure"
"""The stream, of an imported film, of how long each picture was exposed, s."""


@dataclass(frozen=True)
class Filmed:
    """The pictures of one camera.

    Attributes:
        clock: name of the clock of `t_ns`.
        t_ns: (F,) int64, one a frame, ascending, ns.
        pictures: gives the frames in that order, (H, W) uint8, scaled to the width asked for.
        first_row: whether `t_ns` say when the first row's exposure began (what libcamera and most cameras stamp), or,
            False, when the middle row was at the middle of its exposure.
        exposure_ns: how long a row is exposed; None where it is not known. Only of use with `first_row`.
        sigma_ns: standard deviation of how far all of `t_ns` may be off together.
        focal: focal length in picture widths. It need not be exact: what is compared is free to be larger or smaller.
    """

    clock: str
    t_ns: np.ndarray
    pictures: Callable[[int], Iterator[np.ndarray]]
    first_row: bool = True
    exposure_ns: float | None = None
    sigma_ns: float = 0.0
    focal: float = 0.8

    @property
    def frame_ns(self) -> float:
        """The usual time from one frame to the next, ns."""
        return float(np.median(np.diff(self.t_ns))) if len(self.t_ns) > 1 else float("inf")

    @property
    def exposure_matters(self) -> bool:
        """Whether the times would be better known if the exposure were."""
        return self.first_row and self.exposure_ns is None

    def exposed(self, smeared: tuple[float, float] | None = None) -> tuple[float, float]:
        """From the beginning of a row's exposure to its middle, ns, and the standard deviation of that.

        Args:
            smeared: share of a frame's time that a row is exposed, and its standard deviation, by what movement smears.
        """
        if not self.first_row:
            return 0.0, self.sigma_ns
        if self.exposure_ns is not None:
            return self.exposure_ns / 2, self.sigma_ns
        share, sigma = smeared or (EXPOSED, EXPOSED_SIGMA)
        return share * self.frame_ns / 2, float(np.hypot(sigma * self.frame_ns / 2, self.sigma_ns))


def film(path: Path, clock: str | None = None) -> Filmed:
    """A video file on a clock of its own: container times, of the first row.

    Raises:
        SessionError: not a media file, or without picture.
    """
    return Filmed(clock or path.stem, container_frame_times_ns(path), partial(_pictures, path))


def filmed(session: Session, device: Device) -> Filmed:
    """What the camera of a session's device saw. Where its latency was measured with claps, its times are without it.

    Raises:
        SessionError: the device has no video, or its file cannot be read.
    """
    t_ns = frame_times_ns(session, device)
    pictures = partial(_pictures, session.path(device.file))
    if device.of_kind("video")[0].latency_ns is None:
        return Filmed(device.clock, t_ns, pictures, exposure_ns=_exposure_ns(session, device))
    sigma_ns = float(device.of_kind("video")[0].latency_sigma_ns or 0)
    return Filmed(device.clock, t_ns, pictures, first_row=False, sigma_ns=sigma_ns)


def _exposure_ns(session: Session, device: Device) -> float | None:
    """How long a picture was usually exposed, where the camera noted it, as a GoPro's telemetry does."""
    stream = next((s for s in device.of_kind(SERIES) if s.name == EXPOSURE), None)
    if stream is None:
        return None
    exposed_s = read_series(session, device, stream).x
    known = exposed_s[np.isfinite(exposed_s) & (exposed_s > 0)]
    return 1e9 * float(np.median(known)) if len(known) else None


def _pictures(path: Path, width: int) -> Iterator[np.ndarray]:
    return (picture for _, _, picture in video_frames(path, width=width))
