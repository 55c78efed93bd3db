"""One vocabulary for a whole dataset: that of its sessions, of the dataset as it was built before, or of who asks.

The classes that a model learns are numbered by it: two lists in one dataset would be two meanings of one number.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from firmware_host.errors import SessionError
from ingest.labels import table, words
from ingest.labels.words import Vocabulary, vocabulary

FOLDER = "labels"


def agreed(
    folders: Mapping[str, Path], out: Path, before: Vocabulary | None, given: Vocabulary | None
) -> Vocabulary | None:
    """The one vocabulary of all sessions; None where nobody keeps one.

    Args:
        folders: session -> its folder.
        out: the dataset, to be named.
        before: what it was built with; None for a new one, or one without.
        given: what somebody asks for, whatever it was built with.

    Raises:
        SessionError: a session keeps another list, or has a word that is not in it; or the dataset was built with
            another.
    """
    kept = {session: words.of_folder(folder / FOLDER) for session, folder in folders.items()}
    first = next((s for s, known in kept.items() if known), None)
    wanted = given or (kept[first] if first else None) or before
    if wanted is None:
        return None
    whose = "--vocabulary is" if given else f"session '{first}' keeps"
    for session, known in kept.items():
        if known and known.sha256 != wanted.sha256:
            raise SessionError(
                f"session '{session}' keeps {known.named()}, and {whose} {wanted.named()}; bring its labels in "
                "again with `syncctl labels import --vocabulary`, or leave it out"
            )
        for path in sorted((folders[session] / FOLDER).glob("*.csv")) if not known else ():
            wanted.check(table.read(path), str(path))
    if before and not given and before.sha256 != wanted.sha256:
        raise SessionError(
            f"{out} was built with {before.named()}, and {whose} {wanted.named()}; give --vocabulary to go over to "
            "the new list, or another folder with --out"
        )
    return wanted


def entries(known: Vocabulary | None, found: Mapping[str, list[str]]) -> dict[str, Any]:
    """What `info.json` says of the words of a dataset.

    Args:
        found: tier -> values that occur.

    Returns:
        ``vocabulary`` (tier -> values: the whole list of a closed tier, of others what occurs), ``vocabulary_version``
        (0 where nobody wrote a list), ``vocabulary_sha256`` (of that list, or of what occurs), ``closed`` (tiers of
        the list).
    """
    listed = known or Vocabulary({tier: tuple(values) for tier, values in found.items()}, 0)
    every = [(tier, value) for tier, values in found.items() if tier not in listed.tiers for value in values]
    every += [(tier, value) for tier, values in listed.tiers.items() for value in values]
    about = {"vocabulary_version": listed.version, "vocabulary_sha256": listed.sha256}
    return {"vocabulary": vocabulary(every), **about, "closed": sorted(known.tiers) if known else []}


def of_info(info: Mapping[str, Any]) -> Vocabulary | None:
    """The list that a dataset was built with, by its `info.json`; None where there was none."""
    if not info.get("vocabulary_version"):
        return None
    return Vocabulary({tier: tuple(info["vocabulary"][tier]) for tier in info["closed"]}, info["vocabulary_version"])
