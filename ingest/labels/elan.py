"""ELAN's ``.eaf`` (EAF 3.0): intervals in tiers, beside films that are played in step.

Times are whole milliseconds from the file's own 0. A linked film that had begun by then has a ``TIME_ORIGIN``: where in
the film that 0 is. Within a tier nothing overlaps and nothing is shorter than a millisecond, so overlapping labels are
laid over several tiers ``action@p01``, ``action@p01 (2)``; reading puts them together again. Boxes and confidence have
no place in it. Source: the EAF 3.0 schema and its guidelines (Max Planck Institute for Psycholinguistics).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

from firmware_host.errors import SessionError, unknown_name
from ingest.labels.label import MILLISECOND_NS, Label, Linked, in_order, milliseconds
from recorder import durable

MIME = {".mp4": "video/mp4", ".mkv": "video/x-matroska", ".mov": "video/quicktime", ".wav": "audio/x-wav"}
_SCHEMA = "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"
_LAID_OVER = re.compile(r" \(\d+\)$")
_NOT_XML = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def linked(path: Path) -> dict[str, int]:
    """Names of the films that a file links -> their time at the file's 0, ns; the first is the master.

    Raises:
        SessionError: it is no .eaf.
    """
    found = {}
    for media in _root(path).iterfind("HEADER/MEDIA_DESCRIPTOR"):
        url = media.get("RELATIVE_MEDIA_URL") or media.get("MEDIA_URL") or ""
        found[url.replace("\\", "/").rsplit("/", 1)[-1]] = int(media.get("TIME_ORIGIN") or 0) * MILLISECOND_NS
    return found


def read(path: Path, film: str | None = None) -> list[Label]:
    """The annotations, in the time of a linked film.

    Args:
        film: file name of that film; None for the first linked one, or the file's own time where none is.

    Raises:
        SessionError: it is no .eaf, or does not link that film.
    """
    films = linked(path)
    if film is not None and film not in films:
        raise SessionError(f"{path} does not link that film: {unknown_name('film', film, films)}")
    origin_ns = films[film] if film is not None else next(iter(films.values()), 0)
    root = _root(path)
    slots = _slots(root)
    spans: dict[str, tuple[int, int]] = {}
    parents: dict[str, str] = {}
    for aligned in root.iterfind("TIER/ANNOTATION/ALIGNABLE_ANNOTATION"):
        ends = slots[aligned.attrib["TIME_SLOT_REF1"]], slots[aligned.attrib["TIME_SLOT_REF2"]]
        spans[aligned.attrib["ANNOTATION_ID"]] = (origin_ns + ends[0], origin_ns + ends[1])
    for hung in root.iterfind("TIER/ANNOTATION/REF_ANNOTATION"):
        parents[hung.attrib["ANNOTATION_ID"]] = hung.attrib["ANNOTATION_REF"]
    labels = []
    for tier in root.iterfind("TIER"):
        name, actor = _tier(tier)
        for annotation in tier.iterfind("ANNOTATION/*"):
            above = annotation.attrib["ANNOTATION_ID"]
            passed: set[str] = set()
            while above in parents and above not in passed:  # a dependent annotation lasts as long as what it hangs on
                passed.add(above)
                above = parents[above]
            value = annotation.findtext("ANNOTATION_VALUE") or ""
            labels.append(Label(name, *spans[above], value, actor))
    return in_order(labels)


def write(
    labels: Iterable[Label],
    path: Path,
    films: Sequence[Linked] = (),
    vocabulary: Mapping[str, Sequence[str]] | None = None,
) -> list[Label]:
    """Write a file to be opened in ELAN.

    Args:
        labels: in the time of the first film.
        films: the first is the master; one that began later is not linked, because ELAN's offsets have one direction.
        vocabulary: tier -> values that ELAN offers in it.

    Returns:
        labels that it cannot hold: those with a box, and those from before the first film.
    """
    every = in_order(labels)
    left = [n for n in every if n.box or n.t0_ns < 0 or _NOT_XML.search(n.value)]
    unheld = set(left)
    kept = [n for n in every if n not in unheld]
    about = {"AUTHOR": "", "DATE": "1970-01-01T00:00:00+00:00", "FORMAT": "3.0", "VERSION": "3.0"}
    about |= {"xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance", "xsi:noNamespaceSchemaLocation": _SCHEMA}
    root = ET.Element("ANNOTATION_DOCUMENT", about)
    header = ET.SubElement(root, "HEADER", MEDIA_FILE="", TIME_UNITS="milliseconds")
    for film in films:
        if film.began_ns <= 0:
            _link(header, film.path, -film.began_ns, path.parent)
    _annotate(root, _tiers(kept, vocabulary or {}))
    for tier in sorted({n.tier for n in kept} | set(vocabulary or {})):
        kind = {"LINGUISTIC_TYPE_ID": tier, "TIME_ALIGNABLE": "true", "GRAPHIC_REFERENCES": "false"}
        kind |= {"CONTROLLED_VOCABULARY_REF": tier} if tier in (vocabulary or {}) else {}
        ET.SubElement(root, "LINGUISTIC_TYPE", kind)
    ET.SubElement(root, "LANGUAGE", LANG_ID="und", LANG_LABEL="undetermined (und)")
    for number, (tier, values) in enumerate(sorted((vocabulary or {}).items())):
        _offer(ET.SubElement(root, "CONTROLLED_VOCABULARY", CV_ID=tier), values, f"cveid_{number}")
    ET.indent(root)
    durable.write_bytes(path, ET.tostring(root, "UTF-8", xml_declaration=True) + b"\n")
    return left


Laid = dict[tuple[str, str | None, int], list[tuple[int, int, str]]]
"""Tier, actor and layer -> (t0, t1, value), milliseconds, none overlapping."""


def _tiers(labels: Sequence[Label], vocabulary: Mapping[str, Sequence[str]]) -> Laid:
    laid: Laid = {(tier, None, 1): [] for tier in vocabulary if all(n.tier != tier for n in labels)}
    for label in labels:
        t0 = milliseconds(label.t0_ns)
        t1 = max(t0 + 1, milliseconds(label.t1_ns))
        layer = 1
        while (row := laid.setdefault((label.tier, label.actor, layer), [])) and row[-1][1] > t0:
            layer += 1
        row.append((t0, t1, label.value))
    return laid


def _annotate(root: ET.Element, tiers: Laid) -> None:
    order = ET.SubElement(root, "TIME_ORDER")
    ends = [(t, key, i, end) for key, row in tiers.items() for i, ab in enumerate(row) for end, t in enumerate(ab[:2])]
    slots = {}
    for number, (t, *which) in enumerate(sorted(ends, key=lambda e: (e[0], e[3]))):
        slots[tuple(which)] = f"ts{number + 1}"
        ET.SubElement(order, "TIME_SLOT", TIME_SLOT_ID=f"ts{number + 1}", TIME_VALUE=str(t))
    number = 0
    for key, row in sorted(tiers.items(), key=lambda item: (item[0][0], item[0][1] or "", item[0][2])):
        name, actor, layer = key
        identity = name + (f"@{actor}" if actor else "") + (f" ({layer})" if layer > 1 else "")
        tier = ET.SubElement(root, "TIER", TIER_ID=identity, LINGUISTIC_TYPE_REF=name)
        if actor:
            tier.set("PARTICIPANT", actor)
        for i, (_, _, value) in enumerate(row):
            number += 1
            refs = {"TIME_SLOT_REF1": slots[key, i, 0], "TIME_SLOT_REF2": slots[key, i, 1]}
            whole = ET.SubElement(tier, "ANNOTATION")
            one = ET.SubElement(whole, "ALIGNABLE_ANNOTATION", {"ANNOTATION_ID": f"a{number}", **refs})
            ET.SubElement(one, "ANNOTATION_VALUE").text = value


def _link(header: ET.Element, film: Path, origin_ns: int, folder: Path) -> None:
    media = ET.SubElement(header, "MEDIA_DESCRIPTOR", MEDIA_URL=film.resolve().as_uri())
    media.set("MIME_TYPE", MIME.get(film.suffix.lower(), "video/*"))
    media.set("RELATIVE_MEDIA_URL", "./" + Path(os.path.relpath(film.resolve(), folder.resolve())).as_posix())
    if origin_ns:
        media.set("TIME_ORIGIN", str(milliseconds(origin_ns)))


def _offer(vocabulary: ET.Element, values: Sequence[str], identity: str) -> None:
    ET.SubElement(vocabulary, "DESCRIPTION", LANG_REF="und")
    for number, value in enumerate(values):
        entry = ET.SubElement(vocabulary, "CV_ENTRY_ML", CVE_ID=f"{identity}_{number}")
        ET.SubElement(entry, "CVE_VALUE", LANG_REF="und", DESCRIPTION="").text = value


def _tier(tier: ET.Element) -> tuple[str, str | None]:
    """A tier's name without actor and layer, and the actor."""
    identity, kind, actor = tier.attrib["TIER_ID"], tier.get("LINGUISTIC_TYPE_REF", ""), tier.get("PARTICIPANT") or None
    suffix = f"@{actor}" if actor else ""
    if identity.startswith(kind + suffix) and re.fullmatch(r"( \(\d+\))?", identity[len(kind + suffix) :]):
        return kind, actor
    return _LAID_OVER.sub("", identity).removesuffix(suffix), actor


def _slots(root: ET.Element) -> dict[str, int]:
    """Time slots in ns; one that ELAN left without a time is spread evenly between its neighbours."""
    slots = [(s.attrib["TIME_SLOT_ID"], s.get("TIME_VALUE")) for s in root.iterfind("TIME_ORDER/TIME_SLOT")]
    known = [(i, int(value)) for i, (_, value) in enumerate(slots) if value is not None]
    found = {}
    for i, (name, value) in enumerate(slots):
        if value is None:
            (a, ta), (b, tb) = max(k for k in known if k[0] < i), min(k for k in known if k[0] > i)
            found[name] = ta * MILLISECOND_NS + (tb - ta) * MILLISECOND_NS * (i - a) // (b - a)
        else:
            found[name] = int(value) * MILLISECOND_NS
    return found


def _root(path: Path) -> ET.Element:
    try:
        root = ET.parse(path).getroot()
    except (ET.ParseError, OSError, UnicodeDecodeError) as error:
        raise SessionError(f"{path} cannot be read as an .eaf ({error}); save it in ELAN again") from error
    if root.tag != "ANNOTATION_DOCUMENT":
        raise SessionError(f"{path} is XML but no .eaf (its root is {root.tag}); give the file that ELAN saved")
    return root
