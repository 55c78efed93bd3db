"""Writes the tables of `docs/reference/session-format.md` from the code: ``python docs/session_format.py``.

A test fails while the page is behind. Run from the repository's root.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from marked import filled

from firmware_host.clockmap import Piece
from firmware_host.driver import scaled
from firmware_host.sensors import SENSORS
from firmware_host.spec import Channel, Flag
from recorder.session import KINDS, ROLES, Device, Session, Stream

PAGE = Path(__file__).parent / "reference" / "session-format.md"
TYPES = {
    "str": "text",
    "int": "integer",
    "float": "number",
    "bool": "true or false",
    "tuple[str, ...]": "list of texts",
    "tuple[int, int]": "[width, height]",
    "tuple[Channel, ...]": "list of channels",
    "tuple[Stream, ...]": "list of streams",
    "tuple[Device, ...]": "list of devices",
    "dict[str, Any]": "object",
    "dict[str, dict[str, Any]]": "object of objects",
}
SESSION = {
    "id": "the folder's name when it was recorded",
    "devices": "everything that recorded",
    "participants": "who took part",
    "place": "where",
    "activity": "what was to be done",
    "created": "when recording began, ISO 8601",
    "sealed": "whether the recording ended in order, or was made whole by `recover`",
    "counters": "per kit: readings by flag, frames, samples, health; for people, no reader needs it",
    "config": "per kit: its kit file",
    "receipt": "per kit, how many ticks were written; `recovered` where `syncctl recover` made it whole",
}
CHANNEL = {
    "name": "unique in its track",
    "unit": "SI symbol, `degC`, `1` for a ratio, `count` where a formula is needed",
    "scale": "value = count * scale + offset",
    "offset": "the same",
}


def tables() -> dict[str, str]:
    """Name of a place in the page -> what belongs there."""
    return {
        "session": fields(Session, SESSION, without=("root",)),
        "device": fields(Device, explained(Device), kinds={"kind": KINDS, "role": ROLES}),
        "stream": fields(Stream, explained(Stream)),
        "channel": fields(Channel, CHANNEL),
        "flags": flags(),
        "pieces": fields(Piece, PIECES),
        "sensors": conversions(),
    }


PIECES = {
    "origin_ns": "a time of the source clock",
    "target_ns": "the same moment on the target clock",
    "skew_ppm": "how much faster the target clock runs, parts per million",
    "sigma_ns": "standard error of a mapped time, the largest within the piece",
    "start_ns": "first source time it is for",
    "stop_ns": "the source time at which it ends",
}


def fields(
    thing: type,
    said: Mapping[str, str],
    without: tuple[str, ...] = (),
    kinds: Mapping[str, tuple[str, ...]] | None = None,
) -> str:
    """A table of a dataclass: field, type, meaning. KeyError where nobody says what a field means."""
    lines = ["| field | type | |", "|---|---|---|"]
    for field in dataclasses.fields(thing):
        if field.name in without:
            continue
        kind = str(field.type)
        name = TYPES[kind.removesuffix(" | None")] + (", or null" if kind.endswith("None") else "")
        values = (kinds or {}).get(field.name)
        meaning = ", ".join(f"`{v}`" for v in values) if values else said[field.name]
        lines.append(f"| `{field.name}` | {name} | {meaning} |")
    return "\n".join(lines) + "\n"


def explained(thing: type) -> dict[str, str]:
    """Attribute -> what the docstring says of it."""
    section = inspect.cleandoc(thing.__doc__ or "").partition("Attributes:\n")[2]
    found = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", section, re.M)
    return {name: " ".join(text.split()).rstrip(".").replace("``", "`") for name, text in found}


def flags() -> str:
    """The table of `Flag`."""
    source = inspect.getsource(Flag)
    said = dict(re.findall(r'^ {4}([A-Z_]+) = \d+\n {4}"""(.*?)"""', source, re.M | re.S))
    rows = [f"| {f.value} | {f.name} | {' '.join(said[f.name].split())} |" for f in Flag]
    return "\n".join(["| value | name | |", "|---|---|---|", *rows]) + "\n"


def conversions() -> str:
    """Which chips' counts need more than the scale and offset of their channels."""
    rows = []
    for model, spec in SENSORS.items():
        sensor = spec.make({"raw": True} if model == "bno055" else {})
        plain = all(linear(spec, track) for track in sensor.tracks if spec.si_channels(track.name))
        rows.append(f"| {model} | {'count * scale + offset' if plain else f'[formula](#{model})'} |")
    return "\n".join(["| chip | SI |", "|---|---|", *rows]) + "\n"


def linear(spec: Any, track: Any) -> bool:
    """Whether a track's SI values are its first channels, each by scale and offset alone."""
    counts = np.arange(1, 1 + track.width).reshape(track.rows_per_tick, -1)
    try:
        si = spec.to_si(track.name, counts, {})
    except KeyError:  # it asks for settings
        return False
    return bool(np.array_equal(si, scaled(track, counts)[:, : si.shape[1]]))


def written(text: str) -> str:
    """The page `text` with the tables as they should be."""
    return filled(text, "session_format.py", tables())


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
