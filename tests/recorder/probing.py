"""A kit's file, as the ffprobe command sees it."""

import json
import subprocess
from pathlib import Path


def probe(path: Path) -> list[dict]:
    """The file's streams, in file order."""
    command = ["ffprobe", "-v", "error", "-show_streams", "-of", "json", str(path)]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["streams"]


def stream_titles(path: Path) -> dict[str, int]:
    """Titles of the file's streams and their indices."""
    return {s["tags"]["title"]: s["index"] for s in probe(path)}
