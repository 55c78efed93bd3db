"""What a build costs: beside an ffmpeg command that scales the same, and whether many sessions cost more each.

Processor time of children, so that a busy machine changes little. Sessions are small and made for the purpose; the
table shows what an hour of recording costs, and the most memory that one process took to build them all and, after
that, to read 200 random clips of them, for more and more of them.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from ingest.cache import DECODES_FAST, Recipe
from tests.bench.loading import SECONDS, _film

TESTS = Path(__file__).parents[1] / "ingest"
SESSIONS, QUICK, LASTS_S = (1, 5, 50), (1, 4), 10


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
    options = ["-c:v", "libx264", "-preset", "veryfast", "-tune", DECODES_FAST, "-crf", str(recipe.crf), "-bf", "0"]
    options += ["-g", str(recipe.gop), "-x264-params", "scenecut=0", "-threads", "1"]
    scale = ["-vf", f"scale={size[0]}:{size[1]}:flags=area", *options]
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
one = make_session(Path({str(folder)!r}) / "one", participant="p", seconds={LASTS_S}, truth=True)
for n in range({max(counts)}):
    at = Path({str(folder)!r}) / f"sessions/s{{n:04}}"
    shutil.copytree(one, at)
    change_json(at / "session.json", id=at.name, participants=[f"p{{n % 7}}"])"""
    subprocess.run([sys.executable, "-c", made], check=True)
    print(f"{'sessions':>10}{'CPU s a recorded hour':>24}{'build: most MB':>16}{'loader: most MB':>17}")
    for count in counts:
        root = folder / f"dataset-{count}"
        cpu_s, building = _told(BUILT, folder / "sessions", root, count)
        _, loading = _told(LOADED, root, count)
        print(f"{count:>10}{cpu_s / count / LASTS_S * 3600:>24.0f}{building:>16.0f}{loading:>17.0f}")


MOST = "print(next(s.split()[1] for s in open('/proc/self/status') if s.startswith('VmHWM')))"
"""Of the process alone: what getrusage calls its most is at least what the process had that began it."""
BUILT = f"""
import resource, sys; sys.path.insert(0, {str(TESTS)!r})
from conftest import Inline
from pathlib import Path; from ingest.build import build, find_sessions
sessions, root, count = sys.argv[1:]
found = find_sessions([Path(sessions)])[:int(count)]
begun = resource.getrusage(resource.RUSAGE_SELF)
build(found, Path(root), Inline())
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_utime + used.ru_stime - begun.ru_utime - begun.ru_stime)
{MOST}"""
LOADED = f"""
import sys
from ingest.ask import Ask; from ingest.dataset import Clips, ClipSampler
clips = Clips(sys.argv[1], "train", Ask(("ego", "third", "imu", "boxes", "tracks"), frames=8, size=64))
for index in [*ClipSampler(len(clips), seed=0, epoch=0)][:200]:
    clips[index]
print(0)
{MOST}"""


def _told(code: str, *arguments: object) -> tuple[float, float]:
    """CPU seconds and megabytes that a process of its own tells."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    cpu_s, kilobytes = map(float, shown.split())
    return cpu_s, kilobytes / 1024


def _cpu_s(command: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
