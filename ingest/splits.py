"""Who is trained on and who is tested on: whole people, never clips.

Two clips of one session differ by a sixth of a second, and two sessions of one person share a gait, a kitchen and a
strap. People who appear in a session together, wearers and guests alike, therefore travel together, and so do all
sessions of a person.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from firmware_host.errors import ConfigError, SessionError, unknown_name

SPLITS = ("train", "val", "test")
UNKNOWN = "unknown"
"""The one participant of all sessions that name none: they could be the same person, so they stay together."""
_TRACK = re.compile(r"\d+(\.\d+)?")
"""Who is called so is a track of one film, and somebody else in the next."""


def named(actors: Iterable[str | None]) -> set[str]:
    """Those who have a name: neither nobody nor a track that only has a number."""
    return {a for a in actors if a and not _TRACK.fullmatch(a)}


def everybody(participants: Iterable[str], wearers: Iterable[str], actors: Iterable[str | None] = ()) -> list[str]:
    """All people of a session, in alphabetical order: who takes part, and who is named in what was seen of it.

    Args:
        actors: of its labels, boxes and tracks.
    """
    return sorted(({*participants, *wearers} or {UNKNOWN}) | named(actors))


def assign(
    sessions: Mapping[str, Sequence[str]],
    *,
    val: Iterable[str] = (),
    test: Iterable[str] = (),
    guests: Collection[str] = (),
) -> dict[str, str]:
    """Give everybody a split.

    Without `val` and `test`, and with the groups of people who met in alphabetical order: the last quarter, at
    least one, is tested on, the one before is for validation; two groups train and test, one trains (`tied`).

    Args:
        sessions: session -> its people.
        val, test: participants to hold out; all others train.
        guests: people who cannot be chosen: they go with whom they met.

    Returns:
        person -> one of `SPLITS`.

    Raises:
        ConfigError: a name that no session has, a name in both, or nobody left to train.
        SessionError: people who share a session would be held apart.
    """
    groups = _groups(sessions)
    group_of = {p: group for group in groups for p in group}
    val, test = set(val), set(test)
    people = {p for group in groups for p in group}
    for name in sorted(val | test):
        if name not in people - set(guests):
            raise ConfigError(unknown_name("participant", name, people - set(guests)))
    if val & test:
        raise ConfigError(f"participant '{min(val & test)}' is given to both val and test; choose one")
    if not (val or test):
        held = max(1, len(groups) // 4) if len(groups) > 1 else 0
        test = {p for group in groups[len(groups) - held :] for p in group}
        if len(groups) > 2:
            val = set(groups[len(groups) - held - 1])
    for chosen in (val, test):
        met = {p for here in sessions.values() if chosen.intersection(here) for p in here}
        chosen |= met.intersection(guests)
    split = {p: "test" if p in test else "val" if p in val else "train" for p in sorted(people)}
    for session in sorted(sessions):
        first, *others = _people(sessions[session])
        for other in others:
            if split[other] != split[first]:
                together = [p for p in group_of[first] if p not in guests]
                raise SessionError(
                    f"'{first}' would be in {split[first]} and '{other}' in {split[other]}, but both are in session "
                    f"'{session}'; people who met go together: hold out all of {', '.join(together)} or none of "
                    "them, or leave that session out"
                )
    if "train" not in split.values():
        raise ConfigError("every participant is held out, so nothing is left to train on; hold out fewer")
    return split


def check(rows: Iterable[tuple[str, str, str]]) -> None:
    """Refuse a leak: a participant or a session in two splits.

    Args:
        rows: (session, participant, split).

    Raises:
        SessionError: names the participant or session and both splits.
    """
    seen: dict[tuple[str, str], str] = {}
    for session, participant, split in rows:
        for kind, name in (("participant", participant), ("session", session)):
            before = seen.setdefault((kind, name), split)
            if before != split:
                raise SessionError(
                    f"{kind} '{name}' would be in both {before} and {split}, which leaks; "
                    "keep people who share a session in one split"
                )


def tied(sessions: Mapping[str, Sequence[str]]) -> str | None:
    """Why nobody can be held out, in a sentence; None where somebody can.

    Args:
        sessions: session -> its people.
    """
    groups = _groups(sessions)
    if len(groups) != 1:
        return None
    people = groups[0]
    why = f"there is only '{people[0]}'" if len(people) == 1 else f"all {len(people)} people met, some through others"
    return f"nobody can be held out, because {why}: everything is in train, and a test needs other people's sessions"


def _people(participants: Sequence[str]) -> Sequence[str]:
    return participants or (UNKNOWN,)


def _groups(sessions: Mapping[str, Sequence[str]]) -> list[tuple[str, ...]]:
    """People who met, directly or through others, in alphabetical order."""
    group: dict[str, set[str]] = {}
    for participants in sessions.values():
        together = set(_people(participants)).union(*(group.get(p, {p}) for p in _people(participants)))
        for person in together:
            group[person] = together
    return sorted({tuple(sorted(g)) for g in group.values()})
