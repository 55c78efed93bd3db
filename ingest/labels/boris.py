"""BORIS (Friard and Gamba, 2016): a project out, for annotators to go on from, and projects or exported events in.

A behaviour's code is the value, its category the tier, its subject the actor. A state event is two entries of one
subject and code, so that equal labels of one actor must not overlap. Times are seconds with three decimals; those of an
observation begin with player 1, and player k's film began `offset` seconds later. BORIS adds the observation's time
offset to what it writes, which is taken off here. Boxes and confidence have no place in it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from firmware_host.errors import SessionError, unknown_name
from ingest.labels import boris_events
from ingest.labels.boris_events import BEHAVIOR, Event, paired
from ingest.labels.label import SECOND_NS, Label, Linked, in_order, milliseconds, of_seconds
from recorder import durable

STATE, POINT = "State event", "Point event"
_KEYS = "abcdefghijklmnopqrstuvwxyz0123456789"


def linked(path: Path) -> list[str]:
    """Names of the films of a project's observations, or of what exported events name; empty where they name none."""
    if not _is_project(path):
        return boris_events.linked(path)
    observations = _project(path)["observations"].values()
    return list(dict.fromkeys(_name(m) for o in observations for files in _players(o).values() for m in files))


def read(path: Path, film: str | None = None) -> list[Label]:
    """Events of a project (``.boris``), or of its tabular or aggregated export (``.tsv``, ``.csv``).

    Args:
        film: file name of the film in whose time they are wanted; None for that of player 1.

    Raises:
        SessionError: it is none of these, a state event has no end, or several observations fit.
    """
    if not _is_project(path):
        return boris_events.read(path)
    project = _project(path)
    fitting = {n: o for n, o in project["observations"].items() if film is None or _begins_s(o, film) is not None}
    if len(fitting) != 1:
        raise SessionError(
            f"{path} has {len(fitting)} observations {f'of {film}' if film else ''}; name the film of one of "
            f"{', '.join(project['observations'])}, or leave one in the project"
        )
    (name, observation), *_ = fitting.items()
    conf = {b["code"]: b for b in project["behaviors_conf"].values()}
    zero_s = float(observation.get("time offset") or 0) + ((_begins_s(observation, film) or 0.0) if film else 0.0)
    events = []
    for t_s, subject, code, modifiers, *_rest in observation["events"]:
        if code not in conf:
            raise SessionError(f"{path}: {unknown_name('behaviour', code, conf)}; it is not in the ethogram")
        tier = conf[code].get("category") or BEHAVIOR
        value = code.removesuffix(f" ({tier})")
        state = conf[code]["type"].startswith("State")
        events.append(Event(of_seconds(float(t_s) - zero_s), tier, value, subject or None, modifiers or "", state))
    return paired(events, f"{path}, observation '{name}'")


def write(labels: Iterable[Label], path: Path, films: Sequence[Linked] = ()) -> list[Label]:
    """Write a project of one observation, named like the file, with the films, an ethogram and the labels as events.

    Args:
        labels: in the time of the first film.
        films: player 1's, player 2's and so on; eight at most.

    Returns:
        labels that it cannot hold: those with a box, those from before the first film, and those that overlap an equal
        one of their actor.
    """
    held, left = _held(in_order(labels))
    conf = _ethogram(held)
    codes = {(b["category"], _plain(b)): b["code"] for b in conf.values()}
    kinds = {b["code"]: b["type"] for b in conf.values()}
    events: list[list[Any]] = []
    for label in held:
        code = codes[label.tier, label.value]
        ends = (label.t0_ns, label.t1_ns) if kinds[code] == STATE else (label.t0_ns,)
        events += [[milliseconds(t_ns) / 1000, label.actor or "", code, "", "", "NA"] for t_ns in ends]
    subjects = sorted({n.actor for n in held if n.actor})
    document = {
        "time_format": "hh:mm:ss",
        "project_date": "1970-01-01T00:00:00",
        "project_name": path.stem,
        "project_description": "",
        "project_format_version": "7.0",
        "subjects_conf": {
            str(i): {"key": _KEYS[-1 - i % 10], "name": s, "description": ""} for i, s in enumerate(subjects)
        },
        "behaviors_conf": conf,
        "observations": {path.stem: _observation(sorted(events, key=lambda e: e[0]), films)},
        "behavioral_categories": sorted({n.tier for n in held}),
        "independent_variables": {},
        "coding_map": {},
        "behaviors_coding_map": [],
        "converters": {},
    }
    durable.write_json(path, document)
    return left


def _held(labels: Sequence[Label]) -> tuple[list[Label], list[Label]]:
    held, left = [], []
    ends: dict[tuple[str, str, str | None], int] = {}
    for label in labels:
        which = (label.tier, label.value, label.actor)
        begin, end = milliseconds(label.t0_ns), milliseconds(label.t1_ns)
        moment = label.t0_ns == label.t1_ns
        if label.box or label.t0_ns < 0 or begin < ends.get(which, begin) or (begin == end and not moment):
            left.append(label)
        else:
            held.append(label)
            ends[which] = end
    return held, left


def _ethogram(labels: Sequence[Label]) -> dict[str, dict[str, Any]]:
    """Behaviours; a value that two tiers have is told apart by its tier in brackets. A code is of one type."""
    values = sorted({(n.tier, n.value) for n in labels})
    shared = {v for t, v in values for u, w in values if v == w and t != u}
    lasting = {(n.tier, n.value) for n in labels if n.t1_ns > n.t0_ns}
    conf = {}
    for i, (tier, value) in enumerate(values):
        conf[str(i)] = {
            "type": STATE if (tier, value) in lasting else POINT,
            "key": _KEYS[i % len(_KEYS)],
            "code": f"{value} ({tier})" if value in shared else value,
            "description": "",
            "category": tier,
            "modifiers": {},
            "excluded": "",
            "coding map": "",
            "color": "",
        }
    return conf


def _plain(behaviour: Mapping[str, Any]) -> str:
    return str(behaviour["code"]).removesuffix(f" ({behaviour['category']})")


def _observation(events: list[list[Any]], films: Sequence[Linked]) -> dict[str, Any]:
    paths = [str(f.path.resolve()) for f in films]
    return {
        "file": {str(i + 1): [paths[i]] if i < len(paths) else [] for i in range(8)},
        "type": "MEDIA",
        "date": "1970-01-01T00:00:00",
        "description": "",
        "time offset": 0.0,
        "events": events,
        "observation time interval": [0, 0],
        "independent_variables": {},
        "visualize_spectrogram": False,
        "visualize_waveform": False,
        "close_behaviors_between_videos": False,
        "scan_sampling_time": 0,
        "media_info": {
            "length": {p: round(f.length_ns / SECOND_NS, 3) for p, f in zip(paths, films, strict=True)},
            "fps": {p: round(f.rate_hz, 3) for p, f in zip(paths, films, strict=True)},
            "hasVideo": dict.fromkeys(paths, True),
            "hasAudio": dict.fromkeys(paths, True),
            "offset": {str(i + 1): round(f.began_ns / SECOND_NS, 3) for i, f in enumerate(films)},
        },
    }


def _begins_s(observation: Mapping[str, Any], film: str) -> float | None:
    """When a film begins in an observation, less the observation's time offset; None where it has no such film."""
    info = observation.get("media_info") or {}
    for player, files in _players(observation).items():
        begin = float((info.get("offset") or {}).get(player) or 0)
        for media in files:
            if _name(media) == film:
                return begin
            begin += float((info.get("length") or {}).get(media) or 0)
    return None


def _players(observation: Mapping[str, Any]) -> dict[str, list[str]]:
    """Player -> its files, by number; a live observation has none."""
    files = observation.get("file") or {}
    return {k: files[k] for k in sorted(files)} if isinstance(files, dict) else {}


def _name(media: str) -> str:
    return media.replace("\\", "/").rsplit("/", 1)[-1]


def _is_project(path: Path) -> bool:
    return path.suffix.lower() in (".boris", ".json")


def _project(path: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if not {"observations", "behaviors_conf"} <= set(document):
            raise KeyError("observations or behaviors_conf is missing")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SessionError(f"{path} is no BORIS project ({error}); save it in BORIS again") from error
    return document
