"""The Action Transformer head at full size beside a straightforward one: memory, time, and the same numbers.

A map of 864 x 16 x 25 x 25 and R boxes, 3 layers of 2 heads. The straightforward head computes keys and values once,
which is already kind, and then does what attention over a batch of boxes does by itself: it repeats them for every box
and multiplies, unit by unit. Both have the same weights. Memory is by how much the head makes the process's peak grow,
keys and values included, each in a process of its own; time is CPU time of one thread (on a GPU, with `--cuda`,
allocated memory and wall time).

`python -m tests.bench vat_speed` takes 6 GB and a minute; `--boxes=64` less. Exit status 1 unless 300 boxes
need a tenth of the memory and the numbers agree to 1e-5.
"""

from __future__ import annotations

import math
import multiprocessing
import resource
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor

from models.vat import PRESETS
from models.vat.attention import ActionTransformer

CHANNELS, MAP, CELLS = 864, (16, 25, 25), 7
TENTH, CLOSE = 0.1, 1e-5


def main(arguments: list[str] | None = None) -> None:
    """Run and print; exit status 1 where a promise does not hold."""
    words = sys.argv[1:] if arguments is None else arguments
    told = dict(w[2:].split("=", 1) for w in words if w.startswith("--") and "=" in w)
    boxes, device = int(told.get("boxes", 300)), "cuda" if "--cuda" in words else "cpu"
    print(f"{'head':18} boxes  memory MB  seconds")
    found = {}
    for name in WAYS:
        found[name] = _alone(name, boxes, device)
        memory, seconds, _ = found[name]
        print(f"{name:18} {boxes:5}  {memory / 1e6:9.0f}  {seconds:7.2f}", flush=True)
    (ours, fast, one), (theirs, slow, other) = found.values()
    apart = (one - other).abs().max().item()
    print(f"memory {ours / theirs:.3f} of it, time {fast / slow:.2f} of it, largest difference {apart:.1e}")
    if apart > CLOSE or (boxes >= 300 and ours > TENTH * theirs):
        sys.exit(1)


def shared(head: ActionTransformer, maps: Tensor, cells: Tensor) -> Tensor:
    """Ours: every box asks the one memory."""
    return head(maps, cells)


def repeated(head: ActionTransformer, maps: Tensor, cells: Tensor) -> Tensor:
    """Keys and values repeated for every box, unit by unit."""
    query, count = head.start(cells), cells.shape[1]
    for unit, keys, values in zip(head.units, *head.remembered(maps), strict=True):
        asked, seen = unit.projected(query, cells), []  # (B, R, H, D)
        for h in range(head.heads):
            k, v = (x[:, h].repeat_interleave(count, dim=0) for x in (keys, values))  # (B * R, N, D)
            q = asked[:, :, h].flatten(0, 1)[:, None]  # (B * R, 1, D)
            weights = (q @ k.transpose(1, 2) / math.sqrt(head.width)).softmax(-1)
            seen.append((weights @ v).view(*asked.shape[:2], 1, head.width))
        asked = unit.norm1(asked + torch.cat(seen, dim=2))
        query = unit.norm2(asked + unit.outer(torch.relu(unit.inner(asked)))).flatten(2)
    return query


WAYS: dict[str, Callable[[ActionTransformer, Tensor, Tensor], Tensor]] = {
    "shared memory": shared,
    "repeated memory": repeated,
}


def _alone(name: str, boxes: int, device: str) -> tuple[int, float, Tensor]:
    """Bytes, seconds and output of one way, in a fresh process."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(name, boxes, device, sender))
    process.start()
    memory, seconds, output = receiver.recv()
    process.join()
    return memory, seconds, torch.from_numpy(output)


@torch.no_grad()
def _measure(name: str, boxes: int, device: str, sender: object) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    head = ActionTransformer(PRESETS["low"]().net, CHANNELS).eval().to(device)
    maps, cells = torch.randn(1, CHANNELS, *MAP).to(device), torch.randn(1, boxes, CHANNELS, CELLS, CELLS).to(device)
    way = WAYS[name]
    way(head, maps[..., :2, :2], cells[:, :1])  # what is loaded once is no part of it
    before = _peak(device)
    begun = _clock(device)
    output = way(head, maps, cells)
    seconds = _clock(device) - begun
    sender.send((_peak(device) - before, seconds, output.cpu().numpy()))


def _peak(device: str) -> int:
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _clock(device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


if __name__ == "__main__":
    main()
