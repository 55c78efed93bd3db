"""200 torn writes: a session's media file or log cut at a random byte, then inspected, recovered and decoded."""

from __future__ import annotations

import shutil
import tempfile
import traceback
from pathlib import Path

import numpy as np
from cutting import held
from smallkit import recorded
from test_recover import check_cut, cut_copies

CUTS = 200


def main() -> int:
    """Run and print; returns how many cuts failed."""
    failed = 0
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "whole"
        source.mkdir()
        recorded(source, 20)
        whole = {name: held(source / f"{name}.mkv") for name in ("kit-01", "kit-02")}
        for seed in range(1000, 1000 + CUTS):
            folder = Path(scratch) / f"cut-{seed}"
            kit = ("kit-01", "kit-02")[seed % 2]
            size = cut_copies(np.random.default_rng(seed), source, folder, kit, log=seed % 5 == 4)
            try:
                check_cut(folder, whole, kit, size)
            except Exception:
                failed += 1
                print(f"seed {seed}, {kit} of {size} bytes:\n{traceback.format_exc()}", flush=True)
            shutil.rmtree(folder)
    print(f"{CUTS} cuts, {failed} failed")
    return failed
