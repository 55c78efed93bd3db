"""Ending a long loop between two steps."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType

import torch

SIGNALS = (signal.SIGINT, signal.SIGTERM)


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
