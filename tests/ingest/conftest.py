"""One dataset of four people, built once by the commands' own code."""

from concurrent.futures import Executor, Future
from pathlib import Path

import pytest
from hypothesis import settings
from planted import GUEST, make_session

from ingest.build import Built, build, find_sessions

settings.register_profile("patient", deadline=None)  # two shared cores: a deadline only finds load
settings.load_profile("patient")


class Inline(Executor):
    """Runs tasks where it is asked to, at once."""

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


@pytest.fixture(scope="session")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four sessions of 4 s, of anna, ben, carl and dora; what is true of dora's nobody knows. Shared: do not write.

    Anna and ben have the same guest.
    """
    root = tmp_path_factory.mktemp("planted") / "sessions"
    for seed, person in enumerate(("anna", "ben", "carl", "dora")):
        guest = GUEST if person in ("anna", "ben") else None
        make_session(root / f"s-{person}", participant=person, seed=seed, truth=person != "dora", guest=guest)
    return root


@pytest.fixture(scope="session")
def built(sessions: Path) -> Built:
    """The dataset of `sessions`. Shared: do not write into it."""
    return build(find_sessions([sessions]), sessions.parent / "dataset", Inline())


@pytest.fixture(scope="session")
def inline() -> Executor:
    return Inline()
