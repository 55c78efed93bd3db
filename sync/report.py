"""`report.html`: what was aligned with what, and how sure it is. One page that needs nothing else; warnings first."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import cv2
import numpy as np

from firmware_host.clockmap import ClockMap
from firmware_host.errors import SyncctlError
from recorder import demux
from recorder.durable import write_bytes
from recorder.samples import frame_times_ns
from recorder.session import Session
from sync.align import truth_curves_ms
from sync.alignment import Alignment, Pairing
from sync.clock_picture import clock_graph, colour
from sync.figure import Curve, Figure, svg
from sync.gaze.table import Row, read_rows
from sync.report_sound import listening, peak_figures, tone_figures
from sync.waveform import Wave, recorded, working

FILE = "report.html"
GAZE_FRAMES = 12
PICTURE_WIDTH = 400
TELLING = 1.1
"""Evidence is named as holding a clock where its sigma would be larger by this without it."""
PAGE = Path(__file__).with_name("report_page.html")


def write_report(session: Session, alignment: Alignment, truth: dict[str, Any] | None) -> Path:
    """Write `report.html` into the session folder.

    Args:
        truth: `truth.json` of a simulated session, for the error figures; None otherwise.
    """
    sounds = _sounds(session, alignment)
    page = Template(PAGE.read_text()).substitute(
        title=escape(session.id),
        summary=escape(_summary(session, alignment)),
        warnings=_warnings(alignment),
        graph=clock_graph(alignment),
        clocks=_clock_table(alignment, truth),
        cameras=_cameras(alignment),
        evidence=_evidence_table(alignment),
        residuals=_section("Residuals over time", map(svg, _residual_figures(alignment))),
        listening=_section("Before and after", listening(alignment, sounds)),
        tones=_section("At the tones", map(svg, tone_figures(alignment, sounds))),
        peaks=_section("Correlation peaks", map(svg, peak_figures(alignment, sounds))),
        truth=_section("Against the truth of the simulation", map(svg, _truth_figures(alignment, truth))),
        gaze=_section("Gaze on the head camera", _gaze_pictures(session, alignment), "pictures"),
    )
    write_bytes(session.root / FILE, page.encode())
    return session.root / FILE


def _summary(session: Session, alignment: Alignment) -> str:
    sigma = [max(p.sigma_ns for p in m.pieces) * 1e-6 for m in alignment.maps]
    facts = [f"{len(alignment.maps) + 1} clocks on the clock of {alignment.reference}"]
    facts.append(f"least certain by ± {max(sigma):.2f} ms")
    facts += [str(v) for v in (session.activity, session.place, ", ".join(session.participants)) if v]
    return " · ".join(facts)


def _warnings(alignment: Alignment) -> str:
    if not alignment.warnings:
        return '<p class="calm">No warnings.</p>'
    rows = "".join(f"<li>{escape(w)}</li>" for w in alignment.warnings)
    return f'<ul class="warnings">{rows}</ul>'


def _clock_table(alignment: Alignment, truth: dict[str, Any] | None) -> str:
    """A row for each piece of each clock, and one for each clock that was refused."""
    curves = truth_curves_ms(alignment, truth) if truth else {}
    head = ["clock", "offset at its start", "drift", "± sigma", *(["true error"] if curves else []), "held by"]
    rows = []
    for m in alignment.maps:
        for number, p in enumerate(m.pieces):
            offset_s = (m.forward(p.start_ns) - p.start_ns) * 1e-9
            name = m.source if len(m.pieces) == 1 else f"{m.source}, piece {number + 1} of {len(m.pieces)}"
            row = [name, f"{offset_s:+.6f} s", f"{p.skew_ppm:+.2f} ppm", _sigma(alignment, m, number)]
            if curves:
                error = f"{np.max(np.abs(curves[m.source][1])):.3f} ms" if m.source in curves else ""
                row.append(error)
            rows.append([*row, _holders(alignment, m.source)])
    rows += [[r.name, "refused", *[""] * (len(head) - 3), r.reason] for r in alignment.refused]
    return _table(head, rows)


def _sigma(alignment: Alignment, found: ClockMap, number: int) -> str:
    """The smallest and largest sigma of a piece."""
    piece = found.pieces[number]
    times = np.linspace(0, piece.stop_ns - piece.start_ns, 33).astype(np.int64) + piece.start_ns
    sigma = alignment.sigma_ns(found.source, times[:-1]) * 1e-6
    low, high = float(sigma.min()), piece.sigma_ns * 1e-6
    return f"{high:.3f} ms" if high < 1.05 * low else f"{low:.3f} to {high:.3f} ms"


def _holders(alignment: Alignment, clock: str) -> str:
    """The evidence that holds a clock, and how sure it would be without each."""
    known = next((c for c in alignment.certainty if c.clock == clock), None)
    held = (
        [h for h in known.held if h.without_ns is None or h.without_ns > TELLING * max(known.sigma_ns)] if known else []
    )
    said = []
    for one in sorted(held, key=lambda h: -(h.without_ns or np.inf))[:3]:
        p = alignment.pairings[one.number]
        without = "nothing else" if one.without_ns is None else f"± {one.without_ns * 1e-6:.2f} ms without"
        said.append(f"{p.method} {_with(p, clock)} ({without})")
    return ", ".join(said) or "several, none of which would be missed"


def _with(pairing: Pairing, clock: str) -> str:
    if clock not in (pairing.source, pairing.target):
        return f"of {pairing.source} and {pairing.target}"
    return f"with {pairing.target if clock == pairing.source else pairing.source}"


def _cameras(alignment: Alignment) -> str:
    """What a picture's time is off besides its clock's map."""
    measured = [
        f"{c.device} ({c.latency_ns * 1e-6:+.1f} ms, ± {c.sigma_ns * 1e-6:.1f})"
        for c in alignment.cameras
        if c.measured
    ]
    text = f"Latency of the camera against the microphone, taken off: {', '.join(measured)}. " if measured else ""
    unknown = [c for c in alignment.cameras if not c.measured]
    if unknown:
        text += (
            f"Nobody measured how late the pictures of {', '.join(c.device for c in unknown)} are against the sound: "
            f"± {unknown[0].sigma_ns * 1e-6:.0f} ms besides (syncctl doctor --clap measures it)."
        )
    return f"<p>{escape(text)}</p>" if text else ""


def _evidence_table(alignment: Alignment) -> str:
    rows = [_evidence_row(p) for p in (*alignment.pairings, *alignment.excluded)]
    rows += [[f"{s.source} → {s.target}", s.method, "nothing", "", "", "", s.reason] for s in alignment.silent]
    return _table(["pair", "kind", "verdict", "used", "score", "from the rest", "note"], rows)


def _evidence_row(pairing: Pairing) -> list[str]:
    tried = pairing.evidence.get("windows_tried")
    count = len(pairing.matches)
    used = (
        f"{count} of {tried:.0f} windows" if tried else f"{count} {'tones' if pairing.method == 'tones' else 'times'}"
    )
    pair = f"{pairing.source} → {pairing.target}"
    strain = f"{pairing.evidence['strain']:.1f} σ" if pairing.evidence.get("strain") else ""
    return [pair, pairing.method, pairing.verdict, used, f"{pairing.score:.2f}", strain, pairing.reason]


def _table(head: list[str], rows: list[list[str]]) -> str:
    cells = "".join(f"<th>{escape(h)}</th>" for h in head)
    body = "".join("<tr>" + "".join(f"<td>{_cell(c)}</td>" for c in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(text: str) -> str:
    """A verdict has its colour; a word that stands for one is not shown twice."""
    if text in ("ok", "coarse", "excluded", "refused", "nothing"):
        return f'<span class="pill {text}">{text}</span>'
    return escape(text)


def _section(title: str, parts: Iterable[str], kind: str = "figures") -> str:
    inside = "".join(parts)
    return f'<section><h2>{escape(title)}</h2><div class="{kind}">{inside}</div></section>' if inside else ""


def _sounds(session: Session, alignment: Alignment) -> dict[str, Wave]:
    """Sounds of the aligned clocks, at the working rate, the reference's first."""
    wanted = {alignment.reference, *(m.source for m in alignment.maps)}
    sounds: dict[str, Wave] = {}
    for device in sorted(session.devices, key=lambda d: d.clock != alignment.reference):
        if device.clock in wanted - set(sounds) and device.of_kind("audio"):
            try:
                sounds[device.clock] = working(recorded(session, device))
            except SyncctlError:
                continue
    return sounds


def _residual_figures(alignment: Alignment) -> Iterator[Figure]:
    """Of each clock: its sigma over time, and what the fusion leaves of the evidence that speaks of it."""
    for m in alignment.maps:
        origin_ns, end_ns = m.pieces[0].start_ns, m.pieces[-1].stop_ns
        curves = [_band(alignment, m.source, origin_ns, end_ns)]
        for p, left in zip(alignment.pairings, alignment.residual_ns, strict=True):
            if m.source not in (p.source, p.target):
                continue
            own = p.source == m.source
            t_ns = np.array([x.t_ns if own else x.t_ns + x.offset_ns for x in p.matches]) - origin_ns
            y = np.array(left) * (1e-6 if own else -1e-6)
            curves.append(Curve(t_ns * 1e-9, y, "points", p.method, colour(p.method)))
        marks = tuple((p.start_ns - origin_ns) * 1e-9 for p in m.pieces[1:])
        yield Figure(m.source, "seconds since its recording began", "ms", curves, marks=marks)


def _band(alignment: Alignment, clock: str, first_ns: int, last_ns: int) -> Curve:
    t_ns = first_ns + np.linspace(0, last_ns - first_ns, 65).astype(np.int64)
    sigma = alignment.sigma_ns(clock, t_ns) * 1e-6
    return Curve((t_ns - first_ns) * 1e-9, -sigma, "band", "± sigma of the map", 0, sigma)


def _truth_figures(alignment: Alignment, truth: dict[str, Any] | None) -> Iterator[Figure]:
    if truth is None:
        return
    for clock, (t_s, error_ms) in truth_curves_ms(alignment, truth).items():
        pieces = alignment.to_reference(clock).pieces
        band = _band(alignment, clock, pieces[0].start_ns, pieces[-1].stop_ns)
        curves = [band, Curve(t_s, error_ms, name="error of the map", colour=1)]
        yield Figure(clock, "seconds since its recording began", "ms", curves)


def _gaze_pictures(session: Session, alignment: Alignment) -> Iterator[str]:
    for gaze in alignment.gaze:
        rows = [r for r in read_rows(session.path(gaze.file)) if r.x_px is not None]
        if not rows:
            continue
        picked = [rows[k] for k in np.unique(np.linspace(0, len(rows) - 1, GAZE_FRAMES).astype(int))]
        device = session.device(gaze.target)
        t_ns = frame_times_ns(session, device)
        wanted = {int(np.argmin(np.abs(t_ns - r.t_ns))): r for r in picked}
        for index, _, image in demux.video_frames(session.path(device.file), pixels="rgb24"):
            row = wanted.pop(index, None)
            if row is not None:
                yield _picture(image, row)
            if not wanted:
                break


def _picture(image: np.ndarray, row: Row) -> str:
    """A frame with the gaze on it, and an ellipse of two standard deviations around it."""
    canvas = np.ascontiguousarray(image[..., ::-1])
    centre = (round(row.x_px or 0.0), round(row.y_px or 0.0))
    sigma = row.sigma_px or 0.0
    axes = (max(round(2 * sigma), 6), max(round(2 * (row.minor_px or sigma)), 6))
    for ink, width in (((0, 0, 0), 4), ((60, 220, 255), 2)):
        cv2.ellipse(canvas, centre, axes, row.angle_deg or 0.0, 0, 360, ink, width, cv2.LINE_AA)
        cv2.drawMarker(canvas, centre, ink, cv2.MARKER_CROSS, 10, width)
    small = cv2.resize(canvas, (PICTURE_WIDTH, round(PICTURE_WIDTH * canvas.shape[0] / canvas.shape[1])))
    _, data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 80])
    text = base64.b64encode(data.tobytes()).decode()
    when = f"{row.t_ns * 1e-9:.2f} s"
    return (
        f'<figure><img alt="gaze at {when}" src="data:image/jpeg;base64,{text}">'
        f"<figcaption><p>{when} · {escape(row.verdict)} · ± {sigma:.1f} px</p></figcaption></figure>"
    )
