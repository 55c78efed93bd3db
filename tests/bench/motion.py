"""IMU against video on scenes with known truth: a camera that turns, and an arm that swings in a mirror.

`python -m tests.bench motion [--quick]`. *Peer* is what one writes in ten lines: the length of the mean flow a frame
against the length of the gyroscope's rate, cross-correlated at the frame rate, with the peak read by a parabola. Films
are drawn, compressed by H.264 and read back; CPU seconds are those of reading and matching, per minute of film.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from firmware_host.clockmap import ClockMap
from firmware_host.errors import EvidenceError
from sync.alignment import Pairing
from sync.filmed import Filmed, film
from sync.importers.gopro import telemetry
from sync.motion.flow import WIDTH, camera_turning, flows
from sync.motion.match import match_turning
from sync.motion.mirror import felt, match_pattern, seen
from sync.motion.mounting import Prediction
from sync.motion.turning import Turning, from_orientation, mean_over
from sync.motion.windows import windows
from tests.bench.turns import Head, Scene, gyroscope, write_film

GOPRO = Path(__file__).parents[2].parent / "shared" / "data" / "gopro"
SECONDS = 12.0
SMALL = {"size": (240, 136), "focal_px": 175.0, "seconds": SECONDS}
FILMS = 8
UNRELATED = 300
CALIBRATED = 200


STILL_CLOCK = Scene(seed=0, offset_s=0.0, skew_ppm=0.0)
"""Both clocks are one."""


@dataclass(frozen=True)
class Tried:
    """One film: what was answered, what it cost."""

    error_ms: float | None
    sigma_ms: float
    peer_ms: float | None
    cpu_s: float


def main(arguments: list[str] | None = None) -> None:
    """Run and print."""
    quick = "--quick" in (sys.argv if arguments is None else arguments)
    print(
        "kind                 films  refused  median ms    p95 ms   worst ms  median sigma  within 2 sigma"
        "   peer: median    p95  CPU s/min"
    )
    for kind, scenes in kinds(1 if quick else FILMS).items():
        match = _pattern if "arm" in kind else _turning
        _row(kind, [_tried(scene, match, told="told" in kind) for scene in scenes])
    calibration(20 if quick else CALIBRATED)
    strangers(30 if quick else UNRELATED)
    for path in sorted(GOPRO.glob("*.mp4")):
        real(path)


def kinds(count: int) -> dict[str, list[Scene]]:
    """Scenes by kind; each of another seed, clock, shutter and light."""

    def many(first: int, **fixed: object) -> list[Scene]:
        return [_scene(first + k, **fixed) for k in range(count)]

    return {
        "lively": many(100),
        "lively, exposure told": many(100),
        "gentle": many(200, movement="gentle"),
        "dark: 25 ms, grain 12": many(300, exposure_s=0.025, grain=12.0),
        "still camera": many(400, movement="still"),
        "steady nodding": many(500, movement="nodding"),
        "arm in a mirror": many(600, movement="still", limb="pattern"),
        "arm, even swings": many(700, movement="still", limb="even"),
    }


def _scene(seed: int, **fixed: object) -> Scene:
    rng = np.random.default_rng(seed)
    drawn = {
        "readout_s": rng.uniform(0.004, 0.030),
        "exposure_s": rng.uniform(0.002, 0.016),
        "grain": rng.uniform(2, 8),
        "offset_s": rng.uniform(-30, 30),
        "skew_ppm": rng.uniform(-100, 100),
        "mount": tuple(rng.normal(0, 1.5, 3)),
    }
    return replace(Scene(seed=seed), **{**SMALL, **drawn, **fixed})


def _tried(scene: Scene, match: Callable[[Filmed, Turning], Pairing], *, told: bool) -> Tried:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        write_film(scene, path)
        begun = time.process_time()
        filmed = film(path, "film")
        filmed = replace(filmed, exposure_ns=scene.exposure_s * 1e9) if told else filmed
        imu = gyroscope(scene)
        try:
            pairing = match(filmed, imu)
        except EvidenceError:
            pairing = None
        cpu_s = (time.process_time() - begun) * 60 / scene.seconds
        peer_ms = peer(filmed, imu)
    truth_ns = scene.on_gyroscope_ns(np.array([round(scene.seconds * 5e8)])) - round(scene.seconds * 5e8)
    off_peer = None if peer_ms is None else peer_ms - float(truth_ns[0]) * 1e-6
    if pairing is None:
        return Tried(None, 0.0, off_peer, cpu_s)
    return Tried(error_ms(pairing, scene), sigma_ms(pairing), off_peer, cpu_s)


def _turning(filmed: Filmed, imu: Turning) -> Pairing:
    return match_turning(camera_turning(filmed), imu)


def _pattern(filmed: Filmed, imu: Turning) -> Pairing:
    return match_pattern(seen(filmed), felt(imu))


def error_ms(pairing: Pairing, scene: Scene) -> float:
    """The mean error of a pairing's matches, weighed as the fusion weighs them."""
    t_ns = np.array([m.t_ns for m in pairing.matches])
    error = np.array([m.offset_ns for m in pairing.matches]) - (scene.on_gyroscope_ns(t_ns) - t_ns)
    return float(np.average(error, weights=[m.sigma_ns**-2.0 for m in pairing.matches])) * 1e-6


def sigma_ms(pairing: Pairing) -> float:
    """The standard error of that mean, by the pairing's own word."""
    own = sum(m.sigma_ns**-2.0 for m in pairing.matches) ** -0.5
    return 1e-6 * float(np.linalg.norm([own, *(e for _, e in pairing.matches[0].shared)]))


def peer(filmed: Filmed, imu: Turning) -> float | None:
    """Offset in ms by cross-correlating two lengths at the frame rate."""
    moved = [np.linalg.norm((f.now - f.was).mean(axis=0)) if len(f.was) else 0.0 for f in flows(filmed.pictures(WIDTH))]
    every_ns = round(filmed.frame_ns)
    grid = np.arange(imu.t_ns[0], imu.t_ns[-1], every_ns)
    length = np.linalg.norm(np.nan_to_num(mean_over(imu.t_ns, imu.rate_rad_s, grid, 0)), axis=1)
    a, b = np.array(moved) - np.mean(moved), length - length.mean()
    fits = np.correlate(b, a, "full")
    k = int(np.clip(fits.argmax(), 1, len(fits) - 2))
    bend = fits[k - 1] - 2 * fits[k] + fits[k + 1]
    lag = k - (len(a) - 1) + (0.5 * (fits[k - 1] - fits[k + 1]) / bend if bend else 0.0)
    return float(grid[0] + lag * every_ns - (filmed.t_ns[0] + every_ns / 2)) * 1e-6


def _row(kind: str, tried: list[Tried]) -> None:
    errors = np.abs([t.error_ms for t in tried if t.error_ms is not None])
    sigmas = [t.sigma_ms for t in tried if t.error_ms is not None]
    peers = np.abs([t.peer_ms for t in tried if t.peer_ms is not None])
    answered = f"{'-':>10}{'-':>10}{'-':>11}{'-':>14}{'-':>16}"
    if len(errors):
        answered = (
            f"{np.median(errors):10.2f}{np.percentile(errors, 95):10.2f}{errors.max():11.2f}{np.median(sigmas):14.2f}"
            f"{np.sum(errors < 2 * np.array(sigmas)):16d}"
        )
    cost = np.median([t.cpu_s for t in tried])
    print(
        f"{kind:22}{len(tried):4}{len(tried) - len(errors):9} {answered}{np.median(peers):15.1f}"
        f"{np.percentile(peers, 95):9.1f}{cost:10.1f}",
        flush=True,
    )


def simulated(scene: Scene, noise_rad_s: float = 0.05) -> Turning:
    """What a camera would say, without pictures: mean rates, a wrong focal length, and noise; a global shutter."""
    rng = np.random.default_rng(scene.seed + 9)
    t_ns = np.rint(scene.t_s * 1e9).astype(np.int64)
    middle = (t_ns[1:] + t_ns[:-1]) // 2
    spread = middle[:, None] * 1e-9 + np.linspace(-0.4, 0.4, 5) / scene.fps
    head = Head(scene)
    rate = np.mean([head.rate_rad_s(spread[:, k]) for k in range(5)], axis=0) * [0.9, 0.9, 1.0]
    return Turning("film", middle, rate + rng.normal(0, noise_rad_s, rate.shape), round(1e9 / scene.fps))


def calibration(count: int) -> None:
    """Share of the errors within one, two and three sigma, on simulated turnings of all lengths and strengths."""
    ratio, refused = [], 0
    for scene in _short(count, 2000):
        try:
            pairing = match_turning(simulated(scene), gyroscope(scene))
        except EvidenceError:
            refused += 1
            continue
        ratio.append(abs(error_ms(pairing, scene)) / sigma_ms(pairing))
    within = ", ".join(f"{100 * np.mean(np.array(ratio) < k):.0f} % within {k}" for k in (1, 2, 3))
    print(f"\ncalibration: {count} pairs, {refused} refused; {within} sigma", flush=True)


def strangers(count: int) -> None:
    """Pairs of two different recordings: all must be refused."""
    accepted = 0
    for scene in _short(count, 5000):
        other = replace(scene, seed=scene.seed + 50_000, seconds=scene.seconds * (1 + scene.seed % 3))
        try:
            match_turning(simulated(scene), gyroscope(other))
            accepted += 1
        except EvidenceError:
            continue
    print(f"unrelated pairs accepted: {accepted} of {count}", flush=True)


def _short(count: int, first: int) -> Iterator[Scene]:
    for seed in range(first, first + count):
        rng = np.random.default_rng(seed)
        movement = ("lively", "gentle")[seed % 2]
        yield replace(_scene(seed, movement=movement), seconds=float(rng.choice([10, 15, 30, 60, 120])))


def real(path: Path) -> None:
    """A film against its own telemetry, whose true lag is about 0: the answer, and what one window over all says."""
    sensors = telemetry(path)
    filmed = replace(film(path, "film"), exposure_ns=1e9 * float(np.median(sensors["exposure"].x)))
    camera = camera_turning(filmed)
    felt_by = {"gyroscope": Turning("imu", sensors["gyroscope"].t_ns, sensors["gyroscope"].x)}
    if "image_orientation" in sensors:  # what a stabilised picture turned: the camera's orientation and the picture's
        in_camera, of_camera = (
            Rotation.from_quat(sensors[k].x, scalar_first=True) for k in ("image_orientation", "camera_orientation")
        )
        wxyz = (in_camera * of_camera).as_quat(scalar_first=True)
        felt_by["stabilised orientation"] = from_orientation("imu", sensors["camera_orientation"].t_ns, wxyz)
    for name, imu in felt_by.items():
        try:
            answer = f"{error_ms(match_turning(camera, imu), STILL_CLOCK):+.1f} ms"
        except EvidenceError as error:
            answer = f"refused: {error}"
        line = ClockMap.affine("film", "imu")
        whole = windows(camera.t_ns, camera.x, Prediction(camera, imu, line), np.array([0, len(camera.t_ns)]), 0.0)
        print(
            f"{path.name}, {name}: {answer}\n  one window over all of it: {1e-6 * whole.shift_ns[0]:+.1f} ms, "
            f"own sigma {1e-6 * whole.sigma_ns[0]:.1f} ms, correlation {whole.fit[0]:.3f}",
            flush=True,
        )
