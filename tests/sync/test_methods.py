"""The contract of every method: the planted truth comes back, with the right sign, or an EvidenceError."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from planted_sounds import RATE, Pair, pair
from scipy import ndimage

from firmware_host.clockmap import ClockMap
from firmware_host.errors import EvidenceError
from recorder.series import Sound
from recorder.wall import WallReading
from sync.align import METHODS
from sync.alignment import Pairing, Recording
from sync.fuse import fuse
from sync.motion.mirror import Moving
from sync.motion.turning import Turning


@pytest.fixture(scope="module", params=[40.0, pytest.param(-180.0, marks=pytest.mark.slow)])
def planted(request: pytest.FixtureRequest) -> Pair:
    """Two recordings of one scene with both tones in it."""
    tones = {"start": 6.0, "end": 45.0}
    return pair(seconds=50, offset_s=3.2, skew_ppm=request.param, snr_db=10, seed=5, tones=tones)


SOUND = ("tones", "audio")


def recordings(planted: Pair) -> tuple[Recording, Recording]:
    """The same two clocks by all kinds of evidence: what they heard, logged, and how they turned and moved.

    What moves they see at moments of their own, 4 ms apart, and each with noise: else no error could be too large.
    """
    rng = np.random.default_rng(1)
    true_ns = planted.source.t0_ns + np.arange(0, 50 * 500) * 2_000_000
    rate = ndimage.gaussian_filter1d(rng.standard_normal((len(true_ns), 3)), 40, axis=0) * 11
    speed = np.abs(ndimage.gaussian_filter1d(rng.standard_normal(len(true_ns)), 75)) * 11
    by_target_ns = true_ns + planted.true_offset_ns(true_ns).astype(np.int64)

    def side(sound: Sound, t_ns: np.ndarray, limb: str, first: int) -> Recording:
        at = slice(first, None, 5)
        late = ((f"age at {sound.clock}", 1e6),)
        turning = Turning(sound.clock, t_ns[at], rate[at] + 0.1 * rng.standard_normal(rate[at].shape), 0, late)
        moving = Moving(sound.clock, t_ns[at], speed[at] + 0.05 * rng.random(len(speed[at])), 0, late)
        wall = [
            WallReading(int(t), 10**18 + int(true), int(t), 2_000, "chrony", 3_000_000, 50_000)
            for t, true in zip(t_ns[::500], by_target_ns[::500], strict=True)
        ]
        return Recording(
            sound.clock,
            sound,
            wearer="p01",
            tone_distance_m=1.0,
            wall=tuple(wall),
            turned={"head": lambda: turning},
            moved={limb: lambda: moving},
        )

    return side(planted.source, true_ns, "rarmd", 0), side(planted.target, by_target_ns, "seen", 2)


def solved(pairing: Pairing, *sounds: Sound) -> ClockMap:
    spans = {s.clock: (s.t0_ns, s.t0_ns + round(1e9 * s.duration_s)) for s in sounds}
    return fuse([pairing], spans, pairing.target).maps[0]


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_planted_offset_and_drift_come_back_within_their_sigma(method, planted):
    pairing = method(*recordings(planted))
    t_ns = np.array([m.t_ns for m in pairing.matches])
    error = np.array([m.offset_ns for m in pairing.matches]) - planted.true_offset_ns(t_ns)
    own = np.array([m.sigma_ns for m in pairing.matches])
    assert np.all(np.abs(error) < 4 * own)
    found = solved(pairing, planted.source, planted.target)
    piece = found.pieces[0]
    ends = np.array([piece.start_ns, piece.stop_ns])
    assert np.all(np.abs(found.forward(ends) - ends - planted.true_offset_ns(ends)) < 3 * piece.sigma_ns)
    assert piece.skew_ppm == pytest.approx(planted.skew_ppm, abs=max(3, 3 * piece.sigma_ns / 25e3))
    assert 0 < piece.sigma_ns < 1e7


@pytest.mark.parametrize("method", METHODS)
def test_a_pairing_is_of_its_method_by_time_and_there_and_back_is_nothing(method, planted):
    source, target = recordings(planted)
    there, back = METHODS[method](source, target), METHODS[method](target, source)
    assert {there.method, *(m.method for m in there.matches)} == {method}
    assert {(m.source, m.target) for m in there.matches} == {("source", "target")}
    t_ns = np.array([m.t_ns for m in there.matches])
    assert np.all(np.diff(t_ns) >= 0)
    forth, home = (solved(p, planted.source, planted.target) for p in (there, back))
    assert np.all(np.abs(home.forward(forth.forward(t_ns)) - t_ns) < there.matches[0].sigma_ns / 4)


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_swapping_the_arguments_flips_the_sign(method, planted):
    source, target = recordings(planted)
    there, back = method(source, target), method(target, source)
    assert (there.source, there.target) == (back.target, back.source) == ("source", "target")
    assert {n: -error for n, error in back.matches[0].shared} == pytest.approx(dict(there.matches[0].shared))
    forth, home = (solved(p, planted.source, planted.target) for p in (there, back))
    t_ns = np.array([m.t_ns for m in there.matches])
    own = there.matches[0].sigma_ns
    assert np.all(np.abs(home.forward(forth.forward(t_ns)) - t_ns) < 4 * own)
    assert back.matches[0].offset_ns * there.matches[0].offset_ns < 0


@pytest.mark.parametrize("method", [METHODS[m] for m in SOUND], ids=SOUND)
@pytest.mark.parametrize("fault", ["silence", "noise", "nan", "short", "none"])
def test_nothing_to_hear_raises(method, planted, fault):
    source, target = recordings(planted)
    n = len(planted.target.x)
    wrong = {
        "silence": np.zeros(n, np.float32),
        "noise": 0.1 * np.random.default_rng(0).standard_normal(n).astype(np.float32),
        "nan": np.full(n, np.nan, np.float32),
        "short": planted.target.x[: RATE // 2],
    }
    sound = replace(planted.target, x=wrong[fault]) if fault in wrong else None
    with pytest.raises(EvidenceError, match=r"source|target"):
        method(source, replace(target, sound=sound))


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_every_match_says_which_errors_it_shares(method, planted):
    """Without that, a hundred windows of one sound path would pretend to be a hundred measurements."""
    for m in method(*recordings(planted)).matches:
        assert np.linalg.norm([error for _, error in m.shared]) > 1e5
        assert 0 <= m.score <= 1


@pytest.mark.parametrize("method", [m for m in METHODS if m not in SOUND])
@pytest.mark.parametrize("fault", ["nothing", "nobody", "unrelated"])
def test_nothing_that_was_logged_or_that_moved_raises(method, planted, fault):
    source, target = recordings(planted)
    still = Turning("target", np.arange(1000) * 10_000_000, np.zeros((1000, 3)))
    calm = Moving("target", still.t_ns, np.zeros(1000))
    wrong = {
        "nothing": replace(target, wall=(), turned={}, moved={}),
        "nobody": replace(
            target,
            wall=tuple(replace(r, keeper=None) for r in target.wall),
            turned={"head": lambda: still},
            moved={"seen": lambda: calm},
        ),
        "unrelated": replace(
            target,
            wall=tuple(replace(r, realtime_ns=r.realtime_ns + 10**12) for r in target.wall),
            turned={"head": lambda: replace(still, rate_rad_s=np.random.default_rng(0).standard_normal((1000, 3)))},
            moved={"seen": lambda: replace(calm, speed=np.random.default_rng(3).random(1000))},
        ),
    }
    with pytest.raises(EvidenceError, match=r"source|target"):
        METHODS[method](source, wrong[fault])
