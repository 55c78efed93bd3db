"""TOML files that are dataclasses: checked word by word, and everything that is wrong told at once with its line.

Tables are dataclasses, keys are their fields; a default makes a key optional.
"""

from __future__ import annotations

import math
import tomllib
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from firmware_host.errors import ConfigError, unknown_name

Table = TypeVar("Table")
Place = tuple[str | int, ...]
"""Keys and indices from the document's root: ``("sensors", 1, "address")``."""


class Wrong(Exception):  # noqa: N818  collected, and told together
    """What is wrong at a place."""

    def __init__(self, place: Place, what: str) -> None:
        super().__init__(what)
        self.place = place


def read(path: Path, remedy: str) -> tuple[str, dict[str, Any]]:
    """A file's text, and what it says.

    Args:
        remedy: what to do where there is no such file.

    Raises:
        ConfigError: missing, or not TOML.
    """
    try:
        text = path.read_text(encoding="utf-8")
        return text, tomllib.loads(text)
    except FileNotFoundError as error:
        raise ConfigError(f"{path} does not exist; {remedy}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error


def read_table(kind: type[Table], path: Path, remedy: str, judge: Callable[[Table], Iterable[Wrong]]) -> Table:
    """The dataclass that a whole file describes.

    Args:
        remedy: what to do where there is no such file.
        judge: what is wrong with values that are of the right kinds.

    Raises:
        ConfigError: missing, not TOML, or one line for each thing that is wrong.
    """
    text, document = read(path, remedy)
    wrong: list[Wrong] = []
    made = table(kind, document, (), wrong)
    if made is not None:
        wrong += judge(made)
    if made is None or wrong:
        raise refusal(path, text, document, wrong)
    return made


def refusal(path: Path, text: str, document: Mapping[str, Any], wrong: Sequence[Wrong]) -> ConfigError:
    """One line for each thing that is wrong, by line."""
    told = sorted((line_of(text, w.place) or 0, f"{_said(document, w.place)}{w}") for w in wrong)
    return ConfigError("\n".join(f"{path}{f' line {line}' if line else ''}: {what}" for line, what in told))


def line_of(text: str, place: Place) -> int | None:
    """The line of a TOML document at which a place comes to be, counted from 1; None where it is not there.

    tomllib keeps no lines. But the lines up to n are a document themselves wherever no value is left open, so the
    first n whose document has the place is the answer, by the grammar of tomllib and no other.
    """
    lines = text.splitlines(keepends=True)
    for n in range(1, len(lines) + 1) if place else ():
        try:
            document = tomllib.loads("".join(lines[:n]))
        except tomllib.TOMLDecodeError:
            continue  # in the middle of a value
        if _at(document, place) is not None:
            return n
    return None


def tables(kind: type[Table], values: Any, name: str, wrong: list[Wrong]) -> Iterator[Table]:
    """The dataclasses that an array of tables describes; those that are wrong are left out, and told of in `wrong`."""
    if not isinstance(values, list):
        wrong.append(Wrong((name,), f"it must be written as tables, [[{name}]]"))
        return
    for i, value in enumerate(values):
        made = table(kind, value, (name, i), wrong)
        if made is not None:
            yield made


def table(kind: type[Table], value: Any, place: Place, wrong: list[Wrong]) -> Table | None:
    """The dataclass that a table describes; None, and what is wrong with it, where it does not."""
    if not isinstance(value, Mapping):
        wrong.append(Wrong(place, f"{value!r} is not a table"))
        return None
    before = len(wrong)
    hints = get_type_hints(kind)
    known = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    made: dict[str, Any] = {}
    for name, given in value.items():
        if name not in known:
            wrong.append(Wrong((*place, name), unknown_name("key", name, known)))
        else:
            made[name] = _value(hints[name], given, (*place, name), wrong)
    for name, wanted in known.items():
        if name not in value and wanted.default is MISSING and wanted.default_factory is MISSING:
            wrong.append(Wrong(place, f"the key '{name}' is missing"))
    return kind(**made) if len(wrong) == before else None


_IN_WORDS = {int: "a whole number", float: "a number", str: "text in quotes", bool: "true or false"}


def _value(hint: Any, given: Any, place: Place, wrong: list[Wrong]) -> Any:
    """A value of the kind that the dataclass says. Plain kinds are checked; dataclasses are tables, tuples lists."""
    kind: Any = hint
    if isinstance(hint, types.UnionType):
        kind = next(k for k in get_args(hint) if k is not type(None))
    if isinstance(kind, type) and is_dataclass(kind) and not is_dataclass(given):
        return table(kind, given, place, wrong)
    if get_origin(kind) is tuple:
        if not isinstance(given, list):
            wrong.append(Wrong(place, f"{place[-1]} is {given!r}; it must be a list"))
            return given
        return tuple(_value(get_args(kind)[0], each, place, wrong) for each in given)
    plain: dict[Any, tuple[type, ...]] = {int: (int,), str: (str,), float: (int, float), bool: (bool,)}
    fits = isinstance(given, plain.get(kind, (object,))) and (kind is bool or not isinstance(given, bool))
    fits = fits and not (isinstance(given, float) and not math.isfinite(given))
    if kind in plain and not fits:
        wrong.append(Wrong(place, f"{place[-1]} is {given!r}; it must be {_IN_WORDS[kind]}"))
    return given


def _said(document: Mapping[str, Any], place: Place) -> str:
    """The table a place is in, as a person would say it: ``sensors[1] 'bme680': ``."""
    steps = place if isinstance(_at(document, place), Mapping) else place[:-1]
    text = ""
    for step in steps:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    name = _at(document, (*place[:2], "name")) if len(place) > 1 and isinstance(place[1], int) else None
    named = f" '{name}'" if isinstance(name, str) else ""
    return f"{text}{named}: " if text else ""


def _at(document: Any, place: Place) -> Any:
    for step in place:
        try:
            document = document[step]
        except (KeyError, IndexError, TypeError):
            return None
    return document
