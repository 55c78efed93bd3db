"""Events that BORIS exported: tabular (a row an event, with START, STOP or POINT) or aggregated (a row an interval).

The two are told apart by their columns. Older versions put the observation's facts in lines above the table, newer ones
in columns of it; both are read. Several observations in one table are refused unless they are of one film.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from firmware_host.errors import SessionError
from ingest.labels.label import Label, in_order, of_seconds

BEHAVIOR = "behavior"
"""The tier of a behaviour without a category."""
NOBODY = ("", "No focal subject")
_MEDIA = ("Media file name", "Media file path", "Media file")


@dataclass(frozen=True)
class Event:
    """One entry: a point, or one end of a state."""

    t_ns: int
    tier: str
    value: str
    actor: str | None
    modifiers: str
    state: bool

    def label(self, end_ns: int) -> Label:
        """The label from here to `end_ns`; modifiers that were chosen follow the value after a colon."""
        chosen = [m for m in self.modifiers.split("|") if m and m != "None"]
        return Label(
            self.tier, self.t_ns, end_ns, ": ".join([self.value, *filter(None, [", ".join(chosen)])]), self.actor
        )


def paired(events: Iterable[Event], where: str) -> list[Label]:
    """Labels of events: every second state event of one actor, value and choice of modifiers ends the one before.

    Raises:
        SessionError: a state has no end.
    """
    open_: dict[tuple[str, str, str | None, str], Event] = {}
    labels = []
    for event in sorted(events, key=lambda e: e.t_ns):
        if not event.state:
            labels.append(event.label(event.t_ns))
            continue
        which = (event.tier, event.value, event.actor, event.modifiers)
        begun = open_.pop(which, None)
        if begun is None:
            open_[which] = event
        else:
            labels.append(begun.label(event.t_ns))
    for event in open_.values():
        at = f"{event.t_ns / 1e9:.3f} s"
        raise SessionError(f"{where}: '{event.value}' at {at} begins and never ends; code its end in BORIS")
    return in_order(labels)


def linked(path: Path) -> list[str]:
    """Names of the films that the rows name."""
    rows, _ = _table(path)
    found = (next((row[c] for c in _MEDIA if row.get(c)), "") for row in rows)
    return list(dict.fromkeys(n.replace("\\", "/").rsplit("/", 1)[-1] for n in found if n and n != "NA"))


def read(path: Path) -> list[Label]:
    """Labels of either table, in the time of player 1's film.

    Raises:
        SessionError: it is neither, holds several observations, or a row is not what its column says.
    """
    rows, offset_s = _table(path)
    observations = {row.get("Observation id", "") for row in rows}
    if len(observations) > 1:
        raise SessionError(f"{path} holds {len(observations)} observations; export one at a time")
    try:
        if rows and "Start (s)" in rows[0]:
            return in_order(_interval(row, offset_s) for row in rows)
        return paired((_event(row, offset_s) for row in rows), str(path))
    except (ValueError, KeyError) as error:
        raise SessionError(f"{path}: a row cannot be read ({error}); export it from BORIS again") from error


def _interval(row: Mapping[str, str], offset_s: float) -> Label:
    zero_s = float(row.get("Time offset (s)") or offset_s)
    event = _about(row, float(row["Start (s)"]) - zero_s, state=False)
    return event.label(max(event.t_ns, of_seconds(float(row["Stop (s)"]) - zero_s)))


def _event(row: Mapping[str, str], offset_s: float) -> Event:
    status = row.get("Status") or row["Behavior type"]
    zero_s = float(row.get("Time offset (s)") or offset_s)
    return _about(row, float(row["Time"]) - zero_s, state=status in ("START", "STOP"))


def _about(row: Mapping[str, str], t_s: float, *, state: bool) -> Event:
    actor = None if row["Subject"] in NOBODY else row["Subject"]
    modifiers = "|".join(value for name, value in row.items() if name.startswith("Modifier") and value)
    tier = row.get("Behavioral category") or BEHAVIOR
    return Event(of_seconds(t_s), tier, row["Behavior"].removesuffix(f" ({tier})"), actor, modifiers, state)


def _table(path: Path) -> tuple[list[dict[str, str]], float]:
    """The rows below the header, and the time offset that the lines above it say."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SessionError(f"{path} cannot be read as text ({error}); export the events as .tsv or .csv") from error
    lines = list(csv.reader(text.splitlines(), delimiter="\t" if "\t" in text.split("\n", 1)[0] else ","))
    offset_s = 0.0
    for i, line in enumerate(lines):
        if line and line[0] == "Time offset (s)" and len(line) > 1 and "Behavior" not in line:
            offset_s = float(line[1] or 0)
        if "Behavior" in line and ({"Time"} <= set(line) or {"Start (s)", "Stop (s)"} <= set(line)):
            return [dict(zip(line, row, strict=False)) for row in lines[i + 1 :] if any(row)], offset_s
    raise SessionError(
        f"{path} is neither tabular nor aggregated events of BORIS: no line has Behavior with Time, or with Start (s) "
        "and Stop (s); export 'Events' as .tsv or .csv"
    )
