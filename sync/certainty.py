"""How sure an alignment is, when, by what, and what was tried in vain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Silence:
    """Two clocks that were compared, and why a method said nothing of them."""

    method: str
    source: str
    target: str
    reason: str


@dataclass(frozen=True)
class Held:
    """A pairing that holds a clock.

    Attributes:
        number: of the pairing in the alignment.
        without_ns: the largest sigma of the clock's map without it, None where nothing else holds the clock.
    """

    number: int
    without_ns: float | None


@dataclass(frozen=True)
class Certainty:
    """How sure the map of a clock is, when, and by what.

    Attributes:
        t_ns: times on the clock, ascending, several a piece.
        sigma_ns: standard error of the mapped time there, ns; in between it is less than a straight line.
        held: the evidence without which it would be less sure by more than a hundredth.
    """

    clock: str
    t_ns: tuple[int, ...]
    sigma_ns: tuple[float, ...]
    held: tuple[Held, ...]

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Certainty:
        """From what `alignment.json` holds."""
        held = tuple(Held(**h) for h in value["held"])
        return cls(value["clock"], tuple(value["t_ns"]), tuple(value["sigma_ns"]), held)


@dataclass(frozen=True)
class CameraDelay:
    """How much later a camera stamps an event than its device's microphone, which is what a clock map is for.

    A picture's time on the reference clock is as sure as its map and this together.

    Attributes:
        latency_ns: what was measured and is taken off its times already; 0 where nobody measured.
        sigma_ns: standard deviation of what is left.
    """

    device: str
    latency_ns: int
    sigma_ns: int
    measured: bool
