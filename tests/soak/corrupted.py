"""500 damaged recordings: every importer and reader gives a usable result or one sentence, in bounded time."""

from __future__ import annotations

import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

from tests.sync.importers.corruption import tried

SEEDS = 500


def main() -> int:
    """Run and print; returns how many failed."""
    failed, slowest = 0, (0.0, "")
    outcomes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as scratch:
        for seed in range(SEEDS):
            begun = time.monotonic()
            try:
                what, came = tried(seed, Path(scratch) / str(seed))
            except Exception:
                failed += 1
                print(f"seed {seed}:\n{traceback.format_exc()}", flush=True)
                continue
            slowest = max(slowest, (time.monotonic() - begun, f"seed {seed}, {what}"))
            outcomes[came if came in ("flagged", "silent") else "refused"] += 1
    counts = ", ".join(f"{n} {name}" for name, n in sorted(outcomes.items()))
    print(f"{SEEDS} damaged recordings: {counts}, {failed} failed; the slowest took {slowest[0]:.1f} s ({slowest[1]})")
    return failed
