"""One label: what somebody, or the simulator's truth, says about an interval, and perhaps about a part of a picture.

A tier is a named row of labels, as in annotation tools: `activity`, `action`, `person`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

MILLISECOND_NS = 1_000_000
SECOND_NS = 1_000_000_000

Box = tuple[float, float, float, float]
"""x1, y1, x2, y2 as fractions of the picture from its top left corner, x1 <= x2 and y1 <= y2."""


@dataclass(frozen=True)
class Label:
    """One label.

    Attributes:
        tier: the row it is in.
        t0_ns, t1_ns: the half-open interval; a moment where they are equal. Which clock, says who hands it out.
        value: what is said: a class, or free text.
        actor: who does it, or the track that a box belongs to; None where nobody is meant.
        box: where in the picture of `device`; None for the whole scene.
        confidence: in [0, 1]; None where nobody said.
        device: whose picture `box` is in.

    Raises:
        ValueError: the interval or the box is inside out, or a number is outside its range.
    """

    tier: str
    t0_ns: int
    t1_ns: int
    value: str
    actor: str | None = None
    box: Box | None = None
    confidence: float | None = None
    device: str | None = None

    def __post_init__(self) -> None:
        if self.t1_ns < self.t0_ns:
            raise ValueError(f"the interval ends ({self.t1_ns}) before it begins ({self.t0_ns})")
        if self.box is not None:
            x1, y1, x2, y2 = self.box
            if not (0 <= x1 <= x2 <= 1 and 0 <= y1 <= y2 <= 1):
                raise ValueError(f"the box {self.box} is not x1 <= x2 and y1 <= y2 in fractions of the picture")
        if self.confidence is not None and not 0 <= self.confidence <= 1:
            raise ValueError(f"the confidence {self.confidence} is not between 0 and 1")

    def at(self, time: Callable[[int], int]) -> Label:
        """The same on another clock; `time` maps a time of this one."""
        return replace(self, t0_ns=time(self.t0_ns), t1_ns=time(self.t1_ns))

    def named(self) -> str:
        """The label in a sentence."""
        who = f" of {self.actor}" if self.actor else ""
        return f"{self.tier} '{self.value}'{who}"


@dataclass(frozen=True)
class Linked:
    """A film that a file of labels links.

    Attributes:
        path: its file.
        began_ns: when it began, in the time of the labels: 0 for the film they are timed on.
        length_ns: how long it lasts.
        rate_hz: pictures a second.
    """

    path: Path
    began_ns: int = 0
    length_ns: int = 0
    rate_hz: float = 30.0


def in_order(labels: Iterable[Label]) -> list[Label]:
    """By tier, then time: the one order in which labels are written and handed out."""
    return sorted(labels, key=lambda n: (n.tier, n.t0_ns, n.t1_ns, n.value, n.actor or "", n.device or "", n.box or ()))


def box_of_px(x1: float, y1: float, x2: float, y2: float, size: tuple[int, int]) -> Box:
    """A box between pixel edges of a picture of (width, height) to fractions; what lies outside is cut off."""
    (a, c), (b, d) = sorted((x1 / size[0], x2 / size[0])), sorted((y1 / size[1], y2 / size[1]))
    return _cut(a), _cut(b), _cut(c), _cut(d)


def box_px(box: Box, size: tuple[int, int]) -> Box:
    """The inverse of `box_of_px`: x1, y1, x2, y2 in pixels."""
    (width, height), (x1, y1, x2, y2) = size, box
    return x1 * width, y1 * height, x2 * width, y2 * height


def _cut(share: float) -> float:
    return min(1.0, max(0.0, share))


def milliseconds(t_ns: int) -> int:
    """To the nearest whole millisecond."""
    return (t_ns + MILLISECOND_NS // 2) // MILLISECOND_NS


def of_seconds(t_s: float) -> int:
    """Seconds of a film, as tools write them, to ns; a film is far shorter than what float64 blurs."""
    return round(t_s * SECOND_NS)
