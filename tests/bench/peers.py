"""What pip installs for the same job, each in an environment of its own: they pin older numpy.

`python -m tests.bench.peers [DIR]` makes the environments; the benchmark uses those that are there.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

HOME = Path(os.environ.get("SYNCCTL_PEERS", Path(__file__).parents[2] / ".peers"))
PEERS = {
    # Each prints the offset of OTHER in REF, s, as one JSON number.
    "audio-offset-finder": """
import sys, json
from audio_offset_finder.audio_offset_finder import find_offset_between_files
r = find_offset_between_files(sys.argv[1], sys.argv[2])
print(json.dumps([float(r["time_offset"]), float(r["standard_score"])]))
""",
    "syncstart": """
import sys, json, io, contextlib
from syncstart import file_offset
reference, other = sys.argv[1:]
sys.argv = ["syncstart", reference, other, "-q", "-s"]
with contextlib.redirect_stdout(io.StringIO()):
    first, cut = file_offset()
print(json.dumps([float(cut) if first == reference else -float(cut), 0.0]))
""",
    "audalign": """
import sys, json, io, contextlib, os
import audalign
with contextlib.redirect_stdout(io.StringIO()):
    recognizer = audalign.CorrelationRecognizer()
    recognizer.config.sample_rate = 8000
    r = audalign.recognize(sys.argv[2], sys.argv[1], recognizer=recognizer)
m = next(iter(r["match_info"].values()))
print(json.dumps([float(m["offset_seconds"][0]), float(m["confidence"][0])]))
""",
}


def run(name: str, reference: Path, other: Path, limit_s: float) -> dict[str, Any]:
    """One peer on one pair: its offset as a piece over the whole recording, and what it cost."""
    from tests.bench.offset import measured

    python = HOME / name / "bin" / "python"
    if not python.is_file():
        return {"verdict": "not installed"}
    found = measured([str(python), "-c", PEERS[name], str(reference), str(other)], limit_s)
    try:
        offset_s, score = json.loads(found.pop("out").strip().splitlines()[-1])
    except (ValueError, IndexError, TypeError):
        return {**found, "verdict": found.get("verdict", "failed")}
    pieces = [{"start_s": 0.0, "stop_s": 0.0, "offset_s": offset_s, "skew_ppm": 0.0}]
    return {**found, "verdict": "ok", "score": score, "pieces": pieces}


def install(folder: Path) -> None:
    """Make one environment a peer."""
    for name in PEERS:
        subprocess.run([sys.executable, "-m", "venv", str(folder / name)], check=True)
        done = subprocess.run([str(folder / name / "bin" / "pip"), "install", "--quiet", name], check=False)
        print(f"{name}: {'installed' if done.returncode == 0 else 'does not install'}")


if __name__ == "__main__":
    install(Path(sys.argv[1]) if len(sys.argv) > 1 else HOME)
