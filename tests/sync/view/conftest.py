"""The planted session, made once."""

from __future__ import annotations

import pytest

from recorder.session import Session
from tests.sync.view.planted_view import write_session


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Session:
    folder = tmp_path_factory.mktemp("view")
    return write_session(folder / "session", folder)
