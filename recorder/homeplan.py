"""Which devices stand in a simulated home, and what is wrong with their clocks: all that a session is made from.

Every device's clock differs from the world's by an offset and a skew that nobody is told but `truth.json`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from firmware_host.clock import SECOND_NS
from firmware_host.clockmap import ClockMap
from firmware_host.errors import ConfigError
from recorder.flaws import Flaws, restarted, times_of, wandering
from recorder.wall import WallReading
from recorder.world import ROOM_KITS, VIEW_OF, WorldPlan

FPS = 30
SOUND_HZ = 48_000
WALL_EPOCH_NS = 1_767_225_600 * SECOND_NS
"""World time 0 by the kits' wall clocks: the beginning of 2026."""
WALL_BOUND_NS, WALL_ERROR_NS = 3_000_000, 100_000
"""What chrony says of a wall clock that it keeps over a house's network: at most, and by its own estimate."""
BODY = "kit-02"
IMPORTED = ("head", "eye")
WEARER_KITS = (BODY, *IMPORTED)


@dataclass(frozen=True)
class HomePlan:
    """A world and the clocks of the devices in it.

    Attributes:
        clocks: device -> map from its clock to world time, for every device but kit-01, whose clock is known when the
            recording starts.
        start_ns: device -> when its recording begins, ns of world time.
        sample_ppm: kit, every one -> how much faster than nominal its microphone samples, against the kit's clock.
        wall_error_ns: kit -> how much its wall clock is fast, and does not know.
        flaws: of the devices.
    """

    world: WorldPlan
    clocks: dict[str, ClockMap]
    start_ns: dict[str, int]
    sample_ppm: dict[str, float]
    wall_error_ns: dict[str, int]
    flaws: Flaws = field(default_factory=Flaws)

    def wall(self, kit: str, to_world: ClockMap, t_ns: int) -> WallReading:
        """What a kit on one network with the others would read at `t_ns` of its clock, which `to_world` maps."""
        realtime_ns = WALL_EPOCH_NS + to_world.forward(t_ns) + self.wall_error_ns[kit]
        return WallReading(t_ns, realtime_ns, t_ns, 0, "chrony", WALL_BOUND_NS, WALL_ERROR_NS)

    @property
    def room_kits(self) -> tuple[str, ...]:
        """The kits that stand in the room, kit-01 first."""
        return tuple(kit for kit in self.sample_ppm if kit in ROOM_KITS)

    @property
    def stop_ns(self) -> int:
        """When the imported devices stop, ns of world time."""
        return round(self.world.duration_s * SECOND_NS) - SECOND_NS // 4

    def to_world(self, kit: str) -> ClockMap:
        """A kit's clock to world time; kit-01's, while nobody knows when it will start, is world time itself."""
        return self.clocks.get(kit) or ClockMap.affine(kit, "world")

    def shown_ns(self, camera: str) -> np.ndarray:
        """(F,) ns of world time at which a camera of the home (third, head, eye) takes its pictures."""
        for kit in self.room_kits:
            if VIEW_OF[kit] == camera:
                return self.frame_ns(kit)
        return self.clocks[camera].forward(self.film_ns(camera))

    def film_ns(self, name: str) -> np.ndarray:
        """(F,) ns of a worn camera's own clock at which it takes its pictures."""
        return np.arange(0, self.clocks[name].inverse(self.stop_ns) * FPS // SECOND_NS) * SECOND_NS // FPS

    def frame_ns(self, kit: str) -> np.ndarray:
        """(F,) ns of world time of a kit's pictures: its own crystal, uneven exposures, and some that never come."""
        start_ns, flaws = self.start_ns[kit], self.flaws.camera
        rng = np.random.default_rng([self.world.seed, 0xF2A3E, *(kit.encode() if kit != "kit-01" else b"")])
        n = int((self.world.duration_s - start_ns / SECOND_NS) * FPS) - 2
        period_ns = SECOND_NS / FPS * (1 + rng.uniform(-flaws.skew_ppm, flaws.skew_ppm) * 1e-6)
        jitter = (rng.normal(0, 1, n).clip(-4, 4)) * flaws.jitter_us * 1000
        frame_ns = (start_ns + 10_000_000 + np.arange(n) * period_ns + jitter).astype(np.int64)
        came = self.random("dropped", kit).random(n) >= flaws.dropped
        came[0] = True
        for begun_s, over_s in self.silences("camera", kit):
            came &= ~((frame_ns >= start_ns + begun_s * SECOND_NS) & (frame_ns < start_ns + over_s * SECOND_NS))
        return frame_ns[came]

    def silences(self, device: str, kit: str) -> list[tuple[float, float]]:
        """From when to when a kit's camera or microphone gives nothing, s since the kit's start."""
        flaws = getattr(self.flaws, device)
        random = self.random(f"{device} restart", kit)
        return [(at, at + flaws.restart_s) for at in times_of(flaws.restarts_an_hour, self.world.duration_s, random)]

    def random(self, what: str, device: str) -> np.random.Generator:
        """Random numbers for one flaw of one device."""
        return _own(self.world, what, device)


def plan_home(world: WorldPlan, kits: int = 1, flaws: Flaws | None = None) -> HomePlan:
    """Draw the clocks from the world's seed: wrong as `flaws` says, switched on within a second of each other.

    Args:
        kits: how many kits stand in the room, beside the one that is worn.
        flaws: of the devices; the usual ones where None.

    Raises:
        ConfigError: there is no place for so many.
    """
    if not 1 <= kits <= len(ROOM_KITS):
        raise ConfigError(f"the simulated home has places for 1 to {len(ROOM_KITS)} room kits, not for {kits}")
    flaws = flaws or Flaws()
    world = replace(world, barrel=flaws.camera.barrel, decentred=flaws.camera.decentred)
    rng = np.random.default_rng([world.seed, 0xC10C])
    skew, sample = flaws.clock.skew_ppm, flaws.microphone.skew_ppm
    start = {"kit-01": 0} | {name: int(rng.integers(100, 900)) * 1_000_000 + 137 for name in WEARER_KITS}
    uptime = {"kit-02": int(rng.integers(100, 5000)) * SECOND_NS, "head": 0, "eye": 0}
    clocks = {
        name: ClockMap.affine(
            name,
            "world",
            origin_ns=uptime[name],
            target_ns=0 if name == "kit-02" else start[name],
            skew_ppm=round(rng.uniform(-skew, skew), 3),
        )
        for name in WEARER_KITS
    }
    sample_ppm = {kit: round(rng.uniform(-sample, sample), 3) for kit in ("kit-01", "kit-02")}
    wall_error_ns = {kit: _wall_error_ns(flaws, rng) for kit in ("kit-01", "kit-02")}
    for kit in list(ROOM_KITS)[1:kits]:  # last, so that the others are what they are without it
        start[kit] = int(rng.integers(100, 900)) * 1_000_000 + 137
        origin_ns = int(rng.integers(100, 5000)) * SECOND_NS
        clocks[kit] = ClockMap.affine(kit, "world", origin_ns=origin_ns, skew_ppm=round(rng.uniform(-skew, skew), 3))
        sample_ppm[kit] = round(rng.uniform(-sample, sample), 3)
        wall_error_ns[kit] = _wall_error_ns(flaws, rng)
    clocks = {
        name: wandering(clock, flaws.clock, _own(world, "wander", name).uniform(0, 2 * np.pi), world.duration_s)
        for name, clock in clocks.items()
    }
    for name in IMPORTED:
        at_s = times_of(flaws.clock.restarts_an_hour, world.duration_s, _own(world, "restart", name))
        clocks[name] = restarted(clocks[name], at_s, flaws.clock.restart_s)
    return HomePlan(world, clocks, start, sample_ppm, wall_error_ns, flaws)


def _wall_error_ns(flaws: Flaws, rng: np.random.Generator) -> int:
    return round(rng.normal(0, flaws.clock.wall_error_ms * 1e6))


def _own(world: WorldPlan, what: str, device: str) -> np.random.Generator:
    return np.random.default_rng([world.seed, *what.encode(), 0, *device.encode()])
