"""How true the fusion's sigma is, and what false evidence does to it, on random homes with planted truth.

    python -m tests.bench fusion [--quick]

A home is three kits, a head camera, an eye tracker and body IMUs on clocks of their own; its evidence is wrong by what
it says it is (`tests/sync/planted_graph.py`). A map's error is the largest over its recording, in sigmas of that time.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "sync"))
from planted_graph import KINDS, REFERENCE, Home, false, home, ratios

from sync.alignment import Pairing
from sync.contradiction import judge
from sync.fuse import fuse

HOMES = 200
FAR = 3.5


def solved(world: Home, evidence: list[Pairing]) -> tuple[list[float], set[int]]:
    """Errors of the maps in sigmas, and the pairings that were left out, by id."""
    found = judge(evidence, REFERENCE)
    fused = fuse(found.kept, world.spans(), REFERENCE, found.strain)
    return list(ratios(world, fused).values()), {id(p) for p, _ in found.excluded}


def calibration(homes: int, without: str) -> str:
    """Honest evidence, without one kind of it."""
    errors: list[float] = []
    out = 0
    for seed in range(5000, 5000 + homes):
        world = home(seed)
        own, left_out = solved(world, world.evidence(without=without))
        errors += own
        out += len(left_out)
    share = [100 * float(np.mean(np.array(errors) < k)) for k in (1, 2, 3)]
    within = " ".join(f"{s:6.1f} %" for s in share)
    return f"{without or 'nothing':10}{len(errors):6d}  {within}  {max(errors):8.2f}  {out:8d}"


def spoilt(homes: int, count: int) -> str:
    """Some pairings that are false by 50 ms to 10 s."""
    named = far = refused = 0
    for seed in range(7000 * count, 7000 * count + homes):
        world = home(seed)
        evidence = world.evidence()
        wrong = world.rng.choice(len(evidence), count, replace=False)
        for k in wrong:
            evidence[k] = false(evidence[k], int(world.rng.choice([-1, 1]) * 10 ** world.rng.uniform(7.7, 10)))
        errors, out = solved(world, evidence)
        named += out == {id(evidence[k]) for k in wrong}
        far += max(errors, default=0.0) > FAR
        refused += len(world.worlds) - 1 - len(errors)
    return f"{count:5d}{homes:8d}{named:14d}{refused:17d}{far:10d}"


def near_each_other(homes: int) -> str:
    """Two false pairings that outvote a true one if they are believed: nothing else speaks of that kit."""
    wrong = refused = 0
    for seed in range(50000, 50000 + homes):
        world = home(seed)
        evidence = world.evidence()
        own = [k for k, p in enumerate(evidence) if "kit-03" in (p.source, p.target)]
        by_ns = int(world.rng.choice([-1, 1]) * 10 ** world.rng.uniform(7.7, 9.5))
        for k in world.rng.choice(own, 2, replace=False):
            evidence[k] = false(evidence[k], by_ns)
            by_ns += int(world.rng.uniform(-6e7, 6e7))
        errors, _ = solved(world, evidence)
        refused += len(errors) < len(world.worlds) - 1
        wrong += max(errors) > FAR
    return f"{wrong} of {homes} answered wrongly, {refused} refused"


def main(arguments: list[str] | None = None) -> None:
    """Print both tables."""
    homes = 20 if "--quick" in (sys.argv if arguments is None else arguments) else HOMES
    begun = time.process_time()
    print("without     maps  within 1, 2, 3 sigma        worst  left out")
    for kind in ("", *KINDS):
        print(calibration(homes, kind))
    print(f"\nfalse   homes   named alone   clocks refused   a map beyond {FAR} sigma")
    for count in (1, 2):
        print(spoilt(homes, count))
    print(f"\nkit-03 alone, two of its three pairings false and within 60 ms of each other: {near_each_other(homes)}")
    print(f"\n{time.process_time() - begun:.0f} CPU seconds")


if __name__ == "__main__":
    main()
