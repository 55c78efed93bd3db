"""Both simulated kits for 60 s in real time, encoding video: is every slot there, and how late?

Three runs. What the loop counted, what the timing tracks on disk say and what the chips answered must agree. Steal
time, what the machine's owner took from it in the meantime, is printed beside each run: no code is punctual through it.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from firmware_host.clock import tick_ns
from recorder.session import Session, open_session

RUNS = 3
SECONDS = 60


def main() -> None:
    """Run and print."""
    shares = []
    columns = ("run", "due", "missed", "counted", "answered", "mean ms", "p99.9 ms", "steal s", "CPU s")
    print("".join(f"{c:>10}" for c in columns))
    for run in range(RUNS):
        with tempfile.TemporaryDirectory() as folder:
            shares.append(_one(run, Path(folder) / "session"))
    print(f"median share of missed slots: {100 * median(shares):.3f} %")


def _one(run: int, folder: Path) -> float:
    steal, cpu = _steal_s(), _children_cpu_s()
    command = [sys.executable, "-m", "syncctl"]
    subprocess.run(
        [*command, "record", folder, "--simulate", "--duration", str(SECONDS), "--seed", str(run)],
        check=True,
        capture_output=True,
    )
    steal, cpu = _steal_s() - steal, _children_cpu_s() - cpu
    shown = subprocess.run([*command, "inspect", folder, "--json"], check=True, capture_output=True)
    report = json.loads(shown.stdout)
    timing = [s for s in report["streams"] if s["kind"] == "timing" and s.get("flags")]
    due = sum(n for s in timing for flag, n in s["flags"].items() if flag != "HELD")
    missed = sum(s["missed"] for s in timing)
    counted = sum(
        n
        for kit in report["counters"].values()
        for sensor in kit["sensors"].values()
        for flag, n in sensor["flags"].items()
        if flag in ("LATE", "NACK", "TIMEOUT", "CORRUPT", "NOT_READY", "LOST")
    )
    answered = sum(_answered(open_session(folder), kit) for kit in report["counters"])
    deviations = [s["deviation_ms"] for s in timing if s["deviation_ms"]]
    mean = sum(d["mean_abs"] for d in deviations) / len(deviations)
    p999 = max(d["p999"] for d in deviations)
    print(
        f"{run:10}{due:10}{missed:10}{counted:10}{answered:10}{mean:10.3f}{p999:10.3f}{steal:10.2f}{cpu:10.0f}",
        flush=True,
    )
    return missed / due


def _answered(session: Session, kit: str) -> int:
    """Measurements that the chips themselves say they gave since tick 0; warm-up and start-up checks are left out."""
    timing = next(s for s in session.device(kit).streams if s.kind == "timing" and s.sensor)
    end_ns = tick_ns(timing.t0_ns, session.counters[kit]["ticks"])
    entries = [json.loads(line) for line in (session.root / f"{kit}.chips.jsonl").read_text().splitlines()]
    data = {(0x20, 22), (0x80, 128), (0x1D, 15)}
    return sum(timing.t0_ns <= e["t_ns"] < end_ns and (e["register"], len(e["hex"]) // 2) in data for e in entries)


def _steal_s() -> float:
    fields = Path("/proc/stat").read_text().splitlines()[0].split()
    return int(fields[8]) / os.sysconf("SC_CLK_TCK")


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
