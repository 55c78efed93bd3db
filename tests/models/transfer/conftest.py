"""One set of made layouts for all tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from made_targets import made


@pytest.fixture(scope="session")
def targets(tmp_path_factory):
    return made(tmp_path_factory.mktemp("targets"))
