"""Activities as sentences of a small seeded grammar.

An activity is a list of phrases; a phrase is a list of atomic steps that leaves both hands empty, so that a
session can stop after any of them. Activities share stations, things and verbs, so that neither the background
nor a thing in view tells the activity: the order of what is done does.
"""

from __future__ import annotations

import numpy as np

# Steps: `get thing`, `go role`, `put thing`, and verbs. A and B are stations drawn for each activity; "x|y" is a
# choice; a phrase that starts with "?" is left out half of the time.
GRAMMAR: dict[str, tuple[str, ...]] = {
    "make_tea": (
        "get cup; go A; put cup",
        "get kettle; press; go A; pour kettle cup; put kettle",
        "get cup; inspect cup; drink cup; drink cup; put cup",
        "?look_around",
        "get bottle; go A; pour bottle cup; put bottle",
    ),
    "clean_up": (
        "get cloth; go A; wipe cloth; wipe cloth; shake cloth; put cloth",
        "get bowl|bottle|carton; go B; put bowl|bottle|carton",
        "get cloth; go B; wipe cloth; bend; put cloth",
        "?bend",
        "open_door; wipe_empty; close_door",
    ),
    "put_away": (
        "get carton|bowl|book|bottle; go cabinet; open_door; stow; close_door",
        "?look_around",
        "bend; get cup|can; go A; put cup|can",
        "get book|bowl|cloth; inspect book|bowl|cloth; go B; put book|bowl|cloth",
        "open_door; look_around; close_door",
    ),
    "read_book": (
        "get book; inspect book; go A; read book; turn_page book; read book; put book",
        "get cup; drink cup; put cup",
        "get book; read book; turn_page book; turn_page book; go B; put book",
        "?press; look_around",
    ),
    "water_plants": (
        "get can; press; go plant; pour can plant; put can",
        "bend; get plant; inspect plant; go A; put plant",
        "get can; go plant; pour can plant; shake can; put can",
        "?look_around",
        "get cloth; go plant; wipe cloth; put cloth",
    ),
}
ACTIVITIES: tuple[str, ...] = tuple(GRAMMAR)


def unfold(activity: str, roles: dict[str, str], random: np.random.Generator) -> list[list[str]]:
    """One sentence of the grammar: stations for A and B, choices made, optional phrases kept or dropped."""
    phrases = []
    for text in GRAMMAR[activity]:
        if text.startswith("?") and random.random() < 0.5:
            continue
        picks: dict[str, str] = {}
        steps = []
        for step in text.lstrip("?").split(";"):
            words = step.split()
            for word in words:
                if "|" in word and word not in picks:
                    picks[word] = str(random.choice(word.split("|")))
            steps.append(" ".join(picks.get(word, roles.get(word, word)) for word in words))
        phrases.append(steps)
    return phrases
