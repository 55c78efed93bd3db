"""`syncctl serve` as a systemd *user* service, and the few bytes by which a process tells systemd that it is well.

A user service, because the sound server of a desktop system belongs to a user and a system service hears nothing.
Lingering lets it run without anybody logged in.
"""

from __future__ import annotations

import os
import shlex
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from firmware_host.errors import ConfigError
from recorder import durable

NAME = "syncctl.service"
WATCHDOG_S = 30
STOP_S = 60


def unit(arguments: Sequence[str], python: str = sys.executable) -> str:
    """The unit file; `arguments` are those of `syncctl serve`."""
    command = shlex.join([python, "-m", "syncctl", "serve", *arguments]).replace("%", "%%")
    return f"""[Unit]
Description=syncctl: record this kit
Documentation=man:systemd.service(5)
After=sound.target time-sync.target

[Service]
Type=notify
NotifyAccess=main
ExecStart={command}
Restart=on-failure
RestartSec=2
WatchdogSec={WATCHDOG_S}
# A recording is sealed on SIGTERM; that may take a while on a slow card.
TimeoutStopSec={STOP_S}
KillMode=mixed
# The 60 Hz loop asks for a real-time priority and locked memory where it may.
LimitRTPRIO=80
LimitMEMLOCK=infinity
NoNewPrivileges=yes

[Install]
WantedBy=default.target
"""


def unit_path(home: Path | None = None) -> Path:
    """Where systemd looks for a user's units."""
    config = os.environ.get("XDG_CONFIG_HOME") if home is None else None
    return (Path(config) if config else (home or Path.home()) / ".config") / "systemd" / "user" / NAME


def install(text: str, path: Path) -> list[str]:
    """Write the unit; returns the commands that enable it.

    Raises:
        ConfigError: the place cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        durable.write_bytes(path, text.encode())
    except OSError as error:
        raise ConfigError(f"{path} cannot be written ({error.strerror}); use --dry-run and put it there") from error
    return [
        "systemctl --user daemon-reload",
        f"systemctl --user enable --now {NAME}",
        "loginctl enable-linger    # so that it runs without anybody logged in",
        f"journalctl --user -u {NAME} -f    # what it says",
    ]


def notify(message: str) -> bool:
    """Tell systemd something (``READY=1``, ``WATCHDOG=1``, ``STATUS=...``); False where nobody asked to be told."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        try:
            line.sendto(message.encode(), address)
        except OSError:
            return False
    return True


def watchdog_s() -> float | None:
    """How often systemd wants to hear of us, in seconds; None where it does not care."""
    asked = os.environ.get("WATCHDOG_USEC", "")
    return int(asked) / 1e6 if asked.isdigit() and int(asked) else None
