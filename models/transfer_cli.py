"""``syncctl transfer export`` and ``syncctl transfer grid``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from recorder.terminal import emit, json_option, progress


@click.group()
def transfer() -> None:
    """Judge what a backbone has learned by five target tasks: scene, action, dynamics, walkable, depth.

    \b
    Example:
      syncctl transfer export sessions --out targets
      syncctl transfer grid --data dataset --targets targets --out grid --preset tiny
    """


@transfer.command()
@click.argument("folders", metavar="DIR...", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The folder to make.")
@json_option
def export(folders: tuple[Path, ...], out: Path, as_json: bool) -> None:
    """Write simulated sessions, recorded with --truth-video, as the five folder layouts.

    DIR is a session or a folder of sessions.

    \b
    Example:
      syncctl transfer export sessions --out targets
    """
    from ingest.build import find_sessions
    from models.transfer.home import export as write

    sessions = find_sessions(folders)
    with progress("export", len(sessions)) as advance:
        document = write(sessions, out, advance)
    lines = [f"{document['out']}: {document['sessions']} sessions"]
    for task, counts in document["examples"].items():
        lines.append(f"  {task:9} {', '.join(f'{n} {split}' for split, n in counts.items())}")
    emit(as_json, document, lines)


@transfer.command()
@click.option("--data", required=True, type=click.Path(), help="The dataset to learn from.")
@click.option("--targets", required=True, type=click.Path(), help="The five folder layouts.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The grid's folder; goes on if it exists.")
@click.option("--preset", default="tiny", show_default=True, help="tiny, or default for full size.")
@click.option("--table", "tables", multiple=True, help="1, 2, 3, 4 or parts; may be repeated. Default: 1 to 4.")
@click.option("--seeds", default="0", show_default=True, help="Joined by commas.")
@click.option("--weights", type=click.Path(), default="", help="ResNet-18 weights by torchvision's names, a row more.")
@click.option("--set", "settings", multiple=True, metavar="A.B=C", help="Of every run of muscles; may be repeated.")
@click.option("--target-set", "target_settings", multiple=True, metavar="A.B=C", help="Of every target task.")
@json_option
def grid(as_json: bool, seeds: str, tables: tuple[str, ...], **options: Any) -> None:
    """Run the Muscles paper's tables: learn representations, freeze them, train and measure the target tasks.

    Writes tables.md and grid.json. Ctrl-C saves; the same command goes on.

    \b
    Example:
      syncctl transfer grid --data dataset --targets targets --out grid --table 1 --seeds 0,1,2 --set train.steps=300
    """
    from models.transfer.grid import TABLES, Grid, lines, run

    try:
        numbers = tuple(int(seed) for seed in seeds.split(","))
    except ValueError as error:
        raise click.BadParameter(
            f"'{seeds}' is not a list of whole numbers like 0,1,2", param_hint="--seeds"
        ) from error
    document = run(Grid(tables=tables or tuple(TABLES)[:4], seeds=numbers, **options))
    emit(as_json, document, [f"{document['out']}: tables.md, grid.json", "", *lines(document)])
