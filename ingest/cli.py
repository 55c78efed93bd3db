"""`syncctl build`, `cache`, `check` and `export`."""

from __future__ import annotations

from pathlib import Path

import click

from recorder.terminal import emit, json_option, note, progress


@click.command()
@click.argument("folders", metavar="DIR...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Dataset folder, made or updated.")
@click.option("--val", multiple=True, metavar="P", help="Hold participant P out for validation; may be repeated.")
@click.option("--test", multiple=True, metavar="P", help="Hold participant P out for the test; may be repeated.")
@click.option("--workers", type=click.IntRange(1), help="Processes; one a processor core by default.")
@click.option("--scheduler", metavar="TCP://HOST:PORT", help="Work on a dask cluster that sees the same files.")
@click.option(
    "--cache-size",
    type=click.IntRange(16),
    default=128,
    show_default=True,
    metavar="PX",
    help="Side of the small square copies that training reads.",
)
@click.option(
    "--vocabulary",
    type=click.Path(path_type=Path, exists=True),
    metavar="FILE",
    help="Words that labels must be of; by default those that the sessions keep.",
)
@click.option("--skip", is_flag=True, help="Leave out sessions that cannot be built, and say so.")
@json_option
def build(
    folders: tuple[Path, ...],
    out: Path,
    val: tuple[str, ...],
    test: tuple[str, ...],
    workers: int | None,
    scheduler: str | None,
    cache_size: int,
    vocabulary: Path | None,
    skip: bool,
    as_json: bool,
) -> None:
    """Build a dataset from aligned sessions; DIR is a session or a folder of sessions.

    People, not clips, are held out: without --val and --test the last quarter of the participants is tested on
    and the one before is for validation. The recordings are not changed or copied. What an interrupted build
    finished is kept; the same command goes on from there.

    \b
    Example:
      syncctl build sessions --out dataset --test anna
    """
    from ingest import build as building
    from ingest.cache import Recipe
    from ingest.labels.words import load
    from ingest.workers import executor

    sessions = building.find_sessions(folders)
    try:
        with executor(workers, scheduler) as workers_at, progress("build", len(sessions)) as advance:
            built = building.build(
                sessions,
                out,
                workers_at,
                val=val,
                test=test,
                recipe=Recipe(side=cache_size),
                words=load(vocabulary) if vocabulary else None,
                skip=skip,
                done=lambda _: advance(1),
            )
    except KeyboardInterrupt:
        note("finishing the sessions under way; run the same command again to go on")
        raise
    for folder, reason in built.skipped.items():
        note(f"left out {folder}: {reason}")
    for session, devices in built.left_out.items():
        for device, reason in devices.items():
            note(f"{session}: {device} is left out: {reason}")
    for session, notes in built.notes.items():
        for sentence in notes:
            note(f"{session}: {sentence}")
    if built.tied:
        note(built.tied)
    document = {
        "dataset": str(built.out),
        "sessions": list(built.sessions),
        "skipped": [{"folder": f, "reason": r} for f, r in built.skipped.items()],
        "left_out": {session: list(devices) for session, devices in built.left_out.items()},
        "notes": built.notes,
        "splits": built.splits,
        "counts": built.counts,
    }
    emit(as_json, document, _lines(built.counts, built.splits, out))


def _lines(counts: dict, splits: dict[str, list[str]], out: Path) -> list[str]:
    lines = [
        f"{out}: {counts['sessions']} sessions, {counts['streams']} streams, {counts['frames']} frames, "
        f"{counts['samples']} sensor samples, {counts['labels']} labels"
    ]
    for name, people in splits.items():
        who = ", ".join(people) if people else "nobody"
        lines.append(f"  {name:<5} {counts['clips'][name]:>6} clips of {who}")
    return lines


@click.command()
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option(
    "--size", type=click.IntRange(16), default=128, show_default=True, metavar="PX", help="Side of the square."
)
@click.option("--gop", type=click.IntRange(1), default=16, show_default=True, help="Frames from keyframe to keyframe.")
@click.option("--crf", type=click.IntRange(0, 51), default=18, show_default=True, help="x264's constant quality.")
@click.option("--role", "roles", multiple=True, help="Of the cameras; may be repeated. Default: ego and third.")
@click.option("--workers", type=click.IntRange(1), help="Processes; one a processor core by default.")
@click.option("--scheduler", metavar="TCP://HOST:PORT", help="Work on a dask cluster that sees the same files.")
@json_option
def cache(
    dataset: Path,
    size: int,
    gop: int,
    crf: int,
    roles: tuple[str, ...],
    workers: int | None,
    scheduler: str | None,
    as_json: bool,
) -> None:
    """Make small copies of a dataset's videos, beside those that `build` made; training takes the fitting one.

    \b
    Example:
      syncctl cache dataset --size 160 --role third
    """
    from ingest import copies
    from ingest.cache import Recipe
    from ingest.workers import executor

    roles = roles or ("ego", "third")
    total = len(copies.copies_wanted(dataset, roles))
    with executor(workers, scheduler) as workers_at, progress("cache", total) as advance:
        recipe = Recipe(side=size, gop=gop, crf=crf)
        folder, refused = copies.make_cache(dataset, workers_at, recipe, roles, lambda _: advance(1))
    for name, reason in refused.items():
        note(f"left out {name}: {reason}")
    made = sum(path.stat().st_size for path in folder.glob("*.mp4"))
    document = {"cache": str(folder), "files": total - len(refused), "bytes": made, "refused": refused}
    emit(as_json, document, [f"{folder}: {total - len(refused)} files, {made / 1e6:.1f} MB"])


@click.command()
@click.argument("dataset")
@json_option
def check(dataset: str, as_json: bool) -> None:
    """Look for leaks, holes, unreadable clips and labels that are never trained; DATASET is a folder or an address.

    An error makes results false: a person or a session in two splits, a clip that cannot be read. A warning is what
    somebody should know: a hole of half a second in a film, a value that only the test has, nobody held out. The exit
    status is 1 where there is an error.

    \b
    Example:
      syncctl check dataset
    """
    from ingest.checks import check as checked
    from ingest.opened import open_dataset

    findings, labels = checked(open_dataset(dataset))
    errors = sum(f.grade == "error" for f in findings)
    document = {"findings": [{"grade": f.grade, "what": f.what} for f in findings], "labels": labels, "errors": errors}
    lines = [f"{f.grade}: {f.what}" for f in findings]
    for tier, values in sorted(labels.items()):
        lines.append(f"{tier}: {len(values)} values")
        for value, cells in sorted(values.items()):
            shown = ", ".join(f"{split} {n} ({seconds:.0f} s)" for split, (n, seconds) in sorted(cells.items()))
            lines.append(f"  {value:<24} {shown}")
    emit(as_json, document, [*lines, f"{errors} errors, {len(findings) - errors} warnings"])
    if errors:
        raise SystemExit(1)


@click.command()
@click.argument("dataset")
@click.option(
    "--to",
    "form",
    required=True,
    type=click.Choice(["csv", "parquet", "mp4", "mcap", "lerobot", "webdataset"]),
    help="The format.",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="A new folder.")
@click.option("--split", type=click.Choice(["train", "val", "test"]), help="One split; default: all sessions.")
@click.option("--fps", type=click.IntRange(1), default=10, show_default=True, help="lerobot: rows a second.")
@click.option(
    "--size", type=click.IntRange(16), default=128, show_default=True, help="webdataset: side of its pictures."
)
@json_option
def export(dataset: str, form: str, out: Path, split: str | None, fps: int, size: int, as_json: bool) -> None:
    """Write a dataset in another tool's format; what that cannot hold is said.

    \b
      csv, parquet   a table for each stream and the labels, with times on the reference clock, and a table of units
      mp4            the films as MP4 with AAC, when each frame was taken, and an .eaf that ELAN opens at once
      mcap           a log a session, for Foxglove, Lichtblick and ROS tools
      lerobot        LeRobotDataset v3, at --fps rows a second; `syncctl import` takes one back
      webdataset     shards of clips of one second each, pictures of --size pixels

    \b
    Example:
      syncctl export dataset --to csv --out tables
      syncctl export dataset --to mp4 --out annotate --split train
    """
    from ingest.export import write

    document = write(dataset, form, out, split=split, fps=fps, size=size)
    for sentence in document["left_out"]:
        note(f"left out: {sentence}")
    emit(as_json, document, [f"{out}: {len(document['files'])} files of {document['sessions']} sessions"])


@click.command("import")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The dataset, a new folder.")
@json_option
def bring(folder: Path, out: Path, as_json: bool) -> None:
    """Make a dataset of FOLDER, a LeRobotDataset v3, whose videos stay where they are.

    An episode becomes a session, each of its features a series, its tasks labels of tier `activity`.

    \b
    Example:
      syncctl import lerobot/svla_so101_pickplace --out dataset
    """
    from ingest.from_lerobot import bring as brought

    document = brought(folder, out)
    for feature in document["left_out"]:
        note(f"left out: {feature}, for which a dataset has no place")
    frames = document["counts"]["frames"]
    emit(as_json, document, [f"{out}: {document['sessions']} sessions, {frames} frames of {folder}"])
