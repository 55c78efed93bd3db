"""The words that labels may use: tiers and their values, with a version and a hash that says which list was meant.

A session may keep one as ``labels/vocabulary.json``. A tier that it lists is closed: any other value in it is refused
by name, when labels are brought in and when a dataset is built. A tier that it does not list is free text.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firmware_host.errors import SessionError, unknown_name
from ingest.labels.label import Label
from recorder import durable

FILE = "vocabulary.json"


def vocabulary(tiers_and_values: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Tier -> its values, both in alphabetical order."""
    values: dict[str, set[str]] = {}
    for tier, value in tiers_and_values:
        values.setdefault(tier, set()).add(value)
    return {tier: sorted(values[tier]) for tier in sorted(values)}


@dataclass(frozen=True)
class Vocabulary:
    """The values of each closed tier; `version` is counted up by whoever changes them."""

    tiers: Mapping[str, tuple[str, ...]]
    version: int = 1

    @property
    def sha256(self) -> str:
        """Of the canonical JSON: keys and values sorted, no spaces, UTF-8; equal lists have equal hashes."""
        tiers = {tier: sorted(values) for tier, values in self.tiers.items()}
        document = {"tiers": tiers, "version": self.version}
        text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def named(self) -> str:
        """The vocabulary in a sentence."""
        return f"version {self.version} of the vocabulary ({self.sha256[:12]})"

    def unknown(self, labels: Iterable[Label]) -> list[Label]:
        """The labels whose tier is closed and has no such value."""
        return [n for n in labels if n.tier in self.tiers and n.value not in self.tiers[n.tier]]

    def check(self, labels: Iterable[Label], where: str) -> None:
        """Refuse a value that the vocabulary has not.

        Raises:
            SessionError: names the first, the nearest known one, and how many there are.
        """
        found = self.unknown(labels)
        if found:
            first = found[0]
            more = f" (and {len(found) - 1} more labels)" if len(found) > 1 else ""
            said = unknown_name(f"value of tier '{first.tier}'", first.value, self.tiers[first.tier])
            raise SessionError(f"{where}: {said}{more}; mend the label or add the value to {FILE}")

    def save(self, path: Path) -> None:
        """Write it, whole or not at all."""
        tiers = {tier: sorted(values) for tier, values in sorted(self.tiers.items())}
        durable.write_json(path, {"version": self.version, "sha256": self.sha256, "tiers": tiers})


def of_labels(labels: Iterable[Label], version: int = 1) -> Vocabulary:
    """The vocabulary that just holds some labels."""
    tiers = vocabulary((label.tier, label.value) for label in labels)
    return Vocabulary({tier: tuple(values) for tier, values in tiers.items()}, version)


def load(path: Path) -> Vocabulary:
    """Read a vocabulary. Whoever edits one counts up its version and removes the line with the hash.

    Raises:
        SessionError: it is none, or its hash is of another one.
    """
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        tiers = {str(tier): tuple(map(str, values)) for tier, values in document["tiers"].items()}
        found = Vocabulary(tiers, int(document["version"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SessionError(f"{path} cannot be read as a vocabulary ({error}); it holds version and tiers") from error
    told = document.get("sha256")
    if told is not None and told != found.sha256:
        raise SessionError(
            f"{path} was edited after its hash was taken; count its version up and remove the line sha256"
        )
    return found


def of_folder(folder: Path) -> Vocabulary | None:
    """The vocabulary of a ``labels`` folder; None where it keeps none."""
    path = folder / FILE
    return load(path) if path.is_file() else None
