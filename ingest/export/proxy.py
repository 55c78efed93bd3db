"""A session's films as MP4 that annotation tools and browsers play, with the exact time of every frame beside them.

    kit-01.mp4           the film's own H.264 where it has that, and its microphone as AAC
    kit-01.frames.csv    frame, film_s, t_device_ns, t_ns
    SESSION.eaf          for ELAN: these films in step, and the labels that there are

An MP4's time 0 is that of its film, so that `labels import` takes what was annotated on it for the film's.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc_csv

from firmware_host.clock import SECOND_NS
from ingest.ego import Aligned
from ingest.labels import elan, exchange, words
from ingest.labels.film import Film, films
from ingest.labels.label import Linked
from recorder import durable
from recorder.proxy import write_proxy
from recorder.samples import frame_times_ns


def write_films(aligned: Aligned, out: Path) -> list[str]:
    """Write every film of a session and the times of its frames.

    Returns:
        sentences about what was left out, and about films that had to be encoded anew.

    Raises:
        SessionError: a film cannot be read.
    """
    out.mkdir(parents=True, exist_ok=True)
    said = [sentence for film in films(aligned) for sentence in _write(aligned, film, exchange.copy_of(film.path, out))]
    return said + [f"{aligned.session.id}: {device}: {why}" for device, why in aligned.left_out.items()]


def write_elan(aligned: Aligned, out: Path) -> list[str]:
    """Write the films in step with the one that began first, and an ``.eaf`` in its time that links them all.

    ELAN can begin a film later than the others and not earlier, so that the copy of one that began later is led in by
    its first picture. Such a copy has a name of its own, ``head.in-step.mp4``: its time 0 is not the film's.

    Returns:
        sentences about what was left out.
    """
    out.mkdir(parents=True, exist_ok=True)
    name = aligned.session.id
    every = sorted(films(aligned), key=lambda f: (f.reference_ns(0), f.device))
    if not every:
        return [f"{name}: it has no film"]
    said, linked = [], []
    for film in every:
        lead_ns = max(0, every[0].film_ns(film.reference_ns(0)))
        copy = exchange.copy_of(film.path, out)
        copy = copy.with_suffix(".in-step.mp4") if lead_ns else copy
        said += _write(aligned, film, copy, lead_ns)
        linked.append(Linked(copy))
    said += [f"{name}: {device}: {why}" for device, why in aligned.left_out.items()]
    folder = aligned.session.root / exchange.FOLDER
    known = words.of_folder(folder)
    own = [n.at(every[0].film_ns) for n in exchange.kept(aligned)]
    left = elan.write(own, out / f"{name}.eaf", linked, dict(known.tiers) if known else None)
    if left:
        said.append(f"{name}: {len(left)} labels for which ELAN has no place, the first {left[0].named()}")
    return said


def _write(aligned: Aligned, film: Film, target: Path, lead_ns: int = 0) -> list[str]:
    """One film and the times of its frames; a sentence where it was encoded anew."""
    with durable.replacing(target) as scratch:
        copied = write_proxy(film.path, scratch, lead_ns)
    device = next(d for d, _ in aligned.devices if d.name == film.device)
    taken_ns = frame_times_ns(aligned.session, device)
    count = min(len(taken_ns), len(film.frames_ns))
    shown_ns = film.frames_ns[:count] + lead_ns
    shown_ns[:1] = np.minimum(shown_ns[:1], 0)  # the copy shows it from its beginning
    columns = {
        "frame": np.arange(count),
        "film_s": shown_ns / SECOND_NS,
        "t_device_ns": taken_ns[:count],
        "t_ns": film.to_reference.forward(taken_ns[:count]),
    }
    with durable.replacing(target.with_suffix(".frames.csv")) as scratch:
        pc_csv.write_csv(pa.table(columns), scratch)
    return [] if copied else [f"{aligned.session.id}: {film.path.name} is no H.264, so that its copy is encoded anew"]
