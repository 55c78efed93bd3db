"""Sound whose sample index is its time, also where samples were lost.

A sound card that overflows, or is unplugged and found again, says that samples are missing but not how many. How many
is seen in the stamps that follow: they are later than the line through the stamps before. Single stamps are late by
milliseconds, so the blocks after a loss are held for half a second of sound, the earliest of them decide, and as many
zeros as were lost go before them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from firmware_host.clock import SECOND_NS
from recorder.microphone import SoundBlock
from recorder.samplerate import RateEstimator, RateFit

HOLD_S = 0.5
SMALLEST_LOSS_S = 0.001
"""Less than a millisecond is the stamps' own unrest: no sound card loses so little at once."""
EARLY = 0.1
"""The quantile of lateness by which stamps before and after a loss are compared: lateness being one-sided, it is
steadier than the median, and no single stray stamp decides."""
REMEMBERED = 256
"""Stamps before a loss that are compared with: five seconds."""


@dataclass(frozen=True)
class SoundGap:
    """`samples` from index `first` on were lost and are zeros; the times are on the kit's clock."""

    first: int
    samples: int
    from_ns: int
    to_ns: int


@dataclass
class _Loss:
    """A loss whose length is not known yet.

    Attributes:
        line: through the stamps before it.
        late_ns: how far stamps were behind that line before it (at quantile EARLY).
        first: the first missing sample.
        untrusted: how many samples after it carry stamps that mean nothing, the device having been opened anew.
        silent: nothing has come since.
    """

    line: RateFit
    late_ns: float
    first: int
    untrusted: int
    silent: bool
    held: list[SoundBlock] = field(default_factory=list)


class SoundTimeline:
    """Places blocks on one count of samples. Not thread-safe: the writer owns it."""

    def __init__(self, nominal_hz: int, warm_up_s: float = 0.0) -> None:
        """Stamps within `warm_up_s` of every opening of the device are not trusted."""
        self.rate = RateEstimator(nominal_hz, warm_up_s)
        self._nominal_hz = nominal_hz
        self._warm_up = round(warm_up_s * nominal_hz)
        self._next = 0
        self._begun_ns: int | None = None
        self._stamps: deque[tuple[int, int]] = deque(maxlen=REMEMBERED)
        self._loss: _Loss | None = None
        self._gaps: list[SoundGap] = []

    def add(self, block: SoundBlock) -> list[SoundBlock]:
        """The blocks that have their place now: `first` counts on from sample 0 of the first block ever."""
        placed: list[SoundBlock] = []
        if block.overflowed:
            placed = self.finish()  # a second loss so soon: judge the first by what there is
            if line := self.rate.recent():
                self._loss = _Loss(line, self._lateness(line), self._next, untrusted=0, silent=False)
        if self._loss is None:
            return [*placed, self._place(block)]
        self._loss.silent = False
        self._loss.held.append(block)
        if sum(len(b.x) for b in self._loss.held) >= self._loss.untrusted + HOLD_S * self._nominal_hz:
            placed += self.finish()
        return placed

    def fall_silent(self) -> list[SoundBlock]:
        """The device has stalled; what it gives next comes after a loss. Returns what was still held."""
        placed = self.finish()
        if self._begun_ns is not None:
            line = self.rate.recent() or RateFit(self._nominal_hz, self._begun_ns, 0.0, 0)
            self._loss = _Loss(line, self._lateness(line), self._next, untrusted=self._warm_up, silent=True)
        return placed

    def fill(self, until_ns: int) -> list[SoundBlock]:
        """Zeros up to `until_ns` while the device is silent, so that the track grows with the others."""
        if self._loss is None or not self._loss.silent:
            return []
        return list(self._zeros(self._loss.line.sample_at(until_ns) - self._next, self._loss.line))

    def finish(self) -> list[SoundBlock]:
        """Judge a loss by what has come since it, and place that."""
        loss, self._loss = self._loss, None
        if loss is None:
            return []
        placed = list(self._zeros(self._lost(loss), loss.line))
        if self._next > loss.first:
            times = loss.line.time_ns(loss.first), loss.line.time_ns(self._next)
            self._gaps.append(SoundGap(loss.first, self._next - loss.first, *times))
        if loss.untrusted and loss.held:
            self.rate.begin_again(self._next)
        return placed + [self._place(block) for block in loss.held]

    def take_gaps(self) -> list[SoundGap]:
        """The losses judged since the last call."""
        gaps, self._gaps = self._gaps, []
        return gaps

    def _lost(self, loss: _Loss) -> int:
        """How many samples are missing before the held blocks, beyond those filled already."""
        firsts = np.cumsum([0, *(len(b.x) for b in loss.held)])[:-1].tolist()
        late_ns = [b.t_ns - loss.line.time_ns(self._next + n) for b, n in zip(loss.held, firsts, strict=True)]
        trusted = [late for late, n in zip(late_ns, firsts, strict=True) if n >= loss.untrusted]
        if not (judged := trusted or late_ns):
            return 0
        lost = (float(np.quantile(judged, EARLY)) - loss.late_ns) * loss.line.rate_hz / SECOND_NS
        return round(lost) if lost >= SMALLEST_LOSS_S * self._nominal_hz else 0

    def _lateness(self, line: RateFit) -> float:
        """How far stamps are behind the line when nothing is lost."""
        return float(np.quantile([t_ns - line.time_ns(n) for n, t_ns in self._stamps], EARLY)) if self._stamps else 0.0

    def _zeros(self, samples: int, line: RateFit) -> Iterator[SoundBlock]:
        """That much silence in blocks of at most a second: a gap may be hours long."""
        while samples > 0:
            n = min(samples, self._nominal_hz)
            yield SoundBlock(self._next, np.zeros(n, np.int32), line.time_ns(self._next))
            self._next += n
            samples -= n

    def _place(self, block: SoundBlock) -> SoundBlock:
        if self._begun_ns is None:
            self._begun_ns = block.t_ns
        placed = replace(block, first=self._next)
        self.rate.add(placed.first, placed.t_ns)
        self._stamps.append((placed.first, placed.t_ns))
        self._next += len(block.x)
        return placed
