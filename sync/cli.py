"""Commands of the third room: add, align, offset, tones, tone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from recorder.terminal import emit, json_option


@click.command()
@click.argument("reference", metavar="REF", type=click.Path(path_type=Path))
@click.argument("other", metavar="OTHER", type=click.Path(path_type=Path))
@click.option("--apart", default=1.0, show_default=True, metavar="METRES", type=click.FloatRange(min=0.0))
@json_option
def offset(reference: Path, other: Path, apart: float, as_json: bool) -> int:
    """Offset and drift of OTHER against REF, by their sound.

    ``t_ref = offset_s + t_other * (1 + skew_ppm * 1e-6)``. Time 0 is where a player starts the file. --apart is how
    far the two microphones were from each other: sound takes 2.9 ms a metre, and sigma contains that. Exit status
    1 where the sound gives no answer.

    \b
    Example:
      syncctl offset kit-01.mkv head.mp4
    """
    from firmware_host.errors import EvidenceError
    from recorder.demux import read_sound_file
    from sync.offset import measure

    sounds = [read_sound_file(path, str(path)) for path in (other, reference)]
    try:
        result = measure(*sounds, apart)
    except EvidenceError as error:
        result = {"verdict": "refused", "reason": str(error), "score": None, "pieces": []}
        result |= dict.fromkeys(("offset_s", "skew_ppm", "sigma_s"))
    emit(as_json, result, _offset_lines(result))
    return int(result["verdict"] == "refused")


def _offset_lines(result: dict[str, Any]) -> list[str]:
    if result["verdict"] == "refused":
        return [f"refused: {result['reason']}"]
    lines = [
        f"{result['verdict']}: t_ref = {result['offset_s']:+.6f} s + t_other * (1 {result['skew_ppm']:+.3f} ppm), "
        f"± {1e3 * result['sigma_s']:.2f} ms, score {result['score']:.2f}"
    ]
    if result["reason"]:
        lines.append(result["reason"])
    if len(result["pieces"]) > 1:
        lines += [f"  from {p['start_s']:.3f} s: {p['offset_s']:+.6f} s" for p in result["pieces"]]
    return lines


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@json_option
def tones(file: Path, as_json: bool) -> None:
    """Find the start and end tones in a recording.

    \b
    Example:
      syncctl tones head.mp4
    """
    from recorder.demux import read_sound_file
    from sync.tones import find

    rows = [
        {
            "kind": t.kind,
            "t_s": round(t.t_ns * 1e-9, 9),
            "sigma_s": round(t.sigma_ns * 1e-9, 9),
            "score": round(t.score, 4),
        }
        for t in find(read_sound_file(file, str(file)))
    ]
    lines = [f"{r['kind']:5}  {r['t_s']:12.6f} s  ± {1e3 * r['sigma_s']:.3f} ms  score {r['score']:.2f}" for r in rows]
    emit(as_json, {"tones": rows}, lines)


@click.command()
@click.argument("kind", type=click.Choice(["start", "end"]))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="WAV file to write.")
@json_option
def tone(kind: str, out: Path, as_json: bool) -> None:
    """Write the start or end tone as a WAV file: 48 kHz, mono, nothing before it.

    Play it through a loudspeaker near the microphones, once when all devices record and once before they stop.

    \b
    Example:
      syncctl tone start --out start.wav
    """
    import soundfile

    from recorder.durable import replacing
    from recorder.tone import TONE_S
    from recorder.tone import tone as waveform

    with replacing(out) as scratch:
        soundfile.write(scratch, waveform(kind), 48_000, subtype="PCM_16")
    emit(as_json, {"kind": kind, "file": str(out), "duration_s": TONE_S}, [f"wrote the {kind} tone to {out}"])
