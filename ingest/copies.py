"""More caches of a dataset: other sizes, other cameras. Made from its own tables, file by file, to be gone on with."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, as_completed
from pathlib import Path

from firmware_host.errors import SessionError, SyncctlError
from ingest.cache import MANIFEST, Recipe, write_manifest, write_video_cache
from ingest.opened import open_dataset


def copies_wanted(root: Path, roles: Sequence[str]) -> dict[str, tuple[Path, tuple[int, int]]]:
    """File name in a cache -> the recording it is a copy of, and its (width, height)."""
    dataset = open_dataset(root)
    found = {}
    for rows in dataset.rows.every("streams"):
        for row in rows.to_pylist():
            if row["kind"] == "video" and row["role"] in roles and row["count"]:
                source = Path(dataset.store.path(row["file"]))
                found[f"{row['session']}.{row['device']}.mp4"] = source, (row["width"], row["height"])
    return found


def make_cache(
    root: Path,
    executor: Executor,
    recipe: Recipe,
    roles: Sequence[str],
    done: Callable[[str], None] = lambda _: None,
) -> tuple[Path, dict[str, str]]:
    """Make a cache of the videos of some roles, or what it lacks.

    Args:
        root: a dataset in a folder of this machine.
        executor: runs one task a file.
        recipe: what the copies are made like.
        roles: ``ego``, ``third``...
        done: called with the name of each file that is there.

    Returns:
        the cache's folder, and file -> why it could not be made.

    Raises:
        SessionError: no dataset there, or it has no such video.
    """
    wanted = copies_wanted(root, roles)
    if not wanted:
        raise SessionError(f"{root} has no video of {' or '.join(roles)}; see `streams.parquet` for the roles it has")
    folder = root / "cache" / recipe.name
    folder.mkdir(parents=True, exist_ok=True)
    missing = [name for name in wanted if not (folder / name).is_file()]
    for name in wanted.keys() - set(missing):
        done(name)
    futures = {executor.submit(write_video_cache, wanted[name][0], folder / name, recipe): name for name in missing}
    refused = {}
    for future in as_completed(futures):
        name = futures[future]
        try:
            future.result()
        except SyncctlError as error:
            refused[name] = str(error)
        done(name)
    for left in folder.glob(".*.part*"):
        left.unlink()
    sizes = _known_sizes(folder) | {n: recipe.size(*size) for n, (_, size) in wanted.items() if n not in refused}
    write_manifest(folder, recipe, sizes)
    return folder, dict(sorted(refused.items()))


def _known_sizes(folder: Path) -> dict[str, tuple[int, int]]:
    path = folder / MANIFEST
    return {n: (w, h) for n, (w, h) in json.loads(path.read_text())["size"].items()} if path.is_file() else {}
