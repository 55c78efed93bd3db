"""A sample of the damaged recordings; `python -m tests.soak corrupted` tries all 500."""

from __future__ import annotations

import numpy as np
import pytest

from tests.sync.importers.corruption import DAMAGE, MAKERS, tried

EACH = len(MAKERS) * len(DAMAGE)
SAMPLE = sorted((EACH + np.random.default_rng(0).permutation(EACH)[:40]).tolist())
"""40 of the 64 pairs of a kind of recording and a kind of damage."""


@pytest.mark.parametrize("seed", SAMPLE)
def test_a_damaged_recording_gives_a_result_or_a_sentence(tmp_path, seed):
    what, came = tried(seed, tmp_path / "here")
    assert came, what
