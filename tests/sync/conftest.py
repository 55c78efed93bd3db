"""The planted session, made once for the tests of this room."""

from __future__ import annotations

import numpy as np
import pytest
from planted_session import DEVICES, SECONDS, recorded, write_session
from planted_sounds import music, speech

from recorder.session import Session


@pytest.fixture(scope="session")
def scene() -> np.ndarray:
    return speech(SECONDS + 5, 11) + 0.5 * music(SECONDS + 5, 12)


@pytest.fixture(scope="session")
def session(tmp_path_factory: pytest.TempPathFactory, scene: np.ndarray) -> Session:
    folder = tmp_path_factory.mktemp("recordings")
    return write_session(folder / "session", {n: recorded(scene, n) for n in DEVICES}, folder)
