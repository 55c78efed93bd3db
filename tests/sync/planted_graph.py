"""Random homes as the fusion sees them: clocks with a truth, and evidence that is wrong by what it says it is."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from firmware_host.clockmap import ClockMap
from sync.alignment import Match, Pairing
from sync.fuse import Fused

SECOND = 1_000_000_000
SPAN_S = 60
REFERENCE = "kit-01"
WORN = ("kit-02", "head", "eye", "imu")
HOME = ("kit-01", "kit-02", "kit-03", "head", "eye", "imu")
"""A room kit, a body kit, a kit in the next room, a head camera, an eye tracker, and body IMUs without a microphone."""
KINDS = ("tones", "audio", "network", "turning")


@dataclass
class Home:
    """Clocks, what leads from each to the world, and the errors that evidence shares.

    Attributes:
        restarted: clock -> (when on that clock, how much it lost), for one that was off for a while.
    """

    rng: np.random.Generator
    worlds: dict[str, ClockMap]
    shared: dict[str, float] = field(default_factory=dict)
    restarted: dict[str, tuple[int, int]] = field(default_factory=dict)

    def true_offset_ns(self, source: str, target: str, t_ns: int) -> float:
        """What to add to a time of `source` to have the time of `target`."""
        world = self.worlds[source].forward(t_ns) + self._lost(source, t_ns)
        there = self.worlds[target].inverse(world)
        late = self.restarted.get(target)
        if late and there >= late[0] + late[1]:
            there = self.worlds[target].inverse(world - late[1])
        return there - t_ns

    def _lost(self, clock: str, t_ns: int) -> int:
        at, lost = self.restarted.get(clock, (0, 0))
        return lost if t_ns >= at else 0

    def error(self, name: str, sigma_ns: float) -> float:
        """The value of a shared error, drawn once."""
        return self.shared.setdefault(name, float(self.rng.normal(0, 1))) * sigma_ns

    def span(self, clock: str) -> tuple[int, int]:
        """First and last time of a clock's recording."""
        return self.worlds[clock].inverse(0), self.worlds[clock].inverse(SPAN_S * SECOND)

    def spans(self) -> dict[str, tuple[int, int]]:
        return {c: self.span(c) for c in self.worlds}

    def pairing(
        self,
        method: str,
        source: str,
        target: str,
        at_s: np.ndarray,
        sigma_ns: float,
        shared: tuple[tuple[str, float], ...],
    ) -> Pairing:
        """Evidence at the given seconds of world time."""
        matches = []
        for t_s in at_s:
            t_ns = self.worlds[source].inverse(round(t_s * SECOND))
            wrong = self.rng.normal(0, sigma_ns) + sum(np.sign(s) * self.error(n, abs(s)) for n, s in shared)
            offset_ns = round(self.true_offset_ns(source, target, t_ns) + wrong)
            piece = int(source in self.restarted and t_ns >= self.restarted[source][0])
            matches.append(Match(method, source, target, t_ns, offset_ns, sigma_ns, 0.5, shared, piece))
        return Pairing(method, source, target, "ok", "", tuple(matches))

    def tones(self, source: str, target: str) -> Pairing:
        shared = tuple((f"distance of {c}", s * 1.2e5) for c, s in ((source, -1), (target, 1)))
        return self.pairing("tones", source, target, np.array([5, 55]), 9e4, shared)

    def audio(self, source: str, target: str) -> Pairing:
        path_ns = 5e5 if source in WORN and target in WORN else 8.7e6
        sign = 1 if source < target else -1
        shared = ((f"sound path between {min(source, target)} and {max(source, target)}", sign * path_ns),)
        return self.pairing("audio", source, target, np.arange(2, 58, 2.0), 1e6, shared)

    def network(self, source: str, target: str) -> Pairing:
        shared = tuple((f"wall clock of {c}", s * 1.5e6) for c, s in ((source, 1), (target, -1)))
        return self.pairing("network", source, target, np.array([3, 30, 57]), 1e5, shared)

    def turning(self, source: str, target: str) -> Pairing:
        shared = ((f"shutter of {target}", 2e6),)
        return self.pairing("turning", source, target, np.arange(5, 58, 5.0), 3e6, shared)

    def evidence(self, without: str = "") -> list[Pairing]:
        """What a whole home leaves: every kind but one."""
        heard = [c for c in HOME if c != "imu" and c in self.worlds]
        pairs = [(c, REFERENCE) for c in heard[1:]]
        pairs += [(a, b) for k, a in enumerate(heard) for b in heard[k + 1 :] if a in WORN and b in WORN]
        found = [f(a, b) for a, b in pairs for f in (self.tones, self.audio)]
        found += [self.network(c, REFERENCE) for c in ("kit-02", "kit-03", "imu")]
        found += [self.turning("imu", "head"), self.turning("imu", "eye"), self.turning("eye", "head")]
        return [p for p in found if p.method != without]


def home(seed: int, names: tuple[str, ...] = HOME) -> Home:
    """Clocks within +-50 ppm of the world and days apart from each other."""
    rng = np.random.default_rng(seed)
    worlds = {
        name: ClockMap.affine(
            name, "world", origin_ns=int(rng.integers(0, 10**15)), target_ns=0, skew_ppm=float(rng.uniform(-50, 50))
        )
        for name in names
    }
    return Home(rng, worlds)


def ratios(home: Home, fused: Fused) -> dict[str, float]:
    """Clock -> the largest error of its map over its sigma there."""
    worst = {}
    for m in fused.maps:
        t_ns, sigma_ns = fused.knots[m.source]
        at_ns = home.restarted.get(m.source, (-(2**62), 0))[0]  # where it was off, nobody knows to the second
        inside = [(t, s) for t, s in zip(t_ns, sigma_ns, strict=True) if abs(t - at_ns) > 2 * SECOND]
        worst[m.source] = max(
            abs(m.forward(t) - t - home.true_offset_ns(m.source, REFERENCE, t)) / s for t, s in inside
        )
    return worst


def false(pairing: Pairing, by_ns: int) -> Pairing:
    """The same, wrong by a constant."""
    return replace(pairing, matches=tuple(replace(m, offset_ns=m.offset_ns + by_ns) for m in pairing.matches))
