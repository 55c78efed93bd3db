"""Losses of sound, with stamps as a driver gives them: late by milliseconds, wrong after opening."""

from dataclasses import replace

import numpy as np
import pytest

from recorder.microphone import SoundBlock
from recorder.timeline import SoundTimeline

RATE = 48_000 * (1 + 40e-6)
BLOCK = 1024
BEGUN_NS = 5_000_000_000


class Card:
    """A sound card with a crystal of its own: sample n of its life is taken at BEGUN_NS + n / RATE."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.sample = 0

    def hear(self, seconds: float, *, lost: int = 0, early_ns=lambda _: 0) -> list[SoundBlock]:
        """Blocks of `seconds` of sound, numbered in their samples, after `lost` samples that nobody gets."""
        self.sample += lost
        blocks = []
        for i in range(int(seconds * RATE / BLOCK)):
            x = np.arange(self.sample, self.sample + BLOCK, dtype=np.int32) + 1
            late_ns = int(self.rng.exponential(1_500_000)) - early_ns(i)
            blocks.append(SoundBlock(0, x, BEGUN_NS + round(self.sample * 1e9 / RATE) + late_ns, not i and lost > 0))
            self.sample += BLOCK
        return blocks


def track(placed: list[SoundBlock]) -> np.ndarray:
    at = 0
    for block in placed:
        assert block.first == at, "every sample has one place, and none is left out"
        at += len(block.x)
    return np.concatenate([b.x for b in placed])


def slip_ms(x: np.ndarray) -> float:
    """How far the last sample is from where it should be. Sample n of the card's life holds n + 1."""
    return abs(len(x) - int(x[-1])) / RATE * 1e3


@pytest.mark.parametrize("lost_s", [0.005, 0.0213, 0.4, 3.0])
@pytest.mark.parametrize("seed", range(4))
def test_after_an_overflow_the_index_still_is_the_time(lost_s: float, seed: int):
    card, timeline, placed = Card(seed), SoundTimeline(48_000, 2.5), []
    for block in [*card.hear(20), *card.hear(5, lost=round(lost_s * RATE))]:
        placed += timeline.add(block)
    placed += timeline.finish()
    x = track(placed)
    assert slip_ms(x) < 1.0
    (gap,) = timeline.take_gaps()
    assert gap.samples / RATE == pytest.approx(lost_s, abs=1e-3)
    assert not x[gap.first : gap.first + gap.samples].any()
    assert gap.from_ns == pytest.approx(BEGUN_NS + gap.first * 1e9 / RATE, abs=1e6)


def test_an_overflow_that_lost_nothing_inserts_nothing():
    card, timeline, placed = Card(), SoundTimeline(48_000), []
    blocks = card.hear(4)
    blocks[100] = replace(blocks[100], overflowed=True)
    for block in blocks:
        placed += timeline.add(block)
    placed += timeline.finish()
    assert slip_ms(track(placed)) == 0
    assert timeline.take_gaps() == []


@pytest.mark.parametrize(
    ("apart_s", "within_ms"),
    [([3.0], 2.0), ([0.2, 3.0], 3.0)],  # in the second case every other loss has 0.2 s of sound to be judged by
)
@pytest.mark.parametrize("seed", range(3))
def test_twenty_overflows_in_a_minute_cost_milliseconds(apart_s: list[float], within_ms: float, seed: int):
    card, timeline, placed = Card(seed), SoundTimeline(48_000), []
    blocks = card.hear(10)
    for seconds in apart_s * (20 // len(apart_s)):
        blocks += card.hear(seconds, lost=2000)
    for block in blocks:
        placed += timeline.add(block)
    placed += timeline.finish()
    assert slip_ms(track(placed)) < within_ms


def test_a_device_that_was_away_comes_back_in_its_place():
    card, timeline, placed = Card(3), SoundTimeline(48_000, 2.5), []
    for block in card.hear(30):
        placed += timeline.add(block)
    left_ns = BEGUN_NS + round(card.sample * 1e9 / RATE)
    timeline.fall_silent()
    for tenth in range(580):  # 58 s of the minute that it is away
        filled = timeline.fill(left_ns + tenth * 100_000_000)
        assert sum(len(b.x) for b in filled) <= 4801, "a little at a time, so that a kill loses little"
        placed += filled
    card.sample += round(60 * RATE)
    backlog = lambda i: max(0, 300_000_000 - i * 4_000_000)  # noqa: E731
    for block in card.hear(8, early_ns=backlog):
        placed += timeline.add(block)
    placed += timeline.finish()
    assert slip_ms(track(placed)) < 1.0
    (gap,) = timeline.take_gaps()
    assert gap.samples / RATE == pytest.approx(60, abs=1e-3)
    fit = timeline.rate.fit()
    assert (fit.rate_hz / 48_000 - 1) * 1e6 == pytest.approx(40, abs=3)


def test_stamps_that_are_not_trusted_yet_do_not_invent_a_loss():
    card, timeline, placed = Card(), SoundTimeline(48_000, 2.5), []
    blocks = card.hear(5, early_ns=lambda i: max(0, 360_000_000 - i * 5_000_000))
    blocks[30] = replace(blocks[30], overflowed=True)
    for block in blocks:
        placed += timeline.add(block)
    assert slip_ms(track(placed)) == 0


def test_what_is_held_at_the_end_is_not_forgotten():
    card, timeline, placed = Card(), SoundTimeline(48_000), []
    for block in [*card.hear(8), *card.hear(0.1, lost=4800)]:
        placed += timeline.add(block)
    before = len(placed)
    placed += timeline.finish()
    assert len(placed) > before
    assert slip_ms(track(placed)) < 2.0


def test_an_hour_of_silence_comes_in_blocks_of_a_second():
    card, timeline = Card(), SoundTimeline(48_000)
    for block in card.hear(6):
        timeline.add(block)
    timeline.fall_silent()
    filled = timeline.fill(BEGUN_NS + 3606 * 10**9)
    assert sum(len(b.x) for b in filled) / RATE == pytest.approx(3600, abs=0.5)
    assert max(len(b.x) for b in filled) <= 48_000
