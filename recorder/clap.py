"""How much later a kit's camera stamps an event than its microphone does, from a light and a click that begin together.

A light (it stays on for a quarter of a second or longer) and a click begin at one moment, a dozen times: an LED and a
buzzer on one switch, say. The click's first sample is found to a tenth of a millisecond. The light is harder:
a camera of 30 Hz sees it in steps of 33 ms. But a picture collects light during its exposure and reads its rows one
after the other, so each row's brightness near a flash tells how long before its end of exposure the light began, and
the claps fall at all phases of the camera's clock. Together they sample one curve, the camera's answer to a step of
light:

    brightness of row y in a picture stamped t, for a light from e on  =  clip((t + y R - e - L) / E + 1/2, 0, 1)

with the exposure E, the read-out R (y from -1/2 at the first row to 1/2 at the last) and the latency L. All three are
searched on a grid, and the posterior of L alone gives the answer and its sigma. So L is how much later than by the
microphone the middle of the middle row's exposure is stamped: ``t_microphone = t_camera - L``. Sound needs 2.9 ms per
metre, which is taken off where the distance is given.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from firmware_host.errors import EvidenceError, SessionError
from recorder.demux import video_frames
from recorder.samples import frame_times_ns, read_sound
from recorder.series import Sound
from recorder.session import Session, open_session

BANDS = 8
"""Groups of rows whose brightness is taken together."""
WIDTH = 160
MIN_CLAPS = 6
MIN_CONTRAST = 8.0
"""A flash counts where a band's brightness rises by this many times its noise."""
FAR_NS = 400_000_000
"""No camera is further behind its microphone; claps must be further apart than twice this."""
LARGEST_SIGMA_NS = 5_000_000
SPEED_OF_SOUND_M_S = 343.0
FINE_NS = 0.5e6
"""The step of the search."""
CLICK_NS = 0.3e6
"""What a click's onset may be off."""
_GAMMA = 2.2


@dataclass(frozen=True)
class ClapResult:
    """The latency of a kit's camera.

    Attributes:
        latency_ns: what the camera stamps an event later than the microphone does.
        sigma_ns: its standard deviation.
        claps: flashes with their clicks that it is from.
        exposure_ms, readout_ms: of the camera, as the best fit has them; they belong to the light of the room.
    """

    latency_ns: int
    sigma_ns: int
    claps: int
    exposure_ms: float
    readout_ms: float


def measure_clap(session: Path, device: str | None = None, distance_m: float = 0.0) -> ClapResult:
    """The camera's latency from a recording of claps.

    Args:
        session: a session folder; one whose kit recorded both picture and sound.
        device: the kit; None for the first that has both.
        distance_m: from the click to the microphone.

    Raises:
        SessionError: there is no such kit.
        EvidenceError: too few claps, or they do not agree.
    """
    opened = open_session(session)
    kit = opened.device(device) if device else _with_both(opened)
    path = opened.path(kit.file)
    known_ns = kit.of_kind("video")[0].latency_ns or 0  # the answer is the whole latency, not what is left of it
    times_ns = frame_times_ns(opened, kit) + known_ns
    brightness = np.array([bands(picture) for _, _, picture in video_frames(path, width=WIDTH)])
    n = min(len(times_ns), len(brightness))
    clicks = click_times_ns(read_sound(opened, kit)) - round(distance_m / SPEED_OF_SOUND_M_S * 1e9)
    return estimate(times_ns[:n], brightness[:n], clicks)


def _with_both(session: Session):  # type: ignore[no-untyped-def]
    for kit in session.devices:
        if kit.kind == "kit" and kit.of_kind("video") and kit.of_kind("audio"):
            return kit
    raise SessionError(f"{session.root} has no kit with camera and microphone; record the claps with one that has both")


def bands(picture: np.ndarray) -> np.ndarray:
    """(H, W) uint8 to (BANDS,) mean light of its rows, top to bottom, in [0, 1] and linear as the sensor had it."""
    light = (picture.astype(np.float32) / 255) ** _GAMMA
    return np.array([part.mean() for part in np.array_split(light, BANDS)])


def click_times_ns(sound: Sound) -> np.ndarray:
    """When clicks began: (K,) int64 ns on the device's clock. A click is loud after a quiet of 0.4 s."""
    step = max(1, round(sound.rate_hz / 4000))
    high = np.diff(sound.x.astype(np.float64), prepend=sound.x[:1])
    n = len(high) // step
    level = np.abs(high[: n * step]).reshape(n, step).max(axis=1) if n else np.empty(0)
    if not len(level) or not level.any():
        raise EvidenceError("the recording is silent; clap louder, or look at the microphone's level")
    floor = np.median(level) + 1e-9
    quiet = round(FAR_NS * 2e-9 * sound.rate_hz / step)
    loud = np.flatnonzero(level > max(12 * floor, 0.2 * np.quantile(level, 1 - min(0.5, 20 / len(level)))))
    first = loud[np.diff(loud, prepend=-quiet - 1) > quiet // 2]
    samples = [_onset(np.abs(high), int(i) * step, step, floor) for i in first]
    return sound.times_ns(np.array(samples, dtype=np.float64))


def _onset(size: np.ndarray, near: int, step: int, floor: float) -> int:
    """The first sample of a click that is loud at block `near`."""
    start = max(0, near - 4 * step)
    part = size[start : near + 2 * step]
    return start + int(np.argmax(part > max(6 * floor, 0.1 * part.max())))


def estimate(times_ns: np.ndarray, brightness: np.ndarray, clicks_ns: np.ndarray) -> ClapResult:
    """The latency from what was seen and heard.

    Args:
        times_ns: (N,) int64 stamps of the pictures.
        brightness: (N, BANDS) light of each picture's bands, top to bottom.
        clicks_ns: (K,) int64 times of clicks.

    Raises:
        EvidenceError: too few flashes with a click, or they leave the latency open.
    """
    period_ns = float(np.median(np.diff(times_ns)))
    rises = [r for c in clicks_ns if (r := _rise(times_ns, brightness, int(c), period_ns)) is not None]
    if len(rises) < MIN_CLAPS:
        raise EvidenceError(
            f"{len(rises)} of {len(clicks_ns)} clicks came with a flash, and {MIN_CLAPS} are needed; make the flash "
            "brighter and leave it on for a quarter of a second, with a second between claps"
        )
    since, row, rise = (np.concatenate(part) for part in zip(*rises, strict=True))
    return _search(since, row, rise, period_ns, len(rises))


def _rise(
    times_ns: np.ndarray, brightness: np.ndarray, click_ns: int, period_ns: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """A flash near a click: ns since the click, row in [-1/2, 1/2], brightness from 0 (dark) to 1 (lit); each (M,)."""
    near = np.flatnonzero(np.abs(times_ns - click_ns) < FAR_NS)
    if len(near) < 2 * FAR_NS / period_ns * 0.9:
        return None
    light = brightness[near]
    step = light[3:] - light[:-3]  # over three frames the whole edge has passed
    at = int(np.argmax(step.max(axis=1)))
    dark, lit = light[max(0, at - 4) : at + 1], light[at + 3 : at + 6]
    if len(dark) < 3 or len(lit) < 2:
        return None
    low, high = dark.mean(axis=0), lit.mean(axis=0)
    noise = np.maximum(dark.std(axis=0), lit.std(axis=0)) + 1e-4
    seen = (high - low) / noise > MIN_CONTRAST
    if not seen.any():
        return None
    window = slice(max(0, at - 1), at + 5)
    rise = ((light[window] - low) / np.where(seen, high - low, 1))[:, seen]
    rows = ((np.arange(BANDS) + 0.5) / BANDS - 0.5)[seen]
    since = (times_ns[near][window] - click_ns).astype(np.float64)
    return np.repeat(since, len(rows)), np.tile(rows, len(since)), rise.ravel()


def _search(since: np.ndarray, row: np.ndarray, rise: np.ndarray, period_ns: float, claps: int) -> ClapResult:
    """The posterior of latency, exposure and read-out on a grid: coarse where the edge is, then fine."""
    exposures = np.linspace(0.03, 1.0, 10) * period_ns
    readouts = np.linspace(0.0, 1.0, 9) * period_ns
    middle = np.median(since[np.abs(rise - 0.5) < 0.45]) if (np.abs(rise - 0.5) < 0.45).any() else float(np.mean(since))
    for width_ns, step_ns in ((3 * period_ns, 4e6), (0.6 * period_ns, FINE_NS)):
        latencies = np.arange(middle - width_ns, middle + width_ns, step_ns)
        cost = np.array([[_costs(since, row, rise, latencies, e, r) for r in readouts] for e in exposures])
        middle = latencies[np.unravel_index(cost.argmin(), cost.shape)[2]]
    best = np.unravel_index(cost.argmin(), cost.shape)
    # What the model leaves over is alike within a clap, so a clap counts as one observation, not as its bands.
    spread = max(cost.min() / max(1, len(rise) - 3), 0.03**2) * len(rise) / (6 * claps)
    weight = np.exp(-(cost - cost.min()) / (2 * spread)).sum(axis=(0, 1))
    weight /= weight.sum()
    mean = float((weight * latencies).sum())
    sigma = float(np.sqrt((weight * (latencies - mean) ** 2).sum() + FINE_NS**2 / 12 + CLICK_NS**2))
    if sigma > LARGEST_SIGMA_NS or cost.min() / len(rise) > 0.15**2:
        raise EvidenceError(
            f"{claps} claps leave the camera's latency open by {sigma / 1e6:.1f} ms (misfit "
            f"{np.sqrt(cost.min() / len(rise)):.2f}); light and click must begin together, and the light must stay on"
        )
    return ClapResult(round(mean), round(sigma), claps, exposures[best[0]] / 1e6, readouts[best[1]] / 1e6)


def _costs(
    since: np.ndarray, row: np.ndarray, rise: np.ndarray, latencies: np.ndarray, exposure: float, readout: float
) -> np.ndarray:
    """Sum of squared misfits for each latency."""
    expected = np.clip((since + row * readout - latencies[:, None]) / exposure + 0.5, 0, 1)
    return ((expected - rise) ** 2).sum(axis=1)
