"""A session's labels out to a tool's file, and back: which film the times are in, and what is kept out and why.

Every format but the plain tables counts from time 0 of one film's file. Which film that is, is what the file itself
links, where it does; otherwise it must be said. Coming in, its times go through that film's place on the session's
reference clock; going out, the other way.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from firmware_host.errors import ConfigError, SessionError, SyncctlError
from ingest.ego import Aligned
from ingest.labels import ava, boris, cvat, elan, film, homage, table, via, words
from ingest.labels.film import Film
from ingest.labels.label import Label, Linked, in_order, milliseconds
from ingest.labels.words import Vocabulary

FORMATS = {
    "csv": (".csv",),
    "parquet": (".parquet",),
    "elan": (".eaf",),
    "ava": (".csv",),
    "via": (".json",),
    "cvat": (".xml",),
    "boris": (".boris", ".tsv"),
    "homage": (),
}
"""Format -> suffixes of its files; the first with a suffix is what a file without ``--format`` is taken for."""
FOLDER = "labels"


@dataclass(frozen=True)
class Asked:
    """What somebody says of a file beside its name.

    Attributes:
        format: a key of `FORMATS`.
        film: device or file name of the film whose time 0 the file counts from; None for what the file links.
        video: what the film is called in AVA's rows or HOMAGE's folders; None for the film's name.
        label_map, excluded: AVA's further files; None for those beside the csv.
        copies: folder of MP4 copies of the films (`ingest.export.proxy`), which are linked instead of them.
    """

    format: str
    film: str | None = None
    video: str | None = None
    label_map: Path | None = None
    excluded: Path | None = None
    copies: Path | None = None


@dataclass(frozen=True)
class Brought:
    """Labels that were read for a session, and what was not taken.

    Attributes:
        labels: on the reference clock, in order.
        zero: file whose time 0 the file's times were counted from; None for the reference clock itself.
        unknown: labels that the vocabulary has not.
        outside: labels of which no part was recorded.
        doubled: labels that another file of the session has already, to the millisecond.
    """

    labels: list[Label]
    zero: str | None
    unknown: list[Label]
    outside: list[Label]
    doubled: list[Label]


def format_of(path: Path) -> str:
    """What a file is taken for by its suffix.

    Raises:
        ConfigError: the suffix is of none.
    """
    for name, suffixes in FORMATS.items():
        if path.suffix.lower() in suffixes:
            return name
    raise ConfigError(f"{path}: its name does not say what it is; give --format, one of {', '.join(FORMATS)}")


def bring(path: Path, aligned: Aligned, asked: Asked, name: str, known: Vocabulary | None) -> Brought:
    """Read a file and put its labels on the session's reference clock.

    Args:
        name: the file of the session's ``labels`` that they are for; it is not looked at for what is there already.
        known: the vocabulary that they must be of; None for none.

    Raises:
        SessionError: the file cannot be read, or its film is not in the session.
    """
    labels, seen = read(path, asked, aligned)
    unknown = known.unknown(labels) if known else []
    span = film.span_ns(aligned)
    outside = film.outside(labels, span) if span else []
    others = [n for n in sorted((aligned.session.root / FOLDER).glob("*.csv")) if n.stem != name]
    there = {key for other in others for n in table.read(other) for key in _keys(n, (-1, 0, 1))}
    doubled = [n for n in labels if _keys(n) & there]
    gone = {*unknown, *outside, *doubled}
    zero = seen.path.name if seen else None
    return Brought([n for n in labels if n not in gone], zero, unknown, outside, doubled)


def read(path: Path, asked: Asked, aligned: Aligned) -> tuple[list[Label], Film | None]:
    """All labels of a file, on the session's reference clock, and the film in whose time they were.

    Raises:
        SessionError: the file cannot be read, or its film is not in the session.
    """
    seen = _film(path, aligned, asked)
    labels = _read(path, asked, seen)
    if seen is None:
        return labels, None
    found = (n.at(seen.reference_ns) for n in labels)
    return in_order(replace(n, device=seen.device) if n.box and not n.device else n for n in found), seen


def store(labels: Sequence[Label], aligned: Aligned, name: str, *, again: bool, known: Vocabulary | None) -> Path:
    """Keep labels as ``labels/NAME.csv`` of the session, whole or not at all.

    Raises:
        ConfigError: that file is there, and not `again`; or `name` is no plain file name.
    """
    if Path(name).name != name:
        raise ConfigError(f"labels cannot be kept as '{name}', which is no plain name; give --name without a folder")
    folder = aligned.session.root / FOLDER
    path = folder / f"{name}.csv"
    if path.exists() and not again:
        raise ConfigError(f"{path} is there already; give --replace to write it anew, or another --name")
    folder.mkdir(exist_ok=True)
    table.write(labels, path)
    if known:
        known.save(folder / words.FILE)
    return path


def kept(aligned: Aligned, tiers: Iterable[str] = (), sources: Iterable[str] = ()) -> list[Label]:
    """A session's labels, of some tiers and files or all, on the reference clock.

    Raises:
        SessionError: a file cannot be read, or there is nothing of what was asked for.
    """
    wanted, files = set(tiers), set(sources)
    labels = [
        label
        for path in sorted((aligned.session.root / FOLDER).glob("*.csv"))
        if not files or path.stem in files
        for label in table.read(path)
        if not wanted or label.tier in wanted
    ]
    if not labels and (wanted or files):
        raise SessionError(f"{aligned.session.root} has no such labels; look into its folder '{FOLDER}'")
    return in_order(labels)


def hand_out(labels: Sequence[Label], path: Path, aligned: Aligned, asked: Asked) -> list[Label]:
    """Write labels for a tool; returns those that its format cannot hold, on the reference clock.

    Args:
        labels: on the reference clock; with a film, boxes of other devices' pictures are not for it.

    Raises:
        SessionError: the film is not in the session, or none is named and there are several.
    """
    seen = _film(None, aligned, asked)
    if seen is None:
        return _write(labels, path, aligned, asked, None)
    elsewhere = [n for n in labels if n.box and n.device not in (None, seen.device)]
    own = [n.at(seen.film_ns) for n in labels if not (n.box and n.device not in (None, seen.device))]
    left = _write(own, path, aligned, asked, seen)
    return in_order([*elsewhere, *(n.at(seen.reference_ns) for n in left)])


def _read(path: Path, asked: Asked, seen: Film | None) -> list[Label]:
    try:
        return _read_as(path, asked, seen)
    except SyncctlError:
        raise
    except (KeyError, ValueError, TypeError, IndexError, ZeroDivisionError) as error:
        said = f"{path} cannot be read as '{asked.format}' ({type(error).__name__}: {error})"
        raise SessionError(f"{said}; is it damaged, or another tool's?") from error


def _read_as(path: Path, asked: Asked, seen: Film | None) -> list[Label]:
    if asked.format in ("csv", "parquet"):
        return table.read(path)
    assert seen is not None
    if asked.format == "elan":
        return elan.read(path, _called(elan.linked(path), seen))
    if asked.format == "ava":
        excluded = asked.excluded or (ava.excluded_of(path) if ava.excluded_of(path).is_file() else None)
        return ava.read(path, ava.read_map(asked.label_map or ava.map_of(path)), asked.video, excluded)
    if asked.format == "via":
        return via.read(path, seen.size, _called(via.linked(path), seen))
    if asked.format == "cvat":
        return cvat.read(path, seen.frames_ns)
    if asked.format == "boris":
        return boris.read(path, _called(boris.linked(path), seen))
    return homage.read(path, asked.video or seen.path.stem, seen.frames_ns)


def _write(labels: Sequence[Label], path: Path, aligned: Aligned, asked: Asked, seen: Film | None) -> list[Label]:
    if seen is None:
        return table.write(labels, path)
    video = asked.video or seen.path.stem
    if asked.format == "elan":
        known = words.of_folder(aligned.session.root / FOLDER)
        return elan.write(labels, path, _linked(aligned, seen, asked.copies), dict(known.tiers) if known else None)
    if asked.format == "ava":
        return ava.write(labels, path, video, ava.read_map(asked.label_map) if asked.label_map else None)
    if asked.format == "via":
        return via.write(labels, path, copy_of(seen.path, asked.copies), seen.size)
    if asked.format == "cvat":
        return cvat.write(labels, path, seen.frames_ns, seen.size)
    if asked.format == "boris":
        return boris.write(labels, path, _linked(aligned, seen, asked.copies)[:8])
    if asked.format == "homage":
        return homage.write(labels, path, video, seen.frames_ns)
    return table.write(labels, path)


def _film(path: Path | None, aligned: Aligned, asked: Asked) -> Film | None:
    """The film that times are counted from; None for a plain table without one."""
    if asked.film is not None:
        return film.film_of(aligned, asked.film)
    if asked.format in ("csv", "parquet"):
        return None
    names = {Path(d.file).name for d, _ in aligned.devices if d.of_kind("video")}
    stems = {Path(n).stem: n for n in names}
    linked = [stems[Path(n).stem] for n in _links(path, asked.format) if Path(n).stem in stems] if path else []
    if linked:
        return film.film_of(aligned, linked[0])
    if len(names) == 1:
        return film.film_of(aligned, names.pop())
    where = (
        f"{path} links none of" if path and _links(path, asked.format) else "which film's time is meant? give --film"
    )
    raise SessionError(f"{where} the films of {aligned.session.root}; --film takes one of {', '.join(sorted(names))}")


def _links(path: Path, kind: str) -> list[str]:
    if kind == "elan":
        return list(elan.linked(path))
    if kind == "via":
        return via.linked(path)
    return boris.linked(path) if kind == "boris" else []


def _called(linked: Iterable[str], seen: Film) -> str | None:
    """What a file calls a film; a copy for a player may have another suffix. None where it does not link it."""
    return next((n for n in linked if Path(n).stem == seen.path.stem), None)


def copy_of(path: Path, copies: Path | None) -> Path:
    """What is linked for a film: its copy, or itself where there are none."""
    return path if copies is None else copies / f"{path.stem}.mp4"


def _linked(aligned: Aligned, master: Film, copies: Path | None) -> list[Linked]:
    """The master and the other films, as they begin in its time. Drift is left to the labels: players know none."""
    every = sorted(film.films(aligned), key=lambda f: f.device != master.device)
    return [
        Linked(
            copy_of(f.path, copies),
            master.film_ns(f.reference_ns(0)) if f.device != master.device else 0,
            homage.end_ns(f.frames_ns, len(f.frames_ns) - 1) if len(f.frames_ns) else 0,
            1e9 * (len(f.frames_ns) - 1) / int(f.frames_ns[-1] - f.frames_ns[0]) if len(f.frames_ns) > 1 else 30.0,
        )
        for f in every
    ]


def _keys(label: Label, around_ms: Iterable[int] = (0,)) -> set[tuple[object, ...]]:
    """What a label says and its ends in whole milliseconds, these moved by any of `around_ms`."""
    said = (label.tier, label.value, label.actor, tuple(round(c, 3) for c in label.box or ()))
    around = list(around_ms)
    t0, t1 = milliseconds(label.t0_ns), milliseconds(label.t1_ns)
    return {(said, t0 + a, t1 + b) for a in around for b in around}
