"""One core is enough: small tensors only wait for each other on two."""

from __future__ import annotations

import pytest
import torch
from made_clips import MadeClips

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def clips() -> MadeClips:
    return MadeClips(48)
