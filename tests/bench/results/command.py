"""`python -m tests.bench results ...`."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from tests.bench.results.page import write
from tests.bench.results.work import Sources, prepare, wanted, work


def main(arguments: list[str] | None = None) -> None:
    """Run what is missing, or write the page."""
    words = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(prog="python -m tests.bench results")
    parser.add_argument("data", nargs="?", default="", help="a dataset of one person at home")
    parser.add_argument("--pairs", default="", help="a dataset of two people at home")
    parser.add_argument("--targets", default="", help="the folder of `syncctl transfer export`")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", action="append", default=[], help="a suite, or SUITE/ARM; may be repeated")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--write", type=Path, metavar="DOCS", help="write DOCS/results.md of the runs that there are")
    given = parser.parse_args(words)
    if given.write:
        print(write(given.out, given.write))
        return
    sources = Sources(given.data, given.out, given.pairs, given.targets)
    runs = wanted(sources, given.only, given.seeds)
    suites = {run.suite for run in runs}
    needed = Sources(
        sources.data if "ccau" in suites else "",
        given.out,
        sources.pairs if "pairs" in suites else "",
        homes="homes" in suites,
    )
    begun = time.monotonic()
    prepare(needed, given.workers, lambda line: print(line, flush=True))
    failed = work(sources, runs, given.workers, lambda line: print(line, flush=True))
    print(f"{time.monotonic() - begun:.0f} s")
    if failed:
        print("\n".join(["not done:", *failed]))
        sys.exit(1)
