"""Films of two cameras on one head, small and short, made once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sync.gaze.films import Film, find_rig, plain_film
from sync.gaze.rig import Rig
from tests.bench.gaze_world import World, encode, world


@pytest.fixture(scope="session")
def desk() -> World:
    """Things on a table, 25 and 30 frames a second at different times, 480x270."""
    return world("apart", 3, seconds=2.0, width=480)


@pytest.fixture(scope="session")
def desk_files(desk: World, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("films")
    for camera in ("scene", "head"):
        encode(desk, camera, folder / f"{camera}.mp4", crf=20)
    return folder / "scene.mp4", folder / "head.mp4"


@pytest.fixture(scope="session")
def desk_films(desk: World, desk_files: tuple[Path, Path]) -> tuple[Film, Film]:
    """The same with the times of the world: the head camera begins a little later."""
    scene, head = (plain_film(path) for path in desk_files)
    return scene, replace(head, t_ns=head.t_ns + desk.late_ns)


@pytest.fixture(scope="session")
def desk_rig(desk_films: tuple[Film, Film]) -> Rig:
    return find_rig(*desk_films)
