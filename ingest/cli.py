"""`syncctl build`."""

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
@click.option(
    "--cache-size",
    type=click.IntRange(16),
    default=128,
    show_default=True,
    metavar="PX",
    help="Shorter side of the small copies that training reads.",
)
@click.option("--skip", is_flag=True, help="Leave out sessions that cannot be built, and say so.")
@json_option
def build(
    folders: tuple[Path, ...],
    out: Path,
    val: tuple[str, ...],
    test: tuple[str, ...],
    workers: int | None,
    cache_size: int,
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
    from recorder.workers import pool

    sessions = building.find_sessions(folders)
    executor = pool(workers)
    try:
        with progress("build", len(sessions)) as advance:
            built = building.build(
                sessions,
                out,
                executor,
                val=val,
                test=test,
                recipe=Recipe(short_side=cache_size),
                skip=skip,
                done=lambda _: advance(1),
            )
    except KeyboardInterrupt:
        note("finishing the sessions under way; run the same command again to go on")
        raise
    finally:
        executor.shutdown(cancel_futures=True)
    for folder, reason in built.skipped.items():
        note(f"left out {folder}: {reason}")
    for session, devices in built.left_out.items():
        for device, reason in devices.items():
            note(f"{session}: {device} is left out: {reason}")
    for session, notes in built.notes.items():
        for sentence in notes:
            note(f"{session}: {sentence}")
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
