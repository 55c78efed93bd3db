"""From aligned sessions to a dataset: parts in parallel, then one merge that decides what needs all of them.

The parts run on any `concurrent.futures.Executor`: a process pool here, a cluster's elsewhere. What depends on more
than one session (who is in which split, and the thirds of movement, which only training people may define) is worked
out at the end from the parts, in the order of session names; `info.json` comes last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, as_completed
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from firmware_host.errors import SessionError, SyncctlError
from ingest import splits, tables
from ingest.cache import Recipe, write_manifest
from ingest.clips import CLIP_STEPS, clip_starts
from ingest.ego import open_aligned
from ingest.labels import vocabulary
from ingest.labels.agreed import agreed, entries, of_info
from ingest.labels.words import Vocabulary
from ingest.part import build_part, part_folder
from ingest.quantiles import quantiles
from ingest.recorded import PART_TABLES
from ingest.rows import Rows, fixed
from ingest.statistics import joined
from ingest.store import Store
from ingest.targets import GROUPS, STEP_NS, Thirds
from recorder import durable
from recorder.session import MANIFEST


@dataclass(frozen=True)
class Built:
    """What a build made.

    Attributes:
        out: the dataset root.
        sessions: names of the sessions in it.
        skipped: folder -> why it is not in it.
        counts: rows and clips.
        splits: split -> people.
        tied: why nobody is held out; None where somebody is.
        left_out: session -> device -> why it is not in it.
        notes: session -> sentences about what was left out of its labels.
    """

    out: Path
    sessions: tuple[str, ...]
    skipped: dict[str, str]
    counts: dict[str, Any]
    splits: dict[str, list[str]]
    tied: str | None
    left_out: dict[str, dict[str, str]]
    notes: dict[str, list[str]]


def find_sessions(folders: Iterable[Path]) -> list[Path]:
    """Session folders among `folders` and directly under them, in alphabetical order.

    Raises:
        SessionError: a folder that neither is a session nor holds one.
    """
    found: set[Path] = set()
    for folder in folders:
        inside = [folder] if (folder / MANIFEST).is_file() else [p.parent for p in folder.glob(f"*/{MANIFEST}")]
        if not inside:
            raise SessionError(
                f"{folder} holds no session; give a folder that `syncctl record` made, or one that holds such folders"
            )
        found.update(inside)
    return sorted(found)


def build(
    sessions: Sequence[Path],
    out: Path,
    executor: Executor,
    *,
    val: Iterable[str] = (),
    test: Iterable[str] = (),
    recipe: Recipe | None = None,
    words: Vocabulary | None = None,
    skip: bool = False,
    done: Callable[[str], None] = lambda _: None,
) -> Built:
    """Build a dataset, or bring one up to date.

    Args:
        sessions: session folders.
        out: dataset root; made where it does not exist.
        executor: runs one task a session.
        val, test: participants to hold out; none given: see `ingest.splits.assign`.
        recipe: cache of the cameras' films; None for the default one.
        words: the vocabulary of its labels; None for that of the sessions, which must be that of the dataset so far.
        skip: leave out what cannot be built and say so, instead of refusing.
        done: called with the name of each session that is finished.

    Raises:
        SessionError: a session that cannot be read or is not aligned (without `skip`), two of one name, none left;
            labels of another vocabulary.
        ConfigError: `val` and `test` that cannot be.
    """
    recipe = recipe or Recipe()
    before = None
    if (out / tables.INFO).is_file():
        before = of_info(tables.read_info(out))  # which refuses another version's folder
    elif out.is_dir() and not all(_own(p) for p in out.iterdir()):
        raise SessionError(f"{out} holds other files and is no dataset; give an empty or new folder")
    folders, skipped = _usable(sessions, skip)
    words = agreed(folders, out, before, words)
    told = {s: _participants(f) for s, f in folders.items()}
    splits.assign(told, val=val, test=test)  # a wrong name is said before the work, not after
    facts = _run(folders, out, executor, recipe, skip, skipped, done)
    people = {s: f["people"] for s, f in facts.items()}
    guests = {p for here in people.values() for p in here} - {p for s in facts for p in told[s]}
    split = splits.assign(people, val=val, test=test, guests=guests)
    counts = _merge(out, facts, split, people, recipe, words)
    return Built(
        out=out,
        sessions=tuple(facts),
        skipped=skipped,
        counts=counts,
        splits={name: [p for p, s in split.items() if s == name] for name in splits.SPLITS},
        tied=splits.tied(people),
        left_out={s: f["left_out"] for s, f in facts.items() if f["left_out"]},
        notes={s: f["notes"] for s, f in facts.items() if f["notes"]},
    )


HALF_WRITTEN = ".*.part*"
"""Names that `recorder.durable` gives to what is not whole yet."""
_OWN = frozenset(
    {".parts", "cache", "features", "series", "sound", tables.STATS, *(f"{name}.parquet" for name in tables.SCHEMAS)}
)


def _participants(folder: Path) -> list[str]:
    """Who is said to be in a session; who is seen in it as well, its part knows."""
    session = open_aligned(folder).session
    return splits.everybody(session.participants, (d.wearer for d in session.devices if d.wearer))


def _usable(sessions: Sequence[Path], skip: bool) -> tuple[dict[str, Path], dict[str, str]]:
    folders: dict[str, Path] = {}
    refused: dict[str, str] = {}
    for folder in sessions:
        try:
            name = open_aligned(folder).session.id
        except SyncctlError as error:
            refused[str(folder)] = str(error)
            continue
        if name in folders:
            raise SessionError(f"{folders[name]} and {folder} are both called '{name}'; give each its own id")
        folders[name] = folder
    if refused and not (skip and folders):
        more = f" ({len(refused) - 1} more like it)" if len(refused) > 1 else ""
        hint = "" if skip else "; mend it, or pass --skip to leave it out"
        raise SessionError(f"{next(iter(refused.values()))}{more}{hint}")
    return dict(sorted(folders.items())), refused


def _run(
    folders: Mapping[str, Path],
    out: Path,
    executor: Executor,
    recipe: Recipe,
    skip: bool,
    skipped: dict[str, str],
    done: Callable[[str], None],
) -> dict[str, dict[str, Any]]:
    """Facts of every part, in order of names; adds to `skipped`."""
    facts: dict[str, dict[str, Any]] = {}
    futures: dict[Future[dict[str, Any]], str] = {
        executor.submit(build_part, folder, out, recipe): name for name, folder in folders.items()
    }
    try:
        for future in as_completed(futures):
            name = futures[future]
            try:
                facts[name] = future.result()
            except BrokenExecutor as error:
                raise SessionError(
                    f"a worker process was ended from outside ({error}), perhaps for want of memory; run the same "
                    "command again to go on from there, with fewer --workers if it happens again"
                ) from error
            except SyncctlError as error:
                if not skip:
                    raise
                skipped[str(folders[name])] = str(error)
            done(name)
    finally:
        for future in futures:
            future.cancel()
    if not facts:
        raise SessionError(f"none of the sessions could be built; the first: {next(iter(skipped.values()))}")
    return dict(sorted(facts.items()))


def _merge(
    out: Path,
    facts: Mapping[str, Mapping[str, Any]],
    split: Mapping[str, str],
    people: Mapping[str, Sequence[str]],
    recipe: Recipe,
    words: Vocabulary | None,
) -> dict[str, Any]:
    (out / tables.INFO).unlink(missing_ok=True)
    rows = {
        name: tables.write(out / f"{name}.parquet", _parts(out, name, facts), tables.SCHEMAS[name])
        for name in PART_TABLES
    }
    split_rows = [{"session": s, "participant": p, "split": split[p]} for s in facts for p in people[s]]
    splits.check([(r["session"], r["participant"], r["split"]) for r in split_rows])
    tables.write(out / "splits.parquet", [tables.table("splits", split_rows)], tables.SCHEMAS["splits"])
    of_session = {r["session"]: r["split"] for r in split_rows}
    thirds, clips = _targets(out, of_session)
    cache = {name: size for f in facts.values() for name, size in f["cache"].items()}
    (out / "cache" / recipe.name).mkdir(parents=True, exist_ok=True)  # nothing made it where no camera is left
    write_manifest(out / "cache" / recipe.name, recipe, cache)
    training = [s for s, name in of_session.items() if name == "train"]
    durable.write_json(out / tables.STATS, _statistics(out, [facts[s] for s in training], training))
    counts = {**rows, "samples": sum(f["samples"] for f in facts.values()), "clips": clips}
    info = {
        "groups": list(GROUPS),
        "step_ns": STEP_NS,
        "clip_steps": CLIP_STEPS,
        "thirds_deg": {g: t and [t.low, t.high] for g, t in zip(GROUPS, thirds, strict=True)},
        **entries(words, vocabulary((t, v) for f in facts.values() for t, vs in f["vocabulary"].items() for v in vs)),
        "objects": sorted({o for f in facts.values() for o in f["objects"]}),
        "relations": sorted({r for f in facts.values() for r in f["relations"]}),
        "streams": sorted({s for f in facts.values() for s in f["streams"]}),
        "cache": recipe.name,
        "counts": counts,
    }
    _sweep(out)
    tables.write_info(out, info)
    return counts


def _own(path: Path) -> bool:
    """Whether a build makes such a file, or was ended while it did."""
    return path.name in _OWN or fnmatch(path.name, HALF_WRITTEN)


def _sweep(out: Path) -> None:
    """Remove what killed workers left half written; nobody is at work any more."""
    for left in [p for p in out.rglob(HALF_WRITTEN) if p.is_file()]:
        left.unlink()


def _statistics(out: Path, facts: Sequence[Mapping[str, Any]], training: Sequence[str]) -> dict[str, Any]:
    """The document of `stats.json`, of the training sessions alone."""
    channels = {name: s.to_json() for name, s in joined(f["spreads"] for f in facts).items()}
    rows = Rows(Store.at(out))
    n, total, square = 0, np.zeros(tables.VECTOR), np.zeros(tables.VECTOR)
    for session in training:
        vectors = fixed(rows.of("tracks", session, ["vector"])["vector"]).astype(np.float64)
        n, total, square = n + len(vectors), total + vectors.sum(axis=0), square + (vectors**2).sum(axis=0)
    mean = total / max(n, 1)
    deviation = np.sqrt(np.maximum(square / max(n, 1) - mean**2, 0))
    return {"channels": channels, "tracks": {"n": n, "mean": mean.tolist(), "std": deviation.tolist()}}


def _parts(out: Path, name: str, facts: Iterable[str]) -> Iterator[pa.Table]:
    for session in facts:
        yield pq.read_table(part_folder(out, session) / f"{name}.parquet", partitioning=None)


def _targets(out: Path, of_session: Mapping[str, str]) -> tuple[tuple[Thirds | None, ...], dict[str, int]]:
    """Thirds of the training people's movement, and clips in each split; one session in memory at a time."""
    rows = Rows(Store.at(out))
    clips = dict.fromkeys(splits.SPLITS, 0)
    for session, split in of_session.items():
        clips[split] += len(clip_starts(rows.of("targets", session), CLIP_STEPS))
    training = [s for s, split in of_session.items() if split == "train"]

    def column(group: str) -> Iterator[np.ndarray]:
        return (rows.of("targets", s, [group])[group].to_numpy() for s in training)

    found = [quantiles(partial(column, f"deg_{group}"), (1 / 3, 2 / 3), (0.0, 180.0)) for group in GROUPS]
    return tuple(None if q is None else Thirds(float(q[0]), float(q[1])) for q in found), clips
