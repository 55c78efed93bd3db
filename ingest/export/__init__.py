"""A dataset in other tools' formats. Each module writes one, and says what that format cannot hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from firmware_host.errors import ConfigError, SessionError, unknown_name
from ingest.ego import open_aligned
from ingest.opened import Dataset, open_dataset
from ingest.splits import SPLITS

FORMS = ("csv", "parquet", "mp4", "mcap", "lerobot", "webdataset")


def write(
    root: Path | str, form: str, out: Path, *, split: str | None = None, fps: int = 10, size: int = 128
) -> dict[str, Any]:
    """Write a dataset in one of `FORMS`.

    Args:
        root: the dataset, a folder or an address.
        out: a folder that is empty or not there.
        split: its sessions; None for all.
        fps: rows a second of LeRobot's one table.
        size: side of WebDataset's pictures, pixels.

    Returns:
        what `syncctl export --json` prints: ``files, sessions, left_out``.

    Raises:
        SessionError: no dataset there, or a folder that is not empty.
        ConfigError: no such format, or a package that it needs is not installed.
    """
    if form not in FORMS:
        raise ConfigError(unknown_name("format", form, FORMS))
    dataset = open_dataset(root)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SessionError(f"{out} exists and is not empty; give a new folder")
    out.mkdir(parents=True, exist_ok=True)
    names = dataset.sessions(split) if split else sorted(s for each in SPLITS for s in dataset.sessions(each))
    left_out: list[str] = []
    try:
        if form in ("csv", "parquet"):
            from ingest.export.plain import write_plain

            left_out += write_plain(dataset, names, out, form)
        elif form == "mp4":
            from ingest.export.proxy import write_elan

            for name in names:
                left_out += write_elan(open_aligned(_folder(dataset, name)), out / name)
        elif form == "mcap":
            from ingest.export.mcap_files import write_session

            for name in names:
                left_out += write_session(dataset, name, out / f"{name}.mcap")
        elif form == "lerobot":
            from ingest.export.lerobot import write_lerobot

            left_out += write_lerobot(dataset, names, out, fps)
        else:
            from ingest.export.shards import write_shards

            left_out += write_shards(dataset, names, out, size)
    except ModuleNotFoundError as error:
        raise ConfigError(f"'{form}' needs the package '{error.name}'; install syncctl[interop]") from error
    files = sorted(str(p.relative_to(out)) for p in out.rglob("*") if p.is_file())
    return {"out": str(out), "format": form, "sessions": len(names), "files": files, "left_out": left_out}


def _folder(dataset: Dataset, session: str) -> Path:
    """Where a session was recorded, which is where its films are."""
    if not dataset.store.local:
        raise SessionError(f"{dataset.root} is not a folder of this machine, and films are copied where they are")
    return Path(dataset.store.path(dataset.table("sessions", session)["folder"].to_pylist()[0]))
