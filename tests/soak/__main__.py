"""`python -m tests.soak [NAME ...]`: run the soaks, all or those named."""

from __future__ import annotations

import sys

from tests.soak import acquisition, corrupted, cuts, kills, recording

SOAKS = {
    "acquisition": acquisition.main,
    "corrupted": corrupted.main,
    "cuts": cuts.main,
    "kills": kills.main,
    "recording": recording.main,
}

if __name__ == "__main__":
    failed = 0
    for name in sys.argv[1:] or SOAKS:
        print(f"\n== {name}", flush=True)
        failed += SOAKS[name]()
    sys.exit(bool(failed))
