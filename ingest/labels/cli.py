"""`syncctl labels`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from firmware_host.errors import ConfigError, SessionError
from recorder.terminal import emit, json_option, note

if TYPE_CHECKING:
    from ingest.labels.label import Label

BROUGHT = ("csv", "parquet", "elan", "ava", "via", "cvat", "boris", "homage")
MUSCLE = "muscle"
_FILE = click.Path(path_type=Path, exists=True)


@click.group()
def labels() -> None:
    """Labels out to the tools that people annotate with, and back. The session must be aligned first.

    \b
    Example:
      syncctl align sessions/first
      syncctl labels export sessions/first --format elan --film head --out first.eaf
      syncctl labels import first.eaf sessions/first --name anna
    """


@labels.command("import", short_help="Take a tool's file back, on the session's reference clock.")
@click.argument("file", type=_FILE)
@click.argument("session", type=click.Path(path_type=Path))
@click.option("--format", "kind", type=click.Choice(BROUGHT), help="What FILE is; by its suffix where not given.")
@click.option(
    "--film", metavar="NAME", help="Device or file whose time 0 FILE counts from; what FILE links if not given."
)
@click.option("--name", metavar="NAME", help="Keep them as labels/NAME.csv; FILE's name without suffix by default.")
@click.option("--video", metavar="ID", help="What the film is called in AVA's rows or HOMAGE's folders.")
@click.option("--label-map", type=_FILE, help="AVA's .pbtxt; beside FILE by default.")
@click.option("--excluded", type=_FILE, help="AVA's excluded timestamps; beside FILE by default.")
@click.option("--vocabulary", type=_FILE, help="Words the labels must be of; kept in the session from then on.")
@click.option("--skip", is_flag=True, help="Leave out unknown words and labels outside the recording, and say so.")
@click.option("--replace", "again", is_flag=True, help="Write labels/NAME.csv anew.")
@json_option
def bring(
    file: Path,
    session: Path,
    kind: str | None,
    film: str | None,
    name: str | None,
    video: str | None,
    label_map: Path | None,
    excluded: Path | None,
    vocabulary: Path | None,
    skip: bool,
    again: bool,
    as_json: bool,
) -> None:
    """Put the labels of FILE on the reference clock of SESSION, as labels/NAME.csv.

    Unknown words and labels of which no part was recorded are refused, or left out and said with --skip. What another
    label file of the session has already, to the millisecond, is left out and said.

    \b
    Example:
      syncctl labels import first.eaf sessions/first --name anna
      syncctl labels import ava_train.csv sessions/first --format ava --film kit-01 --video first
    """
    from ingest.ego import open_aligned
    from ingest.labels import exchange, words

    asked = exchange.Asked(kind or exchange.format_of(file), film, video, label_map, excluded)
    aligned = open_aligned(session)
    name = name or file.stem
    known = words.load(vocabulary) if vocabulary else words.of_folder(session / exchange.FOLDER)
    brought = exchange.bring(file, aligned, asked, name, known)
    if not skip:
        if known:
            known.check(brought.unknown, str(file))
        _refuse(brought.outside, f"{file}: {{}} of which no part was recorded; give --skip to leave such labels out")
    else:
        _say(brought.unknown, "left out, unknown to the vocabulary")
        _say(brought.outside, "left out, of which no part was recorded")
    _say(brought.doubled, "left out, in another label file already")
    path = exchange.store(brought.labels, aligned, name, again=again, known=known)
    left_out = {"unknown": len(brought.unknown), "outside": len(brought.outside), "doubled": len(brought.doubled)}
    count, zero = len(brought.labels), brought.zero or f"the reference clock {aligned.alignment.reference}"
    document = {"file": str(path), "format": asked.format, "labels": count, "zero": zero, "left_out": left_out}
    emit(as_json, document, [f"{path}: {count} labels; time 0 of {file.name} is that of {zero}"])


@labels.command("export", short_help="Write labels and films for a tool to annotate with.")
@click.argument("session", type=click.Path(path_type=Path))
@click.option("--format", "kind", required=True, type=click.Choice((*BROUGHT, MUSCLE)), help="What to write.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="File; a folder for homage and muscle.")
@click.option("--film", metavar="NAME", help="Device or file whose time to count in; the only film if not given.")
@click.option("--tier", "tiers", multiple=True, metavar="TIER", help="Only this tier; may be repeated.")
@click.option("--from", "sources", multiple=True, metavar="NAME", help="Only labels/NAME.csv; may be repeated.")
@click.option("--video", metavar="ID", help="What to call the film in AVA's rows or HOMAGE's folders.")
@click.option("--label-map", type=_FILE, help="AVA's .pbtxt, for its ids; made of the labels where not given.")
@click.option("--mp4", "copied", is_flag=True, help="Write the films as MP4 beside OUT, and link these.")
@json_option
def hand_out(
    session: Path,
    kind: str,
    out: Path,
    film: str | None,
    tiers: Sequence[str],
    sources: Sequence[str],
    video: str | None,
    label_map: Path | None,
    copied: bool,
    as_json: bool,
) -> None:
    """Write the labels of SESSION for another tool, in the time of one of its films; without labels, one to begin on.

    With --mp4 the films are copied beside OUT as MP4 with AAC, which every player opens, with a table of when each
    frame was taken. Where SESSION is a dataset, `muscle` writes its gaze and movement as muscleTorch reads them.

    \b
    Example:
      syncctl labels export sessions/first --format elan --film head --mp4 --out annotate/first.eaf
      syncctl labels export sessions/first --format cvat --film kit-01 --tier person --out first.xml
      syncctl labels export dataset --format muscle --out muscles
    """
    if kind == MUSCLE:
        _hand_out_muscle(session, out, as_json)
        return
    from ingest.ego import open_aligned
    from ingest.labels import exchange

    aligned = open_aligned(session)
    out.parent.mkdir(parents=True, exist_ok=True)
    given = exchange.kept(aligned, tiers, sources)
    if copied:
        from ingest.export.proxy import write_films

        for sentence in write_films(aligned, out.parent):
            note(sentence)
    asked = exchange.Asked(kind, film, video, label_map, copies=out.parent if copied else None)
    left = exchange.hand_out(given, out, aligned, asked)
    _say(left, f"not written: {kind} has no place for them")
    document = {"file": str(out), "format": kind, "labels": len(given) - len(left), "left_out": len(left)}
    emit(as_json, document, [f"{out}: {len(given) - len(left)} labels"])


@labels.command("vocabulary", short_help="Collect the words that labels use into one list.")
@click.argument("sessions", metavar="SESSION...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="JSON file; counted up where it is there.")
@click.option(
    "--tier", "tiers", multiple=True, metavar="TIER", help="Only this tier; may be repeated. Others stay free."
)
@json_option
def gather_words(sessions: Sequence[Path], out: Path, tiers: Sequence[str], as_json: bool) -> None:
    """Write the words that the labels of sessions use, as a vocabulary with version and hash.

    \b
    Example:
      syncctl labels vocabulary sessions/* --tier activity --tier atomic --out words.json
    """
    from ingest.labels import exchange, table, words

    files = [path for session in sessions for path in sorted((session / exchange.FOLDER).glob("*.csv"))]
    found = words.of_labels(n for path in files for n in table.read(path) if not tiers or n.tier in tiers)
    if not found.tiers:
        raise SessionError(f"{sessions[0]}{' and the others' if len(sessions) > 1 else ''} hold no such labels")
    known = words.load(out) if out.exists() else None
    if known is None or known.tiers != found.tiers:
        found = words.Vocabulary(found.tiers, known.version + 1 if known else 1)
        found.save(out)
    else:
        found = known
    document = {"file": str(out), "version": found.version, "sha256": found.sha256, "tiers": dict(found.tiers)}
    lines = [f"{out}: version {found.version}, sha256 {found.sha256[:12]}"]
    emit(as_json, document, lines + [f"  {tier}: {len(values)} values" for tier, values in found.tiers.items()])


def _hand_out_muscle(root: Path, out: Path, as_json: bool) -> None:
    from ingest.labels import muscle

    records = muscle.of_dataset(root)
    for split, every in records.items():
        muscle.write(every, out, split)
    counts = {split: len(every) for split, every in records.items()}
    lines = [f"{out}: {', '.join(f'{count} recordings to {split}' for split, count in counts.items())}"]
    emit(as_json, {"file": str(out), "format": MUSCLE, "recordings": counts}, lines)


def _say(left: Sequence[Label], why: str) -> None:
    """One line for what was left out: how many, and the first."""
    if left:
        more = f" and {len(left) - 1} more" if len(left) > 1 else ""
        note(f"{why}: {left[0].named()}{more}")


def _refuse(left: Sequence[Label], sentence: str) -> None:
    if left:
        more = f" (and {len(left) - 1} more)" if len(left) > 1 else ""
        raise ConfigError(sentence.format(f"it holds {left[0].named()}{more},"))
