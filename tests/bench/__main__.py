"""`python -m tests.bench [NAME ...] [--quick] [--keep]`: run the benchmarks, all or those named.

With --keep, what they print is kept in docs/measured/ and on docs/measured.md.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the front door does

from tests.bench import (
    abuse,
    acquisition,
    building,
    cheats,
    context,
    cooperation,
    flaws,
    fusion,
    gaze,
    gaze_and_movement,
    loading,
    models_speed,
    motion,
    muscles_speed,
    offset,
    people_speed,
    recording,
    relations,
    tones,
    tracks,
    vat_speed,
)
from tests.bench.kept import keep, write_page
from tests.bench.results.command import main as results

BENCHES = {
    "abuse": abuse.main,
    "acquisition": acquisition.main,
    "building": building.main,
    "cheats": cheats.main,
    "context": context.main,
    "cooperation": cooperation.main,
    "flaws": flaws.main,
    "fusion": fusion.main,
    "gaze": gaze.main,
    "gaze_and_movement": gaze_and_movement.main,
    "loading": loading.main,
    "models_speed": models_speed.main,
    "motion": motion.main,
    "muscles_speed": muscles_speed.main,
    "offset": offset.main,
    "people_speed": people_speed.main,
    "recording": recording.main,
    "relations": relations.main,
    "tones": tones.main,
    "tracks": tracks.main,
    "vat_speed": vat_speed.main,
}

if __name__ == "__main__":
    if sys.argv[1:2] == ["results"]:  # has arguments of its own
        sys.exit(results(sys.argv[2:]))
    named = [a for a in sys.argv[1:] if not a.startswith("-")]
    if "--help" in sys.argv or not set(named) <= set(BENCHES):
        sys.exit(f"{__doc__}\nNames: {', '.join(BENCHES)}. Further options stand at the top of tests/bench/NAME.py.")
    if "--keep" in sys.argv:
        docs, options = Path("docs"), [a for a in sys.argv[1:] if a.startswith("-") and a != "--keep"]
        failed = [name for name in named or BENCHES if keep(name, ["-m", "tests.bench", name, *options], docs)]
        write_page(docs, BENCHES)
        sys.exit(f"not kept, since they failed: {', '.join(failed)}" if failed else 0)
    for name in named or BENCHES:
        print(f"\n== {name}")
        BENCHES[name]()
