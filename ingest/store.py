"""Where a dataset lies: a folder, or any address that fsspec knows (`memory://`, `https://`, `s3://`).

Everything a reader asks of a place is here: a range of bytes, a whole small file. A path in a table is relative to the
root and may lead out of it (`../sessions/...`), as the recordings are not copied.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from firmware_host.errors import SessionError


@dataclass(frozen=True)
class Store:
    """A root and the file system that holds it.

    Attributes:
        fs: an fsspec file system.
        root: its root, as `fs` calls it.
    """

    fs: Any
    root: str

    @classmethod
    def at(cls, root: Path | str) -> Store:
        """The store at a folder or an address.

        Raises:
            SessionError: no installed file system knows such an address.
        """
        try:
            fs, path = fsspec.core.url_to_fs(str(root))
        except (ImportError, ValueError) as error:
            raise SessionError(f"{root} cannot be opened ({error}); install what fsspec needs for it") from error
        return cls(fs, path)

    @property
    def local(self) -> bool:
        """Whether it is a folder of this machine."""
        return isinstance(self.fs, LocalFileSystem)

    def path(self, relative: str) -> str:
        """A path from the root as `fs` calls it."""
        scheme, mark, rest = self.root.rpartition("://")
        return scheme + mark + posixpath.normpath(posixpath.join(rest, relative))

    def read(self, relative: str, start: int | None = None, stop: int | None = None) -> bytes:
        """Bytes `[start, stop)` of a file by one request; the whole file without them.

        Raises:
            SessionError: it is gone or cannot be read.
        """
        try:
            data: bytes = self.fs.cat_file(self.path(relative), start=start, end=stop)
        except (OSError, ValueError) as error:
            raise SessionError(f"{self.path(relative)} cannot be read ({error or type(error).__name__})") from error
        return data

    def open(self, relative: str) -> Any:
        """A file to read and seek in.

        Raises:
            FileNotFoundError: there is none.
        """
        return self.fs.open(self.path(relative), "rb")

    def exists(self, relative: str) -> bool:
        """Whether there is such a file."""
        return bool(self.fs.exists(self.path(relative)))
