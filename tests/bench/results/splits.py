"""Two splits by person, whatever split the dataset was built with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from firmware_host.errors import ConfigError

SPLITS = 2


@dataclass(frozen=True)
class Split:
    """Rows to learn from and rows to be asked about.

    Attributes:
        number: which of the splits.
        train, test: (K,) bool.
        held_out: who is tested on.
    """

    number: int
    train: np.ndarray
    test: np.ndarray
    held_out: tuple[str, ...]


def split_of(number: int, person: np.ndarray) -> Split:
    """The last third of the people is tested on, or with `number` 1 the first.

    Raises:
        ConfigError: fewer than two people.
    """
    people = sorted(set(person.tolist()))
    if len(people) < 2:
        raise ConfigError(f"results need two people or more, and this dataset has {len(people)}; simulate more")
    third = max(1, len(people) // 3)
    held_out = tuple(people[-third:] if number == 0 else people[:third])
    test = np.isin(person, held_out)
    return Split(number, ~test, test, held_out)


def check_guests(company: Sequence[tuple[str, Sequence[str]]]) -> None:
    """Refuse people who would be on both sides: each (who a session is about, everybody in it).

    Raises:
        ConfigError: names the guest.
    """
    met: dict[str, str] = {}
    for person, everybody in company:
        for other in everybody:
            if met.setdefault(other, person) != person:
                raise ConfigError(
                    f"{other} meets {met[other]} and {person}, so a split by person leaks; simulate guests who visit "
                    "one participant only"
                )
