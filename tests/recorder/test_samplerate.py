import numpy as np
import pytest

from recorder.samplerate import RateEstimator

SECOND_NS = 1_000_000_000


def stamps(ppm: float, seconds: int, late_ns, block: int = 1024):
    rate = 48_000 * (1 + ppm * 1e-6)
    for i, first in enumerate(range(0, seconds * 48_000, block)):
        yield first, 7 * SECOND_NS + round(first * SECOND_NS / rate) + int(late_ns(i))


@pytest.mark.parametrize("ppm", [-100.0, 0.0, 37.5, 100.0])
def test_the_true_rate_is_found_under_one_sided_lateness(ppm: float):
    rng = np.random.default_rng(1)
    estimator = RateEstimator(48_000)
    for first, t_ns in stamps(ppm, 60, lambda _: rng.exponential(1_500_000)):
        estimator.add(first, t_ns)
    fit = estimator.fit()
    assert (fit.rate_hz / 48_000 - 1) * 1e6 == pytest.approx(ppm, abs=2.0)
    assert abs(fit.t0_ns - 7 * SECOND_NS) < 200_000


def test_a_backlog_at_the_start_does_not_bend_the_line():
    estimator = RateEstimator(48_000, warm_up_s=2.5)
    rng = np.random.default_rng(2)
    backlog = lambda i: max(0.0, 360e6 - i * 4e6) + rng.exponential(500_000)  # noqa: E731
    for first, t_ns in stamps(20.0, 60, backlog):
        estimator.add(first, t_ns)
    assert (estimator.fit().rate_hz / 48_000 - 1) * 1e6 == pytest.approx(20.0, abs=2.0)


def test_a_third_of_the_seconds_stalled_by_40_ms_change_nothing():
    estimator = RateEstimator(48_000)
    rng = np.random.default_rng(3)
    stalled = lambda i: (40e6 if (i * 1024 // 48_000) % 3 == 0 else 0) + rng.exponential(300_000)  # noqa: E731
    for first, t_ns in stamps(-45.0, 60, stalled):
        estimator.add(first, t_ns)
    assert (estimator.fit().rate_hz / 48_000 - 1) * 1e6 == pytest.approx(-45.0, abs=3.0)


def test_two_seconds_are_too_few_to_judge():
    estimator = RateEstimator(48_000)
    for first, t_ns in stamps(0.0, 2, lambda _: 0):
        estimator.add(first, t_ns)
    assert estimator.fit() is None
