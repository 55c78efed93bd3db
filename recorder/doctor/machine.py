"""What a doctor asks of the machine itself. The only part that touches it, so that tests can be any machine."""

from __future__ import annotations

import getpass
import grp
import os
import platform
import resource
import shutil
import subprocess
import time
from importlib import metadata
from pathlib import Path

_BLOCK = bytes(range(256)) * 4096
"""1 MiB that no card compresses away."""
_COMMAND_LIMIT_S = 5.0


class Machine:
    """This machine."""

    def run(self, *command: str) -> str | None:
        """What a command prints; None where it is not there, fails, or takes longer than five seconds."""
        if shutil.which(command[0]) is None:
            return None
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_COMMAND_LIMIT_S)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    def read(self, path: str) -> str | None:
        """A small file's text; None where it cannot be read."""
        try:
            return Path(path).read_text(encoding="utf-8", errors="replace").strip("\n\0 ")
        except OSError:
            return None

    def paths(self, pattern: str) -> list[str]:
        """What is there under a pattern of absolute paths, in order."""
        return sorted(str(p) for p in Path("/").glob(pattern.lstrip("/")))

    def version(self, package: str) -> str | None:
        """Of an installed Python package."""
        try:
            return metadata.version(package)
        except metadata.PackageNotFoundError:
            return None

    def python(self) -> tuple[int, int]:
        """Major and minor version."""
        major, minor, _ = platform.python_version_tuple()
        return int(major), int(minor)

    def user(self) -> str:
        """Who runs this."""
        return getpass.getuser()

    def is_root(self) -> bool:
        """Whether everything is permitted."""
        return os.geteuid() == 0

    def groups(self) -> set[str]:
        """Groups of this process, by name."""
        names = set()
        for number in os.getgroups():
            try:
                names.add(grp.getgrgid(number).gr_name)
            except KeyError:
                continue
        return names

    def limit(self, name: str) -> float:
        """The soft limit `RLIMIT_<name>` of this process; inf for none."""
        soft, _ = resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))
        return float("inf") if soft == resource.RLIM_INFINITY else soft

    def free_bytes(self, folder: Path) -> int:
        """What the folder's disk has left for this user."""
        return shutil.disk_usage(folder).free

    def write_speed(self, folder: Path, blocks: int = 32) -> tuple[float, float]:
        """Write that many MiB, each put on the disk; (bytes per second, seconds of the slowest). Raises OSError."""
        path = folder / f".doctor-{os.getpid()}"
        slowest, begun = 0.0, time.monotonic()
        try:
            with path.open("wb") as file:
                for _ in range(blocks):
                    before = time.monotonic()
                    file.write(_BLOCK)
                    file.flush()
                    os.fsync(file.fileno())
                    slowest = max(slowest, time.monotonic() - before)
            return blocks * len(_BLOCK) / (time.monotonic() - begun), slowest
        finally:
            path.unlink(missing_ok=True)

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)
