"""What is to be run, in worker processes; each run a file, so that a stopped command goes on."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypeVar

import torch

from recorder import durable
from recorder.workers import done_by
from tests.bench.results import clips, homes, keyframes, muscles, recognition, worn
from tests.bench.results.splits import SPLITS, split_of

Result = TypeVar("Result")


@dataclass(frozen=True)
class Sources:
    """What there is to learn from.

    Attributes:
        data: the dataset of one person at home.
        out: folder of everything that is made.
        pairs: a dataset of two people at home; empty for none.
        targets: the five folder layouts of the target tasks; empty for none.
        homes: whether homes are made that nobody recorded.
    """

    data: str
    out: Path
    pairs: str = ""
    targets: str = ""
    homes: bool = True

    def folder(self, name: str) -> Path:
        """A folder below `out`."""
        path = self.out / name
        path.mkdir(parents=True, exist_ok=True)
        return path


@dataclass(frozen=True)
class Run:
    """An arm on one split with one seed."""

    suite: str
    arm: str
    split: int
    seed: int

    def file(self, out: Path) -> Path:
        """Where its result is kept."""
        return out / "runs" / self.suite / f"{slug(self.arm)}-{self.split}-{self.seed}.json"


def slug(arm: str) -> str:
    """An arm's name for a file."""
    return re.sub(r"[^a-z0-9]+", "-", arm.lower()).strip("-")


def wanted(sources: Sources, only: Sequence[str], seeds: int) -> list[Run]:
    """Every run, seed by seed, so that a command that is stopped has whole tables of few seeds."""
    suites: dict[str, tuple[Sequence[str], int]] = {"homes": (list(homes.ARMS), 1)}
    if sources.data:
        suites |= {"ccau": (list(recognition.ARMS), SPLITS), "worn": (list(worn.ARMS), SPLITS)}
    if sources.pairs:
        suites["pairs"] = list(keyframes.ARMS), SPLITS
    if sources.data and sources.targets:
        suites["muscles"] = list(muscles.ARMS), 1
    runs = [
        Run(suite, arm, split, seed)
        for seed in range(seeds)
        for suite, (arms, splits) in suites.items()
        for split in range(splits)
        for arm in arms
    ]
    return [run for run in runs if not only or any(f"{run.suite}/{run.arm}".startswith(name) for name in only)]


def prepare(sources: Sources, workers: int, say: Callable[[str], None]) -> None:
    """Describe every session of the datasets, and every home, once."""
    tasks: dict[Path, Callable[[], None]] = {}
    if sources.homes:
        folder = sources.folder("homes")
        tasks |= {folder / f"{n:03d}.npz": partial(homes.describe, n, folder) for n in range(homes.HOMES)}
    for data, make in ((sources.data, clips.describe), (sources.pairs, keyframes.describe)):
        if data:
            folder = sources.folder(make.__module__.rpartition(".")[2])
            sessions = clips.sessions_of(clips.open_dataset(data))
            tasks |= {folder / f"{name}.npz": partial(make, data, name, folder) for name in sessions}
    missing = {str(path): partial(_alone, task) for path, task in tasks.items() if not path.exists()}
    for number, _ in enumerate(done_by(workers, missing), start=1):
        say(f"described {number} of {len(missing)} sessions")


def work(sources: Sources, runs: Sequence[Run], workers: int, say: Callable[[str], None]) -> list[str]:
    """Do the runs that have no file yet; returns what could not be done."""
    missing = [run for run in runs if not run.file(sources.out).exists()]
    say(f"{len(runs) - len(missing)} of {len(runs)} runs are there")
    failed = []
    tasks = {f"{r.suite}/{r.arm}, split {r.split}, seed {r.seed}": partial(tried, sources, r) for r in missing}
    for number, (name, spent) in enumerate(done_by(workers, tasks), start=1):
        if isinstance(spent, str):
            failed.append(f"{name}: {spent}")
            say(f"{number} of {len(missing)}: {failed[-1]}")
        else:
            say(f"{number} of {len(missing)}: {name}, {spent:.0f} CPU s")
    return failed


def tried(sources: Sources, run: Run) -> float | str:
    """`do`, or why it could not be done: the other runs go on."""
    try:
        return _alone(partial(do, sources, run))
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def do(sources: Sources, run: Run) -> float:
    """One run; returns its CPU seconds."""
    path = run.file(sources.out)
    path.parent.mkdir(parents=True, exist_ok=True)
    begun = time.process_time()
    found = _found(sources, run)
    spent = time.process_time() - begun
    where = {"data": sources.data, "commit": commit(), "date": time.strftime("%Y-%m-%d", time.gmtime())}
    durable.write_json(path, {**asdict(run), **where, "cpu_s": round(spent, 1), **found})
    return spent


def _found(sources: Sources, run: Run) -> dict[str, Any]:
    if run.suite == "homes":
        return homes.run(run.arm, run.seed, sources.folder("homes"))
    if run.suite == "muscles":
        return muscles.run(run.arm, run.seed, sources.data, sources.targets, sources.folder("muscles"))
    if run.suite == "pairs":
        scenes = _scenes(sources.pairs, sources.folder("keyframes"))
        return keyframes.run(run.arm, scenes, split_of(run.split, scenes.about), run.seed)
    if run.suite == "worn":
        bodies = _bodies(sources.data)
        return worn.run(run.arm, bodies, split_of(run.split, bodies.about), run.seed)
    home = _home(sources.data, sources.folder("clips"))
    split = split_of(run.split, home.person)
    return recognition.run(run.arm, home, split, run.seed) | recognition.described(home, split)


_home = lru_cache(maxsize=1)(clips.read_home)
_scenes = lru_cache(maxsize=1)(keyframes.read_scenes)
_bodies = lru_cache(maxsize=1)(worn.read_bodies)


def _alone(task: Callable[[], Result]) -> Result:
    """A task on one core: beside it others work."""
    torch.set_num_threads(1)
    return task()


@lru_cache(maxsize=1)
def commit() -> str:
    """Of this code."""
    said = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return said.stdout.strip() or "unknown"


def results(out: Path) -> Iterator[dict[str, Any]]:
    """Every run's file, in the order of names."""
    for path in sorted((out / "runs").glob("*/*.json")):
        yield dict(json.loads(path.read_text(encoding="utf-8")))
