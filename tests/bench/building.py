"""What a build costs: beside an ffmpeg command that scales the same, and whether many sessions cost more each.

Processor time of children, so that a busy machine changes little. Sessions are small and made for the purpose; the
table shows cost a session and the most memory that one process took, for more and more of them.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from ingest.cache import Recipe
from tests.bench.loading import SECONDS, _film

TESTS = Path(__file__).parents[1] / "ingest"
SESSIONS, QUICK = (1, 5, 50), (1, 4)


def main() -> None:
    """Run and print."""
    with tempfile.TemporaryDirectory() as folder:
        _beside_ffmpeg(Path(folder))
        _growing(Path(folder), QUICK if "--quick" in sys.argv else SESSIONS)


def _beside_ffmpeg(folder: Path) -> None:
    film, recipe = folder / "film.mkv", Recipe()
    _film(film)
    size = recipe.size(1920, 1080)
    code = f"""
from pathlib import Path; from ingest.cache import Recipe, write_video_cache
write_video_cache(Path({str(film)!r}), Path({str(folder / "ours.mp4")!r}), Recipe())"""
    options = [*("-c:v", "libx264", "-preset", "veryfast", "-crf", str(recipe.crf), "-g", str(recipe.gop)), "-bf", "0"]
    scale = ["-vf", f"scale={size[0]}:{size[1]}:flags=area", *options, "-x264-params", "scenecut=0", "-threads", "1"]
    idle = _cpu_s([sys.executable, "-c", "import ingest.cache"])
    ours = _cpu_s([sys.executable, "-c", code]) - idle
    ffmpeg = ["ffmpeg", "-v", "error", "-threads", "1", "-filter_threads", "1", "-i", str(film), *scale]
    theirs = _cpu_s([*ffmpeg, str(folder / "theirs.mp4")])
    print(f"1080p30 to {size[0]}x{size[1]}, times real time and core")
    print(f"{'syncctl cache':20}{SECONDS / ours:8.2f}")
    print(f"{'ffmpeg, one thread':20}{SECONDS / theirs:8.2f}   ours costs {ours / theirs:.2f} of it")


def _growing(folder: Path, counts: tuple[int, ...]) -> None:
    made = f"""
import sys, shutil; sys.path.insert(0, {str(TESTS)!r})
from pathlib import Path; from planted import change_json, make_session
one = make_session(Path({str(folder)!r}) / "one", participant="p", truth=True)
for n in range({max(counts)}):
    at = Path({str(folder)!r}) / f"sessions/s{{n:04}}"
    shutil.copytree(one, at)
    change_json(at / "session.json", id=at.name, participants=[f"p{{n % 7}}"])"""
    subprocess.run([sys.executable, "-c", made], check=True)
    print(f"{'sessions':>10}{'CPU s each':>12}{'most MB':>10}")
    for count in counts:
        code = f"""
import resource, sys; sys.path.insert(0, {str(TESTS)!r})
from conftest import Inline
from pathlib import Path; from ingest.build import build, find_sessions
root = Path({str(folder)!r})
found = find_sessions([root / "sessions"])[:{count}]
begun = resource.getrusage(resource.RUSAGE_SELF).ru_utime
build(found, root / "dataset-{count}", Inline())
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_utime - begun, used.ru_maxrss)"""
        shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
        cpu_s, kilobytes = map(float, shown.split())
        print(f"{count:>10}{cpu_s / count:>12.2f}{kilobytes / 1024:>10.0f}")


def _cpu_s(command: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
