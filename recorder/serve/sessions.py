"""The sessions in a kit's folder, and their files. No path of a request reaches the disk unchecked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from firmware_host.clock import TICK_HZ
from recorder.serve.keeper import SESSION_NAME
from recorder.session import MANIFEST

NEWEST = 200


class NotThereError(Exception):
    """No such session, or no such file in it."""


def list_sessions(root: Path) -> list[dict[str, Any]]:
    """The newest sessions first: name, when, what, seconds, bytes, and whether it was sealed."""
    found = [p for p in root.iterdir() if SESSION_NAME.fullmatch(p.name) and (p / MANIFEST).is_file()]
    found.sort(key=lambda p: (p / MANIFEST).stat().st_mtime, reverse=True)
    return [_summary(folder) for folder in found[:NEWEST]]


def session_folder(root: Path, name: str) -> Path:
    """The folder of a session by name. Raises NotThereError."""
    if not SESSION_NAME.fullmatch(name) or not (root / name / MANIFEST).is_file():
        raise NotThereError(f"there is no session '{name[:100]}'")
    return root / name


def session_files(folder: Path) -> list[dict[str, Any]]:
    """Path within the session and size of every file of it; hidden and partial files are left out."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and not p.is_symlink())
    shown = [p for p in files if not any(part.startswith(".") for part in p.relative_to(folder).parts)]
    return [{"path": p.relative_to(folder).as_posix(), "bytes": p.stat().st_size} for p in shown]


def session_file(folder: Path, path: str) -> Path:
    """One file of a session. Raises NotThereError for what `session_files` does not list."""
    parts = path.split("/")
    place = folder.joinpath(*parts)
    hidden = any(part.startswith(".") or not part for part in parts)  # "..", ".", absolute, doubled slashes
    if hidden or "\0" in path or "\\" in path or not _inside(place, folder) or not place.is_file():
        raise NotThereError(f"session '{folder.name}' has no such file")
    return place


def _inside(place: Path, folder: Path) -> bool:
    try:
        return place.resolve(strict=True).is_relative_to(folder.resolve())
    except (OSError, ValueError):
        return False


def _summary(folder: Path) -> dict[str, Any]:
    files = session_files(folder)
    summary = {"name": folder.name, "bytes": sum(f["bytes"] for f in files), "files": len(files)}
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        ticks = [d["ticks"] for d in manifest.get("receipt", {}).get("devices", {}).values() if "ticks" in d]
        return summary | {
            "created": manifest.get("created"),
            "activity": manifest.get("activity"),
            "participants": manifest.get("participants"),
            "sealed": bool(manifest.get("sealed")),
            "seconds": round(max(ticks) / TICK_HZ, 1) if ticks else None,
        }
    except (OSError, ValueError, AttributeError, TypeError):
        return summary | {"created": None, "activity": None, "participants": [], "sealed": False, "seconds": None}
