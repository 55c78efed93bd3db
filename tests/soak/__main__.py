"""`python -m tests.soak [NAME ...]`: run the soaks, all or those named."""

from __future__ import annotations

import sys

from tests.soak import cuts, kills

SOAKS = {"cuts": cuts.main, "kills": kills.main}

if __name__ == "__main__":
    failed = 0
    for name in sys.argv[1:] or SOAKS:
        print(f"\n== {name}", flush=True)
        failed += SOAKS[name]()
    sys.exit(bool(failed))
