"""What every command says, and where: results on stdout, progress on stderr."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

PLAIN_EVERY_S = 5.0


def emit(as_json: bool, document: dict[str, Any], lines: list[str]) -> None:
    """Print one JSON document, or `lines` for people; never both."""
    if as_json:
        click.echo(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))
    else:
        click.echo("\n".join(lines))


def note(text: str) -> None:
    """One line for people on stderr."""
    click.echo(text, err=True)


@contextmanager
def progress(label: str, total: float) -> Iterator[Callable[[float], None]]:
    """Show how far a long task is; yields ``advance(amount)``.

    A bar where stderr is a terminal, otherwise a plain line every few seconds, so that logs stay readable.
    """
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(label, total=total)
            yield lambda amount: bar.advance(task, amount)
        return

    done, last = 0.0, time.monotonic()

    def advance(amount: float) -> None:
        nonlocal done, last
        done += amount
        if time.monotonic() - last >= PLAIN_EVERY_S:
            last = time.monotonic()
            note(f"{label}: {100 * done / max(total, 1e-9):.0f} %")

    yield advance


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--json``: one JSON document on stdout and nothing else there."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")(command)
