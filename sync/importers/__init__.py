"""Files from elsewhere, brought into a session as they came: linked or copied, never encoded again.

`IMPORTERS` maps the word after ``--as`` to a function that reads a file and describes the device that made it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from recorder.session import Device
from sync.importers import gopro, media

Importer = Callable[[Path, str], Device]

IMPORTERS: dict[str, Importer] = {"gopro": gopro.describe, "media": media.describe}
