"""What a request to start or to mark a moment may say, checked field by field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firmware_host.clock import SECOND_NS
from firmware_host.errors import ConfigError, unknown_name
from recorder.activities import Task, activity

MAX_TEXT = 500
MAX_NAME = 80
FARTHEST_S = 24 * 3600
LATE_S = 1.0
"""An agreed time that has passed by more than this was not agreed in time."""
START_FIELDS: dict[str, type | tuple[type, ...]] = {
    "session": str,
    "at_ns": int,
    "activity": str,
    "instruction": str,
    "atus": str,
    "participant": str,
    "place": str,
    "tones": bool,
    "duration_s": (int, float),
    "allow_missing": bool,
}
EVENT_FIELDS: dict[str, type | tuple[type, ...]] = {"text": str, "age_ns": int}


@dataclass(frozen=True)
class StartOrder:
    """A checked request to record."""

    task: Task
    session: str | None
    at_ns: int | None
    allow_missing: bool


@dataclass(frozen=True)
class Start:
    """An order to record.

    Attributes:
        folder: the session's, which must not exist.
        at_ns: wall time of tick 0, ns since 1970; None for as soon as can be.
        task: what is recorded.
    """

    folder: Path
    at_ns: int | None
    task: Task


def start_order(body: Mapping[str, Any], now_ns: int) -> StartOrder:
    """Check a request to record; `now_ns` is wall time.

    Raises:
        ConfigError: a field that does not exist, of the wrong kind, or out of range.
    """
    given = _checked(body, START_FIELDS)
    at_ns = given.get("at_ns")
    if at_ns is not None and not -LATE_S * SECOND_NS < at_ns - now_ns < FARTHEST_S * SECOND_NS:
        away_s = (at_ns - now_ns) / SECOND_NS
        raise ConfigError(f"'at_ns' is {away_s:+.1f} s from this kit's time; agree on a moment within the next day")
    duration_s = given.get("duration_s")
    if duration_s is not None and not 1 <= duration_s <= 7 * FARTHEST_S:
        raise ConfigError("'duration_s' must be between a second and a week")
    name = given.get("activity")
    what = activity(name, instruction=given.get("instruction"), atus=given.get("atus")) if name else None
    task = Task(what, given.get("participant"), given.get("place"), given.get("tones", False), duration_s)
    return StartOrder(task, given.get("session"), at_ns, given.get("allow_missing", False))


def event_order(body: Mapping[str, Any]) -> tuple[str, int]:
    """Check a request to mark a moment: its text, and how long ago it was in ns.

    Raises:
        ConfigError: as for `start_order`.
    """
    given = _checked(body, EVENT_FIELDS)
    age_ns = given.get("age_ns", 0)
    if not 0 <= age_ns <= 3600 * SECOND_NS:
        raise ConfigError("'age_ns' must be between 0 and an hour")
    return given.get("text", "").strip() or "event", age_ns


def _checked(body: Mapping[str, Any], fields: Mapping[str, type | tuple[type, ...]]) -> dict[str, Any]:
    """The fields that were given and are not null or empty."""
    for name, value in body.items():
        if name not in fields:
            raise ConfigError(unknown_name("field", name[:MAX_NAME], fields))
        kind = fields[name]
        if value is not None and (not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool)):
            raise ConfigError(f"'{name}' is of the wrong type")
        limit = MAX_TEXT if name in ("text", "instruction") else MAX_NAME
        if isinstance(value, str) and (len(value) > limit or not value.isprintable()):
            raise ConfigError(f"'{name}' must be one line of at most {limit} characters")
    return {name: value for name, value in body.items() if value is not None and value != ""}
