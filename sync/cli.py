"""Commands of the third room: add, align, offset, tones, tone, view."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click

from recorder.terminal import emit, json_option


@click.command()
@click.argument("reference", metavar="REF", type=click.Path(path_type=Path))
@click.argument("other", metavar="OTHER", type=click.Path(path_type=Path))
@click.option(
    "--apart",
    default=1.0,
    show_default=True,
    metavar="METRES",
    type=click.FloatRange(min=0.0),
    help="How far the microphones were from each other.",
)
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
    from sync.offset import measure
    from sync.waveform import spooled

    source, target = (spooled(path, str(path)) for path in (other, reference))
    try:
        result = measure(source, target, apart)
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


T = TypeVar("T")


def _said(read: Callable[[str], T], text: str) -> T:
    """What the text of an option says. Raises UsageError."""
    from firmware_host.errors import ConfigError

    try:
        return read(text)
    except ConfigError as error:
        raise click.UsageError(str(error)) from error


SINE = click.option(
    "--sine",
    metavar="HZ:SECONDS",
    help="Plain bursts of this pitch and length, as other kits play, stand for our tones.",
)


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@SINE
@json_option
def tones(file: Path, sine: str | None, as_json: bool) -> None:
    """Find the start and end tones in a recording.

    \b
    Examples:
      syncctl tones head.mp4
      syncctl tones legacy.wav --sine 1000:1.0
    """
    from sync import bursts
    from sync.tones import find as ours
    from sync.wanted import parsed_sine
    from sync.waveform import spooled

    find = partial(bursts.find, sine=_said(parsed_sine, sine)) if sine else ours

    rows: list[dict[str, Any]] = [
        {
            "kind": t.kind,
            "t_s": round(t.t_ns * 1e-9, 9),
            "sigma_s": round(t.sigma_ns * 1e-9, 9),
            "score": round(t.score, 4),
        }
        for t in find(spooled(file, str(file)))
    ]
    lines = [f"{r['kind']:5}  {r['t_s']:12.6f} s  ± {1e3 * r['sigma_s']:.3f} ms  score {r['score']:.2f}" for r in rows]
    emit(as_json, {"tones": rows}, lines)


@click.command()
@click.argument("kind", type=click.Choice(["start", "end"]))
@click.option("--out", type=click.Path(path_type=Path), help="WAV file to write instead of playing it.")
@click.option("--speaker", metavar="DEVICE", help="PortAudio's name of the loudspeaker; by default the default one.")
@json_option
def tone(kind: str, out: Path | None, speaker: str | None, as_json: bool) -> None:
    """Play the start or end tone, or write it as a WAV file: 48 kHz, mono, nothing before it.

    Sound it near the microphones, once when all devices record and once before they stop.

    \b
    Examples:
      syncctl tone start
      syncctl tone end --out end.wav
    """
    from recorder.tone import TONE_S
    from recorder.tone import tone as waveform

    if out is None:
        from recorder.microphone import SoundDeviceSpeaker

        SoundDeviceSpeaker(speaker).sound(kind)
        emit(as_json, {"kind": kind, "duration_s": TONE_S}, [f"played the {kind} tone"])
        return
    import soundfile

    from recorder.durable import replacing

    with replacing(out) as scratch:
        soundfile.write(scratch, waveform(kind), 48_000, subtype="PCM_16")
    emit(as_json, {"kind": kind, "file": str(out), "duration_s": TONE_S}, [f"wrote the {kind} tone to {out}"])


@click.command()
@click.argument("directory", metavar="SESSION", type=click.Path(path_type=Path))
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--as", "kind", metavar="KIND", help="gopro, tobii, neon, xdf or media; by default what FILE looks like.")
@click.option("--name", help="Name of the device; by default the file's.")
@click.option("--role", help="ego, third, body, eye or other; a GoPro is ego.")
@click.option("--wearer", help="Participant who wore it.")
@click.option("--tone-distance", type=float, metavar="METRES", help="From the tones' speaker to its microphone.")
@click.option("--times", type=click.Path(path_type=Path), metavar="CSV", help="Table with the time of each picture.")
@click.option("--link", is_flag=True, help="Link the file and do not copy it.")
@json_option
def add(directory: Path, file: Path, as_json: bool, tone_distance: float | None, **options: Any) -> None:
    """Bring FILE into SESSION as it came: never encoded again.

    A session folder that does not exist is made. FILE is a film or sound, an XDF recording, or the folder that a Pupil
    Neon or Tobii Pro Glasses 2 or 3 wrote (Tobii: untested on real recordings).

    \b
    Examples:
      syncctl add sessions/first GX010042.MP4 --name head --wearer p01
      syncctl add sessions/first 2025-10-17_17-53-08 --as neon --name eye --wearer p01
      syncctl add sessions/first webcam.avi --times webcam.csv --name desk
    """
    from dataclasses import asdict

    from recorder.terminal import note
    from sync.add import SETTINGS, add_file

    device = add_file(directory, file, options.pop("kind"), tone_distance_m=tone_distance, **options)
    about = device.settings[SETTINGS]
    for sentence in about.get("notes", ()):
        note(f"note: {sentence}")
    streams = ", ".join(f"{s.name} {s.rate_hz:.6g} Hz" if s.rate_hz else s.name for s in device.streams)
    emit(as_json, {"device": asdict(device)}, [f"added {device.name} ({about['as']}, {device.role}): {streams}"])


@click.command()
@click.argument("directory", metavar="SESSION", type=click.Path(path_type=Path))
@click.option("--reference", metavar="DEVICE", help="Device whose clock is kept; by default the first kit.")
@click.option("--only", multiple=True, metavar="KIND|DEVICE", help="Use this evidence or device and no other; again.")
@click.option("--prior", multiple=True, metavar="DEVICE=S[±S]", help="It began S seconds after the reference; again.")
@SINE
@click.option("--strict", is_flag=True, help="Exit status 1 where a device was refused.")
@json_option
def align(
    directory: Path,
    reference: str | None,
    only: tuple[str, ...],
    prior: tuple[str, ...],
    sine: str | None,
    strict: bool,
    as_json: bool,
) -> int:
    """Put every device of SESSION on one clock; writes alignment.json and report.html there.

    Kinds of evidence are tones, audio, network (wall times that kits logged), turning (a worn camera's and an IMU's
    movement) and pattern (limbs with IMUs before a camera or a mirror). A kind given with --only leaves out the other
    kinds, a device the other devices. A --prior is believed before all evidence; without ±, to half a second.

    \b
    Examples:
      syncctl align sessions/first
      syncctl align sessions/first --only tones --only head --prior head=3.2±0.1
      syncctl align sessions/legacy --sine 1000:1.0
    """
    from recorder.session import open_session
    from recorder.terminal import note
    from sync.run import align_session
    from sync.wanted import parsed_prior, parsed_sine

    priors = [_said(parsed_prior, text) for text in prior]
    bursts = _said(parsed_sine, sine) if sine else None
    alignment, errors = align_session(open_session(directory), reference, only, priors, bursts)
    document = alignment.to_json()
    if errors is not None:
        document["truth_error_ms"] = errors
    for warning in alignment.warnings:
        note(f"warning: {warning}")
    lines = []
    for m in alignment.maps:
        sigma_ms = 1e-6 * max(p.sigma_ns for p in m.pieces)
        true = f", true error {errors[m.source]:.2f} ms" if errors and m.source in errors else ""
        lines.append(f"{m.source} -> {m.target}: {m.pieces[0].skew_ppm:+.2f} ppm, ± {sigma_ms:.2f} ms{true}")
    lines += [f"{g.file}: " + ", ".join(f"{n} {v}" for v, n in g.verdicts.items()) for g in alignment.gaze]
    emit(as_json, document, [*lines, f"wrote {directory / 'alignment.json'} and {directory / 'report.html'}"])
    return int(strict and bool(alignment.refused))


@click.command()
@click.argument("directory", metavar="SESSION", type=click.Path(path_type=Path))
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default=True, help="0 for any free one.")
@click.option("--browser/--no-browser", default=True, show_default=True, help="Open the page in a browser.")
def view(directory: Path, port: int, browser: bool) -> None:
    """Play SESSION in a browser: pictures, sound, sensors, gaze and labels in step.

    Straight from the session's files: nothing is encoded again and nothing is written. The page is served to this
    machine alone; Ctrl-C ends it.

    \b
    Example:
      syncctl view sessions/first
    """
    import webbrowser

    from recorder.session import open_session
    from recorder.terminal import note, progress
    from sync.view.content import opened
    from sync.view.server import listen, serve

    session, line = open_session(directory), listen(port)
    with progress(f"opening {directory}", total=len(session.devices)) as done:
        content = opened(session, done)
    url = f"http://127.0.0.1:{line.getsockname()[1]}/"
    note(f"{directory} at {url} (Ctrl-C ends)")
    if browser:
        webbrowser.open(url)
    serve(content, line)


@click.command()
@click.argument("scene", type=click.Path(path_type=Path))
@click.argument("reference", type=click.Path(path_type=Path))
@click.argument("table", metavar="GAZE.csv", type=click.Path(path_type=Path))
@click.option("--out", "-o", required=True, type=click.Path(path_type=Path), help="Table to write.")
@click.option(
    "--offset", "offset_s", default=0.0, show_default=True, metavar="SECONDS", help="As `syncctl offset` says."
)
@click.option("--skew", "skew_ppm", default=0.0, show_default=True, metavar="PPM", help="As `syncctl offset` says.")
@json_option
def gaze(scene: Path, reference: Path, table: Path, out: Path, offset_s: float, skew_ppm: float, as_json: bool) -> None:
    """Carry the gaze of an eye tracker to another camera on the same head.

    SCENE is the film of the eye tracker's own camera, REFERENCE that of the other one. GAZE.csv has the columns t_s,
    x_px, y_px in SCENE's time and pixels; an empty cell is a missing gaze. ``t_reference = offset + t_scene * (1 +
    skew * 1e-6)``: `syncctl offset REFERENCE SCENE` measures both. The table that is written has one row for every
    frame of REFERENCE: t_s, x_px, y_px, the error ellipse (sigma_px, minor_px, angle_deg), and a verdict: ok,
    homography (one plane alone: off by parallax near the hands), refused or missing.

    \b
    Example:
      syncctl gaze scene.mp4 head.mp4 gaze.csv --out gaze_head.csv --offset 1.25
    """
    from recorder.terminal import note
    from sync.gaze_files import carry_files

    found = carry_files(scene, reference, table, out, offset_s, skew_ppm)
    for warning in found["warnings"]:
        note(f"warning: {warning}")
    counts = ", ".join(f"{n} {v}" for v, n in found["verdicts"].items())
    emit(as_json, found, [f"{out}: {found['rows']} frames: {counts}"])


@click.command()
@click.argument("video", type=click.Path(path_type=Path))
@click.option("--board", required=True, metavar="COLSxROWS", help="Inner corners: 9x6 for 10x7 squares.")
@click.option("--device", required=True, metavar="NAME", help="Whose camera it is.")
@click.option("--session", "root", type=click.Path(path_type=Path), help="By default the one VIDEO lies in.")
@json_option
def calibrate(video: Path, board: str, device: str, root: Path | None, as_json: bool) -> None:
    """Measure a camera's lens from a film of a chessboard, and store it in the session.

    Film a flat printed board slowly, whole and sharp, tilted to all sides and in all corners of the picture, in the
    mode the camera records in. Exit status 1 where the views do not tell the lens.

    \b
    Example:
      syncctl calibrate board.mp4 --board 9x6 --device head --session sessions/first
    """
    from recorder import demux
    from recorder.terminal import progress
    from sync import calibrate as method

    corners = method.board_size(board)
    root = root or method.session_of(video)
    with progress("looking for the board", total=len(demux.container_frame_times_ns(video))) as done:
        found = method.calibrate(video, corners, done)
    stored = method.store(root, device, found, corners, video)
    focal = " x ".join(f"{f:.1f}" for f in found.lens.focal)
    line = f"{device}: {found.lens.model}, focal length {focal} px, reprojection RMS {found.rms_px:.3f} px"
    seen = f"{found.views} views of {found.found} with the board; stored in {root / 'session.json'}"
    emit(as_json, {"device": device, "intrinsics": stored.intrinsics, "found": found.found}, [line, seen])
