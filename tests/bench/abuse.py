"""What a recording loses while its server is abused, beside what it loses in peace: three runs of each, in turns.

`syncctl serve --simulate` at 640x360 for 40 s a run: 200 connections that hold half a request, bodies of 10 MB, wrong
tokens, second starts and paths that lead out of a session, again and again.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "recorder"))

from abuse import ServedKit, abuse

RUNS, SECONDS = 3, 40.0


def main() -> None:
    """Run and print."""
    print(f"{'run':12}{'due':>8}{'missed':>8}{'pictures':>10}{'gaps':>6}  answers")
    with tempfile.TemporaryDirectory() as scratch, ServedKit(Path(scratch), "640x360") as kit:
        for run in range(2 * RUNS):
            abused = bool(run % 2)
            name = f"run-{run}"
            kit.ask("POST", "/start", {"session": name})
            kit.until("recording")
            answers = _wait(kit, abused)
            kit.ask("POST", "/stop", {})
            kit.until("idle")
            print(f"{'abused' if abused else 'in peace':12}{_lost(kit.sessions / name)}  {answers}", flush=True)


def _wait(kit: ServedKit, abused: bool) -> str:
    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        told = pool.submit(abuse, kit, stop) if abused else None
        time.sleep(SECONDS)
        stop.set()
        return ", ".join(f"{n} x {what}" for what, n in sorted(told.result().items())) if told else ""


def _lost(folder: Path) -> str:
    command = [sys.executable, "-m", "syncctl", "inspect", str(folder), "--json"]
    report = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    timing = [s for s in report["streams"] if s["kind"] == "timing" and s.get("flags")]
    due = sum(n for s in timing for flag, n in s["flags"].items() if flag != "HELD")
    counters = report["counters"]["kit-01"]
    camera = next(s for s in report["streams"] if s["kind"] == "video")
    gaps = counters.get("camera.gaps", 0) if isinstance(counters, dict) else 0
    return f"{due:8}{sum(s['missed'] for s in timing):8}{round(camera['duration_s'] * 30):10}{gaps:6}"
