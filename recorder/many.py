"""`syncctl simulate`: many sessions of the simulated home from one plan, side by side, to be gone on with at any time.

Who does what where is drawn so that none tells of another: every participant does every activity equally often, and
places are drawn for each session by itself.
"""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from firmware_host.errors import ConfigError, SessionError, SyncctlError, unknown_name
from recorder import durable
from recorder.flaws import Flaws, judge
from recorder.session import MANIFEST, open_session
from recorder.tomlfile import Wrong, read_table
from recorder.workers import done_by
from recorder.world import ACTIVITIES
from recorder.world.plan import MOST_PEOPLE, SHORTEST_S

PLAN = "plan.toml"


@dataclass(frozen=True)
class SimulationPlan:
    """`plan.toml`.

    Attributes:
        sessions: how many.
        seed: the same plan with the same seed gives the same bytes.
        duration_s: of each session, seconds.
        width, height: of every camera's pictures, pixels.
        participants, places: how many different ones.
        people: in each session; 2 for a guest beside the participant.
        mirror: whether participants begin with a pattern before a mirror, for cameras without sound.
        truth_video: whether each session holds what every pixel shows, and its depth.
        activities: one of which fills each session; all that the home knows where none is named.
        flaws: of the devices.
    """

    sessions: int
    seed: int = 0
    duration_s: float = 60.0
    width: int = 320
    height: int = 180
    participants: int = 6
    places: int = 4
    people: int = 1
    mirror: bool = False
    truth_video: bool = False
    activities: tuple[str, ...] = ACTIVITIES
    flaws: Flaws = field(default_factory=Flaws)


@dataclass(frozen=True)
class Part:
    """One session of a plan."""

    name: str
    seed: int
    participant: str
    place: str
    activity: str


@dataclass(frozen=True)
class Simulated:
    """What became of a plan: sessions made now, sessions that were there, and why others could not be made."""

    folder: Path
    made: int
    kept: int
    failed: dict[str, str]

    def document(self) -> dict[str, object]:
        """What `simulate --json` prints."""
        return {"folder": str(self.folder), "made": self.made, "kept": self.kept, "failed": self.failed}

    def lines(self) -> list[str]:
        """The same for people."""
        kept = f", {self.kept} were there" if self.kept else ""
        return [f"{self.folder}: {self.made} sessions made{kept}", *(f"{n}: {why}" for n, why in self.failed.items())]


def read_plan(path: Path) -> SimulationPlan:
    """Read and check a plan.

    Raises:
        ConfigError: missing, not TOML, or one line for each thing that is wrong.
    """
    return read_table(SimulationPlan, path, "docs/plans/small.toml is an example to start from", _judge)


def _judge(plan: SimulationPlan) -> Iterator[Wrong]:
    for name, least in (("sessions", 1), ("participants", 1), ("places", 1), ("seed", 0)):
        if getattr(plan, name) < least:
            yield Wrong((name,), f"{name} is {getattr(plan, name)}; it must be at least {least}")
    if plan.duration_s < SHORTEST_S:
        yield Wrong(("duration_s",), f"duration_s is {plan.duration_s:g}; tones need at least {SHORTEST_S:g} s")
    for name in ("width", "height"):
        if getattr(plan, name) < 16 or getattr(plan, name) % 2:
            yield Wrong((name,), f"{name} is {getattr(plan, name)}; it must be even, and at least 16")
    if plan.people not in (1, MOST_PEOPLE):
        yield Wrong(("people",), f"people is {plan.people}; it must be 1 or {MOST_PEOPLE}")
    for i, activity in enumerate(plan.activities):
        if activity not in ACTIVITIES:
            yield Wrong(("activities", i), unknown_name("activity", activity, ACTIVITIES))
    yield from judge(plan.flaws, ("flaws",))
    if not plan.activities:
        yield Wrong(("activities",), "activities is empty; leave it away for all")


def parts(plan: SimulationPlan) -> list[Part]:
    """The sessions of a plan. Session k is the same in a longer plan."""
    drawn = []
    for k in range(plan.sessions):
        lap, person = divmod(k, plan.participants)
        turn, place_in_turn = divmod(lap, len(plan.activities))
        order = np.random.default_rng([plan.seed, person, turn]).permutation(len(plan.activities))
        place = int(np.random.default_rng([plan.seed, k, 0x91ACE]).integers(plan.places))
        activity = plan.activities[order[place_in_turn]]
        drawn.append(Part(f"{k:04d}", plan.seed * 100_000 + k, f"p{person + 1:02d}", f"r{place + 1:02d}", activity))
    return drawn


def simulate(
    path: Path, folder: Path, jobs: int | None = None, done: Callable[[float], None] = lambda _: None
) -> Simulated:
    """Make the sessions of a plan that are not there yet; what was interrupted is made again.

    Args:
        path: the plan; a copy of it is kept in the folder.
        folder: of the sessions.
        jobs: sessions at a time; by default one a core.
        done: told 1 for each session.

    Raises:
        ConfigError: the plan is wrong, or the folder was begun with another.
    """
    plan = read_plan(path)
    _claim(folder, path)
    wanted = parts(plan)
    missing = [p for p in wanted if not _whole(folder / p.name)]
    done(len(wanted) - len(missing))
    failed: dict[str, str] = {}
    tasks = {p.name: partial(_make, plan, folder, p) for p in missing}
    for name, why in done_by(min(jobs or os.cpu_count() or 1, max(len(missing), 1)), tasks):
        if why:
            failed[name] = why
        done(1)
    return Simulated(folder, len(missing) - len(failed), len(wanted) - len(missing), dict(sorted(failed.items())))


def _claim(folder: Path, path: Path) -> None:
    """Keep the plan beside its sessions, so that two plans do not mix."""
    folder.mkdir(parents=True, exist_ok=True)
    kept, text = folder / PLAN, path.read_text(encoding="utf-8")
    if not kept.exists():
        if any(folder.iterdir()):
            raise ConfigError(f"{folder} is not empty and holds no {PLAN}; give an empty folder with --out")
        durable.write_bytes(kept, text.encode())
    elif read_plan(kept) != read_plan(path):
        raise ConfigError(f"{folder} was begun with another plan, {kept}; give another folder with --out")


def _whole(folder: Path) -> bool:
    if not (folder / MANIFEST).exists():
        return False
    try:
        return open_session(folder).sealed
    except SessionError:
        return False


def _make(plan: SimulationPlan, folder: Path, part: Part) -> str:
    """Make one session in this process; returns why it failed, or nothing."""
    from recorder.home import record_home

    target = folder / part.name
    shutil.rmtree(target, ignore_errors=True)
    for scratch in folder.glob(f".{part.name}-*"):
        shutil.rmtree(scratch, ignore_errors=True)
    try:
        with redirect_stderr(io.StringIO()):  # what one session has to say for itself would be said a thousand times
            record_home(
                target,
                duration_s=plan.duration_s,
                fast=True,
                seed=part.seed,
                width=plan.width,
                height=plan.height,
                flaws=plan.flaws,
                activity=part.activity,
                participant=part.participant,
                place=part.place,
                people=plan.people,
                mirror=plan.mirror,
                truth_video=plan.truth_video,
                workers=1,
            )
    except SyncctlError as error:
        return str(error)
    return ""
