"""Offset and drift of two recordings, against a planted truth and beside what pip installs.

Four parts. The *cover* is pairs of files in which every two values of any two factors (content, noise, room, distance,
walking, codec, drift, loss, length) meet at least once. The *calibration* is many short pairs, to see whether sigma is
true. *Losses* are minutes in which the second recorder lost samples, anywhere. *Strangers* are pairs that share
nothing, or too much (loops, machines): all must be refused.

`python -m tests.bench offset` runs all, beside the peers where `SYNCCTL_PEERS` names the folder into which `python -m
tests.bench.peers DIR` installed them. `--cover`, `--calibration`, `--losses`, `--strangers` run one part, `--quick` a
few pairs of each in about two minutes. Rows are printed as they come.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from firmware_host.errors import EvidenceError
from recorder.series import Sound
from sync.offset import measure
from tests.bench import peers
from tests.bench.scenes import RATE, Case, Truth, make, strangers, write

LEVELS: dict[str, tuple[Any, ...]] = {
    "content": ("speech", "music", "home", "tones"),
    "snr_db": (20.0, 0.0, -10.0),
    "room": ("dry", "echo"),
    "apart": ("body", "room"),
    "moving": (False, True),
    "codec": ("wav", "m4a", "mp3"),
    "ppm": (0.0, 20.0, 100.0, 500.0),
    "lost_s": (0.0, 0.02, 0.3, 5.0),
    "minutes": (1.0, 10.0),
}
HOURS = (
    Case("home", 0.0, "dry", "body", False, "m4a", 500.0, 0.3, 60.0, 7),
    Case("music", 10.0, "echo", "room", False, "mp3", 20.0, 0.0, 60.0, 8),
)
"""The two of 60 minutes stand beside the cover: pairs of *their* length with every other value would be 16."""
CALIBRATED, LOST, UNRELATED = 200, 30, 330
QUICK_CASES, QUICK_PAIRS = 3, 10
LIMIT_S = 120.0
"""CPU seconds that a peer may take for one pair."""


def main(arguments: list[str] | None = None) -> None:
    """Run and print."""
    given = sys.argv if arguments is None else arguments
    quick = "--quick" in given
    every = {"--cover", "--calibration", "--losses", "--strangers"}
    parts = every & set(given) or every
    if "--cover" in parts:
        cases = [*cover(), *HOURS]
        print(f"cover: {len(cases)} pairs; errors in ms at the start, the middle and the end of OTHER; steps in s")
        cases = [c for c in cases if c.minutes == 1.0][:QUICK_CASES] if quick else cases
        summary([row for case in cases for row in _shown(case)])
    if "--calibration" in parts:
        calibration(QUICK_PAIRS if quick else CALIBRATED)
    if "--losses" in parts:
        losses(QUICK_CASES if quick else LOST)
    if "--strangers" in parts:
        alarms(QUICK_PAIRS if quick else UNRELATED)


def cover() -> list[Case]:
    """Pairs of every two values of any two factors, found greedily and always the same."""
    rng = np.random.default_rng(5)
    names = list(LEVELS)
    missing = {(a, i, b, j) for a, b in combinations(names, 2) for i in LEVELS[a] for j in LEVELS[b]}
    cases: list[Case] = []
    while missing:
        tried = [{n: v[rng.integers(len(v))] for n, v in LEVELS.items()} for _ in range(300)]
        for row in tried:
            row["minutes"] = 10.0 if row["minutes"] == 10.0 and rng.random() < 0.5 else row["minutes"]
        best = max(tried, key=lambda row: len(_pairs(row) & missing))
        missing -= _pairs(best)
        cases.append(Case(**best, seed=100 + len(cases)))
    return cases


def _pairs(row: dict[str, Any]) -> set[tuple[str, Any, str, Any]]:
    return {(a, row[a], b, row[b]) for a, b in combinations(row, 2)}


def _shown(case: Case) -> list[dict[str, Any]]:
    """Every tool on one pair of files."""
    with tempfile.TemporaryDirectory() as folder:
        reference, other, truth = write(case, Path(folder))
        duration_s = 60.0 * case.minutes - case.lost_s
        rows = [_row("syncctl", case, truth, duration_s, _ours(reference, other, case.apart_m))]
        for name in peers.PEERS:
            found = peers.run(name, reference, other, LIMIT_S)
            rows.append(_row(name, case, truth, duration_s, found))
    for row in rows:
        print(json.dumps(row), flush=True)
    return rows


def _ours(reference: Path, other: Path, apart_m: float) -> dict[str, Any]:
    command = [sys.executable, "-m", "syncctl", "offset", str(reference), str(other), "--apart", str(apart_m), "--json"]
    found = measured(command, 600.0)
    return {**found, **(json.loads(found.pop("out")) if found["out"] else {"verdict": "failed", "pieces": []})}


def measured(command: list[str], limit_s: float) -> dict[str, Any]:
    """What a command printed, and its CPU seconds (`limit_s` at most), wall seconds and peak memory in MB.

    The peak is read from the child's own status as it runs: `ru_maxrss` would count what this process was at the fork.
    """

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (int(limit_s), int(limit_s)))

    begun = time.monotonic()
    mb = 0.0
    with tempfile.TemporaryFile() as out:
        child = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL, preexec_fn=limited)
        while not (waited := os.wait4(child.pid, os.WNOHANG))[0]:
            mb = max(mb, _peak_mb(child.pid))
            time.sleep(0.02)
        child.returncode = os.waitstatus_to_exitcode(waited[1])
        out.seek(0)
        text = out.read().decode(errors="replace")
    used = waited[2]
    cost = {"cpu_s": round(used.ru_utime + used.ru_stime, 2), "wall_s": round(time.monotonic() - begun, 2)}
    late = {"verdict": "too slow"} if child.returncode < 0 else {}
    return {"out": "" if late else text, **cost, "mb": round(mb), **late}


def _peak_mb(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    return next((float(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM")), 0.0)


def _row(tool: str, case: Case, truth: Truth, duration_s: float, found: dict[str, Any]) -> dict[str, Any]:
    row = {"tool": tool, "case": _name(case), "verdict": found.get("verdict", "ok")}
    row |= {k: found.get(k) for k in ("cpu_s", "wall_s", "mb", "score")}
    if not found.get("pieces"):
        return row
    t = np.linspace(0, duration_s, 201)
    error = 1e3 * (mapped(found["pieces"], t) - truth.reference_s(t))
    clear = np.ones(len(t), bool)
    if truth.lost_s:
        true_s = truth.reference_s(t)  # a loss beside what both recorded leaves no trace in their sound
        clear = (np.abs(t - truth.lost_at_s) > 1.0) & (true_s >= 0) & (true_s <= 60.0 * case.minutes)
    row |= {"start": error[0], "middle": error[100], "end": error[-1], "worst": float(np.abs(error[clear]).max())}
    row |= {"sigma": 1e3 * (found.get("sigma_s") or 0.0)}
    if truth.lost_s:
        row |= {"lost_at": truth.lost_at_s, "steps": [p["start_s"] for p in found["pieces"][1:]]}
    return {k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()}


def mapped(pieces: list[dict[str, float]], t: np.ndarray) -> np.ndarray:
    """Times of the other recording on the reference's clock by the pieces that `syncctl offset` gives, s."""
    out = np.empty(len(t))
    for p in pieces:
        here = t >= p["start_s"] - 1e-6
        out[here] = p["offset_s"] + t[here] * (1 + p["skew_ppm"] * 1e-6)
    return out


def _name(case: Case) -> str:
    walk = " walking" if case.moving else ""
    lost = f" lost {case.lost_s:g} s" if case.lost_s else ""
    return (
        f"{case.content} {case.snr_db:+.0f} dB {case.room} {case.apart}{walk} {case.codec} {case.ppm:g} ppm{lost} "
        f"{case.minutes:g} min"
    )


def summary(rows: list[dict[str, Any]]) -> None:
    """One line a tool: how many answered, how far off, what it cost."""
    print("\ntool                  pairs  answered  <5 ms  <15 ms  >50 ms   median worst ms  CPU s  peak MB")
    for tool in ("syncctl", *peers.PEERS):
        own = [r for r in rows if r["tool"] == tool]
        worst = np.array([r["worst"] for r in own if "worst" in r])
        if not own or not len(worst):
            print(f"{tool:20}{len(own):7}{0:10}")
            continue
        counts = "".join(f"{n:8}" for n in (np.sum(worst < 5), np.sum(worst < 15), np.sum(worst > 50)))
        cost = f"{sum(r['cpu_s'] or 0 for r in own):8.0f}{max(r['mb'] or 0 for r in own):9.0f}"
        print(f"{tool:20}{len(own):7}{len(worst):10}{counts}{np.median(worst):17.2f}{cost}")


def calibration(count: int) -> None:
    """Share of errors within one, two and three sigma, over short pairs of all kinds."""
    rng = np.random.default_rng(11)
    found: dict[str, list[tuple[float, float]]] = {"ok": [], "coarse": [], "refused": []}
    for seed in range(count):
        pick = {n: v[rng.integers(len(v))] for n, v in LEVELS.items()}
        case = Case(**{**pick, "lost_s": 0.0, "minutes": 1.0, "codec": "wav", "seed": 1000 + seed})
        reference, other, truth = make(case)
        try:
            result = measure(Sound(other, RATE, 0, "other"), Sound(reference, RATE, 0, "reference"), case.apart_m)
        except EvidenceError:
            found["refused"].append((0.0, 0.0))
            continue
        t = np.linspace(0, len(other) / RATE, 101)
        error = np.abs(mapped(result["pieces"], t) - truth.reference_s(t)).max()
        found[result["verdict"]].append((1e3 * float(error), 1e3 * result["sigma_s"]))
        if error > 3 * result["sigma_s"]:
            print(f"beyond 3 sigma: {_name(case)} seed {case.seed}: {1e3 * error:.1f} ms, {result['evidence']}")
    print(f"\ncalibration over {count} pairs of one minute: largest error over the recording against sigma")
    for verdict, pairs in found.items():
        error, sigma = np.array(pairs).reshape(-1, 2).T
        if verdict == "refused" or not len(error):
            print(f"  {verdict}: {len(error)}")
            continue
        within = ", ".join(f"{100 * np.mean(error < k * sigma):.0f} % within {k}" for k in (1, 2, 3))
        print(
            f"  {verdict}: {len(error)}; {within} sigma; median error {np.median(error):.2f} ms, median sigma "
            f"{np.median(sigma):.2f} ms"
        )


def losses(count: int) -> None:
    """Minutes at 0 dB and better in which samples were lost: where the step was placed, and the error on both sides."""
    rng = np.random.default_rng(77)
    for k in range(count):
        kind = ("speech", "music", "home")[k % 3]
        room, apart = ("dry", "echo")[rng.integers(2)], ("body", "room")[rng.integers(2)]
        moving, ppm = bool(rng.integers(2)), float(rng.choice(LEVELS["ppm"]))
        lost_s = LEVELS["lost_s"][1 + k // 6 % 3] if k < 18 else float(rng.choice([0.02, 0.05, 0.1, 0.3, 1.0, 5.0]))
        case = Case(kind, (20.0, 0.0)[k // 3 % 2], room, apart, moving, "wav", ppm, lost_s, 1.0, 9000 + k)
        reference, other, truth = make(case)
        try:
            found = measure(Sound(other, RATE, 0, "other"), Sound(reference, RATE, 0, "reference"), case.apart_m)
        except EvidenceError as error:
            found = {"verdict": "refused", "reason": str(error)}
        row = _row("syncctl", case, truth, len(other) / RATE, found)
        print(json.dumps(row | {"reason": found["reason"]}), flush=True)


def alarms(count: int) -> None:
    """Pairs that must be refused."""
    accepted: list[str] = []
    tried: dict[str, int] = {}
    for kind, one, other, seed in strangers(count):
        tried[kind] = tried.get(kind, 0) + 1
        try:
            result = measure(Sound(other, RATE, 0, "other"), Sound(one, RATE, 0, "reference"), 1.0)
        except EvidenceError:
            continue
        accepted.append(f"{kind} seed {seed}: {result['verdict']} {result['evidence']}")
        print(f"accepted {accepted[-1]}", flush=True)
    print(f"\npairs that must be refused: {tried}; accepted: {len(accepted)}")
    for line in accepted:
        print(f"  {line}")
    if accepted:
        sys.exit("a pair that shares nothing was accepted")
