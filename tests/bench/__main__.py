"""`python -m tests.bench [NAME ...] [--quick]`: run the benchmarks, all or those named."""

from __future__ import annotations

import sys

from tests.bench import acquisition, offset, recording

BENCHES = {"acquisition": acquisition.main, "offset": offset.main, "recording": recording.main}

if __name__ == "__main__":
    for name in [a for a in sys.argv[1:] if not a.startswith("-")] or BENCHES:
        print(f"\n== {name}")
        BENCHES[name]()
