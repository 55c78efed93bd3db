"""Who is trained on and who is tested on: whole people, never clips.

Two clips of one session differ by a sixth of a second, and two sessions of one person share a gait, a kitchen and a
strap. People who appear in a session together therefore travel together, and so do all sessions of a person.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from firmware_host.errors import ConfigError, SessionError, unknown_name

SPLITS = ("train", "val", "test")
UNKNOWN = "unknown"
"""The one participant of all sessions that name none: they could be the same person, so they stay together."""


def assign(
    sessions: Mapping[str, Sequence[str]], *, val: Iterable[str] = (), test: Iterable[str] = ()
) -> dict[str, str]:
    """Give every participant a split.

    Without `val` and `test`, and with the groups of people who met in alphabetical order: the last quarter, at
    least one, is tested on, the one before is for validation; two groups train and test, one trains.

    Args:
        sessions: session -> its participants.
        val, test: participants to hold out; all others train.

    Returns:
        participant -> one of `SPLITS`.

    Raises:
        ConfigError: a name that no session has, a name in both, or nobody left to train.
        SessionError: people who share a session would be held apart.
    """
    groups = _groups(sessions)
    val, test = set(val), set(test)
    people = {p for group in groups for p in group}
    for name in sorted(val | test):
        if name not in people:
            raise ConfigError(unknown_name("participant", name, people))
    if val & test:
        raise ConfigError(f"participant '{min(val & test)}' is given to both val and test; choose one")
    if not (val or test):
        held = max(1, len(groups) // 4) if len(groups) > 1 else 0
        test = {p for group in groups[len(groups) - held :] for p in group}
        if len(groups) > 2:
            val = set(groups[len(groups) - held - 1])
    split = {p: "test" if p in test else "val" if p in val else "train" for p in sorted(people)}
    check([(s, p, split[p]) for s in sorted(sessions) for p in _people(sessions[s])])
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
