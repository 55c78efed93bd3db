"""Live recordings of one simulated home, prepared once, each killed at a moment of its own; and what must be left.

Run as a program it is the recording that is killed.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from firmware_host.clockmap import ClockMap
from firmware_host.errors import SessionError
from recorder.demux import read_rows
from recorder.samples import picture_times_ns, read_sound
from recorder.session import open_session

ALLOWED_S = 1.0
"""What a kill may cost, of any stream."""
ALIGNED_FROM_S = 6.0
"""A recording this long holds the start tone, whole and flushed, and enough sound to be placed by."""
AT_TONE_MS, AT_END_MS = 5.0, 25.0
"""A cut recording has one tone: it is placed there, and its drift is as good as a few seconds of sound make it."""
ROOT = Path(__file__).parents[2]


def prepare(scratch: Path, duration_s: float, seed: int) -> Path:
    """Render a simulated home into `scratch`; returns what `record` takes."""
    from recorder.homeplan import plan_home
    from recorder.simulate import prepare as render
    from recorder.world import WorldPlan

    scratch.mkdir(parents=True)
    prepared = render(plan_home(WorldPlan(duration_s=duration_s, seed=seed, width=320, height=180)), scratch)
    path = scratch / "prepared.pickle"
    path.write_bytes(pickle.dumps(prepared))
    return path


def record(prepared_path: Path, folder: Path) -> None:
    """Record the prepared home live, all streams of both kits, until killed."""
    from recorder import home
    from recorder.run import new_session
    from recorder.simulate import GAZE, HEAD, SCENE

    prepared = pickle.loads(prepared_path.read_bytes())
    session = new_session(folder, ["p01"], "r01", "put_away")
    (folder / "eye").mkdir(parents=True)
    for name in (HEAD, SCENE, GAZE):
        shutil.copy(prepared.scratch / name, folder / name)
    home._record_prepared(session, prepared, False, 0.0)


def kill_after(prepared: Path, folder: Path, seconds: float) -> float:
    """Record, and kill everything `seconds` after tick 0 of kit-01; returns how long it had recorded."""
    command = [sys.executable, __file__, str(prepared), str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        t0_ns = _tick0_ns(folder, process)
        while time.monotonic_ns() < t0_ns + seconds * 1e9 and process.poll() is None:
            time.sleep(0.005)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        killed_ns = time.monotonic_ns()
        process.wait()
    return (killed_ns - t0_ns) / 1e9


def _tick0_ns(folder: Path, process: subprocess.Popen) -> int:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if (folder / "session.json").exists():
            return open_session(folder).device("kit-01").stream("bme680.timing").t0_ns
        time.sleep(0.02)
    raise AssertionError("the recording did not start")


def lateness(folder: Path, recorded_s: float) -> dict[str, float]:
    """Stream -> seconds between the kill and its last sample that decodes; `recorded_s` is kit-01's time."""
    session, truth = open_session(folder), json.loads((folder / "truth.json").read_text())
    starts_s = {"kit-01": 0.0, "kit-02": _start_s(truth, "kit-02")}
    late: dict[str, float] = {}
    for kit in (d for d in session.devices if d.kind == "kit"):
        until_s = recorded_s - starts_s[kit.name]
        timing = {s.name: s for s in kit.of_kind("timing") if s.sensor}
        for name, rows in read_rows(session.path(kit.file), list(timing)).items():
            late[f"{kit.name}/{name}"] = until_s - len(rows) / 60
        t0_ns = next(iter(timing.values())).t0_ns
        try:
            sound = read_sound(session, kit)
            late[f"{kit.name}/microphone"] = until_s - (sound.t0_ns - t0_ns) / 1e9 - sound.duration_s
        except SessionError:  # not one block of it
            late[f"{kit.name}/microphone"] = until_s
        if kit.of_kind("video"):
            rows = read_rows(session.path(kit.file), ["camera.timing"]).get("camera.timing", np.empty(0))
            times = picture_times_ns(kit.stream("camera").t0_ns, rows) if len(rows) else []
            late[f"{kit.name}/camera"] = until_s - (int(times[-1]) - t0_ns) / 1e9 if len(times) else until_s
    return late


def _start_s(truth: dict, kit: str) -> float:
    """When a kit's tick 0 is, in seconds of kit-01's."""
    from recorder.homeplan import plan_home
    from recorder.world import WorldPlan

    return plan_home(WorldPlan(**truth["plan"])).start_ns[kit] / 1e9


def problems(folder: Path, recorded_s: float, syncctl) -> list[str]:
    """Everything that a killed session must do and does not. Leaves it recovered, aligned and built."""
    found: list[str] = []
    kits = ("kit-01", "kit-02")
    told = syncctl("inspect", folder, "--json")
    found += _unless(told.returncode == 0 and not json.loads(told.stdout)["complete"], f"inspect: {told.stderr}")
    result = syncctl("recover", folder, "--json")
    if result.returncode:
        return [*found, f"recover: {result.stderr}"]
    recovery = json.loads(result.stdout)
    lost = set(recovery["never_written"])
    late = lateness(folder, recorded_s)
    worst = max(late, key=late.__getitem__, default="")
    found += _unless(not late or late[worst] < ALLOWED_S, f"{worst} ends {late.get(worst, 0):.2f} s before the kill")
    early = recorded_s - _start_s(json.loads((folder / "truth.json").read_text()), "kit-02") < ALLOWED_S
    found += _unless(not lost or (early and lost <= set(kits)), f"never written: {lost}")
    report = json.loads(syncctl("inspect", folder, "--json").stdout)
    found += _unless(report["recovered"] and not report["complete"], "inspect does not say that it was recovered")
    found += _unless(all(any(k in w for w in report["warnings"]) for k in lost), "inspect does not name what is lost")
    found += [f"{k}: {d}" for k in set(kits) - lost for d in _unplayable(folder / f"{k}.mkv")]
    again = syncctl("recover", folder, "--json")
    found += _unless(not json.loads(again.stdout)["recovered"], "a second recovery had something to do")
    if recorded_s >= ALIGNED_FROM_S:
        found += _unaligned(folder, set(kits) - lost, recorded_s, syncctl)
    return found


def _unplayable(path: Path) -> list[str]:
    command = ["ffprobe", "-v", "warning", "-show_entries", "format=duration", "-of", "json", str(path)]
    shown = subprocess.run(command, capture_output=True, text=True, check=False)
    duration = json.loads(shown.stdout).get("format", {}).get("duration")
    return _unless(shown.returncode == 0 and duration is not None, f"ffprobe: {shown.stderr} {shown.stdout}")


def _unaligned(folder: Path, kits: set[str], recorded_s: float, syncctl) -> list[str]:
    aligned = syncctl("align", folder, "--json")
    if aligned.returncode:
        return [f"align: {aligned.stderr}"]
    document = json.loads(aligned.stdout)
    mapped = {m["source"]: m for m in document["maps"]}
    others = {"head", "eye", *kits} - {document["reference"]}
    found = _unless(others <= set(mapped), f"align: {document['refused']}")
    truth = {m["source"]: ClockMap.from_json(m) for m in json.loads((folder / "truth.json").read_text())["clock_maps"]}
    reference = truth[document["reference"]]
    tone_ns = reference.inverse(json.loads((folder / "truth.json").read_text())["tones_ns"]["start"])
    for name, m in mapped.items():
        for t_ns, allowed_ms in ((tone_ns, AT_TONE_MS), (reference.inverse(round(recorded_s * 1e9)), AT_END_MS)):
            source_ns = truth[name].inverse(reference.forward(t_ns))
            error_ms = (ClockMap.from_json(m).forward(source_ns) - t_ns) / 1e6
            found += _unless(abs(error_ms) < allowed_ms, f"{name} is {error_ms:.2f} ms off")
    built = syncctl("build", folder, "--out", folder.parent / f"{folder.name}-dataset")
    return found + _unless(built.returncode == 0, f"build: {built.stderr[-400:]}")


def _unless(holds: bool, sentence: str) -> list[str]:
    return [] if holds else [sentence]


def moments(seed: int, n: int, low_s: float, high_s: float) -> list[float]:
    """When to kill: `n` random times."""
    return np.random.default_rng(seed).uniform(low_s, high_s, n).round(3).tolist()


if __name__ == "__main__":
    record(Path(sys.argv[1]), Path(sys.argv[2]))
