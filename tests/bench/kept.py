"""What benchmarks printed, kept with the command, the machine and the date: `docs/measured/NAME.txt` and their page."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from recorder import durable

PAGE = "measured.md"
HEAD = """# As measured

Written by `make bench`, or by `python -m tests.bench NAME --keep` for one of them: what each benchmark printed under
its command, and when, on what and how long it ran. [Benchmarks](benchmarks.md) says what is compared and what it means.
"""


def keep(name: str, words: Sequence[str], docs: Path) -> int:
    """Run `python *words` in a process of its own, show what it prints, and keep it as `name` if it ends well.

    Returns:
        its exit status; where that is not 0, what was kept before stays.
    """
    load, begun, spent = os.getloadavg()[0], time.monotonic(), _children_s()
    process = subprocess.Popen([sys.executable, "-u", *words], stdout=subprocess.PIPE, text=True)
    printed = []
    assert process.stdout is not None
    for line in process.stdout:
        print(line, end="", flush=True)
        printed.append(line)
    if process.wait():
        return process.returncode
    took = f"{time.monotonic() - begun:.0f} s ({_children_s() - spent:.0f} CPU s), begun at a load of {load:.1f}"
    head = f"$ python {' '.join(words)}\n{datetime.now(UTC):%Y-%m-%d}, {machine()}, {took}\n\n"
    (docs / "measured").mkdir(exist_ok=True)
    body = "".join(printed).strip("\n").removeprefix(f"== {name}").strip("\n")
    durable.write_bytes(docs / "measured" / f"{name}.txt", f"{head}{body}\n".encode())
    return 0


def page(docs: Path, names: Iterable[str]) -> str:
    """The page of all that was kept, in the order of `names`; at its end are the names of which nothing was."""
    parts, missing = [HEAD], []
    for name in names:
        file = docs / "measured" / f"{name}.txt"
        if file.exists():
            parts.append(f"\n## {name}\n\n```text\n{file.read_text(encoding='utf-8')}```\n")
        else:
            missing.append(f"`{name}`")
    if missing:
        parts.append(f"\nNot kept yet: {', '.join(missing)}.\n")
    return "".join(parts)


def write_page(docs: Path, names: Iterable[str]) -> None:
    """Write `docs/measured.md`."""
    durable.write_bytes(docs / PAGE, page(docs, names).encode())


def machine() -> str:
    """What it ran on, in a few words."""
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores ({platform.machine()}), {memory_gib:.0f} GiB, Python {platform.python_version()}"


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
