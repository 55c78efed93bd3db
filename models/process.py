"""This process among others: where it computes, and how it is asked to stop between two steps."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from types import FrameType, TracebackType

import torch

from firmware_host.errors import ConfigError

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True)
class Place:
    """Where this process stands: its rank of `world` processes, and its device. Leaving it ends the group."""

    rank: int
    world: int
    device: torch.device

    @classmethod
    def here(cls, wanted: str) -> Place:
        """Read what ``torchrun`` set; joins the process group where there is more than one process."""
        rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
        if wanted == "cuda" and not torch.cuda.is_available():
            raise ConfigError("train.device is cuda, but torch sees no CUDA device here; set train.device=cpu")
        kind = "cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu"
        device = torch.device(kind, int(os.environ.get("LOCAL_RANK", "0"))) if kind == "cuda" else torch.device(kind)
        if world > 1 and not torch.distributed.is_initialized():
            torch.distributed.init_process_group("nccl" if kind == "cuda" else "gloo")
        return cls(rank, world, device)

    @property
    def first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def __enter__(self) -> Place:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.world > 1:
            torch.distributed.destroy_process_group()


class Stop:
    """While entered, SIGTERM and Ctrl-C are only noted. A second Ctrl-C interrupts at once, as usual."""

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> Stop:
        for number in SIGNALS:
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def agreed(self, processes: int) -> bool:
        """Whether any of the processes was asked to stop; they all get the same answer at the same step."""
        if processes == 1:
            return self.asked
        flag = torch.tensor(float(self.asked))
        if torch.distributed.get_backend() == "nccl":
            flag = flag.cuda()
        torch.distributed.all_reduce(flag)
        return bool(flag.item())

    def _note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self.asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
