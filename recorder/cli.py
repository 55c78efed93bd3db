"""`syncctl record`, `simulate`, `inspect` and `recover`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from recorder.terminal import emit, json_option, note

DEFAULT_SIMULATED_S = 60.0


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--config", type=click.Path(path_type=Path), help="The kit: what it is made of (see docs/kit.toml).")
@click.option("--simulate", is_flag=True, help="Record the simulated home instead of hardware.")
@click.option("--fast", is_flag=True, help="With --simulate: on a simulated clock, as fast as it goes.")
@click.option("--duration", "duration_s", type=click.FloatRange(min=1), help="Seconds; without it until Ctrl-C.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the simulated home.")
@click.option("--size", default="640x360", show_default=True, help="Pictures of the simulated cameras, WIDTHxHEIGHT.")
@click.option(
    "--kits",
    type=click.IntRange(1, 4),
    default=1,
    show_default=True,
    help="With --simulate: how many kits stand in the room, beside the one that is worn.",
)
@click.option("--people", type=click.IntRange(1, 2), default=1, help="With --simulate: 2 for a guest as well.")
@click.option("--truth-video", is_flag=True, help="With --simulate: write what each pixel shows, and its depth.")
@click.option(
    "--flaws",
    type=click.Path(path_type=Path),
    help="With --simulate: what is wrong with the devices (see docs/flaws.toml).",
)
@click.option("--activity", help="What is done; its instruction is shown.")
@click.option("--instruction", help="What to show instead.")
@click.option("--atus", help="Code of the activity in the American Time Use Survey.")
@click.option("--participant", help="Who does it.")
@click.option("--place", help="Where.")
@click.option("--tone", "tones", is_flag=True, help="Sound the start and end tones.")
@click.option("--dry-run", is_flag=True, help="Print the plan of the buses and stop.")
@json_option
def record(folder: Path, **options: Any) -> None:
    """Record a session into DIR.

    Ctrl-C ends a recording and seals it; nothing is lost.

    \b
    Examples:
      syncctl record sessions/first --simulate --duration 60
      syncctl record sessions/train-01 --simulate --fast --duration 20 --seed 1 --participant p02
      syncctl record sessions/kitchen --config docs/kit.toml --dry-run
      syncctl record sessions/bed --config kit.toml --activity make_bed --participant p01 --place bedroom --tone
    """
    as_json = options.pop("as_json")
    simulate, fast, config = options.pop("simulate"), options.pop("fast"), options.pop("config")
    if fast and not simulate:
        raise click.UsageError("--fast needs --simulate: hardware runs in real time")
    if simulate == bool(config):
        raise click.UsageError("give either --simulate or --config KIT.toml")
    kits = options.pop("kits")
    if kits > 1 and not simulate:
        raise click.UsageError("--kits needs --simulate: one command records one kit; see `syncctl kits`")
    flaws = options.pop("flaws")
    if flaws and not simulate:
        raise click.UsageError("--flaws needs --simulate: real devices have flaws of their own")
    extra = {"people": options.pop("people"), "truth_video": options.pop("truth_video")}
    if not simulate and (extra["people"] > 1 or extra["truth_video"]):
        raise click.UsageError("--people and --truth-video need --simulate: of a real home nobody knows the truth")
    if options.pop("dry_run"):
        table = _plan_table(simulate, config)
        emit(as_json, {"plan": table}, table)
        return
    width, height = size_of(options.pop("size"))
    from recorder.recover import recover_all

    recover_all(folder.absolute().parent, note, but=folder)
    what, tones = _activity(options), options.pop("tones")
    if simulate:  # the simulated home has a speaker and labels of its own
        duration_s = options.pop("duration_s") or DEFAULT_SIMULATED_S
        from recorder.flaws import read_flaws
        from recorder.home import record_home

        wrong = read_flaws(flaws) if flaws else None
        home = {"width": width, "height": height, "kits": kits, "flaws": wrong, **extra, **options}
        done = record_home(folder, duration_s=duration_s, fast=fast, **home)
    else:
        from recorder.activities import Task
        from recorder.conducted import record_task

        task = Task(what, options["participant"], options["place"], tones, options["duration_s"])
        done = record_task(folder, config, task)
    for text in done.notes:
        note(f"note: {text}")
    emit(as_json, done.document(), done.lines())


@click.command()
@click.argument("plan", type=click.Path(path_type=Path), metavar="PLAN.toml")
@click.option("--out", "folder", type=click.Path(path_type=Path), required=True, help="Folder of the sessions.")
@click.option("--jobs", type=click.IntRange(min=1), help="Sessions at a time; by default one a core.")
@json_option
def simulate(plan: Path, folder: Path, jobs: int | None, as_json: bool) -> int:
    """Make many sessions of the simulated home, as PLAN.toml says.

    The same plan gives the same bytes. Ctrl-C ends it; the same command goes on with what is missing.

    \b
    Examples:
      syncctl simulate docs/plans/small.toml --out sessions/small
      syncctl simulate docs/plans/medium.toml --out sessions/medium --jobs 2
    """
    from recorder.many import read_plan
    from recorder.many import simulate as make
    from recorder.terminal import progress

    with progress(f"simulating {folder}", read_plan(plan).sessions) as done:
        simulated = make(plan, folder, jobs, done)
    emit(as_json, simulated.document(), simulated.lines())
    return int(bool(simulated.failed))


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@json_option
def inspect(folder: Path, as_json: bool) -> None:
    """Say what the session in DIR holds: durations, missed readings, timing, what an interruption cost.

    \b
    Example:
      syncctl inspect sessions/first
    """
    from dataclasses import asdict

    from recorder.inspect import inspect_session, table
    from recorder.session import open_session

    session = open_session(folder)
    report = inspect_session(session)
    document = {**asdict(report), "streams": [s.document() for s in report.streams]}
    emit(as_json, document, table(session, report))


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@json_option
def recover(folder: Path, as_json: bool) -> None:
    """Make an interrupted session whole: durations, indexes for players, the manifest; say what is lost.

    Nothing is encoded or copied again, so it takes seconds and a few kB. It may be interrupted, and run again.

    \b
    Example:
      syncctl recover sessions/first
    """
    from recorder.recover import recover as make_whole

    recovery = make_whole(folder)
    emit(as_json, recovery.document(), recovery.lines())


def _activity(options: dict[str, Any]) -> Any:
    """The activity that was asked for, its instruction shown; None where none was."""
    from recorder.activities import activity

    instruction, atus, name = options.pop("instruction"), options.pop("atus"), options["activity"]
    if not name:
        return None
    what = activity(name, instruction=instruction, atus=atus)
    note(what.instruction)
    return what


def _plan_table(simulate: bool, config: Path) -> list[str]:
    if simulate:
        from recorder.home import simulated_plans

        return simulated_plans()
    from recorder.run import plan_of

    return plan_of(config)


def size_of(text: str) -> tuple[int, int]:
    """``WIDTHxHEIGHT`` as two numbers. Raises UsageError."""
    try:
        width, height = (int(part) for part in text.split("x"))
    except ValueError as error:
        raise click.UsageError(f"--size {text} is not WIDTHxHEIGHT, for example 640x360") from error
    if width < 64 or height < 48 or width % 2 or height % 2:
        raise click.UsageError(f"--size {text}: both must be even, at least 64x48")
    return width, height
