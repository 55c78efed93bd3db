"""Training runs in processes of their own, started from one that has torch loaded, so that each costs little."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
from made_clips import MadeClips

from models.config import RunConfig
from models.train import train

TIMEOUT_S = 60


class Dying(MadeClips):
    """Clips that kill this very process when one has been read for the `after`-th time; nothing is cleaned up."""

    def __init__(self, n: int, after: int) -> None:
        super().__init__(n)
        self.left = after

    def __getitem__(self, index: int) -> dict[str, Any]:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(index)


def work(rank: int, world: int, ports: list[int], jobs: list[tuple[RunConfig, Path, bool]], clips: MadeClips) -> None:
    """Train one run after the other as process `rank` of `world`."""
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(world), "MASTER_ADDR": "127.0.0.1"}
    for port, (config, folder, resume) in zip(ports, jobs, strict=True):  # a group that ended may still hold its port
        os.environ["MASTER_PORT"] = str(port)
        train(config, folder, clips, resume=resume)


def start(world: int, jobs: list[tuple[RunConfig, Path, bool]], clips: MadeClips) -> list[BaseProcess]:
    """`world` processes that train `jobs`: (configuration, folder, whether to resume)."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["models.train", "models.muscles", "made_clips"])
    ports = [free_port() for _ in jobs]
    started = [context.Process(target=work, args=(rank, world, ports, jobs, clips)) for rank in range(world)]
    for process in started:
        process.start()
    return started


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def finished(started: list[BaseProcess]) -> list[int | None]:
    """Exit codes, when all have ended; what still runs after a while is killed (None)."""
    for process in started:
        process.join(TIMEOUT_S)
    codes = [process.exitcode for process in started]
    for process in started:
        process.kill()
    return codes
