"""A sample of the damaged recordings; `python -m tests.soak corrupted` tries all 500."""

from __future__ import annotations

import pytest

from tests.sync.importers.corruption import DAMAGE, MAKERS, tried

EACH = len(MAKERS) * len(DAMAGE)


@pytest.mark.parametrize("seed", range(EACH, EACH + 40))
def test_a_damaged_recording_gives_a_result_or_a_sentence(tmp_path, seed):
    what, came = tried(seed, tmp_path / "here")
    assert came, what
