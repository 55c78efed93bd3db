"""The devices of the simulated home: what each would have seen, heard and stamped, on a clock of its own.

A world is rendered before the recording starts. Then a room kit or some and a body kit are recorded through the real
loops, encoders and muxers, live from memory-mapped pictures or on a simulated clock, and a head camera and an eye
tracker leave their files as the real ones would. Every device's clock differs from the world's by an offset and a
skew that nobody is told but `truth.json`: `recorder.homeplan` says which.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from firmware_host.clock import SECOND_NS
from firmware_host.clockmap import ClockMap
from firmware_host.simulate import Stimulus
from recorder.flaws import MicrophoneFlaws
from recorder.homeplan import BODY, FPS, SOUND_HZ, WEARER_KITS, HomePlan
from recorder.imu_flaws import mounting, worn
from recorder.microphone import BLOCK, SoundBlock
from recorder.mux import write_mp4
from recorder.session import Device, Stream
from recorder.workers import done_by
from recorder.world import VIEW_OF, World, WorldPlan

STIMULUS_HZ = 200
GAZE_HZ = 100
SOUND_BITS = 18
"""Significant bits of an I2S microphone such as the SPH0645, in samples of 24."""
HEAD, SCENE, GAZE = "head.mp4", "eye/scene.mp4", "eye/gaze.csv"


@dataclass(frozen=True)
class Prepared:
    """A rendered home: pictures, sound and stimuli in `scratch`, times in ns of world time.

    Attributes:
        frame_ns: room kit -> (F,) when each picture of its camera was taken.
        distance_m: microphone -> noted distance from the speaker of the tones.
    """

    plan: HomePlan
    scratch: Path
    frame_ns: dict[str, np.ndarray]
    distance_m: dict[str, float]

    def deliver(self, session: Path) -> None:
        """Move the head camera's and the eye tracker's files into the session folder, which must be on this disk."""
        (session / "eye").mkdir(parents=True, exist_ok=True)
        for name in (HEAD, SCENE, GAZE):
            (self.scratch / name).replace(session / name)

    def pictures(self, kit: str) -> np.ndarray:
        """(F, H * 3 / 2, W) uint8, memory-mapped."""
        return np.load(self.scratch / f"{VIEW_OF[kit]}.npy", mmap_mode="r")

    def stimulus(self, kit: str) -> Path:
        """What the kit's chips feel; its time 0 is the kit's start."""
        return self.scratch / f"{kit}.npz"

    def sound(self, kit: str) -> np.ndarray:
        """(N,) int32 counts, as the kit's microphone samples them from the kit's start on."""
        return np.load(self.scratch / f"{kit}.sound.npy", mmap_mode="r")

    def timed_pictures(self, kit: str, clock: ClockMap) -> Iterator[tuple[int, np.ndarray]]:
        """Pictures of a room kit's camera with their times; `clock` maps the kit's clock to world time."""
        return zip(clock.inverse(self.frame_ns[kit]).tolist(), self.pictures(kit), strict=True)

    def blocks(self, kit: str, t0_ns: int) -> Iterator[SoundBlock]:
        """The kit's sound in blocks, from `t0_ns` of its clock on, stamped as a driver would: late by a little."""
        counts, flaws = self.sound(kit), self.plan.flaws.microphone
        rng = np.random.default_rng([self.plan.world.seed, 0x50D, *kit.encode()])
        rate_hz = SOUND_HZ * (1 + self.plan.sample_ppm[kit] * 1e-6)
        given, lost = 0, False
        missing = _overflows(flaws, len(counts), self.plan.random("overflow", kit))
        silent = self.plan.silences("microphone", kit)
        for first in range(0, len(counts) - BLOCK + 1, BLOCK):
            if any(a <= first / SOUND_HZ < b for a, b in silent):
                continue
            late_ns = int(rng.exponential(flaws.late_ms * 1e6))
            if any(a < first + BLOCK and first < b for a, b in missing):
                lost = True
                continue
            t_ns = t0_ns + round(first * SECOND_NS / rate_hz) + late_ns
            yield SoundBlock(given, np.array(counts[first : first + BLOCK]), t_ns, lost)
            given, lost = given + BLOCK, False


def _overflows(flaws: MicrophoneFlaws, samples: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """First sample and first after it of each stretch that is lost; none in the first and the last 5 s."""
    margin = 5 * SOUND_HZ
    count = rng.poisson(flaws.overflows_an_hour * samples / SOUND_HZ / 3600)
    begins = rng.integers(margin, max(margin + 1, samples - margin), count)
    return [(at, at + round(flaws.overflow_ms * SOUND_HZ / 1000)) for at in sorted(begins.tolist())]


def prepare(
    plan: HomePlan, scratch: Path, on_done: Callable[[str], None] = lambda _: None, workers: int | None = None
) -> Prepared:
    """Render everything into `scratch`, in `workers` processes, or as many as there are cores; 1 is this process.

    `Prepared.deliver` moves what the head camera and the eye tracker leave to where it belongs.
    """
    (scratch / "eye").mkdir()
    frame_ns = {kit: plan.frame_ns(kit) for kit in plan.room_kits}
    tasks: dict[str, Callable[[], None]] = {
        **{f"camera of {kit}": partial(_render_room, plan, kit, times, scratch) for kit, times in frame_ns.items()},
        "head camera": partial(_render_worn, plan, "head", scratch / HEAD),
        "scene camera": partial(_render_worn, plan, "eye", scratch / SCENE),
        "kits": partial(_prepare_kits, plan, scratch),
    }
    workers = min(len(tasks), workers or os.cpu_count() or 1)
    for name, _ in done_by(workers, tasks):
        on_done(name)
    world = world_of(plan.world)
    distance_m = {name: world.tone_distance_m(name) for name in (*plan.room_kits, *WEARER_KITS)}
    return Prepared(plan, scratch, frame_ns, distance_m)


def prepare_room(plan: HomePlan, scratch: Path) -> None:
    """Render into `scratch` what the room kit sees, hears and feels, and nothing else, in this process."""
    _render_room(plan, "kit-01", plan.frame_ns("kit-01"), scratch)
    world = world_of(plan.world)
    _save_sound(plan, world, "kit-01", scratch)
    _save_stimulus(plan, world, "kit-01", scratch)


def imported_devices(plan: HomePlan, distance_m: dict[str, float]) -> tuple[Device, Device]:
    """Manifest entries of the head camera and the eye tracker."""
    world = plan.world
    size = (world.width, world.height)
    video = Stream("camera", "video", 0, float(FPS), size=size)
    sound = Stream("microphone", "audio", 0, float(SOUND_HZ))
    gaze = Stream("gaze", "gaze", 0, float(GAZE_HZ))
    who = world.participant
    head = Device(
        "head",
        "gopro",
        "ego",
        "head",
        HEAD,
        (video, sound),
        view="v000",
        wearer=who,
        tone_distance_m=distance_m["head"],
    )
    eye = Device(
        "eye",
        "eye_tracker",
        "eye",
        "eye",
        SCENE,
        (video, sound, gaze),
        gaze=GAZE,
        wearer=who,
        tone_distance_m=distance_m["eye"],
    )
    return head, eye


@lru_cache(maxsize=1)
def world_of(plan: WorldPlan) -> World:
    """A process's world: making it and opening its renderer take seconds, so all of a session shares it."""
    return World(plan)


def _render_room(plan: HomePlan, kit: str, frame_ns: np.ndarray, scratch: Path) -> None:
    world = world_of(plan.world)
    shape = (len(frame_ns), plan.world.height * 3 // 2, plan.world.width)
    pictures = np.lib.format.open_memmap(scratch / f"{VIEW_OF[kit]}.npy", "w+", np.uint8, shape)
    for i, picture in enumerate(_seen(plan, world, kit, VIEW_OF[kit], frame_ns)):
        pictures[i] = picture
    pictures.flush()


def _seen(plan: HomePlan, world: World, device: str, camera: str, t_ns: np.ndarray) -> Iterator[np.ndarray]:
    """What a device's camera makes of what it sees: (H * 3 / 2, W) uint8 planar YUV 4:2:0."""
    from recorder.camera_flaws import AutoExposure, Grain, yuv420

    flaws = plan.flaws.camera
    shape = (plan.world.height, plan.world.width, 3)
    exposure, grain = AutoExposure(flaws.exposure_stops), Grain(shape, flaws.grain, plan.random("grain", device))
    for picture in world.render(camera, t_ns.tolist(), flaws.shutter):
        yield yuv420(grain.on(exposure.on(picture)))


def _render_worn(plan: HomePlan, name: str, path: Path) -> None:
    """A camera that is not ours: picture and sound from its own crystal, in the file it would leave."""
    world = world_of(plan.world)
    clock, times = plan.clocks[name], plan.film_ns(name)
    samples = np.arange(0, len(times) * SOUND_HZ // FPS) * SECOND_NS / SOUND_HZ
    sound = _heard(world.sound(name, plan.flaws.room), clock.forward(np.rint(samples).astype(np.int64)))
    pictures, size = _seen(plan, world, name, name, clock.forward(times)), (plan.world.width, plan.world.height)
    write_mp4(path, pictures, fps=FPS, size=size, sound=sound, crf=plan.flaws.camera.crf)


def _prepare_kits(plan: HomePlan, scratch: Path) -> None:
    world = world_of(plan.world)
    for kit in plan.sample_ppm:
        _save_sound(plan, world, kit, scratch)
        _save_stimulus(plan, world, kit, scratch)
    _save_gaze(plan, world, scratch / GAZE)


def _save_sound(plan: HomePlan, world: World, kit: str, scratch: Path) -> None:
    flaws = plan.flaws.microphone
    to_world = plan.to_world(kit)
    begun_ns, ended_ns = (to_world.inverse(t) for t in (plan.start_ns[kit], world.duration_ns))
    rate_hz = SOUND_HZ * (1 + plan.sample_ppm[kit] * 1e-6)
    n = int((ended_ns - begun_ns) * rate_hz / SECOND_NS)
    x = _heard(
        world.sound(kit, plan.flaws.room),
        to_world.forward(begun_ns + np.rint(np.arange(n) * (SECOND_NS / rate_hz)).astype(np.int64)),
    )
    random = plan.random("microphone", kit)
    x *= np.float32(10 ** (random.normal(0, flaws.gain_db) / 20))
    x += random.standard_normal(n, np.float32) * np.float32(10 ** (flaws.noise_dbfs / 20))
    step = 24 - SOUND_BITS
    counts = np.rint(x * 2.0 ** (SOUND_BITS - 1)).clip(-(2 ** (SOUND_BITS - 1)), 2 ** (SOUND_BITS - 1) - 1)
    np.save(scratch / f"{kit}.sound.npy", counts.astype(np.int32) << step)


def _heard(sound: np.ndarray, t_ns: np.ndarray) -> np.ndarray:
    """World sound at a device's own sample times: (N,) float32. Band-limited: eightfold oversampling, then linear."""
    from scipy.signal import resample_poly

    fold, margin, block = 8, 64, 10 * SOUND_HZ
    at = t_ns * (SOUND_HZ / SECOND_NS)
    out = np.zeros(len(at), np.float32)
    for start in range(0, len(at), block):
        here = at[start : start + block]
        low = max(0, int(here[0]) - margin)
        high = min(len(sound), int(here[-1]) + margin + 2)
        if high - low < 2:
            continue
        fine = resample_poly(sound[low:high], fold, 1)
        place = ((here - low) * fold).clip(0)
        left = np.minimum(
            place.astype(np.int64), len(fine) - 2
        )  # np.interp, which looks for it, takes ten times as long
        between = fine[left] + (place - left) * (fine[left + 1] - fine[left])
        out[start : start + block] = np.where(place < len(fine), between, 0.0)
    return out


def _save_stimulus(plan: HomePlan, world: World, kit: str, scratch: Path) -> None:
    """The world as the kit's chips feel it, on the kit's clock from the kit's start on."""
    to_world = plan.to_world(kit)
    begun_ns = to_world.inverse(plan.start_ns[kit])
    n = int((world.duration_ns - plan.start_ns[kit]) / SECOND_NS * STIMULUS_HZ)
    t_ns = to_world.forward(begun_ns + np.rint(np.arange(n) * (SECOND_NS / STIMULUS_HZ)).astype(np.int64))
    tables = _body_tables(plan, world, t_ns) if kit == BODY else _room_tables(world, t_ns, kit)
    Stimulus(t0_ns=0, rate_hz=STIMULUS_HZ, tables=tables).save(scratch / f"{kit}.npz")


def _room_tables(world: World, t_ns: np.ndarray, kit: str) -> dict[str, np.ndarray]:
    air = world.air(t_ns, kit).astype(np.float32)
    # A room kit's own IMU is screwed to a tripod: level, still, at the air's temperature.
    still = np.zeros((len(t_ns), 14), np.float32)
    still[:, 0], still[:, 9] = 1.0, 9.81
    still[:, 13] = air[:, 0]
    light, temperature = world.light(t_ns, kit), air[:, 0]
    tables = {
        "amg8833": np.column_stack([world.thermal(t_ns, kit), temperature]),
        "ak9753": np.column_stack([world.infrared(t_ns, kit), temperature]),
        "mlx90393": np.column_stack([world.magnetic(t_ns, kit), temperature]),
        "tsl2591": light[:, :2],
        "isl29125": light[:, 2:],
    }
    return {"bme680": air, "bno055": still, **{name: table.astype(np.float32) for name, table in tables.items()}}


def _body_tables(plan: HomePlan, world: World, t_ns: np.ndarray) -> dict[str, np.ndarray]:
    warm = np.full((len(t_ns), 1), 31.0)
    tables = {}
    for segment in world.segments:
        how = mounting(plan.flaws.imu, plan.random("imu", segment))
        imu = worn(world.imu(segment, t_ns), how, t_ns / SECOND_NS)
        columns = [imu.orientation, imu.linear, imu.gravity, imu.gyro, warm]
        tables[segment] = np.column_stack(columns).astype(np.float32)
    return tables


def _save_gaze(plan: HomePlan, world: World, path: Path) -> None:
    clock = plan.clocks["eye"]
    t_ns = np.arange(0, clock.inverse(plan.stop_ns) * GAZE_HZ // SECOND_NS) * SECOND_NS // GAZE_HZ
    xy, valid = world.gaze(clock.forward(t_ns), plan.flaws.tracker)
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["t_s", "x_px", "y_px"])
        for t, (x, y), ok in zip(t_ns.tolist(), xy.tolist(), valid.tolist(), strict=True):
            table.writerow([f"{t / SECOND_NS:.6f}", f"{x:.3f}" if ok else "", f"{y:.3f}" if ok else ""])
