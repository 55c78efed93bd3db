"""30 kills at random moments of a live recording with all streams; each session is recovered, aligned and built."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from killing import kill_after, lateness, moments, prepare, problems

KILLS, LOW_S, HIGH_S = 30, 0.5, 30.0


def main() -> int:
    """Run and print; returns how many kills left something undone."""
    failed, worst = 0, []
    print(f"{'killed after s':>15}{'lost s':>8}  stream that lost most; what failed")
    with tempfile.TemporaryDirectory() as scratch:
        prepared = prepare(Path(scratch) / "home", HIGH_S + 4, seed=7)
        for n, seconds in enumerate(moments(7, KILLS, LOW_S, HIGH_S)):
            folder = Path(scratch) / f"killed-{n}"
            recorded_s = kill_after(prepared, folder, seconds)
            found = problems(folder, recorded_s, _syncctl)
            late = lateness(folder, recorded_s)
            name = max(late, key=late.__getitem__, default="nothing was written")
            worst.append(late.get(name, 0.0))
            failed += bool(found)
            print(f"{recorded_s:15.2f}{worst[-1]:8.2f}  {name}; {'; '.join(found) or 'nothing'}", flush=True)
            for made in Path(scratch).glob(f"killed-{n}*"):
                shutil.rmtree(made)
    print(f"{KILLS} kills, {failed} failed; lost in the median {median(worst):.2f} s, at most {max(worst):.2f} s")
    return failed


def _syncctl(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "syncctl", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
